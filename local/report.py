"""``propensity report``: the campaign report as a page to open and print, and its figures for machines."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from local.environment import PROJECT
from propensity.adapters.object_store import FolderStore
from propensity.report.as_json import as_json
from propensity.report.page import document
from propensity.report.page.sentences import opening
from propensity.report.tree import Report

REPORTS = PROJECT / "build" / "reports"


def write_report(campaign: str, since: datetime | None, until: datetime | None, out: Path, reports: Path = REPORTS) -> int:
    """Make the report, write both files whole or not at all, and say where they are."""
    from flows.report import make
    from propensity.adapters.platform import platform

    made = make(platform(), campaign, since, until)
    for line in write(made, out, reports):
        print(line)
    return 0


def write(made: Report, out: Path, reports: Path) -> list[str]:
    """Write a report; return what to say about it."""
    FolderStore(out.absolute().parent).put(out.name, document(made).html)
    figures = f"campaign-{made.scope.campaign}.json"
    FolderStore(reports).put(figures, as_json(made))
    return [opening(made), f"page: {out}", f"figures: {reports / figures}"]
