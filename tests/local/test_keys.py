"""The keys of this machine, and the commands that make, list, rotate and revoke keys."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from local import cli
from local.keys import FILE, MACHINE, machine_key, machine_keys
from local.postgres_urls import DatabaseUrls
from propensity.access import ApiKey, Role, parse_key
from propensity.adapters.api_keys import PostgresApiKeyStore
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.errors import NotFound

KEY = re.compile(r"^prop_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$", re.MULTILINE)


@pytest.fixture
def owner_url(home: Path, database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> str:
    """The owner's address of a migrated database, which every command of this test finds in the environment."""
    migrate(database.owner_url)
    monkeypatch.setenv("PROPENSITY_HOME", str(home))
    monkeypatch.delenv("PROPENSITY_DATABASE_URL", raising=False)
    monkeypatch.setenv("PROPENSITY_OWNER_URL", database.owner_url)
    return database.owner_url


def stored(database: DatabaseUrls) -> dict[str, ApiKey]:
    app = Database(database.app_url, pool_size=1)
    known = PostgresApiKeyStore(app).known()
    app.close()
    return {key.key_id: key for key in known.keys if key.accepted(known.as_of)}


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What a command printed, both streams; the command must end with this code."""
    assert cli.main(arguments) == code
    printed = capsys.readouterr()
    return printed.out + printed.err


def test_this_machine_has_a_key_for_each_role_readable_by_its_owner_alone(owner_url: str, home: Path, database: DatabaseUrls) -> None:
    made = machine_keys(home, owner_url)
    assert set(made) == set(Role)
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
    known = stored(database)
    for role, text in made.items():
        assert machine_key(home, role) == text
        key_id, secret = parse_key(text) or ("", "")
        assert (known[key_id].name, known[key_id].role) == (MACHINE, role)
        assert known[key_id].holds(secret)
    assert machine_keys(home, owner_url) == made, "a second start makes no others"


def test_a_key_that_the_database_does_not_accept_is_replaced(owner_url: str, home: Path, database: DatabaseUrls) -> None:
    made = machine_keys(home, owner_url)
    assert cli.main(["keys", "revoke", made[Role.AUDITOR][5:13], "--reason", "a test"]) == 0
    again = machine_keys(home, owner_url)
    assert again[Role.AUDITOR] != made[Role.AUDITOR]
    assert {role: again[role] for role in (Role.MARKETING, Role.OPERATOR)} == {r: made[r] for r in (Role.MARKETING, Role.OPERATOR)}
    (home / FILE).unlink()
    assert machine_keys(home, owner_url)[Role.OPERATOR] != made[Role.OPERATOR]


def test_the_command_key_prints_it_and_nothing_else(owner_url: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "make up" in run(capsys, "key", code=2)
    with pytest.raises(NotFound):
        machine_key(home, Role.OPERATOR)
    made = machine_keys(home, owner_url)
    assert run(capsys, "key") == made[Role.MARKETING] + "\n"
    assert run(capsys, "key", "auditor") == made[Role.AUDITOR] + "\n"


def test_a_key_is_created_shown_once_listed_rotated_and_revoked(
    owner_url: str, database: DatabaseUrls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["keys", "create", "crm", "--role", "marketing", "--rate", "50", "--expires-days", "90"]) == 0
    text = capsys.readouterr().out.strip()
    assert KEY.fullmatch(text), "the key stands alone on standard output"
    first = stored(database)[text[5:13]]
    assert first.expires_at is not None
    assert (first.name, first.role, first.rate_per_s, (first.expires_at - first.created_at).days) == ("crm", Role.MARKETING, 50, 90)
    listed = run(capsys, "keys", "list")
    assert re.search(rf"{first.key_id}  marketing  crm: good until .*, 50 requests/s", listed)
    assert text[14:] not in listed

    printed = run(capsys, "keys", "rotate", first.key_id, "--overlap-hours", "1.5")
    (next_text,) = KEY.findall(printed)
    both = stored(database)
    assert {first.key_id, next_text[5:13]} <= set(both)
    second, old = both[next_text[5:13]], both[first.key_id]
    assert (second.name, second.role, second.rate_per_s) == ("crm", Role.MARKETING, 50)
    assert second.expires_at is not None
    assert abs((second.expires_at - second.created_at).total_seconds() - 90 * 86_400) < 1
    assert old.revoked_at is not None
    assert abs((old.revoked_at - second.created_at).total_seconds() - 5400) < 1

    assert "ended" in run(capsys, "keys", "revoke", second.key_id, "--reason", "leaked in a ticket")
    assert second.key_id not in stored(database)
    assert "leaked in a ticket" in run(capsys, "keys", "list")


def test_this_machine_goes_on_with_the_successor_of_its_own_key(
    owner_url: str, home: Path, database: DatabaseUrls, capsys: pytest.CaptureFixture[str]
) -> None:
    made = machine_keys(home, owner_url)
    printed = run(capsys, "keys", "rotate", made[Role.MARKETING][5:13], "--overlap-hours", "0")
    (text,) = KEY.findall(printed)
    assert run(capsys, "key") == text + "\n"
    assert machine_keys(home, owner_url) == {**made, Role.MARKETING: text}


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "crm", "--role", "marketing", "--rate", "0"),
        ("create", "crm", "--role", "marketing", "--rate", "nan"),
        ("create", "crm", "--role", "marketing", "--expires-days", "-1"),
        ("create", " ", "--role", "marketing"),
        ("rotate", "00000000"),
        ("rotate", "00000000", "--overlap-hours", "nan"),
        ("rotate", "00000000", "--overlap-hours", "-1"),
        ("revoke", "00000000", "--reason", "lost"),
        ("revoke", "00000000", "--reason", " "),
    ],
)
def test_unsound_commands_are_one_sentence(owner_url: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    printed = run(capsys, "keys", *arguments, code=2)
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
