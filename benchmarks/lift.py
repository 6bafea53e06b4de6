"""``python -m benchmarks.lift [--times N]``: how often the interval of the measured lift holds the truth, and plans keep their word.

Campaigns are simulated: customers are drawn into the arms, some times by the keyed hash itself with a fresh secret, and convert by chance.
For each cell the share of intervals that hold the true difference, of Miettinen and Nurminen's and, for comparison, of Wald's. The
figure that is promised (94 to 96 %) is of cells where the smaller arm has at least ten conversions to expect; the others are told beside.
Writes ``build/reports/lift.json``.
"""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity import lift
from propensity.holdout import draws

REPORT = Path(__file__).parent.parent / "build" / "reports" / "lift.json"
CUSTOMERS = (1_000, 5_000, 20_000)
SHARES = (0.05, 0.1, 0.2, 0.5)
BASE_RATES = (0.01, 0.03, 0.1, 0.3)
GAINS = (0.0, 0.2, 0.6)
EXPECTED = 10
PROMISED = (0.94, 0.96)
Floats = npt.NDArray[np.float64]


def arm_sizes(times: int, customers: int, share: float, rng: np.random.Generator, hashed: int) -> Floats:
    """Customers in the control group of many campaigns; those of the first few are counted with the keyed hash, the others drawn."""
    drawn = rng.binomial(customers, share, times).astype(np.float64)
    for at in range(hashed):
        names = (f"c{at}" for at in range(customers))
        drawn[at] = sum(number < share for number in draws(secrets.token_bytes(32), "campaign", names))
    return np.clip(drawn, 1, customers - 1)


def cell(times: int, customers: int, share: float, base: float, gain: float, rng: np.random.Generator, hashed: int = 0) -> dict[str, Any]:
    """One cell of the table."""
    held = arm_sizes(times, customers, share, rng, hashed)
    contacted, truth = customers - held, base * gain
    hits = rng.binomial(contacted.astype(np.int64), base + truth).astype(np.float64)
    other = rng.binomial(held.astype(np.int64), base).astype(np.float64)
    low, high = lift.intervals(hits, contacted, other, held)
    wald = 1.96 * np.sqrt(hits / contacted * (1 - hits / contacted) / contacted + other / held * (1 - other / held) / held)
    away = np.abs(hits / contacted - other / held - truth)
    return {
        "customers": customers,
        "share": share,
        "base_rate": base,
        "lift": truth,
        "expected_conversions_in_the_smaller_arm": customers * min(share * base, (1 - share) * (base + truth)),
        "coverage": float(((low <= truth) & (truth <= high)).mean()),
        "wald": float((away <= wald).mean()),
        "seen": float((low > 0).mean()),
    }


def simulate(times: int, seed: int = 1, *, customers: Sequence[int] = CUSTOMERS, hashed: int = 5) -> dict[str, Any]:
    """Every cell, and plans tried."""
    rng = np.random.default_rng(seed)
    cells = [cell(times, *at, rng, hashed) for at in product(customers, SHARES, BASE_RATES, GAINS)]
    large = [one for one in cells if one["expected_conversions_in_the_smaller_arm"] >= EXPECTED]
    inside = [one for one in large if PROMISED[0] <= one["coverage"] <= PROMISED[1]]
    plans = []
    for share, base, gain in product((0.1, 0.3), (0.03, 0.1), (0.2, 0.5)):
        planned = lift.plan(base, base * gain, share)
        tried = cell(times, planned.customers, share, base, gain, rng)
        plans.append({"share": share, "base_rate": base, "lift": base * gain, "customers": planned.customers, "power": tried["seen"]})
    return {
        "times": times,
        "cells": cells,
        "cells_promised": len(large),
        "cells_inside": len(inside),
        "coverage": {
            "mean": float(np.mean([one["coverage"] for one in large])),
            "lowest": min(one["coverage"] for one in large),
            "highest": max(one["coverage"] for one in large),
            "lowest_of_all_cells": min(one["coverage"] for one in cells),
            "wald_lowest": min(one["wald"] for one in large),
        },
        "plans": plans,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, print, write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lift", description="Coverage of the measured lift's interval.")
    parser.add_argument("--times", type=int, default=20_000, help="campaigns per cell (20,000)")
    args = parser.parse_args(argv)
    found = simulate(args.times)
    coverage = found["coverage"]
    low, high = PROMISED
    print(f"{found['cells_inside']} of {found['cells_promised']} cells between {low:.0%} and {high:.0%}: mean {coverage['mean']:.2%},")
    print(f"{coverage['lowest']:.2%} to {coverage['highest']:.2%}; Wald down to {coverage['wald_lowest']:.2%};")
    print(f"with fewer conversions down to {coverage['lowest_of_all_cells']:.2%}")
    for one in found["plans"]:
        planned = f"plan for {one['lift']:+.1%} on {one['base_rate']:.0%}, {one['share']:.0%} held out"
        print(f"{planned}: {one['customers']:,} customers, seen in {one['power']:.1%}")
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
