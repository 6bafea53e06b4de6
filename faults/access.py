"""How these experiments prove who they are: the one place that knows of API keys."""

from __future__ import annotations

from collections.abc import Mapping

# Keys are not asked for yet: one of the right form, which nobody knows, is sent all the same.
NO_KEY = "prop_00000000_" + "A" * 43
ROLES = ("marketing", "operator", "auditor")


def make_keys(owner_url: str) -> Mapping[str, str]:  # noqa: ARG001
    """A key for each role, by role, and ``marketing2`` for a second caller of that role."""
    return dict.fromkeys((*ROLES, "marketing2"), NO_KEY)


def headers(key: str) -> dict[str, str]:
    """What every request carries."""
    return {"Authorization": f"Bearer {key}"}
