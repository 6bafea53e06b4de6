"""In place of Spark: driver and executors are one process. Found before any other by whoever has the folder above on ``PYTHONPATH``."""
