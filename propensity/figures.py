"""Pictures of a training run, as PNG. The same run gives the same bytes.

Colours are those of Okabe and Ito, "Color universal design", 2008, told apart by every kind of colour vision; what a colour says, a line
style, a marker or a word says too.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign
from propensity.metrics import evaluate
from propensity.model import Model
from propensity.training import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#595959"
MODEL: Any = {"color": BLUE, "linewidth": 2}
CHANCE: Any = {"color": GREY, "linewidth": 1.2, "linestyle": "--"}
CHOSEN: Any = {"color": ORANGE, "linewidth": 1.5, "linestyle": ":"}
TOP_EFFECTS = 15
CALIBRATION_BINS = 10
SIZE_INCHES = (7.0, 5.0)
DOTS_PER_INCH = 110


def training_figures(training: Training, effects: Mapping[str, float] | None = None) -> dict[str, bytes]:
    """Seven PNG pictures by file name, all of ``training.split.test``, whose description every title carries.

    Parameters
    ----------
    effects : mapping of feature name to mean absolute effect in log-odds, or None
        As `propensity.explain.global_effects` gives it for the test rows, largest first. None: the features' shares of the gain of all
        splits (`Model.importance`), which needs no rows.
    """
    campaign, scores, labels = training.model.campaign, training.test_scores, training.test_labels
    split = training.split.description
    draw: dict[str, Callable[[Axes], str]] = {
        "roc_curve.png": lambda axes: roc_curve(axes, scores, labels),
        "precision_recall.png": lambda axes: precision_recall(axes, scores, labels, campaign.economics.break_even),
        "calibration.png": lambda axes: calibration(axes, scores, labels),
        "gains.png": lambda axes: gains(axes, scores, labels),
        "profit.png": lambda axes: profit(axes, scores, labels, campaign),
        "confusion_matrix.png": lambda axes: confusion_matrix(axes, scores, labels, campaign),
        "effects.png": lambda axes: effect_bars(axes, training.model, effects),
    }
    return {name: _png(picture, f"{campaign.title}: {split}") for name, picture in draw.items()}


def _png(draw: Callable[[Axes], str], subtitle: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title(draw(axes), loc="left", fontsize=13, fontweight="bold", pad=22)
    axes.text(0, 1.02, subtitle, transform=axes.transAxes, fontsize=9, color=GREY)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=True, framealpha=0.9, edgecolor="none")
    out = io.BytesIO()
    # No software version and no date in the file: the same run gives the same bytes.
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _cumulative(scores: FloatArray, labels: Labels) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rows and positives among those with at least each distinct score, and that score, best first."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    return (last + 1).astype(np.float64), np.cumsum(labels[order])[last].astype(np.float64), scores[order][last]


def roc_curve(axes: Axes, scores: FloatArray, labels: Labels) -> str:
    """Draw true against false positive rate; return the title."""
    rows, hits, _ = _cumulative(scores, labels)
    recall = np.append(0, hits / max(1, labels.sum()))
    false_rate = np.append(0, (rows - hits) / max(1, (~labels).sum()))
    area = float(np.trapezoid(recall, false_rate))
    axes.plot(false_rate, recall, label="model", **MODEL)
    axes.plot([0, 1], [0, 1], label="calling at random", **CHANCE)
    _unit_axes(axes)
    axes.set_xlabel("share of non-converting customers called (false positive rate)")
    axes.set_ylabel("share of converting customers called (recall)")
    return f"ROC curve, area {area:.3f}"


def precision_recall(axes: Axes, scores: FloatArray, labels: Labels, break_even: float) -> str:
    """Draw precision against recall with the break-even point; return the title."""
    rows, hits, levels = _cumulative(scores, labels)
    recall, precision = hits / max(1, labels.sum()), hits / rows
    average = float(np.sum(np.diff(np.append(0, recall)) * precision))
    base = float(labels.mean())
    axes.step(recall, precision, where="pre", label="model", **MODEL)
    axes.axhline(base, label=f"calling at random: {base:.1%} convert", **CHANCE)
    if (chosen := int((levels >= break_even).sum())) > 0:
        at = (recall[chosen - 1], precision[chosen - 1])
        axes.plot(*at, "o", color=ORANGE, markersize=9, label=f"break-even score {break_even:.3g}: {at[1]:.1%} of those called convert")
    _unit_axes(axes)
    axes.set_xlabel("share of converting customers called (recall)")
    axes.set_ylabel("share of those called who convert (precision)")
    return f"Precision and recall, average precision {average:.3f}"


def calibration(axes: Axes, scores: FloatArray, labels: Labels) -> str:
    """Draw the observed rate against the mean score of groups of equal size, with 95 % intervals; return the title."""
    parts = [part for part in np.array_split(np.argsort(scores, kind="stable"), CALIBRATION_BINS) if len(part)]
    mean = np.array([scores[part].mean() for part in parts])
    rate = np.array([labels[part].mean() for part in parts])
    low, high = np.array([_wilson(int(labels[part].sum()), len(part)) for part in parts]).T
    top = min(1.0, 1.05 * float(max(mean.max(), high.max())))
    axes.plot([0, top], [0, top], label="perfect", **CHANCE)
    axes.errorbar(mean, rate, yerr=[rate - low, high - rate], fmt="o-", capsize=3, label="model by tenths, 95 % interval", **MODEL)
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    _percent(axes)
    axes.set_xlabel("mean score of the group (predicted probability)")
    axes.set_ylabel("share of the group that converted")
    return f"Calibration: {scores.mean():.1%} predicted, {labels.mean():.1%} observed"


def _wilson(hits: int, rows: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, "Probable inference", 1927)."""
    z = 1.96
    share = hits / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return float(min(middle - half, share)), float(max(middle + half, share))


def gains(axes: Axes, scores: FloatArray, labels: Labels) -> str:
    """Draw the share of all conversions reached by share of customers called; return the title."""
    rows, hits, _ = _cumulative(scores, labels)
    share, reached = np.append(0, rows / len(scores)), np.append(0, hits / max(1, labels.sum()))
    at_30 = float(np.interp(0.3, share, reached))
    axes.plot(share, reached, label="model", **MODEL)
    axes.plot([0, 1], [0, 1], label="calling at random", **CHANCE)
    axes.plot([0, float(labels.mean()), 1], [0, 1, 1], color=GREEN, linewidth=1.2, linestyle="-.", label="perfect foresight")
    axes.plot([0.3, 0.3], [0, at_30], **CHOSEN)
    axes.annotate(
        f"best 30 %: {at_30:.1%} of conversions, lift {at_30 / 0.3:.2f}",
        (0.3, at_30),
        xytext=(12, -22),
        textcoords="offset points",
        color=ORANGE,
        fontweight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 2},
    )
    axes.plot(0.3, at_30, "o", color=ORANGE, markersize=8)
    _unit_axes(axes)
    axes.set_xlabel("share of customers called, best first")
    axes.set_ylabel("share of all conversions reached")
    return "Gains: what calling the best reaches"


def profit(axes: Axes, scores: FloatArray, labels: Labels, campaign: Campaign) -> str:
    """Draw realised profit by share of customers called, with the break-even point; return the title."""
    rows, hits, levels = _cumulative(scores, labels)
    economics = campaign.economics
    value, cost = float(economics.conversion_value), float(economics.contact_cost)
    earned = np.append(0, hits * value - rows * cost)
    share = np.append(0, rows / len(scores))
    chosen = int((levels >= economics.break_even).sum())
    axes.plot(share, earned, label="model", **MODEL)
    axes.plot([0, 1], [0, earned[-1]], label="calling at random", **CHANCE)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.axvline(share[chosen], **CHOSEN)
    text = f"score ≥ {economics.break_even:.3g}: call {share[chosen]:.1%}, earn {earned[chosen]:,.0f} {economics.currency}"
    axes.plot(share[chosen], earned[chosen], "o", color=ORANGE, markersize=8, label=text)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
    axes.set_xlabel("share of customers called, best first")
    axes.set_ylabel(f"profit over these {len(scores):,} customers ({economics.currency})")
    return f"Profit at cost {economics.contact_cost} and value {economics.conversion_value} {economics.currency}"


def confusion_matrix(axes: Axes, scores: FloatArray, labels: Labels, campaign: Campaign) -> str:
    """Draw the four counts at the break-even score, each with its share of the actual class; return the title."""
    figures = evaluate(scores, labels, campaign.economics)
    counts = np.array([[figures["true_negatives"], figures["false_positives"]], [figures["false_negatives"], figures["true_positives"]]])
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        ink = "white" if share > 0.55 else "black"
        axes.text(column, row, f"{count:,.0f}\n{share:.1%}", ha="center", va="center", color=ink, fontsize=14)
    axes.set_xticks([0, 1], ["leave", "call"])
    axes.set_yticks([0, 1], ["did not convert", "converted"], rotation=90, va="center")
    axes.set_xlabel(f"decision at the break-even score {campaign.economics.break_even:.3g}")
    axes.set_ylabel("what happened (shares by row)")
    return f"Confusion matrix: precision {figures['precision']:.1%}, recall {figures['recall']:.1%}"


def effect_bars(axes: Axes, model: Model, effects: Mapping[str, float] | None) -> str:
    """Draw the strongest features; return the title."""
    shown = model.importance() if effects is None else effects
    named = list(shown.items())[:TOP_EFFECTS][::-1]
    bars = axes.barh([name for name, _ in named], [effect for _, effect in named], color=BLUE)
    axes.bar_label(bars, fmt="{:.1%}" if effects is None else "{:.3f}", padding=3, fontsize=9)
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("share of the gain of all splits" if effects is None else "mean absolute effect on the score (log-odds)")
    return f"What moves the score: the strongest {len(named)} of {len(model.manifest.features)} features"


def _unit_axes(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.01)
    _percent(axes)


def _percent(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda v, _: f"{v:.0%}" if round(v * 100, 6).is_integer() else f"{v:.1%}")
