"""What a command found, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from propensity.outcomes import STATUSES

Result = Mapping[str, Any]


def of_ingest(found: Result) -> list[str]:
    """An ingest."""
    span = f", {found['first_month']} to {found['last_month']}" if found["first_month"] else ""
    known = "new" if found["created"] else "already there, nothing was written"
    lines = [f"snapshot {found['snapshot_id']} ({known}): {found['rows']:,} customers{span}, {found['positives']:,} positive"]
    if found["refused_rows"]:
        lines.append(f"{found['refused_rows']:,} wrong rows were left out, within the quality gate: {found['issues']}")
    lines += [f"left out: {column}: {reason}" for column, reason in found["dropped_columns"].items()]
    lines += [f"not used: {column}: the campaign does not declare it" for column in found["ignored_columns"]]
    return lines


def of_training(found: Result) -> list[str]:
    """A training."""
    honest, random = found["metrics"], found["random_split"]
    return [
        f"model {found['digest'][:12]} ({found['winner']}), version {found['mlflow_version']} in MLflow, {found['seconds']:.0f} s",
        f"{found['split_text']}: " + _figures(honest),
        f"random split, for the record: {_figures(random)}",
        *_candidates(found["comparison"]),
    ]


def _candidates(table: Result) -> Iterator[str]:
    """What was compared, a line each, and the baselines."""
    if len(table["candidates"]) > 1:
        yield "candidates by log loss on training rows held out, the smaller the better; then the time split's figures:"
    for line in table["candidates"] if len(table["candidates"]) > 1 else ():
        why = f" ({line['cannot_win']})" if line["cannot_win"] else ""
        yield f"  {'*' if line['won'] else ' '} {line['candidate']:<19} {line['criterion']:.4f}  {_compared(line['test'])}{why}"
    for line in table["test_baselines"]:
        yield f"    {line['baseline']}: {_compared(line)}"


def _compared(line: Result) -> str:
    names = (
        ("roc_auc", "ROC-AUC", ".3f"),
        ("pr_auc", "PR-AUC", ".3f"),
        ("ece", "ECE", ".3f"),
        ("profit_per_1000", "profit per 1,000", ",.0f"),
    )
    return ", ".join(f"{title} {line[name]:{form}}" for name, title, form in names if line[name] is not None)


def of_promotion(found: Result) -> list[str]:
    """A decision about the live model."""
    verdict = {
        "promote": "is live now",
        "refuse": "was refused; the live model stays",
        "rejected": "was rejected before; the live model stays",
        "pending": "waits for approval; the live model stays",
        "trial": "is on trial; the live model stays until it is proven better",
        "unchanged": "stays live",
    }[found["decision"]]
    return [f"model {found['model_digest'][:12]} {verdict}", *(f"  {reason}" for reason in found["reasons"])]


def of_list(found: Result, out: object) -> list[str]:
    """A scored list."""
    lines = [f"{found['scored']:,} of {found['received']:,} customers scored, {found['contact']:,} to contact: {out}"]
    lines += [f"not used: {column}: {reason}" for column, reason in found["not_used"].items()]
    if found["refused_rows"]:
        lines.append(f"{found['refused_rows']:,} rows refused: {found['errors']}")
    if found["excluded_rows"]:
        why = ", ".join(f"{n:,} {reason}" for reason, n in sorted(found["excluded"].items()))
        lines.append(
            f"{found['excluded_rows']:,} customers may not be contacted and are not on the sheet ({why}): {found['excluded_file']}"
        )
    if found["held_out"]:
        lines.append(f"{found['held_out']:,} customers are in the control group: the policy would contact them, and they are left alone")
    return lines


def of_retraining(found: Result) -> list[str]:
    """Ingest, training and promotion."""
    return [*of_ingest(found["ingest"]), *of_training(found["train"]), *of_promotion(found["promote"])]


def of_outcomes(found: Result) -> list[str]:
    """A file of outcomes."""
    told = ", ".join(f"{found[status]:,} {status}" for status in STATUSES if found[status])
    lines = [f"{found['name']}: {found['received']:,} outcomes: {told}"]
    if found["refused"]:
        lines.append(f"{found['refused']:,} rows refused" + (f": {found['errors']}" if "errors" in found else ""))
    if found["taken_before"]:
        later = sum(found["matched_later"].values())
        lines.append(f"taken before, and not again; {later:,} outcomes that waited have found their prediction since")
    return lines


def of_monitoring(found: Result) -> list[str]:
    """A window: drift and realised performance."""
    drift, realised = found["drift"], found["performance"]
    if drift["verdict"] == "no_data":
        lines = ["drift: no data: nothing was predicted in this window"]
    else:
        names = f" ({', '.join(drift['drifted'])})" if drift["drifted"] else ""
        compared = f"{drift['rows']:,} predictions against {drift['reference_rows']:,} training rows"
        lines = [f"drift: {drift['verdict']}: {len(drift['drifted'])} of {drift['columns']} columns drifted{names}; {compared}"]
        lines.append(f"report: {drift['report_key']} in object storage")
    if realised["verdict"] == "no_data":
        young = int(realised["metrics"].get("not_yet_mature", 0))
        waits = f"; {young:,} predictions are not mature yet" if young else ""
        return [*lines, f"performance: no data: no mature prediction has a known outcome{waits}"]
    covered = f"{realised['rows']:,} of {realised['reference_rows']:,} mature predictions have a known outcome"
    auc = realised["metrics"].get("roc_auc")
    return [*lines, f"performance: {realised['verdict']}: {covered}" + (f", ROC-AUC {auc:.3f}" if auc is not None else "")]


def _figures(metrics: Result) -> str:
    names = (("roc_auc", "ROC-AUC"), ("pr_auc", "PR-AUC"), ("ece", "ECE"), ("lift_at_30", "lift in the best 30 %"))
    return ", ".join(f"{title} {metrics[name]:.3f}" for name, title in names if metrics[name] is not None)
