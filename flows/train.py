"""Train: from a snapshot to a registered model package."""

from __future__ import annotations

import json
import logging
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from propensity.adapters.platform import Platform, platform
from propensity.campaigns import campaign
from propensity.candidate_figures import as_rows
from propensity.explain import global_effects
from propensity.figures import training_figures
from propensity.metrics import deciles
from propensity.model import load_package, package_key, save_package
from propensity.ports import TrainingRun
from propensity.retry import DELAYS_S, RETRIES, is_store_error
from propensity.snapshot import SnapshotData, latest, read_manifest, read_snapshot
from propensity.training import SEEDS, Training
from propensity.training import train as fit
from propensity.training_report import report_html
from propensity.version import code_version
from propensity.zoo import Zoo

EFFECT_ROWS = 1_000

log = logging.getLogger("propensity.flows")
# Apart, so that a command can show the steps of long work without the rest.
steps = logging.getLogger("propensity.flows.steps")


@flow(name="train")
def train(
    campaign_name: str, snapshot_id: str | None = None, candidates: list[str] | None = None, search: int | None = None
) -> dict[str, Any]:
    """Train on a snapshot (None: the newest), evaluate honestly, and register the winner's package as challenger.

    The same snapshot, declaration and code are trained once: a second run returns the first one's result.

    Parameters
    ----------
    candidates, search
        What to try and how many settings to search through instead of what the campaign declares (`propensity.zoo.Zoo`).

    Raises
    ------
    LeakSuspected
        Better than honest data allows; nothing is registered.
    """
    report = fit_package(campaign_name, snapshot_id, candidates, search)
    return register_package(campaign_name, report)


@task(name="fit", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def fit_package(
    campaign_name: str, snapshot_id: str | None, candidates: list[str] | None = None, search: int | None = None
) -> dict[str, Any]:
    zoo = campaign(campaign_name).zoo
    zoo = replace(zoo, candidates=zoo.candidates if candidates is None else tuple(candidates))
    return fit_into(platform(), campaign_name, snapshot_id, zoo if search is None else replace(zoo, search_trials=search))


@task(name="register", cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=list(DELAYS_S), retry_condition_fn=is_store_error)
def register_package(campaign_name: str, report: dict[str, Any]) -> dict[str, Any]:
    return register_into(platform(), campaign_name, report)


def fit_into(at: Platform, campaign_name: str, snapshot_id: str | None, zoo: Zoo | None = None) -> dict[str, Any]:
    """Fit, evaluate, and write package, report and figures to object storage; return the report. None: the declared zoo."""
    declared = campaign(campaign_name)
    zoo = declared.zoo if zoo is None else zoo
    snapshot_id = snapshot_id or latest(at.store, declared).snapshot_id
    period = f"{snapshot_id}/{declared.digest()[:12]}/{code_version()}"
    if zoo != declared.zoo:
        period += f"/{'+'.join(zoo.candidates)}/{zoo.search_trials}"
    done = at.periods.finished("train", campaign_name, period)
    if done is not None and at.store.exists(package_key(campaign_name, done["digest"], "manifest.json")):
        log.info(f"{campaign_name}: this snapshot was trained before: {done['digest'][:12]}")
        return done
    began = time.monotonic()
    data = read_snapshot(at.store, declared, snapshot_id)
    training = fit(declared, data, zoo=zoo, progress=steps.info)
    digest = save_package(at.store, training.model)
    effects = measure_effects(training, data)
    figures = training_figures(training, effects)
    page = report_html(f"{declared.title}: training {digest[:12]}", training.table, figures)
    tables = {"report.html": page.encode(), "comparison.json": json.dumps(as_rows(training.table), indent=1).encode()}
    for name, content in {**figures, **tables}.items():
        at.store.put(training_key(campaign_name, digest, name), content)
    report = training_report(training, round(time.monotonic() - began, 2)) | {"effects": effects}
    at.store.put(training_key(campaign_name, digest, "report.json"), json.dumps(report, indent=1).encode())
    at.periods.finish("train", campaign_name, period, report)
    return report


def measure_effects(training: Training, data: SnapshotData) -> dict[str, float]:
    """Mean absolute contribution per feature in log-odds, largest first, over at most ``EFFECT_ROWS`` test rows spread evenly."""
    test = np.flatnonzero(training.split.test)
    picked = test[np.linspace(0, len(test) - 1, min(EFFECT_ROWS, len(test))).astype(int)]
    return global_effects(training.model, data.table.take(picked))


def training_key(campaign_name: str, digest: str, name: str) -> str:
    """Where the report and figures of a training run lie in object storage."""
    return f"trainings/{campaign_name}/{digest}/{name}"


def training_report(training: Training, seconds: float) -> dict[str, Any]:
    """What a training run found, as JSON."""
    manifest = training.model.manifest
    return {
        "campaign": manifest.campaign,
        "digest": training.model.digest,
        "snapshot_id": manifest.snapshot_id,
        "split": training.split.kind,
        "split_text": training.split.description,
        "trained_months": list(manifest.trained_months) if manifest.trained_months else None,
        "rounds": manifest.rounds,
        "rows": {"train": manifest.trained_rows, "test": int(training.split.test.sum())},
        "metrics": _finite(training.metrics),
        "random_split": {**_finite(training.random_metrics), "seeds": list(SEEDS)},
        "deciles": deciles(training.test_scores, training.test_labels),
        "winner": training.table["winner"],
        "comparison": dict(training.table),
        "seconds": seconds,
    }


def register_into(at: Platform, campaign_name: str, report: dict[str, Any]) -> dict[str, Any]:
    """Hand a finished training to MLflow; return the report with ``mlflow_run_id`` and ``mlflow_version``."""
    declared = campaign(campaign_name)
    digest = report["digest"]
    model = load_package(at.store, declared, digest)
    prefix = training_key(campaign_name, digest, "")
    with tempfile.TemporaryDirectory(prefix="propensity-") as folder:
        package = Path(folder)
        (package / "manifest.json").write_bytes(model.manifest.to_bytes())
        (package / "model.json").write_bytes(model.model_json)
        random_metrics = {f"random_{k}": v for k, v in report["random_split"].items() if isinstance(v, float)}
        run = TrainingRun(
            campaign=campaign_name,
            params={**model.manifest.params, "rounds": model.manifest.rounds, "split": report["split"]},
            metrics={**report["metrics"], **random_metrics},
            tags={
                "model_digest": digest,
                "snapshot_id": report["snapshot_id"],
                "declaration_digest": model.manifest.declaration_digest,
                "code_version": model.manifest.code_version,
                "split": report["split_text"],
                "winner": report["winner"],
            },
            package_dir=package,
            figures={key.removeprefix(prefix): at.store.get(key) for key in at.store.keys(prefix)},
            snapshot_id=report["snapshot_id"],
            snapshot_uri=at.store.uri(read_manifest(at.store, declared, report["snapshot_id"]).data_key),
            rows=report["rows"]["train"] + report["rows"]["test"],
            feature_names=declared.feature_names,
        )
        run_id, version = at.registry.log(run)
    return {**report, "mlflow_run_id": run_id, "mlflow_version": version}


def _finite(metrics: Any) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
