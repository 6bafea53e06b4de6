"""Who may call what. One place: replace `ACCESS` by the table of `propensity.access` once that is there."""

from __future__ import annotations

ROLES = ("marketing", "operator", "auditor")
ACCESS: dict[str, tuple[str, ...]] = {
    "POST /v1/campaigns/{campaign}/predictions": ("marketing", "operator"),
    "POST /v1/campaigns/{campaign}/outcomes": ("marketing", "operator"),
    "GET /v1/campaigns": ROLES,
    "GET /v1/campaigns/{campaign}": ROLES,
    "GET /v1/campaigns/{campaign}/schema": ROLES,
    "GET /v1/campaigns/{campaign}/model": ROLES,
    "GET /v1/predictions/{id}": ROLES,
    "GET /metrics": ("operator", "auditor"),
}


def roles_for(method: str, path: str) -> tuple[str, ...] | None:
    """The roles that may call it; None where it takes no key."""
    return ACCESS.get(f"{method} {path}")
