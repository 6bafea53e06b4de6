"""Bodies that are one JSON object with named members."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flask import request

from api import media
from api.bodies import MAX_ROWS, read_request
from api.strict_json import parse_json
from propensity.erasure import ERASED_BEGINS
from propensity.errors import Malformed, RowIssue, RowsInvalid, TooLarge, UnsupportedMedia
from propensity.schema import check_ids

LONGEST_TEXT = 500


def read_object(members: Collection[str]) -> dict[str, Any]:
    """The body, which may hold these members and no others. Raises UnsupportedMedia, Malformed, TooLarge."""
    if request.mimetype != media.JSON:
        raise UnsupportedMedia(f"the body must be a JSON object; send it with the header Content-Type: {media.JSON}")
    sent = parse_json(read_request(request))
    if not isinstance(sent, dict) or set(sent) - set(members):
        raise Malformed(f"the body must be a JSON object with the members {', '.join(members)}, and no others")
    return sent


def customers_of(sent: dict[str, Any]) -> list[str]:
    """The customers that a body names: ``customer_id`` or ``customer_ids``.

    Raises Malformed, TooLarge, and RowsInvalid where one of them cannot be an id.
    """
    if ("customer_id" in sent) == ("customer_ids" in sent):
        raise Malformed("name either a customer_id or a list of customer_ids")
    ids = sent["customer_ids"] if "customer_ids" in sent else [sent["customer_id"]]
    if not isinstance(ids, list) or not ids:
        raise Malformed("customer_ids must be a list with at least one id")
    if len(ids) > MAX_ROWS:
        raise TooLarge(f"one request names at most {MAX_ROWS:,} customers")
    issues: list[RowIssue] = []
    names = check_ids(ids, 1, issues)
    for at, name in enumerate(names):
        if name.startswith(ERASED_BEGINS):
            issues.append(RowIssue(at + 1, None, "bad_id", "this stands for a customer who was erased"))
    if issues:
        raise RowsInvalid(f"{len(issues):,} of the {len(ids):,} ids cannot be used, so that nothing was done", issues)
    return names


def text_of(sent: dict[str, Any], member: str, *, needed: bool) -> str | None:
    """A text that a body holds. Raises Malformed."""
    value = sent.get(member)
    if value is None and not needed:
        return None
    if not isinstance(value, str) or not 0 < len(value.strip()) <= LONGEST_TEXT or not value.isprintable():
        raise Malformed(f"{member} must be a text of 1 to {LONGEST_TEXT} printable characters")
    return value
