"""What every page has: its policy, its frame, and refusals as pages."""

from __future__ import annotations

from http import HTTPStatus
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Response, g, redirect, render_template, request

from api.pages import ADMINISTRATION, CAMPAIGNS, CUSTOMER, LISTS, MODELS, MONITORING, SIGN_IN, SUPPRESSIONS, is_page, texts
from api.pages.session import keep_form_cookies
from api.pages.words import told
from propensity.access import Caller, access

if TYPE_CHECKING:
    from api.services import Services

# Nothing runs, nothing comes from elsewhere, and forms go here alone.
POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
# The same with scripts of our own, which may speak to this service alone.
WITH_SCRIPTS = POLICY + "; script-src 'self'; connect-src 'self'"
# What stands in the navigation, for whoever may open it.
LINKS = (
    (LISTS, texts.frame.lists),
    (CUSTOMER, texts.frame.customer),
    (CAMPAIGNS, texts.frame.campaigns),
    (SUPPRESSIONS, texts.frame.suppressions),
    (MODELS, texts.frame.models),
    (MONITORING, texts.frame.monitoring),
    (ADMINISTRATION, texts.frame.administration),
    ("/docs", texts.frame.interface),
)


_TEXTS: ModuleType = texts


def page(services: Services, template: str, *, status: int = 200, scripts: tuple[str, ...] = (), **values: Any) -> Response:
    """A page for whoever asked. ``scripts``: names of files below ``/static`` that make it more comfortable."""
    cookies: dict[str, str] = {}
    caller: Caller | None = g.get("caller")
    reply = _html(
        template,
        status,
        caller=caller,
        here=request.path,
        links=[(path, text) for path, text in LINKS if _may(caller, path)],
        form_token=services.sessions.form_token(cookies),
        scripts=scripts,
        notice=services.notice,
        **values,
    )
    keep_form_cookies(reply, cookies)
    session = g.get("session")
    if session is not None:
        services.sessions.prolong(reply, session)
    return reply


def refusal(status: int, detail: str) -> Response | None:
    """An error as a page, or the way to the sign-in page; None where the address has no pages or the caller takes no HTML."""
    if not is_page(request.path) or not takes_html():
        return None
    if status == HTTPStatus.UNAUTHORIZED and request.method in ("GET", "HEAD"):
        wanted = request.full_path.rstrip("?")
        return redirect(f"{SIGN_IN}?next={quote(wanted, safe='')}", HTTPStatus.SEE_OTHER)  # type: ignore[return-value]
    return _html("pages/refusal.html", status, caller=g.get("caller"), here="", links=[], title=HTTPStatus(status).phrase, detail=detail)


def takes_html() -> bool:
    """Whether a person's browser asks: programs that take anything get JSON."""
    return "text/html" in request.headers.get("Accept", "")


def _html(template: str, status: int, *, scripts: tuple[str, ...] = (), **values: Any) -> Response:
    given: dict[str, Any] = {"request_id": g.request_id, "t": _TEXTS, "told": told, "scripts": scripts, **values}
    reply = Response(render_template(template, **given), status=status, mimetype="text/html")
    reply.headers["Content-Security-Policy"] = WITH_SCRIPTS if scripts else POLICY
    reply.headers["Referrer-Policy"] = "same-origin"
    reply.headers["Vary"] = "Accept, Cookie"
    return reply


def _may(caller: Caller | None, path: str) -> bool:
    granted = access("GET", path)
    return granted.public or (caller is not None and caller.role in granted.roles)
