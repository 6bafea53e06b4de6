"""Private zones of Route 53 answered by the balancer that they point to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def register() -> None:
    """Let a request whose Host header is a name of a private zone reach the balancer behind that name."""
    from ministack import app
    from ministack.services import alb

    def looks_like_one(host: str, path: str) -> bool:
        return bool(potential(host, path)) or _alias_of(host) is not None

    def find(host: str) -> Any:
        return by_own_name(_alias_of(host) or host)

    potential: Callable[[str, str], bool] = app._is_potential_alb_request
    by_own_name: Callable[[str], Any] = alb.find_lb_for_host
    app._is_potential_alb_request = looks_like_one
    alb.find_lb_for_host = find


def _alias_of(host: str) -> str | None:
    """The balancer's own name, where a zone has an alias of that name."""
    from ministack.services import route53

    name = host.split(":", maxsplit=1)[0].lower().rstrip(".") + "."
    for records in list(route53._records.values()):
        for record in records:
            alias = record.get("AliasTarget") or {}
            if record.get("Name") == name and alias:
                return str(alias["DNSName"]).removeprefix("dualstack.").rstrip(".")
    return None
