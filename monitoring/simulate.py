"""``make alarms``: how often alarms are false at every number of rows, and what changes they find, beside fixed bands.

Prints a table, writes ``build/reports/alarms.json`` and ``alarms.svg``. A rate of a month is the rate of a run times the runs of a month:
expected numbers add up, however windows overlap.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monitoring.population import CHANGES, Population, clustered, declared, population
from propensity.drift.alarms import ALARM, WATCH, judge
from propensity.drift.bands import ks, psi
from propensity.drift.counted import Counted, Reference
from propensity.watch import Watch

SIZES = (50, 200, 1_000, 5_000, 50_000)
REPORTS = Path("build/reports")
# As many rows and months as the public data of the term deposit campaign.
REFERENCE_ROWS, REFERENCE_MONTHS = 41_188, 26
OURS, LASTING, PSI_WARN, PSI_ALERT, KS_005 = "alarm", "alarm or watch", "PSI 0.1", "PSI 0.2", "KS p < 0.05"
METHODS = (OURS, LASTING, PSI_WARN, PSI_ALERT, KS_005)
KS_P = 0.05
# Share of the variance that the rows of a day have in common, in the second kind of unchanged population.
ALIKE = 0.02
# Contact days of a month and rows of a day in its reference, as in the public data; no multiple of a block.
CLUSTER_DAYS, CLUSTER_ROWS = 19, 84


@dataclass(frozen=True)
class Rate:
    """How often something happened, with the interval of Clopper and Pearson (95 %)."""

    rows: int
    population: str
    method: str
    runs: int
    hits: int
    rate: float
    low: float
    high: float


def rate(rows: int, population: str, method: str, hits: Sequence[bool]) -> Rate:
    """The rate of some trials."""
    from scipy import stats

    n, k = len(hits), sum(hits)
    low = float(stats.beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(stats.beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return Rate(rows, population, method, n, k, k / n, low, high)


def answers(watch: Watch, reference: Reference, window: Counted) -> dict[str, bool]:
    """Whether each method calls somebody: any column, the score among them. KS looks at numbers, as it is used."""
    judged = judge(watch, reference, window)
    psis, chances = [], []
    for name, column in reference.columns.items():
        now = window.columns[name].sum(axis=0)
        psis.append(psi(column.coarse, column.bins.coarsen(now)).value)
        if column.bins.ordered:
            chances.append(ks(column.fine, now)[1])
    return {
        OURS: judged.state == ALARM,
        LASTING: judged.state in (ALARM, WATCH),
        PSI_WARN: max(psis) >= 0.1,
        PSI_ALERT: max(psis) >= 0.2,
        KS_005: min(chances) < KS_P,
    }


def simulate(watch: Watch, *, runs: int, power_runs: int, references: int, seed: int, sizes: Sequence[int] = SIZES) -> list[Rate]:
    """Every rate: unchanged (independent rows; rows of a day alike), and with each change."""
    rng = np.random.default_rng(seed)
    trials: dict[tuple[int, str], list[dict[str, bool]]] = {}
    for at in range(references):
        drawn = population(seed + at, REFERENCE_ROWS, REFERENCE_MONTHS)
        reference, window = clustered(rng, months=REFERENCE_MONTHS, days=CLUSTER_DAYS, rows=CLUSTER_ROWS, alike=ALIKE)
        for n in sizes:
            for kind, found in _runs(watch, drawn, rng, n, -(-runs // references), -(-power_runs // references)):
                trials.setdefault((n, kind), []).append(found)
            alike = [answers(watch, reference, window(n, watch.parts)) for _ in range(-(-runs // (2 * references)))]
            trials.setdefault((n, "unchanged, days alike"), []).extend(alike)
    return [rate(n, kind, method, [one[method] for one in found]) for (n, kind), found in trials.items() for method in METHODS]


def _runs(
    watch: Watch, drawn: Population, rng: np.random.Generator, n: int, runs: int, power: int
) -> Iterator[tuple[str, dict[str, bool]]]:
    for _ in range(runs):
        yield "unchanged", answers(watch, drawn.reference, drawn.window(rng, n, watch.parts))
    for change in CHANGES:
        for _ in range(power):
            yield change, answers(watch, drawn.reference, drawn.window(rng, n, watch.parts, change))


def report(watch: Watch, rates: Sequence[Rate], *, seconds: float, seed: int, references: int) -> dict[str, Any]:
    """What is written for machines: every rate, and the two figures that are promised."""
    false = [one for one in rates if one.population.startswith("unchanged") and one.method == OURS]
    power = next((one for one in rates if one.population == "shift 0.25 sd" and one.method == OURS and one.rows == 1_000), None)
    per_month = watch.runs_per_month
    return {
        "declared": {"false_alarms_per_month": watch.false_alarms_per_month, "runs_per_month": per_month, "run_level": watch.run_level},
        "population": {**declared(), "reference_rows": REFERENCE_ROWS, "reference_months": REFERENCE_MONTHS, "references": references},
        "false_alarms_per_month": [
            {
                "rows": one.rows,
                "population": one.population,
                "runs": one.runs,
                "value": per_month * one.rate,
                "low": per_month * one.low,
                "high": per_month * one.high,
            }
            for one in false
        ],
        "kept": all(per_month * one.rate <= watch.false_alarms_per_month for one in false),
        "power_quarter_sd_1000": None if power is None else asdict(power),
        "rates": [asdict(one) for one in rates],
        "seed": seed,
        "seconds": round(seconds, 1),
    }


def show(watch: Watch, rates: Sequence[Rate]) -> None:
    """Print the tables for people."""
    from rich.console import Console
    from rich.table import Table

    out, known = Console(width=150), {(one.population, one.method, one.rows): one for one in rates}
    sizes = sorted({one.rows for one in rates})
    for kind in dict.fromkeys(one.population for one in rates):
        unchanged = kind.startswith("unchanged")
        factor, unit = (watch.runs_per_month, "false alarms a month") if unchanged else (1, "share of windows in which it is found")
        table = Table(title=f"{kind}: {unit} (95 % interval)")
        for column in ("method", *(f"{n:,} rows" for n in sizes)):
            table.add_column(column, justify="left" if column == "method" else "right")
        for method in METHODS:
            cells = (known[kind, method, n] for n in sizes)
            table.add_row(method, *(f"{factor * c.rate:.3g} ({factor * c.low:.2g} to {factor * c.high:.2g})" for c in cells))
        out.print(table)


def picture(watch: Watch, rates: Sequence[Rate], path: Path) -> None:
    """False alarms a month and power, by number of rows."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for method in METHODS:
        if method == LASTING:
            continue
        for axes, kind, factor in ((left, "unchanged", watch.runs_per_month), (right, "shift 0.25 sd", 1)):
            held = sorted((one for one in rates if one.population == kind and one.method == method), key=lambda one: one.rows)
            middle = [factor * one.rate for one in held]
            spread = [
                [m - factor * one.low for m, one in zip(middle, held, strict=True)],
                [factor * one.high - m for m, one in zip(middle, held, strict=True)],
            ]
            axes.errorbar([one.rows for one in held], middle, yerr=spread, marker="o", capsize=3, label=method)
    left.axhline(watch.false_alarms_per_month, color="black", linestyle=":", label="declared")
    left.set(yscale="symlog", title="Nothing has changed", ylabel="false alarms a month and campaign")
    left.set_yscale("symlog", linthresh=0.01)
    right.set(title="One column of twenty moved by a quarter of its standard deviation", ylabel="share of windows in which it is found")
    for axes in (left, right):
        axes.set(xscale="log", xlabel="rows in the window")
        axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulation; 0 where the declared rate is kept at every number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000, help="unchanged windows of each size; half as many where days are alike")
    parser.add_argument("--power-runs", type=int, default=400, help="windows of each size and change")
    parser.add_argument("--references", type=int, default=20, help="references drawn anew")
    parser.add_argument("--rate", type=float, default=Watch().false_alarms_per_month, help="declared false alarms a month")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    watch, started = Watch(false_alarms_per_month=given.rate), time.monotonic()
    rates = simulate(watch, runs=given.runs, power_runs=given.power_runs, references=given.references, seed=given.seed)
    found = report(watch, rates, seconds=time.monotonic() - started, seed=given.seed, references=given.references)
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / "alarms.json").write_text(json.dumps(found, indent=2) + "\n")
    picture(watch, rates, REPORTS / "alarms.svg")
    show(watch, rates)
    print(f"declared rate {'kept' if found['kept'] else 'EXCEEDED'}; {found['seconds']:.0f} s; {REPORTS / 'alarms.json'}, alarms.svg")
    return 0 if found["kept"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
