"""One page about a training run: which model won, the table of all candidates, the pictures. It needs no other file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from propensity.candidate_figures import COLUMNS

Json = Mapping[str, Any]
_TITLES = {
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "best_f1": "best F1",
    "lift_at_10": "lift 10 %",
    "lift_at_30": "lift 30 %",
    "ece": "ECE",
    "brier": "Brier",
    "log_loss": "log loss",
    "calibration_slope": "calibration slope",
    "profit_per_1000": "profit per 1,000",
}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:78rem;padding:0 1rem;color:#1a1a1a;background:#fff}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-size:.85rem}th,td{padding:.3rem .6rem;border-bottom:1px solid #ccc;"
    "text-align:right}th:first-child,td:first-child{text-align:left}tr.won td{font-weight:bold;background:#e8f2fa}"
    "figure{display:inline-block;margin:.5rem}img{max-width:37rem;width:100%}caption{text-align:left;font-weight:bold;padding:.3rem 0}"
    ".wide{overflow-x:auto}"
)


def report_html(title: str, table: Json, figures: Mapping[str, bytes]) -> str:
    """The page as HTML. ``table`` is that of `propensity.training.Training`; ``figures`` are PNG pictures by file name."""
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1>",
        f"<p>Packaged: <strong>{escape(table['winner'])}</strong>, by {escape(table['criterion'])}. "
        f"Label delay: {escape(table['label_delay'])}. The test rows chose nothing.</p>",
        _candidates(table, "test"),
        _candidates(table, "random"),
        _work(table),
        _calibrations(table),
        *([_searches(table["searches"])] if table["searches"] else []),
        *(_picture(name, png) for name, png in figures.items()),
    ]
    return "\n".join(parts) + "\n</html>\n"


def _candidates(table: Json, split: str) -> str:
    lines = [(line["candidate"], line["won"], line[split]) for line in table["candidates"] if line[split] is not None]
    lines += [(f"baseline: {line['baseline']}", False, line) for line in table[f"{split}_baselines"]]
    rows = [([name, *(_number(found[column]) for column in COLUMNS)], won) for name, won, found in lines]
    return _table(f"{table[f'{split}_split']}", ["candidate", *(_TITLES[column] for column in COLUMNS)], rows)


def _work(table: Json) -> str:
    rows = []
    for line in table["candidates"]:
        held = line["held_out_log_loss"]
        losses = [_number(held["today"]), _number(held["tomorrow"]), _number(line["criterion"])]
        work = [f"{line['fit_s']:.1f} s", f"{line['size_bytes']:,}", f"{line['us_per_row']:.2f}"]
        rows.append(([line["candidate"], *losses, *work, line["cannot_win"] or "yes"], line["won"]))
    heads = ["candidate", "log loss, today", "log loss, tomorrow", "criterion", "fit time", "bytes", "µs a row", "servable"]
    return _table("What was chosen by (training rows held out), and what it costs", heads, rows)


def _calibrations(table: Json) -> str:
    names = list(table["candidates"][0]["calibration_log_loss"])
    rows = []
    for line in table["candidates"]:
        losses = [_number(line["calibration_log_loss"].get(name), 5) for name in names]
        rows.append(([line["candidate"], *losses, line["calibration"]], line["won"]))
    note = "Log loss by calibration, on training rows held out; beta and isotonic cannot be served"
    return _table(note, ["candidate", *names, "chosen"], rows)


def _searches(searches: Json) -> str:
    rows = [
        ([name, str(found["trials"]), str(found["pruned"]), _number(found["log_loss_before"], 5), _number(found["log_loss"], 5)], False)
        for name, found in searches.items()
    ]
    heads = ["family", "trials", "given up early", "log loss before", "log loss found"]
    return _table("Search for settings, cross-validated on training rows", heads, rows)


def _table(caption: str, heads: Sequence[str], rows: Sequence[tuple[Sequence[str], bool]]) -> str:
    head = "".join(f"<th scope=col>{escape(text)}" for text in heads)
    body = "".join(f"<tr{' class=won' if won else ''}>" + "".join(f"<td>{escape(cell)}" for cell in cells) for cells, won in rows)
    # A wide table scrolls: by keyboard, too.
    region = f'<div class=wide tabindex=0 role=region aria-label="{escape(caption)}">'
    return f"{region}<table><caption>{escape(caption)}</caption><tr>{head}{body}</table></div>"


def _picture(name: str, png: bytes) -> str:
    alt = escape(name.removesuffix(".png").replace("_", " "))
    return f'<figure><img alt="{alt}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></figure>'


def _number(value: float | None, digits: int = 4) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}f}"
