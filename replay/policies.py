"""Who decides in a replay: the platform's settings, and what they are measured against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from propensity.campaign import Campaign
from propensity.contact_days import ContactDay, known_days
from propensity.decision import decide
from propensity.following import TYPICAL_TRAFFIC
from propensity.retraining import ON_SCHEDULE, Retraining
from replay.walk import Books, Setting, Walk

Traffic = Literal["so_far", "list", "none"]
DELAYS = (1, 5, 21, 30)
TRAILING_CONTACTS = 100
DRIFTED_SHARE = 0.5


@dataclass(frozen=True)
class Policy:
    """A policy under one label delay. ``text`` says what it is, in a line."""

    name: str
    delay_days: int
    text: str
    setting: Setting | None = None
    traffic: Traffic = "so_far"

    def walk(self, campaign: Campaign, days: Sequence[ContactDay], first: int, source: str, progress: Callable[[int], None]) -> Books:
        """Walk from the ``first`` day on."""
        if self.name == "everyone":
            rows = sum(map(len, days[first:]))
            return Books(np.full(rows, np.nan), np.ones(rows, dtype=bool))
        if self.setting is None:
            return trailing_rate(campaign, days, first, self.delay_days)
        return Walk(campaign, with_traffic(days, self.traffic), first, self.setting, source).run(progress)


def policies(campaign: Campaign, delays: Sequence[int] = DELAYS) -> list[Policy]:
    """Every policy that is replayed, in the order of the report."""
    declared = campaign.retraining
    found = [Policy("everyone", delays[0], "calls every customer")]
    for delay in delays:
        found.append(Policy("trailing-rate", delay, f"calls everyone while the last {TRAILING_CONTACTS} known outcomes pay for it"))
        found += [_of_platform(*one, delay) for one in _settings(declared)]
    first = delays[0]
    for delay in dict.fromkeys((delays[0], delays[-1])):
        default = _of_platform("default", "", declared, True, delay)
        found.append(replace(default, name="default-without-traffic", text="the default, blind to the number of contacts", traffic="none"))
        found.append(
            replace(
                default, name="default-list-size", text="the default where the day's list is known whole in the morning", traffic="list"
            )
        )
    for share in (0.0, 0.05):
        setting = Setting("selective", first, declared, explored_share=share)
        text = f"the default learning only from those it contacted, {share:.0%} of the others contacted to explore"
        found.append(Policy(f"default-selective-{share:.0%}".rstrip("%"), first, text, setting))
    return found


def _settings(declared: Retraining) -> list[tuple[str, str, Retraining | None, bool]]:
    none = replace(declared, every_days=None, drift_share=None, label_gap=None, performance_drop=None)
    return [
        ("frozen", "the first model for ever", None, False),
        ("scheduled-only", "trained again every month, nothing in between", replace(none, every_days=30), False),
        ("scheduled", "trained again every month, the level followed", replace(none, every_days=30), True),
        ("drift-triggered", f"trained again when {DRIFTED_SHARE:.0%} of the columns drift", replace(none, drift_share=DRIFTED_SHARE), True),
        ("label-gap-triggered", "trained again when outcomes contradict the scores", replace(none, label_gap=ON_SCHEDULE.label_gap), True),
        (
            "performance-triggered",
            "trained again when the ROC-AUC drops",
            replace(none, performance_drop=ON_SCHEDULE.performance_drop),
            True,
        ),
        ("every-day", "trained again every contact day", replace(none, every_days=1, min_labels=1), True),
        ("default", "as the campaign declares it", declared, True),
    ]


def _of_platform(name: str, text: str, retraining: Retraining | None, followed: bool, delay: int) -> Policy:
    return Policy(name, delay, text, Setting(name, delay, retraining, followed))


def with_traffic(days: Sequence[ContactDay], traffic: Traffic) -> list[ContactDay]:
    """The same days with another idea of how many contacts a day has."""
    if traffic == "so_far":
        return list(days)
    return [replace(day, traffic=np.full(len(day), float(len(day)) if traffic == "list" else TYPICAL_TRAFFIC)) for day in days]


def trailing_rate(campaign: Campaign, days: Sequence[ContactDay], first: int, delay_days: int) -> Books:
    """Everyone of a day gets the response rate of the last known outcomes as a score."""
    labels = np.concatenate([day.positive for day in days])
    ends = np.cumsum([len(day) for day in days])
    scores = []
    for at in range(first, len(days)):
        known = known_days(days, days[at].date, delay_days)
        end = int(ends[known - 1]) if known else 0
        newest = labels[max(0, end - TRAILING_CONTACTS) : end]
        scores.append(np.full(len(days[at]), float(newest.mean()) if len(newest) else 0.0))
    contact = [decide(one, campaign.policy, campaign.economics).contact for one in scores]
    return Books(np.concatenate(scores), np.concatenate(contact))
