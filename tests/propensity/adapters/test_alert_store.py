"""Alerts on a real Postgres: of any number at once one raises, one sends, one ends."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from propensity.adapters.alert_store import PostgresAlertStore
from propensity.adapters.database import Database
from propensity.alerting import Alerting, StoredAlert
from propensity.alerts import Finding, Impact
from propensity.errors import NotFound
from tests.fakes_alerts import FakeChannel, an_alert

MANY = 8


@pytest.fixture
def alerts(stores: Database) -> PostgresAlertStore:
    return PostgresAlertStore(stores)


def test_an_alert_reads_back_whole(alerts: PostgresAlertStore) -> None:
    findings = (Finding(None, "psi", math.inf, None, 0.2, "drift"), Finding("age", "psi", 0.1 + 0.2, 0.1, 0.2, "drift"))
    alert = an_alert(campaign="read-back", findings=findings, impact=Impact(-1234.5, "EUR"), detail="a", about="x")
    stored, made = alerts.raise_alert(alert)
    assert made
    assert alerts.find(stored.alert_id).alert == an_alert(
        campaign="read-back", findings=list(findings), impact=Impact(-1234.5, "EUR"), detail="a", about="x"
    )


def test_of_many_runs_at_once_one_raises_and_each_channel_tells_once(alerts: PostgresAlertStore) -> None:
    mail, hook = FakeChannel("mail"), FakeChannel("hook")
    alerting, begin = Alerting(alerts, (mail, hook)), threading.Barrier(MANY)

    def run(_: int) -> StoredAlert:
        begin.wait()
        stored = alerting.raise_alert(an_alert(campaign="race"))
        alerting.deliver()
        alerting.clear("race", "drift", until=an_alert().until)
        alerting.deliver()
        return stored

    with ThreadPoolExecutor(MANY) as threads:
        ids = {stored.alert_id for stored in threads.map(run, range(MANY))}
    # A run that came late may have found the condition over, and raised it again: each time is told once.
    told = sorted((alert.alert_id, alert.occasion) for alert in mail.told if alert.campaign == "race")
    assert told == sorted({*told})
    assert {alert_id for alert_id, _ in told} == ids
    for alert_id in ids:
        sent = [(e.channel, e.occasion) for e in alerts.find(alert_id).events if e.event == "sent"]
        assert sorted(sent) == sorted({*sent})
        assert {("mail", "raised"), ("hook", "raised")} <= {*sent}


def test_of_many_at_once_one_claims_and_one_ends(alerts: PostgresAlertStore) -> None:
    stored, _ = alerts.raise_alert(an_alert(campaign="claims"))
    with ThreadPoolExecutor(MANY) as threads:
        claims = list(threads.map(lambda _: alerts.claim(stored.alert_id, "mail", "raised", 1), range(MANY)))
        ends = list(threads.map(lambda n: alerts.end(stored.alert_id, "resolved" if n % 2 else "closed"), range(MANY)))
        raised = list(threads.map(lambda _: alerts.raise_alert(an_alert(campaign="claims")), range(MANY)))
    assert (sum(claims), sum(ends)) == (1, 1)
    assert sum(made for _, made in raised) == 1
    assert {again.episode for again, _ in raised} == {2}


def test_the_first_acknowledgement_stands(alerts: PostgresAlertStore) -> None:
    stored, _ = alerts.raise_alert(an_alert(campaign="acknowledged"))
    assert stored.state == "open"
    alerts.acknowledge(stored.alert_id, actor="ada", note="looking")
    found = alerts.acknowledge(stored.alert_id, actor="bob", note="me too")
    said = found.first("acknowledged")
    assert said is not None
    assert (found.state, said.actor, said.detail) == ("acknowledged", "ada", "looking")
    assert stored.alert_id in {one.alert_id for one in alerts.recent(5)}


@pytest.mark.parametrize("wanted", ["a-000000000000", "nope", "a\x00b", "\ud800", "a-" + "0" * 500])
def test_an_id_that_is_not_there(alerts: PostgresAlertStore, wanted: str) -> None:
    with pytest.raises(NotFound):
        alerts.find(wanted)
    with pytest.raises(NotFound):
        alerts.acknowledge(wanted, actor="ada", note="")
