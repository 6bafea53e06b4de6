"""How these experiments prove who they are: the one place that knows of API keys."""

from __future__ import annotations

from collections.abc import Mapping

from propensity.access import Role, new_key
from propensity.adapters.api_keys import open_key_store

ROLES = ("marketing", "operator", "auditor")


def make_keys(owner_url: str) -> Mapping[str, str]:
    """A key for each role, by role, and ``marketing2`` for a second caller of that role."""
    store, database = open_key_store(owner_url)
    made = {}
    for name in (*ROLES, "marketing2"):
        made[name], new = new_key(name, Role(name.rstrip("2")), by="faults", rate_per_s=1e6)
        store.add(new)
    database.close()
    return made


def headers(key: str) -> dict[str, str]:
    """What every request carries."""
    return {"Authorization": f"Bearer {key}"}
