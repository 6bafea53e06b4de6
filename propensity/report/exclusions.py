"""Why customers are left alone, in words, from counts by reason."""

from __future__ import annotations

from collections.abc import Mapping

from propensity.report.left_alone import Exclusion, LeftOut

# Reasons in the order in which they are told; another code is told as it is.
SAYS = {
    "do_not_contact": "asked not to be contacted",
    "objection": "objected to the use of their data",
    "complaint": "has an open complaint",
    "deceased": "has died",
    "legal": "must not be contacted for a legal reason",
    "cooling_off": "was contacted by this campaign too recently",
    "frequency_cap": "was contacted by all campaigns as often as is allowed",
}


def left_out(excluded: Mapping[str, int], at_export: Mapping[str, int], held_out: int) -> LeftOut:
    """From counts by reason code, when decided and at export, and the size of the control group."""
    return LeftOut(excluded=exclusions(excluded), at_export=exclusions(at_export), held_out=held_out)


def exclusions(counts: Mapping[str, int]) -> tuple[Exclusion, ...]:
    """Reasons with at least one customer."""
    codes = [*(code for code in SAYS if code in counts), *sorted(set(counts) - SAYS.keys())]
    return tuple(
        Exclusion(code=code, says=SAYS.get(code, code.replace("_", " ")), customers=counts[code]) for code in codes if counts[code]
    )
