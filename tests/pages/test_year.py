"""The replayed year in short: drawn customers through a running service, and a log that agrees with what was told of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser

from local import year_data
from local.client import Api
from local.environment import PROJECT, YEAR_FILE
from local.fill import FAILED, FILLED, FILLING, notice, wanted, why_not
from local.postgres import EmbeddedPostgres
from local.postgres_urls import DatabaseUrls
from local.state import write_state
from local.tour import FOLDER, MOST_BYTES, MOST_TOGETHER_BYTES, STOPS, WIDTH, pictures_of, walk
from local.year import Told, fill
from local.year_data import year_of
from propensity.access import access
from propensity.adapters.replayed_times import ReplayedTimes
from propensity.campaigns import campaign
from propensity.errors import DataError, SettingsInvalid
from propensity.synthetic import generate
from tests.api.test_server import serving
from tests.fakes import FakeModelRegistry
from tests.pages.stand import NAME, Stand, stand

ROWS, MOST, MONTHS = 3_000, 40, 4
SOURCE = f"synthetic:{ROWS}:1"


def short(patch: pytest.MonkeyPatch) -> None:
    """A year of few months, and of few customers in each."""
    patch.setattr(year_data, "MOST_OF_A_MONTH", MOST)
    patch.setattr(year_data, "MONTHS", MONTHS)


@pytest.fixture(scope="module")
def urls(postgres: EmbeddedPostgres) -> Iterator[DatabaseUrls]:
    name = f"year_{secrets.token_hex(4)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def filled(urls: DatabaseUrls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stand, Told, list[str]]]:
    """A platform that was filled, what that told, and what it said."""
    with stand(urls, tmp_path_factory.mktemp("year")) as found:
        at = replace(found.platform, registry=FakeModelRegistry())
        said: list[str] = []
        assert not ReplayedTimes(urls.owner_url).is_used()
        found.services.keys.start()
        found.services.models.start()
        with serving(found.app, threads=4) as (server, _, _), pytest.MonkeyPatch.context() as patch:
            short(patch)
            for module in ("monitoring.flow", "flows.report"):
                patch.setattr(f"{module}.platform", lambda: at)
            marketing, operator = (Api(server.address, found.keys[role]) for role in ("marketing", "operator"))
            told = fill(at, marketing, operator, urls.owner_url, campaign(NAME), SOURCE, said.append)
        yield found, told, said
        found.services.keys.stop()


def one(platform: Stand, statement: str) -> Any:
    with platform.platform.database.statement() as cursor:
        (row,) = cursor.execute(statement).fetchall()
    return row


@pytest.mark.slow
def test_the_log_is_what_was_told(filled: tuple[Stand, Told, list[str]]) -> None:
    platform, told, _ = filled
    mine = "from prediction_request where source not like 'list:%'"
    rows = one(
        platform,
        f"select sum(answered), sum((select count(*) from unnest(contact) as c where c)), min(received_at), max(received_at) {mine}",
    )
    assert (rows[0], rows[1]) == (told.predictions, told.contacts)
    assert (str(rows[2].astimezone(UTC).date()), str(rows[3].astimezone(UTC).date())) == (told.first_day, told.last_day)
    counted = one(platform, "select count(*) filter (where counts), count(*) filter (where counts and label), count(*) from outcome")
    assert counted == (told.outcomes, told.conversions, told.outcomes)
    assert one(platform, "select count(*), count(*) filter (where verdict = 'no_data') from monitor_run")[0] == told.monitor_runs
    assert one(platform, "select count(*) filter (where action = 'promote') from promotion")[0] == told.promotions
    assert one(platform, "select count(*) from alert")[0] == told.alerts
    assert one(platform, "select count(*) from prediction_request where source like 'list:%'")[0] == 1
    # The panels count what the log holds, in its new hours.
    assert one(platform, "select sum(predictions) from panels.predictions")[0] == told.predictions + told.list_rows


@pytest.mark.slow
def test_the_year_ends_yesterday_and_is_in_order(filled: tuple[Stand, Told, list[str]]) -> None:
    platform, told, _ = filled
    made = one(platform, "select max(received_at)::date from prediction_request where source like 'list:%'")[0]
    assert date.fromisoformat(told.last_day) == made - timedelta(days=1)
    # An outcome comes after its prediction and is not late; a run after its window; the first model before the year.
    assert one(platform, "select count(*) from outcome where received_at <= predicted_at or status <> 'recorded'")[0] == 0
    assert one(
        platform, "select count(*) from outcome o join prediction_request r using (request_id) where predicted_at <> r.received_at"
    ) == (0,)
    assert one(platform, "select count(*) from monitor_run where created_at < until")[0] == 0
    assert str(one(platform, "select min(created_at)::date from promotion")[0]) < told.first_day
    ordered = one(
        platform,
        "select count(*) from promotion a join promotion b using (campaign) where a.sequence < b.sequence and a.created_at > b.created_at",
    )
    assert ordered[0] == 0


@pytest.mark.slow
def test_the_outcomes_are_those_of_the_data(filled: tuple[Stand, Told, list[str]]) -> None:
    """Customer by customer: nobody's outcome is made up, and those of the last week and of today's list are open."""
    platform, _, _ = filled
    declared = campaign(NAME)
    with pytest.MonkeyPatch.context() as patch:
        short(patch)
        year = year_of(declared, generate(declared, ROWS, 1), datetime.now(UTC).date())
    truth = {str(row["id"]): label for month in year.months for day in month.days for row, label in zip(day.rows, day.labels, strict=True)}
    with platform.platform.database.statement() as cursor:
        told = cursor.execute(
            "select r.customer_ids[o.position], o.label from outcome as o join prediction_request as r using (request_id)"
        ).fetchall()
    assert {customer: truth[customer] for customer, _ in told} == dict(told)
    assert len(told) == len(dict(told)) < len(truth)
    assert not {str(row["id"]) for row in year.today.rows} & set(dict(told))


@pytest.mark.slow
def test_whom_nobody_may_contact_is_left_out_of_todays_list(filled: tuple[Stand, Told, list[str]]) -> None:
    platform, told, _ = filled
    excluded, reasons = one(platform, "select excluded, reasons from prediction_gate where stage = 'answer'")
    assert len(excluded) == 2
    assert set(reasons) == {"do_not_contact"}
    assert told.list_rows >= len(excluded)


@pytest.mark.slow
def test_it_says_what_it_did_and_is_not_done_twice(filled: tuple[Stand, Told, list[str]], urls: DatabaseUrls, tmp_path: Path) -> None:
    _, told, said = filled
    assert f"{told.predictions:,} customers scored over HTTP" in said[-1]
    assert any("(of " in line for line in said), "a sample is told"
    reason = why_not(tmp_path, urls)
    assert reason is not None
    assert "in use already" in reason
    for state, expected in ((FILLED, "there already"), (FAILED, "did not end"), (FILLING, "did not end")):
        write_state(tmp_path / YEAR_FILE, {"state": state})
        assert expected in (why_not(tmp_path, urls) or "")


@pytest.mark.slow
def test_the_tour_finds_every_page_with_its_heading(filled: tuple[Stand, Told, list[str]], browser: Browser, tmp_path: Path) -> None:
    platform, _, _ = filled
    with serving(platform.app, threads=4) as (server, _, _):
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        pictures = walk(page, server.address, platform.keys["operator"], tmp_path)
        page.close()
    assert [picture.stem for picture in pictures] == [stop.picture for stop in STOPS]


def test_a_database_of_ones_own_is_never_touched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE", "OWNER", "MLFLOW"):
        monkeypatch.setenv(f"PROPENSITY_{name}_URL", "postgresql://nobody@127.0.0.1:1/none")
    nowhere = DatabaseUrls("postgresql://nobody@127.0.0.1:1/none", "postgresql://nobody@127.0.0.1:1/none", "")
    assert "a database of your own" in (why_not(tmp_path, nowhere) or "")


def test_synthetic_customers_are_called_so() -> None:
    assert "SYNTHETIC" in notice("synthetic:6000:1")
    assert "public data" in notice("public")
    assert "public" not in notice("/somewhere/file.csv")


def test_it_is_asked_for_by_yes_or_no() -> None:
    assert (wanted("yes"), wanted("no")) == (True, False)
    with pytest.raises(SettingsInvalid, match="yes or no"):
        wanted("maybe")


def test_data_of_less_than_a_year_is_refused() -> None:
    declared = campaign("purchase-propensity")
    with pytest.raises(DataError, match="cannot be replayed"):
        year_of(declared, generate(declared, 2_000, 1), date(2026, 1, 1))


def test_the_tour_shows_every_picture_and_its_links_lead_to_pages() -> None:
    text = (PROJECT / "docs" / "tour.md").read_text(encoding="utf-8")
    assert pictures_of(text) == [stop.picture for stop in STOPS]
    assert len(re.findall(r"^## \d+\. ", text, flags=re.MULTILINE)) == 10
    for path in [*re.findall(r"`(/[^?`]*)", text), *(stop.path.partition("?")[0] for stop in STOPS)]:
        granted = access("GET", path.replace(NAME, "{}"))
        assert granted.public or granted.roles, path


def test_the_pictures_are_small_and_of_one_width() -> None:
    files = sorted(FOLDER.glob("*.png"))
    assert [file.stem for file in files] == [stop.picture for stop in STOPS]
    assert max(file.stat().st_size for file in files) <= MOST_BYTES
    assert sum(file.stat().st_size for file in files) <= MOST_TOGETHER_BYTES
    for file in files:
        with Image.open(file) as picture:
            assert picture.width == WIDTH, file.name
