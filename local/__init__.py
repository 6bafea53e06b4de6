"""The whole platform on one machine: a real PostgreSQL, MLflow, Prefect, the scoring service and the schedules."""
