"""The whole platform as a person starts it: ``make up`` in a folder of its own, every command as a program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.client import Api
from local.environment import PROJECT
from local.keys import machine_key
from local.ports import any_free
from local.processes import Processes
from propensity.access import Role

COMMAND_S = 300


@dataclass(frozen=True)
class Machine:
    """One running platform."""

    home: Path
    environ: Mapping[str, str]

    @property
    def api(self) -> str:
        return self._page("api")

    @property
    def prefect(self) -> str:
        return self._page("prefect")

    def _page(self, name: str) -> str:
        found = Processes(self.home).running(name)
        assert found is not None, f"{name} does not run"
        return found.page

    def call(self, path: str, body: object = None, *, role: Role = Role.OPERATOR) -> Any:
        """Ask the scoring service, with this machine's own key of a role."""
        return Api(self.api, machine_key(self.home, role)).call(path, body)

    def run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the platform to its end."""
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=dict(self.environ),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )

    def propensity(self, *arguments: str) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.run("local.cli", *arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


def documented_campaign() -> str:
    """The declaration that docs/adding-a-campaign.md shows."""
    text = (PROJECT / "docs" / "adding-a-campaign.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="propensity-e2e-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o711)
        campaigns = root / "campaigns"
        campaigns.mkdir(mode=0o755)
        (campaigns / "credit_card.py").write_text(documented_campaign(), encoding="utf-8")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PROPENSITY_", "PREFECT_", "MLFLOW_"))}
        environ = {
            **kept,
            "PROPENSITY_HOME": str(root / "home"),
            "PROPENSITY_CAMPAIGNS_DIR": str(campaigns),
            "PROPENSITY_SOURCE": "synthetic",
            "YEAR": "no",
            **{f"PROPENSITY_{name}_PORT": str(any_free()) for name in ("API", "PREFECT", "MLFLOW")},
        }
        started = Machine(root / "home", environ)
        up = started.run("local.up")
        try:
            assert up.returncode == 0, up.stderr[-3000:]
            yield started
        finally:
            down = started.run("local.down")
        assert down.returncode == 0, down.stderr[-3000:]
        assert not Processes(started.home).all_running()
