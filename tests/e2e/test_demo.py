"""``make demo`` as a stranger runs it, and what the README says it prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.demo_summary import REPORT
from local.environment import PROJECT
from local.ports import any_free

pytestmark = pytest.mark.slow


def _demo(home: Path, **variables: str) -> list[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PROPENSITY_", "PREFECT_", "MLFLOW_"))}
    ports = {f"PROPENSITY_{name}_PORT": str(any_free()) for name in ("API", "PREFECT", "MLFLOW")}
    done = subprocess.run(
        [sys.executable, "-m", "local.demo"],
        env={**kept, "PROPENSITY_HOME": str(home), **ports, **variables},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [_masked(line) for line in done.stdout.splitlines()]


def _masked(line: str) -> str:
    """Without what differs from run to run or from one version of the code to the next: seconds and the model's digest."""
    line = re.sub(r"^Done in .*", "Done", re.sub(r"^ *\d+\.\d s ", "", line))
    return re.sub(r"(Promotion: promote model) [0-9a-f]{12}", r"\1", line).rstrip()


def _documented() -> list[str]:
    found = re.search(r"```text\n(Term deposit.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert found is not None
    return [_masked(line) for line in found[1].splitlines() if line not in ("", "…")]


@pytest.mark.real_data
def test_the_demo_prints_what_the_readme_shows(data_dir: Path, tmp_path: Path) -> None:
    printed = iter(_demo(tmp_path / "home", PROPENSITY_DATA_DIR=str(data_dir)))
    missing = [line for line in _documented() if line not in printed]
    assert missing == [], "these lines of the README are not printed, in this order"
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    assert report["data"]["rows"] == 41_188
    assert (report["data"]["first_month"], report["data"]["last_month"]) == ("2008-05", "2010-11")
    assert report["metrics"]["random_split"]["seeds"] == [42, 0, 1]
    assert report["metrics"]["random_split"]["roc_auc"] >= 0.805
    assert report["metrics"]["random_split"]["pr_auc"] >= 0.48
    assert report["metrics"]["random_split"]["ece"] <= 0.01
    assert report["promotion"]["decision"] == "promote"
    assert report["predictions"]["answered"] == report["predictions"]["logged"] > 5_000
    assert report["drift"]["verdict"] == "drift"
    assert report["drift"]["empty_window"] == "no_data"


def test_without_data_and_network_the_demo_draws_customers_and_says_so(tmp_path: Path) -> None:
    # No proxy answers at port 1: the public file cannot be fetched.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1")
    printed = _demo(tmp_path / "home", CAMPAIGN="purchase-propensity", **nowhere)
    assert "SYNTHETIC" in printed[0]
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    assert (report["campaign"], report["data"]["synthetic"]) == ("purchase-propensity", True)
    assert report["predictions"]["answered"] == report["predictions"]["logged"] > 0
