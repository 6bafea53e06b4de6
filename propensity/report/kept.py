"""Reports that are kept in object storage: a page and its figures, under names that sort by time."""

from __future__ import annotations

from datetime import UTC

from propensity.ports import ObjectStore
from propensity.report.as_json import as_json, from_json
from propensity.report.page import document
from propensity.report.tree import Report

PAGE, FIGURES = ".html", ".json"


def folder(campaign: str) -> str:
    """Where a campaign's reports lie, beside those of its monitor runs."""
    return f"reports/{campaign}/campaign/"


def keep(store: ObjectStore, report: Report) -> str:
    """Write a report, its figures first; return the key of the page. The same window made at the same time replaces itself."""
    made = report.scope.made_at.astimezone(UTC)
    name = f"{folder(report.scope.campaign)}{made:%Y-%m-%dT%H%M%SZ}"
    store.put(name + FIGURES, as_json(report))
    store.put(name + PAGE, document(report).html)
    return name + PAGE


def newest(store: ObjectStore, campaign: str) -> Report | None:
    """The report that was kept last; None where none was. Raises DataError where another version of this program kept it."""
    kept = [key for key in store.keys(folder(campaign)) if key.endswith(FIGURES)]
    return from_json(store.get(kept[-1])) if kept else None
