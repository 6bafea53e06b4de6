"""Takes an alert of monitoring to the retrain flow and to people."""  # noqa: N999 - as in lambda/__init__.py
