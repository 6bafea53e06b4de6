"""The replay as a picture: what each policy had earned by when, and what the default expected beside what came true."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from propensity.figures import BLUE, DOTS_PER_INCH, GREEN, GREY, ORANGE

STYLES: Mapping[str, Any] = {
    "default": {"color": BLUE, "linewidth": 2.2},
    "scheduled-only": {"color": GREEN, "linewidth": 1.5, "linestyle": "-."},
    "trailing-rate": {"color": ORANGE, "linewidth": 1.5, "linestyle": "--"},
    "everyone": {"color": GREY, "linewidth": 1.5, "linestyle": ":"},
    "frozen": {"color": GREY, "linewidth": 1.2},
}


def draw(policies: Sequence[Mapping[str, Any]], delay_days: int, currency: str) -> bytes:
    """PNG. ``policies`` as they stand in the report; those of ``delay_days`` are drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 8.0), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    money, rates = figure.subplots(2, 1)
    for policy in policies:
        if policy["name"] in STYLES and (policy["label_delay_days"] == delay_days or policy["name"] == "everyone"):
            names = [month["month"] for month in policy["months"]]
            earned = np.cumsum([month["profit"] for month in policy["months"]])
            money.plot(range(len(names)), earned / 1000, label=policy["name"], **STYLES[policy["name"]])
        if policy["name"] == "default" and policy["label_delay_days"] == delay_days:
            rates.plot(range(len(names)), [month["rate"] for month in policy["months"]], color=GREY, marker="o", label="came true")
            rates.plot(range(len(names)), [month["mean_score"] for month in policy["months"]], color=BLUE, marker="x", label="expected")
    money.set_title(f"Profit since the first month, labels after {delay_days} day{'s' if delay_days != 1 else ''}")
    money.set_ylabel(f"thousand {currency}")
    rates.set_title("Response rate of each month: expected by the default's scores, and what came true")
    for axes in (money, rates):
        axes.set_xticks(range(len(names)), names, rotation=60, fontsize=8)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
