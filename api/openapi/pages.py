"""Pages behind a sign-in, and the way in and out."""

from __future__ import annotations

from collections.abc import Mapping

from api.openapi.operation import operation
from api.openapi.parts import FORM, HTML, TEXT, Json, one_of_texts, record, said
from api.openapi.responses import as_pages, done
from api.openapi.work_pages import work_paths
from api.pages.monitoring import SPANS
from propensity.campaign import Campaign
from propensity.panels import all_boards

_TAG = "Pages"
_TOKEN = {"form_token": said("from the page that the form stands on", TEXT)}
_KEY = record({**_TOKEN, "key": said("the key", TEXT), "next": said("the page to go on to", TEXT)}, optional=("next",))


def page_paths(campaigns: Mapping[str, Campaign]) -> Json:
    """The paths. Their refusals are pages where the caller takes HTML."""
    found = {
        "/monitoring": {"get": _monitoring(campaigns)},
        "/sign-in": {"get": _form_page(), "post": _sign_in()},
        "/sign-out": {"post": _sign_out()},
        **work_paths(list(campaigns)),
    }
    return {
        path: {method: {**said, "responses": as_pages(said["responses"])} for method, said in item.items()} for path, item in found.items()
    }


def html(description: str, *headers: str) -> Json:
    """A reply that is a page."""
    return done(description, {HTML: {"schema": TEXT}}, *headers)


def _monitoring(campaigns: Mapping[str, Campaign]) -> Json:
    chosen = {
        "section": ("which panels", [board.key for board in all_boards(campaigns)]),
        "campaign": ("of which campaign; empty for all", ["", *campaigns]),
        "span": ("how far back", list(SPANS)),
    }
    return operation(
        ("GET", "/monitoring"),
        "monitoring",
        _TAG,
        "Monitoring",
        "Panels over the log, the monitoring runs and the service itself. A browser without a session is led to the sign-in page.",
        {"200": html("The page"), "303": html("To the sign-in page", "Location")},
        (400, 503),
        parameters=[
            {"name": name, "in": "query", "required": False, "description": told, "schema": one_of_texts(*values)}
            for name, (told, values) in chosen.items()
        ],
    )


def _form_page() -> Json:
    wanted = {"name": "next", "in": "query", "required": False, "description": "the page to go on to", "schema": TEXT}
    return operation(("GET", "/sign-in"), "signInPage", _TAG, "Sign in", "The form.", {"200": html("The page")}, (), parameters=[wanted])


def _sign_in() -> Json:
    return operation(
        ("POST", "/sign-in"),
        "signIn",
        _TAG,
        "Begin a session",
        "Sets a cookie that is good for pages alone: an hour, which use prolongs, and ten hours at most.",
        {"303": html("To the page that was wanted", "Location")},
        (400, 401, 413, 415, 429, 503),
        requestBody=_body(_KEY),
    )


def _sign_out() -> Json:
    return operation(
        ("POST", "/sign-out"),
        "signOut",
        _TAG,
        "End a session",
        "The browser forgets its cookie.",
        {"303": html("To the sign-in page", "Location")},
        (400, 413, 415),
        requestBody=_body(record(_TOKEN)),
    )


def _body(schema: Json) -> Json:
    return {"required": True, "description": "From the page that the form stands on.", "content": {FORM: {"schema": schema}}}
