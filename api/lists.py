"""Lists of any size: create one, see how far it is, fetch its result. What `lambda/lists` does on AWS, over the same machinery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from flask import Response, g, request

from api import media
from api.bodies import read_request
from api.codes import STATUSES
from api.predictions import idempotency_key
from api.problems import problem
from api.replies import encode, json_reply
from api.services import Services
from api.signed import LocalSigner
from propensity.errors import StoreError, TooLarge
from propensity.list_service import Limits, Lists, parse_new_list
from propensity.list_state import ListRecord, ListState, links, status
from propensity.ports import ObjectStore
from propensity.sheet_formats import SHEETS, parse_format

MIB = 2**20
# By form as much as one request may hold; above that in parts, each well below it.
LOCAL_LIMITS = Limits(
    upload_limit_bytes=4_096 * MIB,
    upload_expiry_s=3_600,
    download_expiry_s=300,
    largest_form_bytes=media.MAX_BODY_BYTES - 64 * 1024,
    smallest_part_bytes=8 * MIB,
)
RETRY_AFTER_S = 2
DESCRIPTION_BYTES = 64 * 1024


@dataclass(frozen=True)
class ListDesk:
    """Where lists lie, and what signs addresses of their objects."""

    store: ObjectStore
    signer: LocalSigner
    limits: Limits = LOCAL_LIMITS


def post_list(services: Services, campaign: str) -> Response:
    """Create a list; the reply says where its customers go."""
    services.campaign(campaign)
    body = read_request(request)
    if len(body) > DESCRIPTION_BYTES:
        raise TooLarge("the body only describes the list: its customers go to the address of the reply")
    key = idempotency_key(request._get_current_object()) or g.request_id  # type: ignore[attr-defined]
    made, known = lists_of(services).create(campaign, parse_new_list(body), key, services.clock())
    reply = json_reply(_absolute(made), 201)
    reply.headers["Location"] = made["links"]["self"]
    reply.headers["Idempotency-Key"] = key
    if known:
        reply.headers["Idempotent-Replay"] = "true"
    return reply


def get_list(services: Services, wanted_list: str) -> Response:
    """How far a list is."""
    return json_reply(status(lists_of(services).visible(wanted_list, services.clock())))


def get_list_result(services: Services, wanted_list: str) -> Response:
    """The way to the call sheet, in the format that the parameter ``format`` names."""
    kind = parse_format(request.args.get("format"))
    lists = lists_of(services)
    record = lists.visible(wanted_list, services.clock())
    return not_ready(record) or _see_other(lists.download(record, "result", SHEETS[kind][1]))


def get_list_errors(services: Services, wanted_list: str) -> Response:
    """The way to the refused rows."""
    lists = lists_of(services)
    record = lists.visible(wanted_list, services.clock())
    return not_ready(record) or _see_other(lists.download(record, "errors"))


def desk_of(services: Services) -> ListDesk:
    """Where lists lie. Raises StoreError where this process keeps none."""
    if services.lists is None:
        raise StoreError("this process takes no lists: it was started without object storage that it may write to")
    return services.lists


def lists_of(services: Services) -> Lists:
    """The lists as the caller may see them."""
    desk = desk_of(services)
    return Lists(desk.store, desk.signer, desk.limits, g.caller)


def not_ready(record: ListRecord) -> Response | None:
    """Why a list has no result to download; None where it has one."""
    here = links(record.list_id)["self"]
    match record.state:
        case ListState.DONE:
            return None
        case ListState.FAILED:
            return _refuse(404, f"the list could not be scored; GET {here} says why")
        case ListState.EXPIRED:
            return _refuse(410, "the list was not uploaded in time; create another")
        case _:
            reply = _refuse(409, f"the list is not scored yet; GET {here} says how far it is")
            reply.headers["Retry-After"] = str(RETRY_AFTER_S)
            return reply


def _refuse(status_: int, detail: str) -> Response:
    g.code = STATUSES[status_].code
    return Response(problem(status_, STATUSES[status_].code, detail, g.request_id), status=status_, mimetype=media.PROBLEM)


def _see_other(path: str) -> Response:
    """The way to a download. It is in the body, too, for programs that would send their key along with the redirect."""
    url = urljoin(request.host_url, path)
    return Response(encode({"url": url}), status=303, mimetype=media.JSON, headers={"Location": url})


def _absolute(told: dict[str, Any]) -> dict[str, Any]:
    """The same with whole addresses: what signs knows no host."""
    upload = told.get("upload")
    if upload is None:
        return told
    made = dict(upload)
    if "url" in made:
        made["url"] = urljoin(request.host_url, made["url"])
    if "parts" in made:
        made["parts"] = [{**part, "url": urljoin(request.host_url, part["url"])} for part in made["parts"]]
        made["complete"] = {**made["complete"], "url": urljoin(request.host_url, made["complete"]["url"])}
    return {**told, "upload": made}
