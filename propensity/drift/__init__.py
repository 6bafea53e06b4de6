"""Whether the rows of a window still look like those that a model learned from.

``bins`` counts rows, ``counted`` holds both sides as counts, ``bands`` gives the numbers that people know (PSI, KS) with their fixed bands,
``chance`` says how often chance alone gives such a difference, ``alarms`` decides whether somebody is called.
"""

from propensity.drift.bands import (
    DRIFT,
    NO_DATA,
    STABLE,
    VERDICTS,
    WARNING,
    Drift,
    Psi,
    compare,
    judged,
    missing_share,
    psi,
    psi_column,
    psi_numeric,
    run_verdict,
    worst,
)

__all__ = [
    "DRIFT",
    "NO_DATA",
    "STABLE",
    "VERDICTS",
    "WARNING",
    "Drift",
    "Psi",
    "compare",
    "judged",
    "missing_share",
    "psi",
    "psi_column",
    "psi_numeric",
    "run_verdict",
    "worst",
]
