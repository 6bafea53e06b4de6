"""The outside world: S3, Postgres, MLflow and files. The only package that may import an SDK."""
