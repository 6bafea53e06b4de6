"""A key is made on one machine and stored by another, which never sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from flows.databases import ADMIN_URL, password_variable
from flows.keys import main, read_record, record_of
from local.postgres_urls import DatabaseUrls
from propensity.access import Role, new_key, parse_key
from propensity.adapters import provision
from propensity.adapters.migrate import migrate
from propensity.errors import DataError


@pytest.fixture(scope="module")
def environ(database: DatabaseUrls) -> dict[str, str]:
    """What the task that makes the databases is told; this module's database stands in for that of the name ``propensity``."""
    migrate(database.owner_url)
    parts = conninfo_to_dict(database.owner_url)
    url = f"postgresql://admin@{parts['host']}:{parts['port']}/{parts['dbname']}"
    return {ADMIN_URL: url, password_variable("propensity_owner"): str(parts["password"])}


@pytest.fixture(autouse=True)
def _this_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect to the test's own database, whose name is none of the platform's."""
    real = provision.address

    def address(url: str, **changed: str) -> str:
        assert changed.pop("dbname") == "propensity"
        return real(url, **changed)

    monkeypatch.setattr("flows.keys.address", address)


def prepared(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    assert main(["prepare", "crm", "--role", "marketing", "--by", "me", *arguments], {}) == 0
    shown = capsys.readouterr()
    return shown.out.strip(), shown.err.strip()


@pytest.mark.slow
def test_a_key_is_made_stored_listed_and_revoked(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    text, record = prepared(capsys)
    parsed = parse_key(text)
    assert parsed is not None
    key_id, secret = parsed
    assert secret not in record
    assert main(["add", record], environ) == 0
    assert main(["list"], environ) == 0
    shown = capsys.readouterr().out
    assert f"{key_id} marketing crm: good" in shown
    assert secret not in shown
    assert main(["revoke", key_id, "--reason", "a test", "--by", "me"], environ) == 0
    assert main(["list"], environ) == 0
    assert f"{key_id} marketing crm: ended" in capsys.readouterr().out


def test_a_record_is_read_as_it_was_written() -> None:
    _, new = new_key("crm", Role.OPERATOR, by="me", rate_per_s=5, lifetime_days=30)
    assert read_record(record_of(new)) == new


@pytest.mark.parametrize(
    "changed",
    [{"role": "emperor"}, {"secret_sha256": "00"}, {"secret_sha256": "zz"}, {"key_id": "1; drop"}, {"more": 1}],
    ids=["role", "short", "not hex", "id", "another field"],
)
def test_what_is_no_record_is_refused_without_repeating_it(changed: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    _, record = prepared(capsys)
    text = json.dumps({**json.loads(record), **changed})
    with pytest.raises(DataError) as caught:
        read_record(text)
    assert not any(str(value) in str(caught.value) for value in changed.values())


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "prop_00000000_secret"])
def test_what_is_not_even_json_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["add", text], {}) == 2
    assert capsys.readouterr().err.startswith("keys: ")


def test_variables_that_are_missing_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"], {}) == 3
    assert "PROPENSITY_ADMIN_URL, PROPENSITY_PASSWORD_PROPENSITY_OWNER" in capsys.readouterr().err
