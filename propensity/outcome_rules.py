"""How a campaign reads outcomes: until when one counts, which of two counts, what none means. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

AbsentMeans = Literal["unknown", "negative", "negative_if_contacted"]
Contradictions = Literal["first", "last", "positive"]
LONGEST_WINDOW_DAYS = 3_650
# A customer's prediction is looked for so many label windows back.
WINDOWS_BACK = 2


@dataclass(frozen=True, slots=True)
class OutcomeRules:
    """When an outcome counts. The window begins with the prediction, the one moment that is known of every customer, called or not.

    Attributes
    ----------
    window_days : int
        An outcome counts if it was observed so many days after the prediction or sooner; later ones are kept and do not count. A cohort,
        the predictions of one day (UTC), is mature once the window of its last prediction is over.
    absent_means : str
        What a mature prediction without an outcome is taken for: ``unknown`` (left out, and told as missing coverage), ``negative``, or
        ``negative_if_contacted`` (negative where the decision was to contact, unknown for everybody else).
    contradictions : str
        Which counts of two outcomes that say otherwise: the ``first`` that came, the ``last`` that was observed, or the ``positive`` one.
    """

    window_days: int = 30
    absent_means: AbsentMeans = "unknown"
    contradictions: Contradictions = "first"

    @property
    def window(self) -> timedelta:
        """The label window."""
        return timedelta(days=self.window_days)

    def is_late(self, predicted_at: datetime, observed_at: datetime) -> bool:
        """Whether an outcome was observed after the window of its prediction."""
        return observed_at > predicted_at + self.window

    def mature_until(self, now: datetime) -> datetime:
        """The midnight (UTC) before which every prediction is mature at that moment."""
        return (now.astimezone(UTC) - self.window).replace(hour=0, minute=0, second=0, microsecond=0)

    def problems(self) -> Iterator[str]:
        """Sentences about what is declared wrongly."""
        if not 1 <= self.window_days <= LONGEST_WINDOW_DAYS:
            yield f"the label's window_days must lie between 1 and {LONGEST_WINDOW_DAYS:,}"
        if self.absent_means not in get_args(AbsentMeans):
            yield f"the label's absent_means must be one of {', '.join(get_args(AbsentMeans))}"
        if self.contradictions not in get_args(Contradictions):
            yield f"the label's contradictions must be one of {', '.join(get_args(Contradictions))}"
