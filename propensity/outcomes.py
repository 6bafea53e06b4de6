"""What an outcome is, and what becomes of it.

==================  =================================================================================================================
``recorded``        the first one of its prediction within the label window: it counts
``duplicate``       says what is known already, or what this outcome said before: nothing changes
``contradicting``   says otherwise; which one counts the campaign declares, both are kept
``late``            observed after the label window: kept, does not count
``corrected``       a correction: counts from now on, whatever came before and whenever it was observed
``withdrawn``       a correction without a label: nothing is known of this prediction until the next correction
``unmatched``       there is no such prediction, or no prediction of this customer before that time: waits for one
``ambiguous``       the customer stands more than once in the newest list before that time: waits to be told by prediction id
==================  =================================================================================================================

Nothing is ever changed or removed: each outcome that came is a row of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from propensity.campaign import Campaign, Label
from propensity.errors import NotFound, RowIssue
from propensity.outcome_rules import OutcomeRules
from propensity.ports import Outcome, Recorded
from propensity.prediction_id import parse_prediction_id
from propensity.schema import ID_LENGTH

RECORDED, DUPLICATE, CONTRADICTING, LATE = "recorded", "duplicate", "contradicting", "late"
CORRECTED, WITHDRAWN, UNMATCHED, AMBIGUOUS = "corrected", "withdrawn", "unmatched", "ambiguous"
STATUSES = (RECORDED, DUPLICATE, CONTRADICTING, LATE, CORRECTED, WITHDRAWN, UNMATCHED, AMBIGUOUS)
WAITING = (UNMATCHED, AMBIGUOUS)
FIELDS = frozenset({"prediction_id", "customer_id", "label", "observed_at", "contacted_at", "correction"})
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
# Clocks differ; an outcome observed later than tomorrow was not observed.
CLOCK_SKEW = timedelta(days=1)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LAST_MOMENT = time(23, 59, 59, 999_999, tzinfo=UTC)
_PRINTABLE_SURROGATE_FREE = re.compile(r"[^\ud800-\udfff]+")
_FLAGS = {"true": True, "false": False}


@dataclass
class History:
    """What was told of one prediction so far.

    Attributes
    ----------
    counted : bool
        Whether something counts; ``label`` is then what, None where it was withdrawn.
    at : datetime or None
        When that was observed, or came where nobody said.
    settled : bool
        A correction counts: nothing but another one can change that.
    said : set of (label, time, correction)
        Everything that was told, to know again what is told twice.
    """

    counted: bool = False
    label: bool | None = None
    at: datetime | None = None
    settled: bool = False
    said: set[tuple[bool | None, datetime | None, bool]] = field(default_factory=set)

    def add(self, label: bool | None, observed_at: datetime | None, at: datetime, status: str, counts: bool) -> None:
        """Take in an outcome that was judged."""
        correction = status in (CORRECTED, WITHDRAWN)
        self.said.add((label, observed_at, correction))
        if counts:
            self.counted, self.label, self.at, self.settled = True, label, at, correction


def judge(outcome: Outcome, history: History, predicted_at: datetime, at: datetime, rules: OutcomeRules) -> tuple[str, bool]:
    """The status of an outcome whose prediction is known, and whether it is what counts from now on.

    Parameters
    ----------
    at : datetime
        When it was observed, or came where nobody said.
    """
    said = (outcome.label, outcome.observed_at, outcome.correction and history.counted)
    if history.counted and outcome.label is history.label:
        return DUPLICATE, False
    if outcome.correction and history.counted:
        # Without a time a correction back and forth cannot be told from a repetition, and is taken at its word.
        if outcome.observed_at is not None and said in history.said:
            return DUPLICATE, False
        return (WITHDRAWN if outcome.label is None else CORRECTED), True
    if outcome.label is None or said in history.said:
        return DUPLICATE, False
    if rules.is_late(predicted_at, at):
        return LATE, False
    if not history.counted:
        return RECORDED, True
    return CONTRADICTING, not history.settled and _replaces(outcome.label, at, history, rules)


def _replaces(label: bool, at: datetime, history: History, rules: OutcomeRules) -> bool:
    if rules.contradictions == "last":
        return history.at is not None and at > history.at
    return rules.contradictions == "positive" and label


def counted(statuses: Iterable[str]) -> dict[str, int]:
    """How many of each status there is, each one among them."""
    found = dict.fromkeys(STATUSES, 0)
    for status in statuses:
        found[status] += 1
    return found


def recorded(statuses: list[str]) -> Recorded:
    """Counts and statuses of some outcomes."""
    return Recorded(counted(statuses), tuple(statuses))


class Wrong(Exception):
    """One thing wrong with one outcome: column, code, message."""

    def issue(self, row: int) -> RowIssue:
        """As an issue of a row."""
        column, code, message = self.args
        return RowIssue(row, column, code, message)


@dataclass(frozen=True)
class Form:
    """How a campaign's outcomes are written.

    Attributes
    ----------
    names : mapping
        Other names of fields: the campaign's own of the customer's id and of the label.
    latest : datetime
        No time may be later.
    """

    label: Label
    names: Mapping[str, str]
    latest: datetime

    @property
    def known(self) -> frozenset[str]:
        """Every name that a field may have."""
        return FIELDS | self.names.keys()


def form(campaign: Campaign, now: datetime) -> Form:
    """How the campaign's outcomes are written at that moment."""
    return Form(campaign.label, other_names(campaign), now + CLOCK_SKEW)


def other_names(campaign: Campaign) -> dict[str, str]:
    """What the campaign's own data call the customer's id and the label, and the fields that these are."""
    names = {campaign.label.column: "label", campaign.id_column or "id": "customer_id"}
    return {name: to for name, to in names.items() if name not in FIELDS}


def read_outcome(row: Mapping[str, Any], how: Form) -> Outcome:
    """One outcome from a JSON object or a row of a file, whose empty cells count as not sent. Raises Wrong."""
    given = _given(row, how)
    if ("prediction_id" in given) == ("customer_id" in given):
        raise Wrong(None, "missing", "an outcome names either a prediction_id or a customer_id, not both")
    correction = _flag(given.get("correction", False))
    label = None if correction and "label" not in given else _label(given.get("label"), how.label)
    observed_at, contacted_at = (
        _time(given[name], name, how.latest) if name in given else None for name in ("observed_at", "contacted_at")
    )
    if observed_at is not None and contacted_at is not None and observed_at < contacted_at:
        raise Wrong("observed_at", "out_of_range", "must not be before contacted_at")
    if "prediction_id" in given:
        return Outcome(label, observed_at, _prediction(given["prediction_id"]), None, contacted_at, correction)
    return Outcome(label, observed_at, None, _customer(given["customer_id"]), contacted_at, correction)


def _given(row: Mapping[str, Any], how: Form) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in row.items():
        if value is not None and value != "":
            known = how.names.get(name, name)
            if known not in FIELDS or known in given:
                raise Wrong(None, "unexpected_column", f"an outcome holds {', '.join(sorted(FIELDS))}, each once, and nothing else")
            given[known] = value
    return given


def _flag(value: object) -> bool:
    found = _FLAGS.get(value) if isinstance(value, str) else value
    if isinstance(found, bool):
        return found
    raise Wrong("correction", "not_a_flag", "must be true or false")


def _label(value: object, label: Label) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value == label.positive:
            return True
        if value == label.negative:
            return False
        if value in _FLAGS:
            return _FLAGS[value]
    code = "missing" if value is None else "unknown_category"
    raise Wrong("label", code, f"must be true, false, {label.positive!r} or {label.negative!r}")


def _prediction(value: object) -> str:
    try:
        parse_prediction_id(value if isinstance(value, str) else "")
    except NotFound as exc:
        raise Wrong("prediction_id", "bad_id", "must be a prediction id as a reply showed it") from exc
    return str(value)


def _customer(value: object) -> str:
    name = str(value) if type(value) in (int, float, str) else ""
    if not 0 < len(name) <= ID_LENGTH or not name.isprintable() or _PRINTABLE_SURROGATE_FREE.fullmatch(name) is None:
        raise Wrong("customer_id", "bad_id", f"must be a text or number of 1 to {ID_LENGTH} printable characters")
    return name


def _time(value: object, name: str, latest: datetime) -> datetime:
    """A time; a day alone means its end, in UTC."""
    try:
        moment = _moment(value)
    except (ValueError, OverflowError) as exc:
        raise Wrong(name, "not_a_time", "is not a time that exists") from exc
    if moment is None:
        raise Wrong(name, "not_a_time", "must be a day, as in 2026-01-31, or a time with its offset, as in 2026-01-31T09:30:00Z")
    if not EARLIEST <= moment <= latest:
        raise Wrong(name, "out_of_range", f"must lie between {EARLIEST.year} and now")
    return moment


def _moment(value: object) -> datetime | None:
    if isinstance(value, str):
        if _RFC3339.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        return datetime.combine(date.fromisoformat(value), _LAST_MOMENT) if _DATE.fullmatch(value) else None
    if isinstance(value, datetime):
        return None if value.tzinfo is None else value.astimezone(UTC)
    return datetime.combine(value, _LAST_MOMENT) if isinstance(value, date) else None
