"""API keys on the command line, and the keys that this machine keeps for itself: one for each role."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from local.environment import home_folder, start_databases
from local.state import locked, make_home, read_state, write_state
from propensity.access import ApiKey, KnownKeys, Role, new_key, parse_key, successor
from propensity.adapters.api_keys import open_key_store
from propensity.errors import DataError, NotFound
from propensity.ports import ApiKeyStore

FILE = "keys.json"
MACHINE = "this-machine"
LOCK_WAIT_S = 30.0
MAX_OVERLAP_HOURS = 24.0 * 366
_HOUR_S = 3600.0


def machine_keys(home: Path, owner_url: str) -> dict[Role, str]:
    """This machine's own keys by role; those that the database does not accept, or that are not there yet, are made.

    They lie in the state folder where only its owner can read them. The tables must be there.
    """
    home = make_home(home)
    with locked(home / "keys.lock", wait_s=LOCK_WAIT_S, what="making this machine's keys"):
        kept = read_state(home / FILE)
        store, database = open_key_store(owner_url)
        try:
            known = store.known()
            for role in Role:
                if not _works(kept.get(role, ""), role, known):
                    text, new = new_key(MACHINE, role, by=getpass.getuser())
                    store.add(new)
                    kept[role] = text
        finally:
            database.close()
        write_state(home / FILE, kept)
    return {role: kept[role] for role in Role}


def machine_key(home: Path, role: Role) -> str:
    """This machine's own key of a role. Raises NotFound where none was made yet."""
    text: str | None = read_state(home / FILE).get(role)
    if text is None:
        raise NotFound(f"this machine has no key yet (looked in {home / FILE}): make up makes one for each role")
    return text


def add_commands(commands: Any) -> None:
    """Add ``propensity key`` and ``propensity keys ...`` to the command line."""

    def command(group: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = group.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run, needs_stores=False)
        return sub

    roles = [str(role) for role in Role]
    own = command(commands, "key", _own, "print this machine's own API key, for the header Authorization: Bearer")
    own.add_argument("role", nargs="?", choices=roles, default=str(Role.MARKETING), help="marketing where none is given")
    text = "make, list, rotate and revoke API keys"
    group = commands.add_parser("keys", help=text, description=text).add_subparsers(required=True, metavar="COMMAND")
    create = command(group, "create", _create, "make a key and print it, this once")
    create.add_argument("name", help="the owner: a system or a person")
    create.add_argument("--role", required=True, choices=roles)
    create.add_argument("--rate", type=float, help="requests per second; the service's own rate where none is given")
    create.add_argument("--expires-days", type=float, help="for ever where none is given")
    command(group, "list", _list, "every key and its state; secrets are not kept")
    rotate = command(group, "rotate", _rotate, "make the successor of a key and print it, this once; the old one goes on for a while")
    rotate.add_argument("key_id", help="the 8 hex digits of prop_<key id>_...")
    rotate.add_argument("--overlap-hours", type=float, default=24.0, help="how long the old key goes on (24)")
    revoke = command(group, "revoke", _revoke, "end a key now")
    revoke.add_argument("key_id", help="the 8 hex digits of prop_<key id>_...")
    revoke.add_argument("--reason", required=True)


def _own(args: argparse.Namespace) -> int:
    print(machine_key(home_folder(), Role(args.role)))
    return 0


def _create(args: argparse.Namespace) -> int:
    text, new = new_key(args.name, Role(args.role), by=getpass.getuser(), rate_per_s=args.rate, lifetime_days=args.expires_days)
    with _store() as store:
        _show_once(text, store.add(new))
    return 0


def _list(_: argparse.Namespace) -> int:
    with _store() as store:
        known = store.known()
    if not known.keys:
        print("there are no keys yet: propensity keys create NAME --role ROLE makes one")
    for key in known.keys:
        rate = "" if key.rate_per_s is None else f", {key.rate_per_s:g} requests/s"
        made = f"made {_time(key.created_at)} by {key.created_by}"
        print(f"{key.key_id}  {key.role:<9}  {key.name}: {_state(key, known.as_of)}{rate}, {made}")
    return 0


def _rotate(args: argparse.Namespace) -> int:
    if not 0 <= args.overlap_hours <= MAX_OVERLAP_HOURS:
        raise DataError(f"--overlap-hours must be a number from 0 to {MAX_OVERLAP_HOURS:.0f}")
    with _store() as store:
        old = _find(store.known(), args.key_id)
        text, new = successor(old, by=getpass.getuser())
        made = store.rotate(old.key_id, new, overlap_s=args.overlap_hours * _HOUR_S)
    _keep(home_folder(), old.key_id, text)
    _show_once(text, made)
    until = "has ended" if args.overlap_hours == 0 else f"goes on for {args.overlap_hours:g} hours"
    print(f"the old key {old.key_id} {until}", file=sys.stderr)
    return 0


def _revoke(args: argparse.Namespace) -> int:
    if not args.reason.strip():
        raise DataError("--reason must say why")
    with _store() as store:
        key = store.revoke(args.key_id, reason=args.reason, by=getpass.getuser())
    print(f"key {key.key_id} of {key.name} ended at {_time(key.ends_at)}; running services know it within a few seconds")
    return 0


def _show_once(text: str, key: ApiKey) -> None:
    """The key alone on standard output, so that it can be piped to where secrets are kept; everything else beside it."""
    end = "for ever" if key.ends_at is None else f"until {_time(key.ends_at)}"
    print(f"key {key.key_id} of {key.name}, {key.role}, {end}. It is shown this once: only its hash is kept", file=sys.stderr)
    print(text)


def _state(key: ApiKey, now: datetime) -> str:
    if key.ends_at is None:
        return "good for ever"
    if key.accepted(now):
        return f"good until {_time(key.ends_at)}" + (f" ({key.reason})" if key.ends_at == key.revoked_at else "")
    return f"revoked {_time(key.ends_at)} ({key.reason})" if key.ends_at == key.revoked_at else f"expired {_time(key.ends_at)}"


def _time(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _find(known: KnownKeys, key_id: str) -> ApiKey:
    found = next((key for key in known.keys if key.key_id == key_id), None)
    if found is None:
        raise NotFound(f"there is no key with the id {key_id!r}; propensity keys list shows those there are")
    return found


def _works(text: str, role: Role, known: KnownKeys) -> bool:
    """Whether the database knows this key, for this role, and still accepts it."""
    parsed = parse_key(text)
    if parsed is None:
        return False
    key_id, secret = parsed
    return any(k.key_id == key_id and k.role == role and k.holds(secret) and k.accepted(known.as_of) for k in known.keys)


def _keep(home: Path, replaced: str, text: str) -> None:
    """Where this machine's own key was rotated, remember its successor."""
    if not (home / FILE).exists():
        return
    with locked(home / "keys.lock", wait_s=LOCK_WAIT_S, what="making this machine's keys"):
        kept = read_state(home / FILE)
        kept = {role: text if (parse_key(known) or ("",))[0] == replaced else known for role, known in kept.items()}
        write_state(home / FILE, kept)


@contextmanager
def _store() -> Iterator[ApiKeyStore]:
    """The keys, by the owner's address: that of the environment, else of this machine's own Postgres, started for this alone if need be."""
    from propensity.adapters.migrate import migrate

    server, started, owner_url = None, False, os.environ.get("PROPENSITY_OWNER_URL", "")
    if not owner_url:
        urls, server, started = start_databases(home_folder())
        owner_url = urls.owner_url
    try:
        migrate(owner_url)
        store, database = open_key_store(owner_url)
        try:
            yield store
        finally:
            database.close()
    finally:
        if server is not None and started:
            server.stop()
