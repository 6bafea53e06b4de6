"""Functions on AWS Lambda, one folder each."""  # noqa: N999 - a keyword cannot be imported by statement; the runtime uses importlib
