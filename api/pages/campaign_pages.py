"""Campaigns: what can be asked, what it is worth, whether the probabilities are right."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import Response, g
from markupsafe import Markup

from api.lists import desk_of
from api.pages import texts
from api.pages.layout import POLICY, page
from api.pages.reliability import curve, gap, groups_of
from api.pages.words import money, share, told
from propensity.access import Role
from propensity.campaign import Numeric, Policy
from propensity.panels.definition import Unit
from propensity.report.kept import newest
from propensity.report.page import body, stylesheet

if TYPE_CHECKING:
    from api.services import Services

DAYS = 365
# What is shown of a model's figures, in order, and how.
FIGURES: dict[str, Unit] = {
    "rows": Unit.COUNT,
    "positive_rate": Unit.SHARE,
    "roc_auc": Unit.NUMBER,
    "pr_auc": Unit.NUMBER,
    "brier": Unit.NUMBER,
    "ece": Unit.NUMBER,
    "lift_at_10": Unit.NUMBER,
    "capture_at_30": Unit.SHARE,
    "profit_per_1000": Unit.MONEY,
    "profit_per_1000_everyone": Unit.MONEY,
}


def get_campaigns(services: Services) -> Response:
    """Every campaign."""
    shown = [(campaign, services.models.get(name)) for name, campaign in services.campaigns.items()]
    return page(services, "pages/campaigns.html", shown=shown, share=share)


def get_campaign(services: Services, campaign: str) -> Response:
    """One campaign. Raises NotFound, StoreError."""
    declared = services.campaign(campaign)
    live = services.models.get(campaign)
    now = services.clock()
    known = services.outcomes.labelled(campaign, now - timedelta(days=DAYS), now + timedelta(seconds=1))
    groups = groups_of([one.score for one in known], [one.label for one in known])
    drawn, edge = curve(groups) if groups else (None, 0.0)
    return page(
        services,
        "pages/campaign.html",
        campaign=declared,
        live=live,
        metrics=[] if live is None else figures_of(live.model.manifest.metrics),
        importance={} if live is None else live.model.importance(),
        policy=policy_told(declared.policy, declared.economics.currency),
        allowed={feature.name: _allowed(feature) for feature in declared.features},
        days=DAYS,
        groups=groups,
        drawn=drawn,
        edge=edge,
        gap=gap(groups) if groups else 0.0,
        known=len(known),
        money=lambda value: money(float(value), declared.economics.currency),
        share=share,
        may_send=g.caller.role != Role.AUDITOR,
    )


def get_report(services: Services, campaign: str) -> Response:
    """The report that was kept last, in the frame of these pages. Raises NotFound, StoreError."""
    declared = services.campaign(campaign)
    made = newest(desk_of(services).store, campaign)
    style = Markup(stylesheet())  # noqa: S704 - our own
    reply = page(services, "pages/report.html", campaign=declared, report=None if made is None else body(made), style=style)
    # The report's own rules are known by their digest; nothing else stands in the page itself.
    digest = base64.b64encode(hashlib.sha256(stylesheet().encode()).digest()).decode()
    reply.headers["Content-Security-Policy"] = POLICY.replace("style-src 'self'", f"style-src 'self' 'sha256-{digest}'")
    return reply


def figures_of(metrics: Any) -> list[tuple[str, str, str]]:
    """Name, title and value of each figure that a model has."""
    return [(name, getattr(texts.figures, name), told(metrics[name], unit)) for name, unit in FIGURES.items() if name in metrics]


def policy_told(policy: Policy, currency: str) -> str:
    """A policy in words."""
    value = policy.value or 0.0
    told_as = {"budget": money(value, currency), "calls": f"{value:,.0f}"}
    shown = told_as.get(policy.kind, share(value))
    return str(getattr(texts.policies, policy.kind, texts.policies.other).format(value=shown, kind=policy.kind))


def _allowed(feature: Any) -> str:
    if isinstance(feature, Numeric):
        told_ = texts.customer.whole if feature.integer else texts.customer.number
        return str(told_.format(low=f"{feature.low:,g}", high=f"{feature.high:,g}", unit=f" {feature.unit}" if feature.unit else ""))
    return ", ".join(map(str, feature.values))
