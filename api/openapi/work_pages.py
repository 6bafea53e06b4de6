"""The pages that people work with, in the document: what they show, what their forms send."""

from __future__ import annotations

from api.openapi.lists import XLSX
from api.openapi.operation import operation
from api.openapi.parts import FORM, HTML, JSON, PARQUET, TEXT, Json, one_of_texts, record, said
from api.openapi.responses import done
from propensity.sheet_formats import SHEETS

_TAG = "Pages"
_TOKEN = said("from the page that the form stands on", TEXT)
_MULTIPART = "multipart/form-data"
_BINARY: Json = {"type": "string", "contentMediaType": "application/octet-stream"}
_TO_SIGN_IN = {"303": done("To the sign-in page", {HTML: {"schema": TEXT}}, "Location")}
_PAGE = {"200": done("The page", {HTML: {"schema": TEXT}})}
_AGAIN = {"422": done("The page, with what is wrong", {HTML: {"schema": TEXT}})}
_NEXT = {"303": done("To the page that comes next", {HTML: {"schema": TEXT}}, "Location")}


def work_paths(names: list[str]) -> Json:
    """The paths."""
    campaign = {"name": "campaign", "in": "path", "required": True, "description": "a campaign's name", "schema": {"enum": names}}
    return {
        "/lists": {"get": _page("/lists", "listsPage", "Lists", "Those that the caller may see.")},
        "/lists/new": {
            "get": _page("/lists/new", "newListPage", "The form to drop a list", "Says what a file must have.", parameters=[_chosen()]),
            "post": _form("/lists/new", "dropList", "Drop a list", "Keeps and reads the file; nothing is scored.", _dropped(), _MULTIPART),
        },
        **_list_paths(),
        "/customer": {
            "get": _page("/customer", "customerPage", "One customer", "The form of a campaign.", (404,), [_chosen()]),
            "post": _form("/customer", "scoreCustomer", "Score one customer", "As the interface would.", _fields("campaign")),
        },
        "/predictions/{id}": {
            "get": _page(
                "/predictions/{id}", "whyPage", "Why a score is what it is", "A logged prediction, explained.", (404,), [_at("id")]
            )
        },
        "/campaigns": {"get": _page("/campaigns", "campaignsPage", "Campaigns", "All of them.")},
        "/campaigns/{campaign}": {
            "get": _page("/campaigns/{campaign}", "campaignPage", "A campaign", "With its reliability curve.", (404,), [campaign])
        },
        "/campaigns/{campaign}/report": {
            "get": _page("/campaigns/{campaign}/report", "reportPage", "A campaign's report", "That was kept last.", (404,), [campaign])
        },
        "/suppressions": {
            "get": _page("/suppressions", "suppressionsPage", "Do not contact", "Who is left alone, for who oversees."),
            "post": _form("/suppressions", "suppress", "Record or lift", "An objection.", _fields("do", "customers"), after=_PAGE),
        },
        "/models": {
            "get": _page("/models", "modelsPage", "Models", "Compared, with every decision.", (404,), [_chosen()]),
            "post": _form("/models", "decideOnModel", "Decide about a model", "Approve, reject, promote, go back.", _fields("decision")),
        },
        "/administration": {
            "get": _page("/administration", "administrationPage", "Administration", "Keys."),
            "post": _form(
                "/administration", "administer", "Make or revoke a key", "With the operator's own key.", _fields("do"), after=_PAGE
            ),
        },
    }


def _list_paths() -> Json:
    files: Json = {"text/csv": {"schema": TEXT}, XLSX: {"schema": _BINARY}, PARQUET: {"schema": _BINARY}}
    state = record({"state": TEXT, "done": {"type": "integer"}, "total": {"type": "integer"}})
    asked = {"format": one_of_texts(*SHEETS), "rows": one_of_texts("all", "decided", "best"), "contacts": {"type": "integer", "minimum": 0}}
    told = {"format": "csv where none is named", "rows": "which customers", "contacts": "rows best: how many"}
    chosen = [{"name": n, "in": "query", "required": False, "description": told[n], "schema": schema} for n, schema in asked.items()]
    at = [_at("list")]
    sheet = {"200": done("The file", files), **_TO_SIGN_IN}
    refused = {"200": done("The file", {"text/csv": {"schema": TEXT}}), **_TO_SIGN_IN}
    look = {"200": done("As numbers", {JSON: {"schema": state}}), **_TO_SIGN_IN}
    return {
        "/lists/{list}": {
            "get": _page("/lists/{list}", "listPage", "A list", "What was understood, how far it is, or whom to contact.", (400, 404), at),
            "post": _form("/lists/{list}", "agreeOnColumns", "Agree on the columns", "The list is scored.", _fields(), parameters=at),
        },
        "/lists/{list}/state": {"get": _page("/lists/{list}/state", "listState", "How far a list is", "For its page.", (404,), at, look)},
        "/lists/{list}/sheet": {
            "get": _page("/lists/{list}/sheet", "listSheet", "The call sheet", "As a file.", (400, 404), [*at, *chosen], sheet)
        },
        "/lists/{list}/excluded": {"get": _page("/lists/{list}/excluded", "listExcluded", "Left alone", "As a file.", (404,), at, refused)},
        "/lists/{list}/refused": {"get": _page("/lists/{list}/refused", "listRefused", "Refused rows", "As a file.", (404,), at, refused)},
    }


def _page(
    path: str,
    operation_id: str,
    summary: str,
    told: str,
    errors: tuple[int, ...] = (),
    parameters: list[Json] | None = None,
    replies: Json | None = None,
) -> Json:
    shown = {**_PAGE, **_TO_SIGN_IN} if replies is None else replies
    more = {"parameters": parameters} if parameters else {}
    return operation(("GET", path), operation_id, _TAG, summary, told, shown, (*errors, 503), **more)


def _form(
    path: str,
    operation_id: str,
    summary: str,
    told: str,
    schema: Json,
    kind: str = FORM,
    *,
    after: Json = _NEXT,
    parameters: list[Json] | None = None,
) -> Json:
    body = {"required": True, "description": "From the page that the form stands on.", "content": {kind: {"schema": schema}}}
    more = {"parameters": parameters} if parameters else {}
    return operation(
        ("POST", path), operation_id, _TAG, summary, told, {**after, **_AGAIN}, (400, 404, 413, 415, 503), requestBody=body, **more
    )


def _fields(*names: str) -> Json:
    """What a form sends beside its other fields."""
    return {**record({"form_token": _TOKEN, **dict.fromkeys(names, TEXT)}), "additionalProperties": TEXT}


def _dropped() -> Json:
    return record(
        {"form_token": _TOKEN, "nonce": said("of the form, so that sent twice it makes one list", TEXT), "campaign": TEXT, "list": _BINARY}
    )


def _chosen() -> Json:
    return {"name": "campaign", "in": "query", "required": False, "description": "of which campaign", "schema": TEXT}


def _at(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "description": "an id", "schema": TEXT}
