"""Takes a request from API Gateway to the scoring service, which has no address outside."""  # noqa: N999 - as in lambda/__init__.py
