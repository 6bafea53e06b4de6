"""``python -m flows.databases``: make or update databases, roles and tables. Runs before the services of a new version do.

May run any number of times: what is there stays, passwords are set to those given. Old versions go on while it runs, so tables only
ever gain what is new (expand); what nobody uses any more goes a version later (contract).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from propensity.adapters.migrate import is_ahead, migrate
from propensity.adapters.provision import address, ensure_databases, ensure_roles, let_read, limit_role
from propensity.errors import PropensityError, SettingsInvalid

# database: who owns it, and who else may connect to it.
DATABASES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "propensity": ("propensity_owner", ("propensity_app", "propensity_reader")),
    "mlflow": ("mlflow", ()),
    "prefect": ("prefect", ()),
    "grafana": ("grafana", ()),
}
# Views that dashboards are made of: counts and times, no customer.
READABLE = "panels"
READER = "propensity_reader"
# A dashboard must not keep the log from its work, whatever somebody writes into a panel.
READER_LIMITS = {
    "statement_timeout": "10s",
    "default_transaction_read_only": "on",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}
ADMIN_URL = "PROPENSITY_ADMIN_URL"
ADMIN_PASSWORD = "PROPENSITY_ADMIN_PASSWORD"  # noqa: S105 - the name of a variable


def roles() -> tuple[str, ...]:
    """Every role that logs in, owners first."""
    owners = [owner for owner, _ in DATABASES.values()]
    others = [reader for _, readers in DATABASES.values() for reader in readers]
    return tuple(dict.fromkeys([*owners, *others]))


def password_variable(role: str) -> str:
    """The variable with a role's password, as in ``PROPENSITY_PASSWORD_MLFLOW``."""
    return f"PROPENSITY_PASSWORD_{role.upper()}"


def prepare(environ: Mapping[str, str]) -> None:
    """Make roles, databases and tables.

    Raises
    ------
    SettingsInvalid
        A variable is missing.
    DatabaseUnavailable
        Postgres did not answer or refused.
    """
    needed = [ADMIN_URL, ADMIN_PASSWORD, *(password_variable(role) for role in roles())]
    missing = [name for name in needed if not environ.get(name)]
    if missing:
        raise SettingsInvalid(f"these variables are not set: {', '.join(missing)}")
    owner = DATABASES["propensity"][0]
    admin = address(environ[ADMIN_URL], password=environ[ADMIN_PASSWORD])
    owned = address(admin, dbname="propensity", user=owner, password=environ[password_variable(owner)])
    ensure_roles(admin, {role: environ[password_variable(role)] for role in roles()}, [who for who, _ in DATABASES.values()])
    ensure_databases(admin, DATABASES)
    if is_ahead(owned):
        # This is the way back to an older version. Tables only gain what is new, so that it works with them as they are.
        print("the tables are those of a newer version and stay as they are")
    else:
        migrate(owned)
    let_read(owned, READER, READABLE)
    limit_role(admin, READER, READER_LIMITS)


def main() -> int:
    """Prepare; return the exit code."""
    try:
        prepare(os.environ)
    except PropensityError as exc:
        print(f"databases: {exc}", file=sys.stderr)
        return exc.exit_code
    print("databases, roles and tables are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
