"""Grafana as code: dashboards and alert rules, written from the panel definitions by ``python -m monitoring.dashboards``."""
