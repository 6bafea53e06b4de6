"""Models: which answers, how they compare, every decision about them; and, for operators, to approve, promote and go back.

What is decided here is decided by the very functions that the interface and the command line call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, g, redirect, request

from api.pages import MODELS, texts
from api.pages.campaign_pages import FIGURES
from api.pages.layout import page
from api.pages.sign_in import form
from api.pages.words import told
from propensity.access import Role
from propensity.decisions import State, approve, promote_known, reject, roll_back
from propensity.errors import DataError, Malformed, ModelError
from propensity.ports import Promotion
from propensity.promotion import ALIASES, aliases, live_in

if TYPE_CHECKING:
    from api.services import Services

HISTORY_SHOWN = 100
COMPARED = 4
# Which of two figures is the better one.
LOW_IS_GOOD = frozenset({"brier", "log_loss", "ece"})
UNJUDGED = frozenset({"rows", "positive_rate", "profit_per_1000_everyone"})


@dataclass(frozen=True)
class Compared:
    """A model beside others."""

    row: Promotion
    aliases: tuple[str, ...]
    figures: Mapping[str, float]
    split: str


@dataclass(frozen=True)
class Line:
    """A figure of every model, and the places of the best ones."""

    title: str
    cells: Sequence[str]
    best: frozenset[int]


def get_models(services: Services) -> Response:
    """The models of one campaign."""
    live = (name for name in services.campaigns if services.models.get(name) is not None)
    return _page(services, request.args.get("campaign") or next(live, next(iter(services.campaigns))), None)


def post_models(services: Services) -> Response:
    """Decide about a model. Raises UnsupportedMedia, Malformed, NotFound, StoreError; why a decision cannot stand is told on the page."""
    sent = form(services)
    campaign = services.campaign(sent.get("campaign", "")).name
    try:
        _decide(services, campaign, sent)
    except (DataError, ModelError) as exc:
        return _page(services, campaign, f"{str(exc)[0].upper()}{str(exc)[1:].rstrip('.')}.")
    reply: Response = redirect(f"{MODELS}?campaign={campaign}", HTTPStatus.SEE_OTHER)  # type: ignore[assignment]
    return reply


def _decide(services: Services, campaign: str, sent: Mapping[str, str]) -> None:
    ledger, who, reason = services.models.ledger, g.caller.name, sent.get("reason", "").strip()
    declared = services.campaign(campaign)

    def check(digest: str) -> None:
        services.models.verify(declared, digest)

    match sent.get("decision"):
        case "approve":
            approve(ledger, campaign, who, reason, check=check, sequence=_sequence(sent))
        case "reject":
            reject(ledger, campaign, who, reason, sequence=_sequence(sent))
        case "rollback":
            roll_back(ledger, campaign, who, reason, check=check, expected=sent.get("live") or None)
        case "promote":
            promote_known(ledger, campaign, sent.get("model", ""), who, reason, check=check, override=sent.get("override") == "yes")
        case _:
            raise Malformed("the decision must be one of approve, reject, promote, rollback")


def _sequence(sent: Mapping[str, str]) -> int:
    text = sent.get("sequence", "")
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 9):
        raise Malformed("sequence must be the number of a decision")
    return int(text)


def _page(services: Services, campaign: str, problem: str | None) -> Response:
    declared = services.campaign(campaign)
    state = State(campaign, services.models.ledger.history(campaign))
    history = state.history
    live = state.live
    compared = _compared(history)
    return page(
        services,
        "pages/models.html",
        status=HTTPStatus.OK if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        campaigns=services.campaigns,
        campaign=declared,
        live=live,
        compared=compared,
        lines=_lines(compared),
        waiting=[(row, state.fits(row)) for row in state.waiting()],
        others=[one for one in compared if live is None or one.row.model_digest != live.model_digest],
        history=list(reversed(history))[:HISTORY_SHOWN],
        problem=problem,
        loading=services.models.problems.get(campaign),
        may_decide=g.caller.role == Role.OPERATOR,
    )


def _compared(history: Sequence[Promotion]) -> list[Compared]:
    """The models decided on last, with the figures that the ledger has of them."""
    found = []
    live = live_in(history)
    named = aliases(history, None if live is None else live.model_digest)
    newest = {row.model_digest: row for row in history}
    for row in sorted(newest.values(), key=lambda row: -row.sequence)[:COMPARED]:
        own = [one for one in history if one.model_digest == row.model_digest and one.evidence.get("challenger")]
        evidence: Mapping[str, Any] = own[0].evidence if own else {}
        figures = {name: float(value) for name, value in (evidence.get("challenger") or {}).items() if value is not None}
        mine = tuple(alias for alias in ALIASES if alias in named and named[alias].model_digest == row.model_digest)
        found.append(Compared(row, mine, figures, str(evidence.get("split", ""))))
    return found


def _lines(compared: Sequence[Compared]) -> list[Line]:
    lines = []
    for name, unit in FIGURES.items():
        values = [one.figures.get(name) for one in compared]
        known = [value for value in values if value is not None]
        if not known:
            continue
        best = (min if name in LOW_IS_GOOD else max)(known)
        marked = len(known) > 1 and name not in UNJUDGED
        places = frozenset(at for at, value in enumerate(values) if marked and value == best)
        lines.append(Line(getattr(texts.figures, name), [told(value, unit) for value in values], places))
    return lines
