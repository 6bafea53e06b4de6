"""The pipeline: actions that cannot change under us, no more rights than needed, and only commands that exist."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from infra.config import ENVIRONMENTS
from infra.preflight_asked import IMAGES

PROJECT = Path(__file__).resolve().parent.parent
FILES = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
NAMES = [path.name for path in FILES]


def workflow(name: str) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    read: dict[Any, Any] = yaml.safe_load((PROJECT / ".github" / "workflows" / name).read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in read.items()}


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in workflow(name)["jobs"].values():
        yield from job.get("steps", [])


def commands(name: str) -> str:
    return "\n".join(step["run"] for step in steps(name) if "run" in step)


def test_there_are_workflows() -> None:
    assert NAMES == ["ci.yml", "deploy.yml"]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(path: Path) -> None:
    used = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"\s*(- )?uses:", line)]
    assert used
    for line in used:
        if "uses: ./" in line:
            assert (PROJECT / line.partition("uses: ./")[2]).is_file()
        else:
            assert re.fullmatch(r"(- )?uses: [\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_exists(name: str) -> None:
    named = set(re.findall(r"\bmake ([a-z]+)", commands(name)))
    assert named
    known = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= known


@pytest.mark.parametrize("name", NAMES)
def test_every_script_and_set_that_is_named_exists(name: str) -> None:
    text = commands(name)
    for script in re.findall(r"\b(images/\w+\.sh)", text):
        assert os.access(PROJECT / script, os.X_OK)
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for sets in re.findall(r"for set in ([a-z ]+);", text):
        # dev is all of the others and tools; bootstrap is one package.
        assert set(sets.split()) == set(declared) - {"dev", "bootstrap"}


@pytest.mark.parametrize("name", NAMES)
def test_rights_are_given_to_jobs_one_by_one(name: str) -> None:
    read = workflow(name)
    assert read["permissions"] == {}
    for job in read["jobs"].values():
        granted = set(job["permissions"].items())
        assert granted <= {("contents", "read"), ("id-token", "write")}
        assert ("id-token", "write") not in granted or name == "deploy.yml" or job.get("uses") == "./.github/workflows/deploy.yml"
        assert "timeout-minutes" in job or "uses" in job


@pytest.mark.parametrize("name", NAMES)
def test_no_expression_is_pasted_into_a_script(name: str) -> None:
    """Whoever names a branch or types an input could run what he likes; variables are quoted by the shell."""
    assert "${{" not in commands(name)


@pytest.mark.parametrize("name", NAMES)
def test_no_checkout_leaves_its_token_behind(name: str) -> None:
    checkouts = [step for step in steps(name) if "actions/checkout@" in step.get("uses", "")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_environment_and_image_is_looked_at() -> None:
    jobs = workflow("ci.yml")["jobs"]
    environments = [environment.name for environment in ENVIRONMENTS]
    assert jobs["infrastructure"]["strategy"]["matrix"]["environment"] == environments
    assert tuple(jobs["images"]["strategy"]["matrix"]["image"]) == IMAGES
    assert workflow("deploy.yml")["on"]["workflow_dispatch"]["inputs"]["environment"]["options"] == environments
    assert set(jobs["deploy"]["needs"]) == set(jobs) - {"deploy"}


def test_the_pipeline_runs_the_python_of_the_images() -> None:
    base = (PROJECT / "images" / "api" / "Dockerfile").read_text(encoding="utf-8")
    (version,) = set(re.findall(r"python:(\d+\.\d+)\.", base))
    used = [step["with"]["python-version"] for name in NAMES for step in steps(name) if "setup-python" in step.get("uses", "")]
    assert set(used) == {version}


def test_the_way_back_reads_what_the_application_writes() -> None:
    """The stack and the output that say which commit is deployed."""
    text = commands("deploy.yml")
    assert "propensity-$ENVIRONMENT-Operations" in text
    assert "OutputKey=='Version'" in text
    assert 'CfnOutput(stage.operations, "Version"' in (PROJECT / "infra" / "app.py").read_text(encoding="utf-8")


def test_what_spark_runs_is_there_before_the_version_that_asks_for_it() -> None:
    """Lists of the new version name its own package; one that comes later would find none."""
    order = [line for line in commands("deploy.yml").splitlines() if re.search(r"images/(push|spark)\.sh|make (preflight|deploy) ", line)]
    named = [re.search(r"images/\w+\.sh|make \w+", line) for line in order]
    assert [found[0] for found in named if found][:4] == ["images/push.sh", "images/spark.sh", "make preflight", "make deploy"]
    assert "propensity-$ENVIRONMENT-DataLake" in commands("deploy.yml")
    assert '"StoreUrl"' in (PROJECT / "infra" / "stacks" / "data_lake.py").read_text(encoding="utf-8")


KEY, BEARER = "the-key-of-the-api", "prop_00000000_secret"


@pytest.fixture
def api() -> Iterator[tuple[str, dict[str, int]]]:
    """An API that wants both keys; what it answers with and without them can be changed."""
    answers = {"without": 403, "with": 200}

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers.get("x-api-key") == KEY and self.headers.get("Authorization") == f"Bearer {BEARER}"
            self.send_response(answers["with" if known else "without"] if self.path == "/stage/v1/campaigns" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Api) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/stage/", answers
        server.shutdown()


def smoke(address: str, **keys: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PAUSE_S": "0", "NO_PROXY": "127.0.0.1", **keys}
    return subprocess.run(["bash", "images/smoke.sh", address], cwd=PROJECT, env=environ, capture_output=True, text=True, check=False)


def test_the_smoke_test_passes_where_the_api_refuses_and_answers(api: tuple[str, dict[str, int]]) -> None:
    done = smoke(api[0], API_KEY=KEY, BEARER=BEARER)
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize(("when", "status"), [("without", 200), ("with", 500), ("with", 403)])
def test_the_smoke_test_fails_where_it_does_not(when: str, status: int, api: tuple[str, dict[str, int]]) -> None:
    api[1][when] = status
    done = smoke(api[0], API_KEY=KEY, BEARER=BEARER)
    assert done.returncode == 1
    assert str(status) in done.stderr


def test_the_smoke_test_says_which_key_is_missing(api: tuple[str, dict[str, int]]) -> None:
    done = smoke(api[0], API_KEY=KEY)
    assert done.returncode != 0
    assert "BEARER is not set" in done.stderr
