"""The peers: environments made on demand, model files in each one's own form, and how each is started."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.package import NAME
from benchmarks.peers.names import MODEL_FOLDER
from benchmarks.servers import PROJECT, Launch
from local.ports import HOST, any_free
from propensity.errors import ProgramFailed

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
VENVS = PROJECT / "build" / "bench-venvs"
Say = Callable[[str], None]
# One thread inside XGBoost for everybody: servers are compared, not OpenMP. Nobody reports usage to anybody.
QUIET = {
    "OMP_NUM_THREADS": "1",
    "DO_NOT_TRACK": "true",
    "BENTOML_DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true",  # the model was written a moment ago by this benchmark
    "GIT_PYTHON_REFRESH": "quiet",
    "PYTHONUNBUFFERED": "1",
    "PYTHONPATH": str(PROJECT),
}


def environment(name: str, say: Say) -> Path:
    """The peer's own environment with exactly what its lock file names; returns its Python. Raises ProgramFailed with the reason."""
    lock = REQUIREMENTS / f"{name}.txt"
    python = VENVS / name / "bin" / "python"
    stamp = VENVS / name / ".installed"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return python
    say(f"{name}: installing the locked packages into {VENVS.relative_to(PROJECT) / name}")
    uv = str(Path(sys.executable).with_name("uv"))
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENVS / name)], f"the environment of {name}")
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "--no-deps", "--compile-bytecode"]
    _run([*install, "--requirement", str(lock)], f"the packages of {name}")
    stamp.write_text(wanted, encoding="ascii")
    return python


def _run(command: list[str], what: str, environ: Mapping[str, str] | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True, check=False)
    except OSError as exc:
        raise ProgramFailed(f"{what} could not be made: {exc.strerror}") from exc
    if done.returncode:
        lines = done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["it said nothing"]
        raise ProgramFailed(f"{what} could not be made: {lines[-1][:300]}")


class Peers:
    """Every peer's launch, made one by one so that one failing leaves the others.

    Parameters
    ----------
    model : Path
        Folder written by `benchmarks.package.write_for_peers`.
    customers : Path
        JSON list of a few customers, from which MLflow learns the signature.
    state : Path
        Where model files in other forms are put.
    """

    def __init__(self, model: Path, customers: Path, state: Path, say: Say) -> None:
        self._model, self._customers, self._state, self._say = model, customers, state, say

    def launches(self) -> tuple[list[Launch], dict[str, str]]:
        """Launches of the peers that could be prepared, and why the others could not."""
        makers: dict[str, Callable[[], Launch]] = {
            "fastapi": self._fastapi,
            "flask": self._flask,
            "mlflow-serve": self._mlflow_serve,
            "mlserver-mlflow": self._mlserver_mlflow,
            "mlserver-xgboost": self._mlserver_xgboost,
            "bentoml": self._bentoml,
        }
        made: list[Launch] = []
        absent: dict[str, str] = {}
        for name, make in makers.items():
            try:
                made.append(make())
            except ProgramFailed as exc:
                absent[name] = str(exc)
                self._say(f"{name}: not measured: {exc}")
        return made, absent

    def _environ(self, python: Path, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROPENSITY_", "MLFLOW_", "MLSERVER_"))}
        path = f"{python.parent}{os.pathsep}{kept.get('PATH', '')}"
        return {**kept, **QUIET, MODEL_FOLDER: str(self._model), "PATH": path, **more}

    def _fastapi(self) -> Launch:
        command = (sys.executable, "-m", "uvicorn", "benchmarks.peers.fastapi_app:app", "--host", HOST, "--port", "{port}")
        return Launch("fastapi", (*command, "--no-access-log"), "/health", self._environ(Path(sys.executable)))

    def _flask(self) -> Launch:
        command = (sys.executable, "-m", "benchmarks.peers.flask_app", "{port}")
        return Launch("flask", command, "/health", self._environ(Path(sys.executable)))

    def _mlflow_model(self, python: Path, folder: Path) -> Path:
        command = [str(python), "-m", "benchmarks.peers.mlflow_model", str(folder), str(self._customers)]
        _run(command, f"the MLflow model {folder.name}", self._environ(python))
        return folder

    def _mlflow_serve(self) -> Launch:
        python = Path(sys.executable)
        model = self._mlflow_model(python, self._state / "mlflow-model")
        command = (str(python), "-m", "mlflow", "models", "serve", "--model-uri", str(model), "--env-manager", "local")
        return Launch("mlflow-serve", (*command, "--host", HOST, "--port", "{port}"), "/ping", self._environ(python))

    def _mlserver(self, name: str, implementation: str, uri: Path, python: Path) -> Launch:
        folder = self._state / name
        folder.mkdir(parents=True, exist_ok=True)
        described = {"name": NAME, "implementation": implementation, "parameters": {"uri": str(uri)}}
        (folder / "model-settings.json").write_text(json.dumps(described), encoding="utf-8")
        environ = self._environ(
            python,
            MLSERVER_HOST=HOST,
            MLSERVER_HTTP_PORT="{port}",
            MLSERVER_GRPC_PORT=str(any_free()),
            MLSERVER_METRICS_PORT=str(any_free()),
            MLSERVER_DEBUG="false",
        )
        command = (str(python.with_name("mlserver")), "start", str(folder))
        # It leaves files where it runs.
        return Launch(name, command, f"/v2/models/{NAME}/ready", environ, folder)

    def _mlserver_mlflow(self) -> Launch:
        python = environment("mlserver", self._say)
        model = self._mlflow_model(python, self._state / "mlserver-mlflow-model")
        return self._mlserver("mlserver-mlflow", "mlserver_mlflow.MLflowRuntime", model, python)

    def _mlserver_xgboost(self) -> Launch:
        python = environment("mlserver", self._say)
        return self._mlserver("mlserver-xgboost", "mlserver_xgboost.XGBoostModel", self._model / "booster.json", python)

    def _bentoml(self) -> Launch:
        python = environment("bentoml", self._say)
        environ = self._environ(python, BENTOML_HOME=str(self._state / "bentoml"))
        command = (str(python.with_name("bentoml")), "serve", "benchmarks.peers.bentoml_service:Speed", "--host", HOST, "--port", "{port}")
        return Launch("bentoml", (*command, "--working-dir", str(PROJECT)), "/readyz", environ)
