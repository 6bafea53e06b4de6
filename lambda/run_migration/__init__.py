"""Runs the migration task as a part of a deployment, and lets the deployment wait for it."""  # noqa: N999 - as in lambda/__init__.py
