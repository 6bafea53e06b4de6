"""Draws a report: sentences, tables and charts from its figures."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from propensity.report.page import charts, sentences, svg, told
from propensity.report.tree import Report

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Document:
    """A whole HTML document, and the policy to send with it: nothing runs, nothing is fetched, one stylesheet known by its digest."""

    html: bytes
    policy: str


def document(report: Report) -> Document:
    """The report as a document that stands alone: to keep, to mail, to print."""
    style = stylesheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    template = _environment().get_template("document.html")
    html = template.render(**_values(report), style=Markup(style), policy=policy)  # noqa: S704 - our own
    return Document(html.encode(), f"{policy}; frame-ancestors 'none'")


def body(report: Report) -> Markup:
    """The report as an ``article`` for a page that has a frame of its own and links `stylesheet`."""
    return Markup(_environment().get_template("body.html").render(**_values(report)))  # noqa: S704 - escaped by the template


@cache
def stylesheet() -> str:
    """All that the report needs; its rules concern ``.report`` alone, and the document around it where it stands alone."""
    return (_FOLDER / "report.css").read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals.update(told=told, svg=svg, words=sentences)
    return found


def _values(report: Report) -> dict[str, Any]:
    curves = report.curves
    return {
        "report": report,
        "gains": charts.gains(curves) if curves else None,
        "lift": charts.lift(curves) if curves else None,
        "profit": charts.profit(report),
        "known_profit": charts.known_profit(report),
        "reliability": charts.reliability(report),
    }
