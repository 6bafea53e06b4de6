"""What the replies about outcomes hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from api.openapi.parts import COUNT, FLAG, POSITION, TEXT, Json, array, nullable, open_codes, record, said
from propensity.outcome_rules import AbsentMeans, Contradictions

SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}


def _statuses() -> dict[str, Json]:
    return {
        "recorded": said("the first of their prediction within the label window: they count", COUNT),
        "duplicate": said("say what is known already", COUNT),
        "contradicting": said("say otherwise; which one counts the campaign declares", COUNT),
        "late": said("observed after the label window; kept, and do not count", COUNT),
        "corrected": said("corrections: count from now on", COUNT),
        "withdrawn": said("corrections without a label: nothing is known from now on", COUNT),
        "unmatched": said("no such prediction yet; kept, and matched once there is one", COUNT),
        "ambiguous": said("one of several predictions of the customer: name it by its id", COUNT),
    }


def outcome_counts(head: Mapping[str, Json], errors: Mapping[str, Json]) -> Json:
    """What became of posted outcomes."""
    counts = {
        "received": said("outcomes in the request", COUNT),
        "refused": said("outcomes that could not be used; errors says why", COUNT),
        **_statuses(),
    }
    result = record({"row": said("from 1", POSITION), "status": open_codes({"refused", *_statuses()})})
    results = said("what became of each row, in order", array(result))
    return record({**head, "counts": record(counts), "results": results, **errors})


def outcome_rules() -> dict[str, Json]:
    """How a campaign reads outcomes."""
    return {
        "window_days": said("an outcome counts that was observed so many days after its prediction, or sooner", COUNT),
        "absent_means": said("what a mature prediction without an outcome is taken for", open_codes(get_args(AbsentMeans))),
        "contradictions": said("which counts of two outcomes that say otherwise", open_codes(get_args(Contradictions))),
    }


def outcome_summary() -> Json:
    """How much is known."""
    day: Json = {"type": "string", "format": "date"}
    of_cohorts = {name: schema for name, schema in _statuses().items() if name not in ("unmatched", "ambiguous")}
    cohort = {
        "day": said("of the predictions, UTC", day),
        "mature": said("whether the label window of all of them is over", FLAG),
        "predicted": COUNT,
        "labelled": said("those with a label that was told and counts", COUNT),
        "positive": said("those of them with a positive label", COUNT),
        "counts": record(of_cohorts, description="outcomes of these predictions by what became of them"),
    }
    known = {"predicted": COUNT, "labelled": COUNT}
    return record(
        {
            "campaign": TEXT,
            "since": day,
            "until": said("the last day", day),
            "rules": record(outcome_rules()),
            "mature_before": said("the first day whose cohort is not mature yet", day),
            "counts": record(_statuses(), description="of all days of arrival"),
            "mature": record({**known, "coverage": said("labelled of predicted; null where nothing is mature", nullable(SHARE))}),
            "not_yet_mature": record(known),
            "cohorts": array(record(cohort)),
            "arrivals": said(
                "one that waited and was matched since counts as what it became", array(record({"day": day, "counts": record(_statuses())}))
            ),
        }
    )
