"""Who may call what, as `propensity.access` has it: the table that the service enforces."""

from __future__ import annotations

from propensity.access import Role, access

ROLES = tuple(str(role) for role in Role)


def roles_for(method: str, path: str) -> tuple[str, ...] | None:
    """The roles that may call it; None where it takes no key."""
    granted = access(method, path)
    return None if granted.public else tuple(str(role) for role in Role if role in granted.roles)
