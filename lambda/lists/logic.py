"""From addresses and roles to what is asked of `propensity.list_service`, and from a list's state to a reply. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from propensity.access import EVERY_ROLE, SENDERS, Access, Caller
from propensity.errors import Forbidden, Malformed
from propensity.list_service import LONGEST_KEY
from propensity.list_state import ListRecord, ListState, links

from ..replies import Json, json_reply, problem

BODY_LIMIT_BYTES = 64 * 1024
RETRY_AFTER_S = 5
_ADDRESSES = (
    ("create", "POST", re.compile(r"/v1/campaigns/([^/]+)/lists")),
    ("status", "GET", re.compile(r"/v1/lists/([^/]+)")),
    ("result", "GET", re.compile(r"/v1/lists/([^/]+)/result")),
    ("errors", "GET", re.compile(r"/v1/lists/([^/]+)/errors")),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: what it wants, and of which campaign or list."""

    operation: str
    named: str

    @property
    def access(self) -> Access:
        """Who may ask it; of lists that are another's, a marketing caller sees none."""
        return SENDERS if self.operation == "create" else EVERY_ROLE


def asked(method: str, path: str, request_id: str) -> Asked | Json:
    """What the address and method ask for, or the problem that they are."""
    matching = [(operation, takes, found[1]) for operation, takes, pattern in _ADDRESSES if (found := pattern.fullmatch(path))]
    if not matching:
        return problem(404, "not_found", "there is nothing at this address; /openapi.json lists what there is", request_id=request_id)
    operation, takes, named = matching[0]
    if method != takes:
        detail = "this address does not take this method; the Allow header says which it takes"
        return problem(405, "method_not_allowed", detail, request_id=request_id, headers=[("Allow", takes)])
    return Asked(operation, named)


def key_of(sent: str | None, request_id: str) -> str:
    """The request's idempotency key, or its id where it has none. Raises Malformed for one that is too long."""
    if sent is not None and len(sent) > LONGEST_KEY:
        raise Malformed(f"the header Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters")
    return sent or request_id


def allow(wanted: Asked, caller: Caller) -> None:
    """Raises Forbidden where the caller's role may not ask this."""
    if caller.role not in wanted.access.roles:
        allowed = ", ".join(sorted(wanted.access.roles))
        raise Forbidden(f"the role {caller.role} may not do this; a key with one of these roles may: {allowed}")


def not_ready(record: ListRecord, request_id: str) -> Json | None:
    """Why a list has no result to download; None where it has one."""
    here = links(record.list_id)["self"]
    if record.state == ListState.DONE:
        return None
    if record.state == ListState.FAILED:
        return problem(404, "not_found", f"the list could not be scored; GET {here} says why", request_id=request_id)
    if record.state == ListState.EXPIRED:
        return problem(410, "gone", "the list was not uploaded in time; create another", request_id=request_id)
    again = [("Retry-After", str(RETRY_AFTER_S))]
    return problem(409, "conflict", f"the list is not scored yet; GET {here} says how far it is", request_id=request_id, headers=again)


def see_other(url: str, request_id: str) -> Json:
    """The way to a download. It is also in the body, for programs that would send their key along with the redirect: S3 refuses that."""
    return json_reply(303, {"url": url}, request_id=request_id, headers=[("Location", url)])
