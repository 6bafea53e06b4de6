"""One policy walks the history: each morning what is known is learned from, then the day's customers are scored and decided.

Everything that learns, judges, recalibrates, scores or decides is a function of the platform that its flows call as well; here are only
the calendar and the books.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign
from propensity.contact_days import ContactDay, known_days
from propensity.decision import decide
from propensity.drift import compare as compare_drift
from propensity.relearning import Following, challenge, evidence, joined, learning, level_of, package, recalibrate
from propensity.retraining import Evidence, Retraining, Trigger, measured_delay, triggers

FloatArray = npt.NDArray[np.float64]
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Setting:
    """How one policy of the platform runs.

    Attributes
    ----------
    retraining : Retraining or None
        None: the first model stays for ever.
    recalibrated : bool
        The level follows the outcomes day by day between trainings.
    explored_share : float or None
        Learn only from those that were contacted, and contact this share of the others as well, drawn at random. None: every outcome
        is observed, whomever the policy would have called.
    """

    name: str
    delay_days: int
    retraining: Retraining | None
    recalibrated: bool = True
    explored_share: float | None = None
    seed: int = 0


@dataclass
class Books:
    """What one walk did, in the order of the rows from the first day on."""

    scores: FloatArray
    contact: npt.NDArray[np.bool_]
    retrains: list[tuple[date, str]] = field(default_factory=list)
    refused: list[tuple[date, str]] = field(default_factory=list)
    recalibrations: int = 0
    explored: int = 0


class Walk:
    """The state of one policy on its way through the days."""

    def __init__(self, campaign: Campaign, days: Sequence[ContactDay], first: int, setting: Setting, source: str) -> None:
        self._campaign, self._setting, self._first, self._source = campaign, setting, first, source
        self._selective = setting.explored_share is not None
        # What is observed afterwards stands in days of its own: before the first day everything, from then on what the policy contacted.
        self._days = (
            [*days[:first], *(replace(day, known=np.zeros(len(day), dtype=bool)) for day in days[first:])]
            if self._selective
            else list(days)
        )
        self._truth = days
        self._steps = campaign.retraining.steps(measured_delay([max(setting.delay_days, 1)] * sum(map(len, days[:first]))))
        self._learned = learning(campaign, self._days, self._steps)
        self._scores: dict[int, FloatArray] = {}
        self._rng = np.random.default_rng(setting.seed)
        self._promised = float("nan")
        self._tried = 0
        known = self._known(first)
        self._put_live(known, self._days[first - 1].traffic[-1])
        self.books = Books(np.empty(0), np.empty(0, dtype=bool))

    def run(self, progress: Progress = lambda _: None) -> Books:
        contact = []
        for at in range(self._first, len(self._truth)):
            self._morning(at)
            scores = self._score(at)
            decided = decide(scores, self._campaign.policy, self._campaign.economics).contact
            if self._selective:
                decided = self._explore(at, decided)
            self._scores[at] = scores
            contact.append(decided)
            progress(at)
        self.books.scores = np.concatenate([self._scores[at] for at in range(self._first, len(self._truth))])
        self.books.contact = np.concatenate(contact)
        return self.books

    def _known(self, at: int) -> int:
        return known_days(self._days, self._truth[at].date, self._setting.delay_days)

    def _put_live(self, known: int, traffic: float) -> None:
        """Train on what is known, and serve it."""
        state = self._learned.until(known)
        self._model = package(self._campaign, self._days, known, state, self._steps, self._source, float(traffic))
        self._trained = self._tried = known
        self._level: Following = level_of(self._model, self._days, self._steps, state, known)

    def _morning(self, at: int) -> None:
        declared, known = self._setting.retraining, self._known(at)
        if declared is None or known <= self._tried:
            return
        fired = [trigger for trigger in triggers(declared, self._evidence(declared, known)) if trigger.fired]
        if fired:
            self._retrain(at, known, fired)

    def _retrain(self, at: int, known: int, fired: Sequence[Trigger]) -> None:
        self._tried = known
        today, reason = self._truth[at].date, "; ".join(trigger.reason for trigger in fired)
        judged = challenge(
            self._campaign,
            self._learned,
            self._days,
            self._served,
            trained=self._trained,
            known=known,
            delay_days=self._setting.delay_days,
            steps=self._steps,
        )
        if judged is None or not judged.judgement.promote:
            why = (
                "too few outcomes to judge" if judged is None else "; ".join(r for r in judged.judgement.reasons if r.startswith("failed"))
            )
            self.books.refused.append((today, f"{reason}: {why}"))
            return
        self._put_live(known, self._truth[at - 1].traffic[-1])
        self._promised = judged.challenger["roc_auc"]
        self.books.retrains.append((today, reason))

    def _served(self, at: int) -> FloatArray:
        """The scores given on a day; of a day before the first one, those of the first model."""
        return self._scores[at] if at in self._scores else self._model.score(self._days[at].table)

    def _evidence(self, declared: Retraining, known: int) -> Evidence:
        fresh = range(self._trained, known)
        asked = declared.drift_share is not None and sum(len(self._days[at]) for at in fresh) >= declared.min_labels
        return evidence(
            declared,
            self._days,
            self._served,
            trained=self._trained,
            known=known,
            promised=self._promised,
            drifted_share=self._drifted(fresh) if asked else float("nan"),
        )

    def _drifted(self, fresh: range) -> float:
        """Share of the columns that the drift monitor calls drifted: the days since the training against those before."""
        window = joined(self._campaign, [self._days[at].table for at in fresh])
        before = joined(self._campaign, [day.table for day in self._days[max(0, self._trained - 60) : self._trained]])
        scores = (self._model.score(before), self._model.score(window))
        return compare_drift(self._campaign, before, window, *scores).drifted_share

    def _score(self, at: int) -> FloatArray:
        """The day's scores, by the package of each row's moment: one in the morning, and one whenever the traffic outgrows it."""
        day = self._truth[at]
        if not self._setting.recalibrated:
            return self._model.score(day.table)
        known = self._known(at)
        state = self._level.until(max(known, self._trained))
        scores = np.empty(len(day))
        for traffic in np.unique(day.traffic).tolist():
            rows = day.traffic == traffic
            self._model = recalibrate(self._model, self._days, known, state, traffic)
            self.books.recalibrations += 1
            scores[rows] = self._model.score(day.table if rows.all() else day.table.take(rows))
        return scores

    def _explore(self, at: int, decided: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Contact a share of the others as well, and observe nobody else."""
        drawn = ~decided & (self._rng.random(len(decided)) < (self._setting.explored_share or 0.0))
        self.books.explored += int(drawn.sum())
        contact = decided | drawn
        self._days[at] = replace(self._truth[at], known=contact)
        return contact
