"""The run as a picture: how many customers a second each server answers, and what a row costs beside the model alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.goals import Report
from benchmarks.plan import SERVERS
from benchmarks.report import number
from benchmarks.service import OURS

SHOWN = ((1, 1), (1, 32), (100, 8), (1_000, 8), (10_000, 1))
INK, MUTED, ACCENT = "#1f2933", "#9aa5b1", "#0b6e4f"


def plot(report: Report, png: Path, svg: Path) -> None:
    """Write the picture in both forms. Only what was measured is shown."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    measured = {(entry["rows"], entry["connections"]) for entry in report["results"] if entry["server"] != OURS}
    panels = [shape for shape in SHOWN if shape in measured]
    figure, axes = plt.subplots(1, len(panels) + 1, figsize=(3.4 * (len(panels) + 1), 3.6), layout="constrained")
    axes = list(axes) if panels else [axes]
    for axis, shape in zip(axes, panels, strict=False):
        _rates(axis, report["results"], *shape)
    _cost(axes[-1], report)
    figure.suptitle("One machine, one run, the same XGBoost model (400 trees)", color=INK, fontsize=11)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=160)
    figure.savefig(svg)
    plt.close(figure)


def _bars(axis: Any, names: Sequence[str], values: Sequence[float], labels: Sequence[str], title: str) -> None:
    colors = [ACCENT if name.startswith(OURS) else MUTED for name in names]
    axis.barh(range(len(names)), values, color=colors)
    axis.set_yticks(range(len(names)), names, fontsize=8, color=INK)
    axis.invert_yaxis()
    axis.set_title(title, fontsize=9, color=INK, loc="left")
    axis.set_xticks([])
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.set_xlim(0, max([*values, 1e-9]) * 1.8)
    for at, (value, label) in enumerate(zip(values, labels, strict=True)):
        axis.text(value, at, f" {label}", va="center", fontsize=8, color=INK)


def _rates(axis: Any, results: Sequence[Mapping[str, Any]], rows: int, connections: int) -> None:
    here = {e["server"]: e for e in results if (e["rows"], e["connections"], e["format"]) == (rows, connections, "json")}
    names = [server for server in SERVERS if server in here]
    values = [here[name]["rows_per_s"] for name in names]
    ours = here.get(OURS, {}).get("rows_per_s")
    labels = [
        number(v) if name == OURS or not ours or not v else f"{number(v)} (ours {ours / v:.1f} x)"
        for name, v in zip(names, values, strict=True)
    ]
    connection = "connection" if connections == 1 else "connections"
    _bars(axis, names, values, labels, f"{rows:,} row{'s' if rows > 1 else ''} a request, {connections} {connection}\ncustomers/s")


def _cost(axis: Any, report: Report) -> None:
    rows = 10_000
    limit = report["limit_us_per_row"].get(str(rows))
    here = [e for e in report["results"] if e["rows"] == rows and e["connections"] == 1]
    ours = [(f"{OURS}, {e['format']}", e["server_cpu_us_per_row"]) for e in here if e["server"] == OURS]
    peers = [(e["server"], e["server_cpu_us_per_row"]) for e in here if e["server"] != OURS]
    pairs = sorted([*ours, *peers], key=lambda pair: pair[1])
    names, values = [name for name, _ in pairs], [value for _, value in pairs]
    labels = [f"{number(v)} ({v / limit:.1f} x model)" if limit else number(v) for v in values]
    _bars(axis, names, values, labels, f"{rows:,} rows a request: server CPU\nµs a customer; dashed: the model")
    if limit:
        axis.axvline(limit, color=INK, linewidth=1, linestyle="--")
