"""Starts exactly one scoring job for a list that was uploaded."""  # noqa: N999 - as in lambda/__init__.py
