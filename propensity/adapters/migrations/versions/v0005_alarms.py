"""Alarms of monitor runs; intervals, rows and groups of their numbers."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Null: recorded before there were alarms, or of a kind of run that raises none.
_ALARMS = """
alter table monitor_run add column alarm text
    check (alarm in ('no_data', 'too_little_data', 'quiet', 'watch', 'alarm'));
alter table monitor_metric
    add column low float8, add column high float8, add column rows_used float8, add column group_name text;
comment on column monitor_run.alarm is 'whether somebody is to be called; verdict is the bands of PSI';
comment on column monitor_metric.rows_used is 'rows that the number rests on; of a chance, the effective rows';
"""


def upgrade() -> None:
    """Add columns; what was recorded before stays as it is."""
    op.execute(_ALARMS)
