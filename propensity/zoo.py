"""Which models a campaign tries against each other. Standard library only: part of the declaration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

LOGISTIC, FOREST, XGBOOST, LIGHTGBM, NEURAL, AVERAGE = "logistic", "random-forest", "xgboost", "lightgbm", "neural", "average"
FAMILIES = (LOGISTIC, FOREST, XGBOOST, LIGHTGBM, NEURAL, AVERAGE)
# What is done to the training rows, and to no others, because one label is rare.
TREATMENTS = ("weights", "smote", "tomek", "smote-tomek")
TREATED = (LOGISTIC, FOREST, XGBOOST, LIGHTGBM)
SEARCHED = (LOGISTIC, FOREST, XGBOOST, LIGHTGBM)
QUICK = (XGBOOST, LOGISTIC, AVERAGE)
FULL = (*QUICK, LIGHTGBM, FOREST, NEURAL, *(f"{XGBOOST}+{treatment}" for treatment in TREATMENTS))
SETS = {"quick": QUICK, "full": FULL}
MOST_TRIALS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Zoo:
    """The candidates of a training run.

    Attributes
    ----------
    candidates : tuple of str
        Families (`FAMILIES`), each alone or with a treatment of the rarer label, as in ``xgboost+smote``. Of equals the first one wins.
    search_trials : int
        How many settings a search tries for each candidate that has some (`SEARCHED`); 0: the settings of `propensity.training`.
    """

    candidates: tuple[str, ...] = QUICK
    search_trials: int = 0


QUICK_ZOO = Zoo()


def split_name(candidate: str) -> tuple[str, str]:
    """Family and treatment of a candidate; the treatment is empty where there is none."""
    family, _, treatment = candidate.partition("+")
    return family, treatment


def zoo_problems(zoo: Zoo) -> Iterator[str]:
    """Sentences, each about one contradiction; nothing where the declaration is sound."""
    if not zoo.candidates:
        yield "the zoo has no candidate: nothing could be trained"
    if len(set(zoo.candidates)) != len(zoo.candidates):
        yield "the zoo names a candidate twice"
    for candidate in zoo.candidates:
        yield from _candidate_problems(candidate)
    if zoo.candidates and all(candidate == NEURAL for candidate in zoo.candidates):
        yield f"the zoo has only {NEURAL!r}, which cannot be served: name another candidate beside it"
    if not 0 <= zoo.search_trials <= MOST_TRIALS:
        yield f"search_trials must be a whole number from 0 to {MOST_TRIALS}"


def _candidate_problems(candidate: str) -> Iterator[str]:
    family, treatment = split_name(candidate)
    if family not in FAMILIES:
        yield f"the zoo's candidate {candidate!r} is of no family: {', '.join(FAMILIES)}"
    elif "+" in candidate and treatment not in TREATMENTS:
        yield f"the zoo's candidate {candidate!r} has no treatment: {', '.join(TREATMENTS)}"
    elif treatment and family not in TREATED:
        yield f"the zoo's candidate {candidate!r}: only {', '.join(TREATED)} can be treated"
