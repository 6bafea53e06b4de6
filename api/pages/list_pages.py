"""The pages about lists: drop one, check what was understood, watch it, see whom to contact and what it is worth."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, g, redirect, request

from api import media
from api.list_files import file_reply, leaving, store_once
from api.lists import desk_of, lists_of
from api.pages import LISTS, texts
from api.pages.layout import page
from api.pages.list_state import Shown, newest, shown_of, state_of
from api.pages.session import TOKEN
from api.pages.sheet import ROWS_SHOWN, Curves, Stop, best_of, decided_rows, first_lines, first_rows
from api.pages.sign_in import form
from api.pages.words import money, share
from api.replies import json_reply
from propensity.access import Role
from propensity.errors import DataError, Malformed, NotFound, UnsupportedMedia
from propensity.list_columns import Understood, agreed, taken, understand
from propensity.list_service import NewList
from propensity.list_state import DRAFT, ERRORS, EXCLUDED, RESULT, UPLOAD, ListId, ListRecord, ListState
from propensity.sheet_formats import SHEETS, Keep, parse_format

if TYPE_CHECKING:
    from api.services import Services

MULTIPART = "multipart/form-data"
CHECK_BYTES = 64 * 1024
PARQUET_MARK = b"PAR1"
SCRIPT = ("lists.js",)
# Separators and encodings as people call them.
SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_NONCE = re.compile(r"[0-9a-f]{32}", re.ASCII)
_curves = Curves()


@dataclass(frozen=True)
class Facts:
    """How a file is written, in words."""

    separator: str
    encoding: str
    decimal: str


def get_lists(services: Services) -> Response:
    """Every list that the caller may see, the newest first."""
    found, total = newest(services, lists_of(services))
    own = g.caller.role == Role.MARKETING
    return page(services, "pages/lists.html", shown=found, total=total, own=own, may_send=_may_send())


def get_new(services: Services) -> Response:
    """The form to drop a file on."""
    return _new(services, request.args.get("campaign", ""), None)


def post_new(services: Services) -> Response:
    """Keep the file, and go on to what was understood of it.

    Raises UnsupportedMedia, Malformed, NotFound, StoreError; what is wrong with the file a person sees above the form.
    """
    if request.mimetype != MULTIPART:
        raise UnsupportedMedia(f"this form is sent as {MULTIPART}")
    services.sessions.check_form(request.form.get(TOKEN, ""))
    campaign = services.campaign(request.form.get("campaign", ""))
    nonce = request.form.get("nonce", "")
    if not _NONCE.fullmatch(nonce):
        raise Malformed("this form is no longer good: open its page again and send it from there")
    sent = request.files.get("list")
    data = b"" if sent is None else sent.stream.read()
    if sent is None or not sent.filename:
        return _new(services, campaign.name, texts.new.no_file)
    if not data:
        return _new(services, campaign.name, texts.new.empty)
    parquet = data.startswith(PARQUET_MARK)
    try:
        if not parquet:
            understand(campaign, data)
    except DataError as exc:
        return _new(services, campaign.name, _sentence(exc))
    made, _ = lists_of(services).create(
        campaign.name, NewList("parquet" if parquet else "csv", None, parts=False), f"page-{nonce}", services.clock()
    )
    record = lists_of(services).visible(made["list_id"], services.clock())
    # Sent twice, the first file stands: the second reply leads to it.
    desk_of(services).store.create(record.list_id.key(DRAFT), data)
    return _to(record.list_id)


def get_one(services: Services, wanted_list: str) -> Response:
    """A list, as far as it is."""
    record = lists_of(services).visible(wanted_list, services.clock())
    return _page_of(services, record)


def post_one(services: Services, wanted_list: str) -> Response:
    """Agree on the columns: from here on the list is scored. Raises as `post_new`."""
    record = lists_of(services).visible(wanted_list, services.clock())
    sent = form(services, CHECK_BYTES)
    store, list_id = desk_of(services).store, record.list_id
    if state_of(store, record) != "check":
        return _to(list_id)
    data = store.get(list_id.key(DRAFT))
    if record.manifest.format == "csv":
        campaign = services.campaign(list_id.campaign)
        found = understand(campaign, data)
        mapping = {at: sent.get(f"column-{at}", "") for at in range(len(found.columns))}
        try:
            data = agreed(campaign, data, [column.name for column in found.columns], {at: name for at, name in mapping.items() if name})
        except DataError as exc:
            return _check(services, record, found, mapping, texts.check.problem.format(why=str(exc).rstrip(".")))
    store_once(store, list_id.key(UPLOAD), data)
    return _to(list_id)


def get_state(services: Services, wanted_list: str) -> Response:
    """How far a list is, for the script of its page."""
    record = lists_of(services).visible(wanted_list, services.clock())
    shown = shown_of(desk_of(services).store, record)
    return json_reply({"state": shown.state, "done": shown.progress[0], "total": shown.progress[1]})


def get_sheet(services: Services, wanted_list: str) -> Response:
    """The call sheet as a file: all of it, those who are to be contacted, or the best so many."""
    record = _done(services, wanted_list)
    kind = parse_format(request.args.get("format"))
    which = request.args.get("rows", "all")
    keep: Keep | None = decided_rows if which == "decided" else None
    if which == "best":
        text = request.args.get("contacts", "")
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            raise Malformed("contacts must be a whole number from 0")
        keep = best_of(int(text))
    elif which not in ("all", "decided"):
        raise Malformed("rows must be one of all, decided, best")
    leaves = leaving(services.gate.gate, record.list_id.campaign)
    return file_reply(desk_of(services).store, record.list_id.key(RESULT), SHEETS[kind][1], *leaves, *([] if keep is None else [keep]))


def get_refused(services: Services, wanted_list: str) -> Response:
    """The refused rows as a file."""
    record = _done(services, wanted_list)
    return file_reply(desk_of(services).store, record.list_id.key(ERRORS), "errors.csv")


def get_excluded(services: Services, wanted_list: str) -> Response:
    """Who may not be contacted, and why, as a file."""
    record = _done(services, wanted_list)
    if not desk_of(services).store.exists(record.list_id.key(EXCLUDED)):
        raise NotFound("nobody of this list was left alone")
    return file_reply(desk_of(services).store, record.list_id.key(EXCLUDED), "excluded.csv")


def _done(services: Services, wanted_list: str) -> ListRecord:
    record = lists_of(services).visible(wanted_list, services.clock())
    if record.state != ListState.DONE:
        raise NotFound("this list has no result yet; its page says how far it is")
    return record


def _new(services: Services, campaign: str, problem: str | None) -> Response:
    live = {name: declared for name, declared in services.campaigns.items() if services.models.get(name) is not None}
    return page(
        services,
        "pages/list_new.html",
        status=HTTPStatus.OK if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        scripts=SCRIPT,
        campaigns=services.campaigns,
        live=live,
        chosen=campaign if campaign in live else next(iter(live), ""),
        problem=problem,
        nonce=secrets.token_hex(16),
        largest=media.MAX_BODY_BYTES,
    )


def _page_of(services: Services, record: ListRecord) -> Response:
    store = desk_of(services).store
    shown = shown_of(store, record)
    if shown.state == "check":
        campaign = services.campaign(record.list_id.campaign)
        found = None if record.manifest.format != "csv" else understand(campaign, store.get(record.list_id.key(DRAFT)))
        return _check(services, record, found, None, None)
    if shown.state == ListState.DONE:
        return _result(services, record, shown)
    return page(services, "pages/list_wait.html", scripts=SCRIPT, shown=shown, manifest=record.manifest, campaigns=services.campaigns)


def _check(
    services: Services, record: ListRecord, found: Understood | None, chosen: dict[int, str] | None, problem: str | None
) -> Response:
    campaign = services.campaign(record.list_id.campaign)
    rows: list[dict[str, Any]] = []
    for at, column in enumerate(found.columns if found else ()):
        rows.append({"at": at, "column": column, "taken": column.target if chosen is None else chosen[at]})
    # Whoever lacks a column must see all those that are not used: one of them may be it.
    ask = [
        row for row in rows if (not row["column"].exact and row["column"].target) or (found and found.missing and not row["column"].target)
    ]
    return page(
        services,
        "pages/list_check.html",
        status=HTTPStatus.OK if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        record=record,
        campaign=campaign,
        found=found,
        facts=None if found is None else _facts(found),
        ask=ask,
        known=[row for row in rows if row not in ask],
        targets=taken(campaign),
        derived=found is not None and not any(column.target not in campaign.feature_names for column in found.columns if column.target),
        problem=problem,
        may_send=_may_send(),
    )


def _facts(found: Understood) -> Facts:
    encoding = found.encoding.upper()
    return Facts(
        SEPARATORS[found.delimiter],
        texts.check.marked.format(encoding=encoding) if found.marked else encoding,
        texts.check.decimal_comma if found.decimal == "," else texts.check.decimal_point,
    )


def _result(services: Services, record: ListRecord, shown: Shown) -> Response:
    store, list_id = desk_of(services).store, record.list_id
    campaign = services.campaign(list_id.campaign)
    assert record.finished is not None, "it is done"
    counts = record.finished.counts
    curve, start = _curves.of(store, list_id), _start(counts["scored"])
    currency = campaign.economics.currency
    return page(
        services,
        "pages/list_result.html",
        scripts=SCRIPT,
        shown=shown,
        record=record,
        campaign=campaign,
        counts=counts,
        curve=curve,
        points=_points(curve.stops),
        data=json.dumps([[s.contacts, round(s.conversions, 3), round(s.profit, 2)] for s in curve.stops], separators=(",", ":")),
        money=lambda value: money(value, currency),
        share=share,
        rows=first_rows(store, list_id, start, leaving(services.gate.gate, list_id.campaign)),
        start=start,
        page_rows=ROWS_SHOWN,
        issues=first_lines(store, list_id.key(ERRORS)) if counts["refused_rows"] else [],
        excluded=first_lines(store, list_id.key(EXCLUDED)) if counts.get("excluded_rows") else [],
        kinds=list(SHEETS),
        economics=campaign.economics,
        version=(record.finished.model_digest or "")[:12],
    )


def _points(stops: Sequence[Stop]) -> dict[str, Any]:
    """The curve as a path in a square of 1,000 by 1,000, and where its parts are."""
    low, high = min(0.0, *(s.profit for s in stops)), max(s.profit for s in stops)
    # What everyone would lose must not press the gain flat: what lies deeper leaves the picture at its lower edge.
    low = max(low, -1.5 * high) if high > 0 else low
    wide, tall = max(1, stops[-1].contacts), max(high - low, 1e-9)

    def y(value: float) -> float:
        return 1000 - 1000 * (value - low) / tall

    path = "L".join(f"{1000 * s.contacts / wide:.1f} {y(s.profit):.1f}" for s in stops)
    return {"path": f"M{path}", "zero": f"{y(0.0):.1f}"}


def _start(scored: int) -> int:
    text = request.args.get("from", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise Malformed("from must be a whole number from 0")
    last = max(0, (scored - 1) // ROWS_SHOWN * ROWS_SHOWN)
    return min(int(text) // ROWS_SHOWN * ROWS_SHOWN, last)


def _may_send() -> bool:
    return g.caller.role in (Role.MARKETING, Role.OPERATOR)


def _sentence(exc: DataError) -> str:
    text = str(exc)
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _to(list_id: ListId) -> Response:
    reply: Response = redirect(f"{LISTS}/{list_id}", HTTPStatus.SEE_OTHER)  # type: ignore[assignment]
    return reply
