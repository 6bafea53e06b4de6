"""Small files in which the machine remembers ports, process ids and generated secrets."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from propensity.errors import SettingsInvalid, StoreError


def make_home(home: Path) -> Path:
    """Create the state folder and return its absolute path. Raises SettingsInvalid where that is impossible.

    A folder made by root can be passed through by others, because Postgres then runs as somebody else; what is secret inside
    has its own mode.
    """
    home = home.expanduser().absolute()
    try:
        home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise SettingsInvalid(f"the state folder {home} cannot be created ({exc.strerror}): set PROPENSITY_HOME to another place") from exc
    return home


def read_state(path: Path) -> dict[str, Any]:
    """Content of a state file; empty where there is none. Raises SettingsInvalid where it is not readable."""
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise SettingsInvalid(f"the state file {path} cannot be read ({type(exc).__name__}): mend it, or remove its folder") from exc
    return state


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Replace a state file in one step; only its owner can read it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(state, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@contextmanager
def locked(path: Path, *, wait_s: float, what: str) -> Iterator[None]:
    """Hold a lock file; whoever comes second waits. Raises StoreError after ``wait_s`` seconds.

    The kernel drops the lock with its holder, so that a killed process leaves nothing to clean up.
    """
    deadline = time.monotonic() + wait_s
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as exc:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"another command has been {what} for {wait_s:.0f} s (lock file {path}): wait for it or end it"
                    ) from exc
                time.sleep(0.05)
        yield
