"""How these experiments prove who they are: the one place that knows of API keys."""

from __future__ import annotations

from collections.abc import Mapping

from propensity.access import Role, new_key
from propensity.adapters.api_keys import open_key_store

# Faster than any experiment: what is limited here is not what is tried.
RATE_PER_S = 1e6
# Two callers of the role that sees its own predictions alone.
CALLERS = {"marketing": Role.MARKETING, "marketing2": Role.MARKETING, "operator": Role.OPERATOR, "auditor": Role.AUDITOR}


def make_keys(owner_url: str) -> Mapping[str, str]:
    """A key for each of `CALLERS`, by name."""
    store, database = open_key_store(owner_url)
    try:
        keys = {}
        for name, role in CALLERS.items():
            keys[name], stored = new_key(f"faults {name}", role, by="faults", rate_per_s=RATE_PER_S)
            store.add(stored)
        return keys
    finally:
        database.close()


def headers(key: str) -> dict[str, str]:
    """What every request carries; nothing where the key is empty."""
    return {"Authorization": f"Bearer {key}"} if key else {}
