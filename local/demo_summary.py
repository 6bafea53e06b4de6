"""What the demo found, as tables for people and as ``build/reports/demo.json`` for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.environment import PROJECT
from propensity.adapters.object_store import FolderStore
from propensity.campaign import Campaign

REPORT = PROJECT / "build" / "reports" / "demo.json"
METRICS = (
    ("roc_auc", "ROC-AUC", "0.5 is chance"),
    ("pr_auc", "PR-AUC", "the share of yes is chance"),
    ("ece", "calibration error (ECE)", "lower is better"),
    ("lift_at_30", "lift in the best 30 %", "1 is chance"),
    ("positive_rate", "share of yes", ""),
)
VERDICTS = {
    "no_data": "no data",
    "stable": "stable",
    "warning": "warning",
    "drift": "DRIFT",
}


def write_report(found: dict[str, Any], path: Path = REPORT) -> None:
    """Write the figures as JSON, whole or not at all."""
    FolderStore(path.parent).put(path.name, (json.dumps(found, indent=2, default=str) + "\n").encode())


def print_summary(declared: Campaign, found: dict[str, Any], console: Console | None = None) -> None:
    """Print what a marketing person and an engineer both want to know."""
    out = console or Console(width=120, highlight=False)
    out.rule(f"[bold]{declared.title}")
    _data(out, found)
    _quality(out, found)
    _promotion(out, found)
    _call_sheet(out, declared, found)
    _worth(out, declared, found)
    _after(out, found)
    _places(out, found)


def _data(out: Console, found: dict[str, Any]) -> None:
    data = found["data"]
    span = f", {data['first_month']} to {data['last_month']}" if data["first_month"] else ""
    kind = "SYNTHETIC data" if data["synthetic"] else "Real data"
    out.print(f"[bold]{kind}[/]: {data['rows']:,} customers{span}; {data['positives'] / data['rows']:.1%} said yes.")
    for column, reason in data["dropped_columns"].items():
        out.print(f"Left out: {column} ({reason}).")
    out.print(f"Snapshot {data['snapshot_id']}" + (f", source sha256 {data['sha256'][:12]}…" if data["sha256"] else ""))


def _quality(out: Console, found: dict[str, Any]) -> None:
    split = found["metrics"]["time_split"]
    heading = "time-ordered (honest)" if split["kind"] == "time" else "random (no calendar)"
    shown = Table(title="How good the model is on customers it never saw", title_justify="left")
    shown.add_column("figure")
    shown.add_column(heading, justify="right")
    shown.add_column("random split (for the record)", justify="right")
    shown.add_column("")
    for name, title, note in METRICS:
        shown.add_row(title, f"{split[name]:.3f}", f"{found['metrics']['random_split'][name]:.3f}", note)
    out.print()
    out.print(shown)
    seeds = ", ".join(map(str, found["metrics"]["random_split"]["seeds"]))
    out.print(f"Time-ordered: {split['split']}. Random: 80/20, mean of seeds {seeds}. Labels without delay.")
    out.print(
        f"On the test rows, per 1,000 customers: the model earns {split['profit_per_1000']:,.0f}, "
        f"calling everyone {split['profit_per_1000_everyone']:,.0f}."
    )


def _promotion(out: Console, found: dict[str, Any]) -> None:
    promotion = found["promotion"]
    out.print()
    out.print(f"[bold]Promotion: {promotion['decision']}[/] model {promotion['model_digest'][:12]}")
    for reason in promotion["reasons"]:
        out.print(f"  {reason}")


def _call_sheet(out: Console, declared: Campaign, found: dict[str, Any]) -> None:
    posted = found["list"]
    shown = Table(title=f"Call sheet: the best ten of {posted['received']:,} customers of {posted['month']}", title_justify="left")
    for heading, justify in (
        ("customer", "left"),
        ("score", "right"),
        ("band", "left"),
        ("expected profit", "right"),
        ("moved most by", "left"),
    ):
        shown.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for one in posted["best"]:
        why = "; ".join(f"{r['feature']} = {_short(r['value'])} {'↑' if r['effect'] > 0 else '↓'}" for r in one["reasons"])
        profit = f"{float(one['expected_profit']):,.2f} {declared.economics.currency}"
        shown.add_row(one["customer_id"], f"{one['score']:.3f}", one["band"], profit, why)
    out.print()
    out.print(shown)
    out.print(f"The campaign's policy ({declared.policy.kind}) would contact {posted['contact']:,} of them.")


def _worth(out: Console, declared: Campaign, found: dict[str, Any]) -> None:
    worth, month = found["worth"], found["list"]["month"]
    shown = Table(title=f"What contacting customers of {month} would have brought", title_justify="left")
    for heading in ("", "calls", "sales", "profit"):
        shown.add_column(heading, justify="left" if not heading else "right")
    rows = (
        (f"the best {worth['called_share']:.0%} by score", "calls", "best"),
        ("as many at random", "calls", "random"),
        (f"the campaign's policy ({declared.policy.kind})", "calls_policy", "policy"),
    )
    for title, calls, key in rows:
        money = f"{worth[f'profit_{key}']:,.0f} {worth['currency']}"
        shown.add_row(title, f"{worth[calls]:,}", f"{worth[f'conversions_{key}']:,.0f}", money)
    out.print()
    out.print(shown)
    cost, value = declared.economics.contact_cost, declared.economics.conversion_value
    out.print(
        f"The best {worth['called_share']:.0%} hold {worth['captured_share']:.0%} of all sales. "
        f"A contact costs {cost} {worth['currency']}, a sale is worth {value}."
    )
    if worth["profit_policy"] < found["list"]["expected_profit"]:
        out.print(
            f"The model expected {found['list']['expected_profit']:,.0f} {worth['currency']} of its policy; "
            f"the month brought {worth['profit_policy']:,.0f}: customers have changed since {_trained_until(found)}."
        )
    out.print("Every outcome is known here, also of customers whom the policy would have left alone.")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _trained_until(found: dict[str, Any]) -> str:
    months = found["metrics"]["time_split"]["trained_months"]
    return str(months[1]) if months else "training"


def _after(out: Console, found: dict[str, Any]) -> None:
    predictions, outcomes, drift = found["predictions"], found["outcomes"], found["drift"]
    same = "=" if predictions["answered"] == predictions["logged"] else "≠"
    out.print()
    out.print(f"[bold]Prediction log[/]: {predictions['answered']:,} answered {same} {predictions['logged']:,} logged.")
    out.print(
        "[bold]Outcomes[/]: "
        + ", ".join(f"{n:,} {status}" for status, n in outcomes.items() if n and status != "received")
        + f" for {found['list']['month']}."
    )
    realised = found["performance"]["metrics"].get("preliminary_roc_auc")
    if realised is not None:
        out.print(f"ROC-AUC within {found['list']['month']}: {realised:.3f}, preliminary: the label window is not over yet.")
    for one in (drift["first_list"], drift):
        names = ", ".join(one["drifted"][:6]) + (" …" if len(one["drifted"]) > 6 else "")
        text = f"{one['columns_drifted']} of {one['columns']} columns drifted" + (f" ({names})" if names else "")
        out.print(f"[bold]Drift[/], {one['month']} against the training data: [bold]{VERDICTS[one['verdict']]}[/]; {text}.")
    out.print(f"A window without predictions says: {VERDICTS[drift['empty_window']]}.")


def _places(out: Console, found: dict[str, Any]) -> None:
    out.print()
    out.print("[bold]Where everything lies[/]")
    for what, where in {**found["places"], "this report": str(REPORT)}.items():
        out.print(f"  {what}: {where}", soft_wrap=True)
    seconds = found["seconds"]
    parts = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items() if name != "total" and value >= 1)
    out.print(f"\nDone in [bold]{seconds['total']:.0f} s[/] ({parts}).")
    out.print(f"To look at it: PROPENSITY_HOME={found['places']['state folder']} make up", soft_wrap=True)
