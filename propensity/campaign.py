"""What a campaign is: one frozen declaration from which everything else is derived. Standard library only.

A declaration checks itself when it is made: a contradiction raises `CampaignError` with a sentence that names the column.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from propensity.challenge import Challenge, challenge_problems
from propensity.contact_policy import ContactPolicy
from propensity.errors import CampaignError
from propensity.holdout import Holdout
from propensity.outcome_rules import AbsentMeans, Contradictions, OutcomeRules
from propensity.recipe import Lift, Recipe
from propensity.retraining import ON_SCHEDULE, Retraining, retraining_problems
from propensity.watch import DEFAULT_WATCH, Watch, watch_problems
from propensity.zoo import QUICK_ZOO, Zoo, zoo_problems

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
# What a matrix of float32 and a column of int16 positions hold.
LARGEST = 3e38
MOST_VALUES = 32_767
LARGEST_BUDGET = 1e12
MOST_CALLS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Numeric:
    """A number within a closed range.

    Attributes
    ----------
    low, high : float
        The smallest and largest value allowed, both included, in ``unit``.
    integer : bool
        Only whole numbers are allowed.
    nullable : bool
        A missing value (JSON null, an empty cell) is allowed and means "not known".
    """

    name: str
    low: float
    high: float
    unit: str = ""
    integer: bool = False
    nullable: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Categorical:
    """One of a closed set of values, texts or whole numbers."""

    name: str
    values: tuple[str | int, ...]
    nullable: bool = False
    description: str = ""


Feature = Numeric | Categorical


@dataclass(frozen=True, slots=True)
class Label:
    """What is predicted: ``column`` equals ``positive``.

    ``window_days``, ``absent_means`` and ``contradictions`` say how outcomes are read: see `propensity.outcome_rules.OutcomeRules`.
    """

    column: str
    positive: str
    negative: str
    window_days: int = 30
    meaning: str = ""
    absent_means: AbsentMeans = "unknown"
    contradictions: Contradictions = "first"

    @property
    def rules(self) -> OutcomeRules:
        """How outcomes are read."""
        return OutcomeRules(self.window_days, self.absent_means, self.contradictions)


@dataclass(frozen=True, slots=True)
class MonthsInOrder:
    """Rows are sorted by date and carry a month name but no year: a month that runs backwards starts a new year."""

    column: str
    first_month: str


@dataclass(frozen=True, slots=True)
class MonthsOfYear:
    """Rows carry a month name and all belong to one year."""

    column: str
    year: int


@dataclass(frozen=True, slots=True)
class Dates:
    """Rows carry a date or time stamp, RFC 3339 or YYYY-MM-DD."""

    column: str


Calendar = MonthsInOrder | MonthsOfYear | Dates


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the public data of a campaign comes from.

    ``file`` is the name in ``PROPENSITY_DATA_DIR``; ``url`` the official address (a ``.zip`` is opened, ``members`` says how,
    outermost first); ``sha256`` is that of the data file itself, whatever way it came.
    """

    file: str
    sha256: str
    url: str = ""
    members: tuple[str, ...] = ()
    kaggle: str = ""
    delimiter: str = ","
    encoding: str = "utf-8"
    licence: str = ""
    citation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """When a data set is good enough to train on; both bounds are included."""

    min_rows: int = 1_000
    max_invalid_share: float = 0.0
    min_positive_share: float = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Economics:
    """What a contact costs and what a conversion is worth, in ``currency``."""

    contact_cost: Decimal
    conversion_value: Decimal
    currency: str

    @property
    def break_even(self) -> float:
        """The score at which a contact neither earns nor loses: cost / value."""
        return float(self.contact_cost / self.conversion_value)


PolicyKind = Literal["profit", "top_share", "budget", "threshold", "calls", "recall"]
# The largest value of each kind; the smallest is 0, and a kind with None takes no value.
POLICY_VALUES: Mapping[PolicyKind, float | None] = {
    "profit": None,
    "top_share": 1,
    "budget": LARGEST_BUDGET,
    "threshold": 1,
    "calls": MOST_CALLS,
    "recall": 1,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom to contact.

    ``profit``: everyone whose expected profit is positive.
    ``top_share``: the best ``value`` (0 to 1) of the list.
    ``budget``: as many of the best as ``value`` (money) pays for, while they are profitable.
    ``calls``: at most ``value`` of the best, while they are profitable.
    ``recall``: as few of the best as hold the share ``value`` (0 to 1) of all expected conversions.
    ``threshold``: a score of at least ``value``.
    """

    kind: PolicyKind = "profit"
    value: float | None = None


MonitorMetric = Literal["psi", "drifted_share", "prediction_psi", "missing_share"]


@dataclass(frozen=True, slots=True)
class Monitor:
    """A number that is watched. Higher is worse; ``warn`` and ``alert`` are inclusive bounds."""

    metric: MonitorMetric
    warn: float
    alert: float
    window_days: int = 7


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition on a challenger's metric, measured on the held-out part of its training run.

    ``at_least`` and ``at_most`` bound the metric itself; ``versus_champion`` is the smallest difference (challenger minus
    champion, both on the same rows) that is accepted, and passes where there is no champion.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    versus_champion: float | None = None


@dataclass(frozen=True, slots=True)
class LeakGuard:
    """A random-split ROC-AUC above this bound means that something known only later leaked into the features."""

    roc_auc_above: float


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """One propensity question and all that is declared about it."""

    name: str
    title: str
    question: str
    label: Label
    features: tuple[Feature, ...]
    economics: Economics
    excluded: tuple[tuple[str, str], ...] = ()
    id_column: str | None = None
    calendar: Calendar | None = None
    source: Source | None = None
    quality: Quality = Quality()
    policy: Policy = Policy()
    monitors: tuple[Monitor, ...] = (
        Monitor("psi", warn=0.1, alert=0.2),
        Monitor("drifted_share", warn=0.1, alert=0.5),
        Monitor("prediction_psi", warn=0.1, alert=0.2),
        Monitor("missing_share", warn=0.01, alert=0.05),
    )
    gates: tuple[Gate, ...] = (Gate("roc_auc", at_least=0.5), Gate("profit_per_1000", versus_champion=0.0))
    leak_guard: LeakGuard | None = None
    test_share: float = 0.2
    unexpected_columns: Literal["ignore", "refuse"] = "ignore"
    retrain_cron: str = "0 3 5 * *"
    retraining: Retraining = ON_SCHEDULE
    recipe: Recipe | None = None
    watch: Watch = DEFAULT_WATCH
    challenge: Challenge = field(default_factory=Challenge)
    zoo: Zoo = QUICK_ZOO
    contact_policy: ContactPolicy | None = None
    holdout: Holdout | None = None

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise CampaignError(f"campaign {self.name!r}: {problem}")

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features in declared order: the column order of every matrix."""
        return tuple(feature.name for feature in self.features)

    @property
    def numeric(self) -> tuple[Numeric, ...]:
        return tuple(f for f in self.features if isinstance(f, Numeric))

    @property
    def categorical(self) -> tuple[Categorical, ...]:
        return tuple(f for f in self.features if isinstance(f, Categorical))

    @property
    def excluded_reasons(self) -> dict[str, str]:
        return dict(self.excluded)

    def feature(self, name: str) -> Feature:
        """The feature of that name. Raises KeyError where there is none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Feature]:
        return {feature.name: feature for feature in self.features}

    def monitor(self, metric: MonitorMetric) -> Monitor | None:
        return next((m for m in self.monitors if m.metric == metric), None)

    def digest(self) -> str:
        """SHA-256 of the declaration: changes whenever anything declared changes."""
        return hashlib.sha256(json.dumps(_plain(self), sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {"": type(value).__name__, **{f.name: _plain(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Decimal) else value


def _problems(c: Campaign) -> Iterator[str]:
    """Sentences, each about one contradiction; nothing where the declaration is sound."""
    if not NAME.fullmatch(c.name):
        yield "the name must be lower-case words joined by hyphens, as in 'term-deposit'"
    if not c.features:
        yield "no feature is declared"
    yield from _feature_problems(c)
    yield from _excluded_problems(c)
    yield from _label_problems(c)
    if c.id_column in c.feature_names:
        yield f"the id column {c.id_column!r} is also declared as a feature: an id says nothing about the customer"
    yield from _money_problems(c)
    yield from _bound_problems(c)
    yield from watch_problems(c.watch, c.feature_names)
    yield from _policy_problems(c.policy)
    yield from _calendar_problems(c)
    yield from challenge_problems(c.challenge)
    yield from zoo_problems(c.zoo)
    yield from retraining_problems(c.retraining, frozenset(f.name for f in c.numeric), frozenset(f.name for f in c.categorical))
    yield from _contact_problems(c)
    if c.recipe is not None:
        yield from _recipe_problems(c, c.recipe)


def _contact_problems(c: Campaign) -> Iterator[str]:
    yield from () if c.contact_policy is None else c.contact_policy.problems()
    yield from () if c.holdout is None else c.holdout.problems()
    if c.holdout is not None and c.label.absent_means == "negative_if_contacted":
        yield "a holdout is measured by the outcomes of customers who are not contacted, but the label's absent_means says they are unknown"


def _excluded_problems(c: Campaign) -> Iterator[str]:
    names = set(c.feature_names)
    for column, reason in c.excluded:
        if column in names:
            yield f"column {column!r} is excluded and also declared as a feature"
        if not reason.strip():
            yield f"column {column!r} is excluded without a reason"
    if len({column for column, _ in c.excluded}) != len(c.excluded):
        yield "a column is excluded twice"


def _label_problems(c: Campaign) -> Iterator[str]:
    if c.label.column in c.feature_names:
        yield f"the label column {c.label.column!r} is also declared as a feature: it would predict itself"
    if c.label.column == c.id_column:
        yield f"the label column {c.label.column!r} is also the id column"
    if c.calendar is not None and c.calendar.column == c.label.column:
        yield f"the label column {c.label.column!r} is also the calendar's column"
    if c.label.column in c.excluded_reasons:
        yield f"the label column {c.label.column!r} is also excluded: a label is never a feature"
    if c.label.positive == c.label.negative:
        yield f"the label column {c.label.column!r} has the same value for both outcomes"
    yield from c.label.rules.problems()


def _feature_problems(c: Campaign) -> Iterator[str]:
    seen: set[str] = set()
    for feature in c.features:
        if feature.name in seen:
            yield f"column {feature.name!r} is declared twice"
        seen.add(feature.name)
        if not feature.name.strip():
            yield "a feature has no name"
        if isinstance(feature, Numeric):
            if not feature.low < feature.high:
                yield f"column {feature.name!r}: low must be smaller than high"
            if not (feature.low >= -LARGEST and feature.high <= LARGEST):
                yield f"column {feature.name!r}: low and high must be numbers between -{LARGEST:g} and {LARGEST:g}"
        if isinstance(feature, Categorical):
            if len(feature.values) < 2:
                yield f"column {feature.name!r} needs at least two values"
            if len(feature.values) > MOST_VALUES:
                yield f"column {feature.name!r} declares more than {MOST_VALUES} values"
            if len({str(v) for v in feature.values}) != len(feature.values):
                yield f"column {feature.name!r} declares a value twice"


def _is_amount(value: object) -> bool:
    return isinstance(value, Decimal | int) and Decimal(value).is_finite()


def _money_problems(c: Campaign) -> Iterator[str]:
    e = c.economics
    if not (_is_amount(e.contact_cost) and _is_amount(e.conversion_value)):
        yield "contact cost and conversion value must be decimal numbers, as in Decimal('2.50')"
    elif not e.contact_cost > 0:
        yield "the contact cost must be above zero"
    elif e.contact_cost >= e.conversion_value:
        yield "the contact cost is not below the conversion value: no contact could ever pay"
    if not re.fullmatch(r"[A-Z]{3}", e.currency):
        yield "the currency must be an ISO 4217 code, as in 'EUR'"


def _bound_problems(c: Campaign) -> Iterator[str]:
    if not 0 < c.test_share < 1:
        yield "test_share must lie between 0 and 1"
    for monitor in c.monitors:
        if not 0 <= monitor.warn <= monitor.alert:
            yield f"monitor {monitor.metric!r}: warn must not be above alert, nor below 0"
    if len({m.metric for m in c.monitors}) != len(c.monitors):
        yield "a metric is monitored twice"
    for gate in c.gates:
        if gate.at_least is None and gate.at_most is None and gate.versus_champion is None:
            yield f"gate {gate.metric!r} states no bound"
    if c.leak_guard is not None and not 0 < c.leak_guard.roc_auc_above <= 1:
        yield "the leak guard's bound must be a ROC-AUC, above 0 and at most 1"
    if len(c.retrain_cron.split()) != 5:
        yield "retrain_cron must have five fields, as in '0 3 5 * *'"


def _policy_problems(policy: Policy) -> Iterator[str]:
    if policy.kind not in POLICY_VALUES:
        yield f"policy {policy.kind!r}: kinds are {', '.join(POLICY_VALUES)}"
        return
    if (POLICY_VALUES[policy.kind] is None) != (policy.value is None):
        yield f"policy {policy.kind!r}: a value belongs to every policy but profit"
    elif policy.value is not None and not value_fits(policy.kind, policy.value):
        yield f"policy {policy.kind!r}: the value must be {value_allowed(policy.kind)}"


def value_fits(kind: PolicyKind, value: float) -> bool:
    """Whether a policy of that kind can have this value."""
    top = POLICY_VALUES[kind]
    return top is not None and 0 <= value <= top and (kind != "calls" or value == int(value))


def value_allowed(kind: PolicyKind) -> str:
    """What the value of a policy may be, in words."""
    return {"budget": "an amount of money from 0", "calls": "a whole number from 0"}.get(kind, "a number from 0 to 1")


def _calendar_problems(c: Campaign) -> Iterator[str]:
    if isinstance(c.calendar, MonthsInOrder) and not MONTH.fullmatch(c.calendar.first_month):
        yield "the calendar's first_month must be written YYYY-MM"
    if isinstance(c.calendar, Dates) and c.calendar.column in c.feature_names:
        yield f"the date column {c.calendar.column!r} is also declared as a feature: a date never comes back"


def _recipe_problems(c: Campaign, recipe: Recipe) -> Iterator[str]:
    names = set(c.feature_names)
    for column in sorted(names - set(recipe.draws)):
        yield f"the recipe does not say how to draw column {column!r}"
    for column in recipe.draws:
        if column not in names:
            yield f"the recipe draws column {column!r}, which is not a feature"
    for column in recipe.excluded_draws:
        if column not in c.excluded_reasons:
            yield f"the recipe draws column {column!r} as excluded, but the campaign does not exclude it"
    for effect in recipe.effects:
        if effect.column not in names:
            yield f"the recipe gives an effect to column {effect.column!r}, which is not a feature"
        elif isinstance(effect, Lift) != isinstance(feature := c.feature(effect.column), Categorical):
            yield f"the recipe's effect of column {effect.column!r} does not fit its kind"
        elif isinstance(effect, Lift) and isinstance(feature, Categorical) and set(effect.by_value) - set(feature.values):
            yield f"the recipe gives an effect to a value that column {effect.column!r} does not declare"
    if not MONTH.fullmatch(recipe.first_month) or recipe.months < 1:
        yield "the recipe's span must be a first_month YYYY-MM and at least one month"
