"""Champion against challenger on mature outcomes: which of two models that scored the same requests was right more often.

Whose outcome is known? As a rule only that of those who were contacted, and the model that was live chose them. This bends a comparison:
the live model chose people of whom it thinks highly, rightly or not, so that among these its mistakes are over-represented and its ranking
looks worse than it is. Nothing that is computed from these rows alone can mend that. So:

- where outcomes of a random part of those whom the policy left are known (``left_labels='random'``), every figure but ROC-AUC weights the
  strata contacted and left by the inverse of the share of them that has an outcome, and speaks of all customers;
- else figures speak of the contacted alone, and say so; profit is then only what the challenger would have saved by leaving some of
  them, and whom it would have contacted instead is counted, not valued. ROC-AUC is told a second time on those whom both would contact,
  where neither is at a disadvantage.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign
from propensity.challenge import Challenge
from propensity.decision import by_row, contacts, expected_profit, parse_policy
from propensity.paired import Gain, Precision, auc_gain, mean_gain
from propensity.performance import MIN_RARER_LABEL
from propensity.shadow import PairedRequest

BETTER, WORSE, NOT_DECIDED, TOO_LITTLE = "better", "worse", "not_decided", "too_little_data"
Kind = Literal["challenge", "watch"]
SMALLEST_SCORE = 1e-15
CAVEAT_CONTACTED = (
    "outcomes are known of those alone whom the live model had contacted; "
    "among these its mistakes are over-represented, which favours the other"
)
CAVEAT_RANDOM = "outcomes of those who were left are taken as a random part of them; figures are weighted to speak of all customers"
_LEFT, _CONTACTED = 0, 1


@dataclass(frozen=True)
class Comparison:
    """What one look at two models found. Gains above zero speak for the challenger.

    Attributes
    ----------
    predicted, labelled : int
        Mature predictions that both models scored, and those of them that the figures are made of.
    unpaired : int
        Mature predictions that one of them has not scored.
    additional : int
        Customers whom the challenger would have contacted and the log did not.
    """

    campaign: str
    kind: Kind
    champion: str
    challenger: str
    ledger_sequence: int
    since: datetime
    until: datetime
    predicted: int
    labelled: int
    unpaired: int
    additional: int
    judged_by: str
    verdict: str
    reason: str
    rows_needed: int | None
    gains: dict[str, Gain]
    caveat: str
    created_at: datetime | None = None

    @property
    def coverage(self) -> float:
        """Share of the mature predictions whose outcome is known and used; 0 where there are none."""
        return self.labelled / self.predicted if self.predicted else 0.0

    @property
    def gain(self) -> Gain:
        """The figure that the verdict goes by."""
        return self.gains[self.judged_by]

    def as_json(self) -> dict[str, Any]:
        """Everything, with finite numbers."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("gains", "created_at", "since", "until")}
        times = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        return {**plain, **times, "coverage": self.coverage, "gains": {name: gain.as_json() for name, gain in self.gains.items()}}


class ComparisonStore(Protocol):
    """Append-only record of looks at two models."""

    def record(self, found: Comparison) -> Comparison:
        """Store a look and return the one that stands: of several on one day the first."""

    def last(self, campaign: str, limit: int, kind: str | None = None) -> list[Comparison]:
        """The newest looks, newest first."""


@dataclass
class Rows:
    """Labelled rows of both models, as arrays, and what they stand for."""

    champion: list[npt.NDArray[np.float64]] = field(default_factory=list)
    challenger: list[npt.NDArray[np.float64]] = field(default_factory=list)
    contacted: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    by_champion: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    by_challenger: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    labels: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    predicted: list[int] = field(default_factory=lambda: [0, 0])
    unpaired: int = 0
    additional: int = 0

    def add(self, campaign: Campaign, request: PairedRequest, champion: Collection[str], challenger: str) -> None:
        """Take a request's labelled rows; count the others."""
        if request.champion is None or request.challenger is None:
            self.unpaired += len(request.contact)
            return
        ours = _decided(campaign, request, request.challenger, (challenger,))
        theirs = _decided(campaign, request, request.champion, champion)
        self.predicted[_CONTACTED] += int(request.contact.sum())
        self.predicted[_LEFT] += int((~request.contact).sum())
        self.additional += int((ours & ~request.contact).sum())
        at = request.positions
        self.champion.append(request.champion[at])
        self.challenger.append(request.challenger[at])
        self.contacted.append(request.contact[at])
        self.by_champion.append(theirs[at])
        self.by_challenger.append(ours[at])
        self.labels.append(request.labels)


def _decided(
    campaign: Campaign, request: PairedRequest, scores: npt.NDArray[np.float64], digests: Collection[str]
) -> npt.NDArray[np.bool_]:
    """Whom a model would have contacted under the policy of the request: as many as were, where a policy goes by rank.

    A long list is logged in parts, and a part knows neither the list's length nor its budget; with the same number as the live model
    the two are compared at equal cost.
    """
    if request.model_digest in digests:
        return request.contact
    policy = parse_policy(dict(request.policy), campaign.policy)
    profit = expected_profit(scores, campaign.economics)
    if by_row(policy):
        return contacts(scores, profit, None, None, policy)
    chosen = np.zeros(len(scores), dtype=np.bool_)
    chosen[np.argsort(-scores, kind="stable")[: int(request.contact.sum())]] = True
    return chosen if policy.kind in ("top_share", "recall") else chosen & (profit > 0)


def compare(
    campaign: Campaign,
    requests: Iterable[PairedRequest],
    *,
    champion: str,
    challenger: str,
    since: datetime,
    until: datetime,
    ledger_sequence: int = 0,
    kind: Kind = "challenge",
    line: Collection[str] = (),
) -> Comparison:
    """Compare two models on the requests that both scored; the champion is the one that is live.

    ``line``: digests of the champion before its recalibrations; what these answered, it answered.
    """
    rows = Rows()
    for request in requests:
        rows.add(campaign, request, {champion, *line}, challenger)
    rules = campaign.challenge
    if kind == "watch" and rules.rollback is not None:
        rules = replace(rules, judged_by=rules.rollback.measure, smallest_difference=rules.rollback.worse_by)
    everybody = rules.left_labels == "random"
    labels, gains = _gains(campaign, rules, rows, everybody)
    verdict, reason, rows_needed = judge_gains(rules, gains, labels)
    return Comparison(
        campaign=campaign.name,
        kind=kind,
        champion=champion,
        challenger=challenger,
        ledger_sequence=ledger_sequence,
        since=since,
        until=until,
        predicted=sum(rows.predicted),
        labelled=len(labels),
        unpaired=rows.unpaired,
        additional=rows.additional,
        judged_by=rules.judged_by,
        verdict=verdict,
        reason=reason,
        rows_needed=rows_needed,
        gains=gains,
        caveat=CAVEAT_RANDOM if everybody else CAVEAT_CONTACTED,
    )


def _gains(campaign: Campaign, rules: Challenge, rows: Rows, everybody: bool) -> tuple[npt.NDArray[np.bool_], dict[str, Gain]]:
    def whole(parts: list[Any], dtype: Any) -> Any:
        return np.concatenate(parts) if parts else np.empty(0, dtype)

    contacted = whole(rows.contacted, np.bool_)
    used = np.ones(len(contacted), np.bool_) if everybody else contacted
    p, q = (np.clip(whole(part, np.float64)[used], SMALLEST_SCORE, 1 - SMALLEST_SCORE) for part in (rows.champion, rows.challenger))
    a, b, y = (whole(part, np.bool_)[used] for part in (rows.by_champion, rows.by_challenger, rows.labels))
    stratum = contacted[used].astype(np.int64)
    predicted = (rows.predicted[_LEFT] if everybody else 0, rows.predicted[_CONTACTED])
    worth = 1000 * (y * float(campaign.economics.conversion_value) - float(campaign.economics.contact_cost))

    def precision(name: str) -> Precision:
        smallest = rules.smallest_difference if name == rules.judged_by else 0.0
        return Precision(confidence=rules.confidence, smallest=smallest, min_rows=rules.min_rows)

    means = {
        "log_loss": (np.log(np.where(y, p, 1 - p)), np.log(np.where(y, q, 1 - q))),
        "brier": (-((p - y) ** 2), -((q - y) ** 2)),
        "profit_per_1000": (a * worth, b * worth),
    }
    gains = {name: mean_gain(one, two, stratum, predicted, precision(name)) for name, (one, two) in means.items()}
    for name in ("log_loss", "brier"):
        # Means of what is better the higher; people know the losses themselves.
        gains[name] = replace(gains[name], champion=-gains[name].champion, challenger=-gains[name].challenger)
    gains["roc_auc"] = auc_gain(p, q, y, precision("roc_auc"))
    both = a & b
    gains["roc_auc_of_both"] = auc_gain(p[both], q[both], y[both], precision("roc_auc_of_both"))
    return y, gains


def judge_gains(rules: Challenge, gains: dict[str, Gain], labels: npt.NDArray[np.bool_]) -> tuple[str, str, int | None]:
    """The verdict, its reason, and the rows needed where there are too few."""
    gain, profit, name = gains[rules.judged_by], gains["profit_per_1000"], rules.judged_by
    n, rarer = len(labels), int(min(labels.sum(), (~labels).sum()))
    told = f"{name} {gain.gain:+.5f}, between {gain.always_low:+.5f} and {gain.always_high:+.5f}"
    if n < rules.min_rows or rarer < MIN_RARER_LABEL:
        by_rarer = -(-n * MIN_RARER_LABEL // rarer) if rarer else None
        told = f"{n:,} mature outcomes, {rarer:,} of the rarer kind; {rules.min_rows:,} and {MIN_RARER_LABEL} are needed"
        return TOO_LITTLE, told, max(rules.min_rows, by_rarer or 0)
    if gain.always_high < 0:
        return WORSE, told, None
    if gain.always_low > 0 and gain.gain >= rules.smallest_difference:
        if profit.always_high < 0:
            return NOT_DECIDED, f"{told}, but it would have earned less", None
        return BETTER, told, None
    if gain.always_high - gain.gain > rules.smallest_difference:
        needed = None if gain.rows_needed is None else max(gain.rows_needed, n + 1)
        return TOO_LITTLE, f"{told}: too wide an interval for a difference of {rules.smallest_difference:g}", needed
    return NOT_DECIDED, f"{told}: they differ by less than {rules.smallest_difference:g}, or not surely", None
