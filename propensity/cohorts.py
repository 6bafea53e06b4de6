"""Cohorts of predictions, mature or not: how much of what was predicted is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from propensity.ports import Cohort

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Coverage:
    """Predictions of mature cohorts, and those of them with a label that was told; predictions that are too young, and likewise."""

    predicted: int
    labelled: int
    young: int
    young_labelled: int

    @property
    def share(self) -> float | None:
        """Labelled of predicted, in mature cohorts; None where there is none."""
        return self.labelled / self.predicted if self.predicted else None


def coverage(cohorts: Iterable[Cohort], mature_until: datetime) -> Coverage:
    """What is known of some cohorts, of which those before ``mature_until`` (a midnight, UTC) are mature."""
    sums = {True: [0, 0], False: [0, 0]}
    for cohort in cohorts:
        of_kind = sums[cohort.day < mature_until.date()]
        of_kind[0] += cohort.predicted
        of_kind[1] += cohort.labelled
    return Coverage(*sums[True], *sums[False])
