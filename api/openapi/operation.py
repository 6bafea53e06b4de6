"""One operation: what everybody may expect of it, and what it adds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api.openapi.parts import Json
from api.openapi.responses import refusals
from api.openapi.roles import ROLES, roles_for


def operation(
    access: tuple[str, str], operation_id: str, tag: str, summary: str, description: str, replies: Json, errors: Iterable[int], **more: Any
) -> Json:
    """An operation that `propensity.access` knows as ``access``: with a key where it asks for one, and the refusals that come with that."""
    roles = roles_for(*access)
    with_key = set() if roles is None else {401, 429, 503} if set(roles) == set(ROLES) else {401, 403, 429, 503}
    return {
        "operationId": operation_id,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "security": [] if roles is None else [{"key": []}],
        **({} if roles is None else {"x-roles": list(roles)}),
        **more,
        "responses": {**replies, **refusals({*errors, *with_key})},
    }
