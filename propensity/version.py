"""Which code this is: the package version and a digest of the source that decides scores."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

VERSION = "0.1.0"
# Only what can change a score; a new web route must not make a new model version.
_SCORING_SOURCES = (
    "schema.py",
    "features.py",
    "training.py",
    "calibration.py",
    "splitting.py",
    "linear.py",
    "manifest.py",
    "model.py",
    "campaign.py",
    "engine.py",
    "trees.py",
    "contest.py",
    "comparison.py",
    "calibrators.py",
    "search.py",
    "families/boosted.py",
    "families/lightgbm_trees.py",
    "families/logistic.py",
    "families/treatments.py",
)


@cache
def code_version() -> str:
    """Version and source digest, as in ``0.1.0+3f2a9c01d4e5``: the same source gives the same text on every machine."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for name in _SCORING_SOURCES:
        digest.update(name.encode() + b"\0" + (folder / name).read_bytes() + b"\0")
    return f"{VERSION}+{digest.hexdigest()[:12]}"
