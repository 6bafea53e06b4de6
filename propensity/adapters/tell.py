"""How an installation tells of alerts: the channels and links that its settings name, over its own store."""

from __future__ import annotations

from datetime import timedelta

from propensity.adapters.alert_channels import channels
from propensity.adapters.alert_links import Links
from propensity.adapters.platform import Platform
from propensity.alerting import Alerting
from propensity.alerts import alert_of, clears
from propensity.campaigns import all_campaigns
from propensity.ports import MonitorRun


def alerting(at: Platform) -> Alerting:
    """Raises SettingsInvalid where a channel's settings cannot be used."""
    repeat = timedelta(hours=at.settings.alerts_repeat_h)
    return Alerting(at.alerts, channels(at.settings), Links(at.settings, at.store), repeat)


def tell_run(at: Platform, run: MonitorRun) -> str | None:
    """Raise the alert that a monitor run is, or resolve what a good one ends; the id of the former.

    Raises a StoreError where the store fails: the run is recorded, and trying again raises the alert once.
    """
    declared = all_campaigns().get(run.campaign)
    alert = alert_of(run, declared.economics.currency if declared is not None else "")
    if alert is not None:
        return alerting(at).raise_alert(alert).alert_id
    if clears(run):
        alerting(at).clear(run.campaign, run.kind, until=run.until)
    return None
