"""The report as people see it: in a real browser, and its words."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest

from local.report import write
from propensity.campaign import Policy
from propensity.errors import DataError
from propensity.model import Model, save_package
from propensity.ports import Outcome
from propensity.prediction_id import prediction_id
from propensity.report.as_json import as_json, from_json
from propensity.report.build import Found, build
from propensity.report.exclusions import left_out
from propensity.report.kept import keep, newest
from propensity.report.left_alone import Holdout
from propensity.report.page import body, document, stylesheet
from propensity.report.page.sentences import opening, policy
from propensity.report.tree import Report
from propensity.schema import Checked
from propensity.scoring import score_list
from propensity.watch import Watch
from tests.api.browser import chromium, violations
from tests.builders import tiny_campaign, tiny_labels, tiny_table
from tests.fakes import NOW, FakeDatabase, FakeObjectStore, FakeOutcomeStore, FakePredictionLog

CAMPAIGN = replace(
    tiny_campaign(title="Tiny <script>alert(1)</script>"), watch=Watch(segments=("job",), protected=("age",), smallest_group=20)
)
NOTHING = Found()
HOLDOUT = Holdout(
    share=0.1,
    level=0.95,
    contacted=900,
    contacted_conversions=180,
    held_out=100,
    held_out_conversions=12,
    lift=0.08,
    low=0.01,
    high=0.15,
    conversions=(72.0, 9.0, 135.0),
    profit=(Decimal(900), Decimal(-300), Decimal(2_100)),
)


def made(model: Model, *, told: int = 0, days: int = 60, found: Found = NOTHING) -> Report:
    """A report on 600 customers, of whom so many have an outcome, made so many days later."""
    log, store = FakePredictionLog(FakeDatabase()), FakeObjectStore()
    outcomes = FakeOutcomeStore(log)
    save_package(store, model)
    table = tiny_table(600, seed=5)
    scored = score_list(model, Checked(table, (), 3), Policy("top_share", 0.4), top_reasons=0)
    name = "00000000-0000-4000-8000-000000000001"
    log.append(scored.logged(name, "declared", source="list:one"), idempotency_key=None, body_sha256="", reply=b"")
    labels = tiny_labels(table, seed=5)
    outcomes.record("tiny", [Outcome(bool(labels[at]), None, prediction_id(name, at + 1)) for at in range(told)], "test")
    return build(CAMPAIGN, log=log, outcomes=outcomes, store=store, now=NOW + timedelta(days=days), find=lambda *_: found)


@pytest.fixture(scope="module")
def full(model: Model) -> Report:
    return made(
        model, told=500, found=Found(left_out=left_out({"objection": 12, "cooling_off": 30}, {"complaint": 1}, 25), holdout=HOLDOUT)
    )


@pytest.fixture(scope="module")
def bare(model: Model) -> Report:
    return made(model)


@pytest.fixture(scope="module")
def empty(model: Model) -> Report:
    return replace(
        build(
            CAMPAIGN,
            log=FakePredictionLog(FakeDatabase()),
            outcomes=FakeOutcomeStore(FakePredictionLog(FakeDatabase())),
            store=FakeObjectStore(),
            now=datetime(2026, 3, 1, tzinfo=UTC),
        ),
        holdout=replace(HOLDOUT, problem="nobody was held out yet"),
    )


def test_the_document_runs_nothing_fetches_nothing_and_knows_its_one_stylesheet(full: Report) -> None:
    found = document(full)
    html = found.html.decode()
    assert not re.search(r"<script|javascript:|<link|<img|@import|url\(|\sstyle=|\son[a-z]+=", html)
    assert "Tiny &lt;script&gt;alert(1)&lt;/script&gt;" in html
    digest = base64.b64encode(hashlib.sha256(stylesheet().encode()).digest()).decode()
    assert f"<style>{stylesheet()}</style>" in html
    assert found.policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    assert str(body(full)) in html


def test_a_person_can_read_it_in_every_light_and_width_and_print_it(full: Report, bare: Report, tmp_path: Path) -> None:
    with chromium() as browser:
        said: list[str] = []
        looks: list[tuple[Report, Literal["light", "dark"], int]] = [
            (full, "light", 1280),
            (full, "dark", 390),
            (bare, "dark", 1280),
        ]
        for report, scheme, width in looks:
            path = tmp_path / "page.html"
            path.write_bytes(document(report).html)
            page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
            page.on("console", lambda message: said.append(message.text))
            page.goto(path.as_uri())
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
            page.close()
        assert said == []


def test_figures_stand_in_the_page_as_they_are(full: Report) -> None:
    html = document(full).html.decode()
    assert full.known.profit is not None
    for figure in (full.decided.predictions, full.decided.received, full.decided.contacts, full.known.known, full.known.known_contacts):
        assert f"{figure:,}" in html
    for one in full.deciles:
        assert f'<td class="n">{one.conversions}</td>' in html
    assert "objected to the use of their data" in html
    assert "has an open complaint (1)" in html
    balance = re.findall(r'<td class="n">([0-9,]+)</td></tr>', html[html.index("r-left") : html.index("r-holdout")])
    *parts, received = (int(number.replace(",", "")) for number in balance)
    assert (sum(parts), parts[:4]) == (received, [3, 12, 30, 25])
    assert "72 conversions" in html
    assert opening(full) in html.replace("&#34;", '"')


def test_without_outcomes_the_realised_columns_say_no_data(bare: Report) -> None:
    html = document(bare).html.decode()
    assert html.count('<td class="absent middle-of" colspan="5">no data</td>') == len(bare.deciles) + 1
    assert "<strong>No data</strong>: of 600 predictions old enough, no outcome was told" in html
    assert 'class="line real"' not in html
    assert "declares no contact policy" in html
    assert "declares no holdout" in html
    assert bare.known.profit is None


def test_outcomes_of_a_young_cohort_are_no_data_yet(model: Model) -> None:
    report = made(model, told=500, days=10)
    assert (report.known.young, report.known.young_told, report.known.known) == (600, 500, 0)
    assert "no prediction is older than the 30 days" in document(report).html.decode()


def test_an_empty_time_is_told_in_a_sentence(empty: Report) -> None:
    html = document(empty).html.decode()
    assert "Nobody was scored in this time" in html
    assert "nobody was held out yet" in html


def test_a_model_that_is_gone_leaves_the_rest_of_the_report(model: Model) -> None:
    log = FakePredictionLog(FakeDatabase())
    scored = score_list(model, Checked(tiny_table(60), (), 0), Policy("profit"), top_reasons=0)
    log.append(scored.logged("00000000-0000-4000-8000-000000000002", "d", source="api"), idempotency_key=None, body_sha256="", reply=b"")
    report = build(CAMPAIGN, log=log, outcomes=FakeOutcomeStore(log), store=FakeObjectStore(), now=NOW + timedelta(days=1))
    assert report.decided.predictions == 60
    assert "other features than the campaign declares today" in report.drivers.problem
    assert [group.label for segment in report.segments for group in segment.groups] == ["logged under another declaration"] * 2
    assert report.drivers.problem in document(report).html.decode()


def test_figures_for_machines_are_those_of_the_page(full: Report, tmp_path: Path) -> None:
    lines = write(full, tmp_path / "page.html", tmp_path / "reports")
    found = json.loads((tmp_path / "reports" / "campaign-tiny.json").read_bytes())
    assert (tmp_path / "page.html").read_bytes() == document(full).html
    assert lines[0] == opening(full)
    assert found["decided"]["contacts"] == full.decided.contacts
    assert found["decided"]["expected_profit"] == float(full.decided.expected_profit)
    assert len(found["deciles"]) == len(full.deciles)
    assert found["scope"]["since"] == full.scope.since.isoformat()
    assert found["holdout"]["profit"] == [900.0, -300.0, 2100.0]


def test_kept_reports_are_found_newest_first(full: Report) -> None:
    store = FakeObjectStore()
    assert newest(store, "tiny") is None
    later = replace(full, scope=replace(full.scope, made_at=full.scope.made_at + timedelta(days=1)))
    keys = [keep(store, later), keep(store, full)]
    assert newest(store, "tiny") == later
    assert body(later) == body(from_json(as_json(later)))
    assert store.get(keys[0]) == document(later).html
    assert store.get(keys[1].replace(".html", ".json")) == as_json(full)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("profit", "everyone whose expected profit is above zero"),
        ("top_share 0.3", "the best 30\u202f% of each list"),
        ("budget 5000", "as many of the best as 5,000\u00a0EUR pays for"),
        ("others", "others"),
    ],
)
def test_policies_are_told_in_words(name: str, said: str) -> None:
    assert policy(name, "EUR") == said


def test_figures_of_another_version_are_refused_with_what_to_do(full: Report) -> None:
    data = json.loads(as_json(full))
    del data["decided"]["contacts"]
    with pytest.raises(DataError, match="make it again"):
        from_json(json.dumps(data).encode())
