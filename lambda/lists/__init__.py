"""Creates lists, says how far they are, and gives their results out by presigned addresses."""  # noqa: N999 - as in lambda/__init__.py
