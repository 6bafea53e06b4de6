"""The model families that a training run compares. For training alone: the scoring service imports none of this.

Each family learns from encoded rows and gives a `Member`: margins, and the parts that a model package serves. Where a family has no such
parts, it is compared like the others and cannot win.
"""
