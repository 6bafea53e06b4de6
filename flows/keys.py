"""``python -m flows.keys``: API keys of the scoring service where nobody reaches Postgres by hand, as on AWS.

``prepare`` runs on the machine of whoever asks for a key: it prints the key, this once, and beside it a record that holds only its
hash. ``add`` stores such a record, ``list`` and ``revoke`` do what they say; they run in the task that makes the databases, and no key
ever passes through a log.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from flows.databases import ADMIN_URL, DATABASES, password_variable
from propensity.access import NewKey, Role, new_key
from propensity.adapters.api_keys import open_key_store
from propensity.adapters.provision import address
from propensity.errors import DataError, PropensityError, SettingsInvalid
from propensity.ports import ApiKeyStore

_OWNER = DATABASES["propensity"][0]
_FIELDS = {"key_id", "name", "role", "secret_sha256", "created_by", "rate_per_s", "lifetime_s"}


def record_of(new: NewKey) -> str:
    """What is stored of a key, as one line of JSON."""
    return json.dumps({**asdict(new), "role": str(new.role), "secret_sha256": new.secret_sha256.hex()}, separators=(",", ":"))


def read_record(text: str) -> NewKey:
    """The key that a record describes. Raises DataError, never repeating what was given."""
    try:
        found = json.loads(text)
        if set(found) != _FIELDS or not re.fullmatch("[0-9a-f]{8}", found["key_id"]):
            raise ValueError
        secret = bytes.fromhex(found["secret_sha256"])
        if len(secret) != 32:
            raise ValueError
        return NewKey(**{**found, "role": Role(found["role"]), "secret_sha256": secret})
    except (ValueError, TypeError, KeyError) as exc:
        raise DataError("this is no record of a key: give the line that prepare printed, as it is") from exc


@contextmanager
def _store(environ: Mapping[str, str]) -> Iterator[ApiKeyStore]:
    missing = [name for name in (ADMIN_URL, password_variable(_OWNER)) if not environ.get(name)]
    if missing:
        raise SettingsInvalid(f"these variables are not set: {', '.join(missing)}; the task that makes the databases has them")
    owned = address(environ[ADMIN_URL], dbname="propensity", user=_OWNER, password=environ[password_variable(_OWNER)])
    store, database = open_key_store(owned)
    try:
        yield store
    finally:
        database.close()


def _prepare(given: argparse.Namespace, _: Mapping[str, str]) -> None:
    text, new = new_key(
        given.name, Role(given.role), by=given.by or getpass.getuser(), rate_per_s=given.rate, lifetime_days=given.expires_days
    )
    print(text)
    print(record_of(new), file=sys.stderr)


def _add(given: argparse.Namespace, environ: Mapping[str, str]) -> None:
    new = read_record(given.record)
    with _store(environ) as store:
        store.add(new)
    print(f"key {new.key_id} of {new.name}, {new.role}, is good from now on")


def _list(_: argparse.Namespace, environ: Mapping[str, str]) -> None:
    with _store(environ) as store:
        known = store.known()
    for key in known.keys:
        state = "good" if key.accepted(known.as_of) else "ended"
        print(f"{key.key_id} {key.role} {key.name}: {state}, made {key.created_at:%Y-%m-%d} by {key.created_by}")


def _revoke(given: argparse.Namespace, environ: Mapping[str, str]) -> None:
    with _store(environ) as store:
        key = store.revoke(given.key_id, reason=given.reason, by=given.by)
    print(f"key {key.key_id} of {key.name} has ended; running services know it within a few seconds")


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Do one of these; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        given.run(given, environ)
    except PropensityError as exc:
        print(f"keys: {exc}", file=sys.stderr)
        return exc.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.keys")
    commands = parser.add_subparsers(required=True)
    prepare = commands.add_parser("prepare", help="print a new key, and on standard error its record")
    prepare.set_defaults(run=_prepare)
    prepare.add_argument("name", help="the owner: a system or a person")
    prepare.add_argument("--role", required=True, choices=[str(role) for role in Role])
    prepare.add_argument("--rate", type=float, help="requests per second; the service's own rate where none is given")
    prepare.add_argument("--expires-days", type=float, help="for ever where none is given")
    prepare.add_argument("--by", help="who asks; whoever is signed in where nobody is named")
    add = commands.add_parser("add", help="store a prepared key")
    add.set_defaults(run=_add)
    add.add_argument("record")
    commands.add_parser("list", help="every key; secrets are not kept").set_defaults(run=_list)
    revoke = commands.add_parser("revoke", help="end a key now")
    revoke.set_defaults(run=_revoke)
    revoke.add_argument("key_id")
    revoke.add_argument("--reason", required=True)
    revoke.add_argument("--by", required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
