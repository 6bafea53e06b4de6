"""A program for a test: the ingest flow, its work made to fail twice with a store error, or always with a data error."""

from __future__ import annotations

import sys
from typing import Any

from propensity import errors, retry

retry.DELAYS_S = (0.0, 0.0, 0.0)

from flows import ingest  # noqa: E402 (its task reads the delays when it is declared)

attempts: list[int] = []


def fails(*_: object) -> dict[str, Any]:
    attempts.append(1)
    if len(attempts) < 3 or sys.argv[1] == "DataError":
        raise getattr(errors, sys.argv[1])("made to fail")
    return {"snapshot_id": "s-0", "rows": 1, "created": True}


if __name__ == "__main__":
    vars(ingest).update(platform=lambda: None, ingest_into=fails)
    try:
        ingest.ingest("term-deposit")
    except errors.PropensityError as exc:
        print(type(exc).__name__, end=" ")
    print(len(attempts))
