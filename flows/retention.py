"""Retention: the nightly flow that removes old events and logs from Prefect's own tables, which nothing else here ever makes smaller."""

from __future__ import annotations

import logging
from typing import Any

from prefect import flow

from propensity.adapters.platform import platform
from propensity.adapters.prefect_tables import remove_old
from propensity.adapters.recorded import recorded
from propensity.errors import SettingsInvalid

log = logging.getLogger("propensity.flows")


@flow(name="retention")
@recorded("retention", lambda result: {"removed": result["removed"], "left": result["left"]})
def retention() -> dict[str, Any]:
    """Remove what is older than the settings say, in small transactions; how many rows of each table, and whether some are left."""
    settings = platform().settings
    if settings.prefect_database_url is None:
        raise SettingsInvalid("PROPENSITY_PREFECT_DATABASE_URL is not set: it names the database of the Prefect server")
    password = settings.prefect_database_password
    removed, left = remove_old(
        settings.prefect_database_url.get_secret_value(),
        password=None if password is None else password.get_secret_value(),
        events_days=settings.prefect_events_days,
        logs_days=settings.prefect_logs_days,
    )
    log.info("removed " + ", ".join(f"{rows:,} rows of {table}" for table, rows in removed.items()))
    return {"removed": removed, "left": left}
