"""The figures of a campaign report, as plain data. A figure that nothing is known of is None: "no data" is a state of its own.

Counts are of predictions: a customer who stood in two lists counts twice, as in the log. Shares and rates are 0 to 1; money is decimal, in
the campaign's currency, rounded to hundredths.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from propensity.report.left_alone import Holdout, LeftOut


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What the report is about.

    Attributes
    ----------
    since, until : datetime
        Predictions received in [since, until).
    mature_until : datetime
        Outcomes count for predictions received before this moment alone: the label window of the others is still open.
    """

    campaign: str
    title: str
    question: str
    meaning: str
    since: datetime
    until: datetime
    made_at: datetime
    mature_until: datetime
    window_days: int
    absent_means: str
    contact_cost: Decimal
    conversion_value: Decimal
    currency: str

    @property
    def break_even(self) -> float:
        """The score from which a contact pays."""
        return float(self.contact_cost / self.conversion_value)


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What was asked and decided.

    Attributes
    ----------
    lists : int
        Files and lists, each one however many requests it took; ``requests`` counts those and every request to the service.
    received, refused, predictions : int
        Rows that came, those that could not be used, and those with an answer: the first is the sum of the others.
    expected_conversions, expected_profit :
        Of the contacts: the sum of their scores, and the sum of score x value - cost.
    own_money : int
        Predictions whose value or cost came with the list; the campaign's own counts for all others.
    """

    requests: int
    lists: int
    received: int
    refused: int
    predictions: int
    contacts: int
    expected_conversions: float
    expected_profit: Decimal
    own_money: int


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of outcomes.

    Attributes
    ----------
    mature, mature_contacts : int
        Predictions whose label window is over.
    known, known_contacts : int
        Those of them whose label is known; ``told`` were told, the others read from absence as the campaign declares.
    young, young_told : int
        Predictions whose label window is still open, and those with an outcome all the same. They count nowhere else.
    conversions, contact_conversions : int
        Positive labels among the known, and among the known contacts.
    expected_profit, profit : Decimal or None
        Of the known contacts: what was expected of these very customers, and what they brought. None where none is known.
    contacts_only : bool
        Some were not contacted, and of none of those a label is known: everything here describes contacted customers alone.
    """

    mature: int
    mature_contacts: int
    known: int
    told: int
    known_contacts: int
    young: int
    young_told: int
    conversions: int
    contact_conversions: int
    expected_conversions: float
    expected_profit: Decimal | None
    profit: Decimal | None
    contacts_only: bool

    @property
    def coverage(self) -> float | None:
        """Share of the mature predictions whose label is known."""
        return self.known / self.mature if self.mature else None

    @property
    def contact_coverage(self) -> float | None:
        """The same of the mature contacts."""
        return self.known_contacts / self.mature_contacts if self.mature_contacts else None

    @property
    def rate(self) -> float | None:
        """Share of positive labels among the known."""
        return self.conversions / self.known if self.known else None


@dataclass(frozen=True, kw_only=True)
class Decile:
    """About a tenth of all predictions, best first. Scores closer than `propensity.report.sums.STEP` are never separated, so that ties
    make tenths uneven, or fewer.

    Attributes
    ----------
    low, high : float
        Scores from ``low`` to below ``high``; the first tenth holds 1, too.
    expected_profit : Decimal
        If all of them were contacted.
    rate, lift : float or None
        Share of positive labels among the known, and that over the share among all known.
    captured : float or None
        Share of all known positive labels in this tenth and the better ones.
    profit : Decimal or None
        What contacting all of its known customers would have brought.
    """

    number: int
    low: float
    high: float
    predictions: int
    mean_score: float
    contacts: int
    expected_profit: Decimal
    known: int
    conversions: int | None
    rate: float | None
    lift: float | None
    captured: float | None
    profit: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Point:
    """The best customers down to some score: how many, and what they hold.

    Attributes
    ----------
    customers : int
    share : float
        Of all customers of the curve.
    captured : float
        Share of all conversions, expected or real.
    lift : float
        ``captured`` over ``share``.
    profit : Decimal
        Of contacting exactly these.
    """

    customers: int
    share: float
    captured: float
    lift: float
    profit: Decimal


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What contacting more and more customers brings, best first.

    Attributes
    ----------
    expected : tuple of Point
        Over all predictions, by their scores.
    claimed, real : tuple of Point
        Over the predictions whose label is known: as the scores expected it, and as it came. Empty where no label is known.
    best : Point
        Where the expected profit is highest.
    """

    expected: tuple[Point, ...]
    claimed: tuple[Point, ...]
    real: tuple[Point, ...]
    best: Point | None


@dataclass(frozen=True, kw_only=True)
class ScoreGroup:
    """Known predictions of similar score: what was expected, and what came, with its 95 % interval."""

    known: int
    conversions: int
    mean_score: float
    rate: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Whether scores mean what they say. ``gap``: the mean distance between expected and observed rate, weighted by customers."""

    groups: tuple[ScoreGroup, ...]
    gap: float


@dataclass(frozen=True, kw_only=True)
class Used:
    """How often a policy or a model decided."""

    name: str
    requests: int
    predictions: int
    contacts: int
    expected_profit: Decimal


@dataclass(frozen=True, kw_only=True)
class Group:
    """Customers who have one thing in common.

    Attributes
    ----------
    contact_low, contact_high : float
        95 % interval of ``contact_rate``.
    known_score, conversions, rate : float, int, float, or None
        Of the known: mean score, positive labels and their share; None where fewer are known than may be told.
    found : float or None
        Of those known to have converted, the share that was to be contacted.
    small : bool
        Everybody whose own group is too small to be told.
    """

    label: str
    predictions: int
    contacts: int
    contact_rate: float
    contact_low: float
    contact_high: float
    mean_score: float
    expected_profit: Decimal
    known: int
    known_score: float | None
    conversions: int | None
    rate: float | None
    found: float | None
    small: bool = False


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The groups of one feature.

    Attributes
    ----------
    contact_ratio, found_ratio : float or None
        Of protected features: the lowest contact rate over the highest, and likewise of those who converted.
    least, most : str
        The groups with these contact rates.
    """

    feature: str
    title: str
    protected: bool
    groups: tuple[Group, ...]
    least: str
    most: str
    contact_ratio: float | None
    found_ratio: float | None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one value, or one range of values, does: ``effect`` is the mean contribution in log-odds, above 0 raises the score."""

    label: str
    rows: int
    effect: float


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One feature.

    Attributes
    ----------
    strength : float
        The mean absolute contribution in log-odds.
    spread : float
        The mean distance of a contribution from their mean: what sets customers apart, where ``strength`` also holds what moves all alike.
    alike : bool
        It moves nearly all scores alike, and hardly sets customers apart.
    says : str
        Its direction in words.
    note : str
        What the declaration adds to the feature's name.
    """

    feature: str
    title: str
    note: str
    strength: float
    spread: float
    alike: bool
    says: str
    effects: tuple[Effect, ...]


@dataclass(frozen=True, kw_only=True)
class Drivers:
    """What moves the scores, by the model that scored most. ``problem``: why nothing can be told; empty where it can."""

    model: str
    sample: int
    predictions: int
    drivers: tuple[Driver, ...]
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A campaign report.

    Attributes
    ----------
    deciles : tuple of Decile
        Empty where nothing was predicted.
    curves, reliability :
        None where nothing was predicted, or no label is known.
    left_out : LeftOut or None
        None where nothing is declared for which anybody would be left out.
    holdout : Holdout or None
        None where the campaign declares none.
    """

    scope: Scope
    decided: Decided
    known: Known
    deciles: tuple[Decile, ...]
    curves: Curves | None
    reliability: Reliability | None
    policies: tuple[Used, ...]
    models: tuple[Used, ...]
    segments: tuple[Segment, ...]
    drivers: Drivers
    left_out: LeftOut | None
    holdout: Holdout | None
