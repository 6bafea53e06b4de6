"""One customer by form, and why a score is what it is.

The form asks the interface as a program would: what holds for a list there (checks, gates, the log) holds for one customer here.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, g, redirect, request

from api import predictions
from api.pages import PREDICTIONS, texts
from api.pages.asking import ask
from api.pages.layout import page
from api.pages.session import TOKEN
from api.pages.sign_in import form
from api.pages.waterfall import waterfall
from api.pages.words import share
from api.records import record_of
from api.rows import id_column
from propensity.campaign import Campaign, Categorical, Feature, Numeric
from propensity.errors import RowIssue, RowsInvalid

if TYPE_CHECKING:
    from api.services import Services

FORM_BYTES = 64 * 1024
# Fields of the form are the campaign's columns behind this, so that none can be taken for a field of our own.
FIELD = "f-"


def get_customer(services: Services) -> Response:
    """The form of a campaign."""
    live = [name for name in services.campaigns if services.models.get(name) is not None]
    chosen = request.args.get("campaign") or next(iter(live), next(iter(services.campaigns)))
    return _form(services, services.campaign(chosen), {}, ())


def post_customer(services: Services) -> Response:
    """Score one customer, and go on to why. Raises UnsupportedMedia, Malformed, NotFound, NoLiveModel, StoreError."""
    sent = form(services, FORM_BYTES)
    campaign = services.campaign(sent.get("campaign", ""))
    given = {name[len(FIELD) :]: value.strip() for name, value in sent.items() if name.startswith(FIELD)}
    row = {id_column(campaign): given.get(id_column(campaign), "")}
    row |= {feature.name: _value(feature, given.get(feature.name, "")) for feature in campaign.features}
    try:
        reply = ask(predictions.post_predictions, "POST", _interface(campaign), {"customers": [row], "reasons": 0}, services, campaign.name)
    except RowsInvalid as exc:
        return _form(services, campaign, given, exc.issues)
    found = reply["predictions"]
    if not found:
        # Nobody scored, nothing refused: whoever may not be contacted is told so with its reason.
        issues = [RowIssue(1, issue["column"], issue["code"], issue["message"]) for issue in reply.get("errors", ())]
        return _form(services, campaign, given, issues or [RowIssue(1, None, "excluded", texts.customer.excluded)])
    answer: Response = redirect(f"{PREDICTIONS}/{found[0]['prediction_id']}", HTTPStatus.SEE_OTHER)  # type: ignore[assignment]
    return answer


def get_why(services: Services, wanted: str) -> Response:
    """Why one logged prediction is what it is."""
    record = record_of(services, wanted)
    campaign = services.campaigns.get(record["campaign"])
    explained = record["explanation"]
    return page(
        services,
        "pages/why.html",
        record=record,
        campaign=campaign,
        title=record["campaign"] if campaign is None else campaign.title,
        steps=None if explained is None else waterfall(explained["base"], explained["contributions"]),
        share=share,
        may_send=str(g.caller.role) != "auditor",
    )


def _interface(campaign: Campaign) -> str:
    return f"/v1/campaigns/{campaign.name}/predictions"


def _value(feature: Feature, text: str) -> Any:
    """What was typed, as JSON has it. What is no number stays a text, which the check refuses with what is allowed."""
    if not text:
        return None
    if isinstance(feature, Categorical):
        return next((value for value in feature.values if str(value) == text), text)
    plain = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    try:
        return int(plain)
    except ValueError:
        pass
    try:
        number = float(plain)
    except ValueError:
        return text
    return number if abs(number) < float("inf") else text


def _form(services: Services, campaign: Campaign, given: Mapping[str, str], issues: Any) -> Response:
    problems: dict[str, str] = {}
    for issue in issues:
        problems.setdefault(issue.column or "", issue.message)
    return page(
        services,
        "pages/customer.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        campaign=campaign,
        campaigns=services.campaigns,
        live=services.models.get(campaign.name),
        id_name=id_column(campaign),
        field=FIELD,
        given=given,
        problems=problems,
        limits={feature.name: _limits(feature) for feature in campaign.numeric},
        token=TOKEN,
    )


def _limits(feature: Numeric) -> str:
    told = texts.customer.whole if feature.integer else texts.customer.number
    unit = f" {feature.unit}" if feature.unit else ""
    return str(told.format(low=f"{feature.low:,g}", high=f"{feature.high:,g}", unit=unit))
