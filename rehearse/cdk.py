"""The real command line of the CDK, with the emulator for AWS."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from propensity.errors import ProgramFailed
from rehearse.emulator import ACCOUNT, BUILD, PROJECT, REGION, Emulator, end_group

# Of the locked version, which is that of the Makefile; a test compares them.
CLI = BUILD / "node" / "node_modules" / ".bin" / "cdk"
# Twice as long as the slowest command takes on a busy machine.
LIMIT_S = 400.0


class Differs(Exception):
    """What is deployed is not what the templates say."""


@dataclass(frozen=True)
class Cdk:
    """Commands of the CDK for one version of the platform in one environment.

    Parameters
    ----------
    environment : str
        ``dev``, ``staging`` or ``prod``, as the application declares them.
    tag : str
        Of every image.
    folder : Path
        Where templates, outputs and logs go.
    """

    emulator: Emulator
    folder: Path
    environment: str
    tag: str

    def of(self, tag: str) -> Cdk:
        """The same for another version."""
        return replace(self, tag=tag)

    def stacks(self, name: str = "*") -> str:
        """How the command line names a stack, or all of them."""
        return f"propensity-{self.environment}/{name}"

    def bootstrap(self) -> None:
        """Make what deployments of the account need."""
        # Away from the project, whose application the command would run for nothing.
        self._run("bootstrap", f"aws://{ACCOUNT}/{REGION}", cwd=self.folder)

    def synth(self) -> None:
        """Make the templates; the other commands go by them."""
        context = ["-c", f"env={self.environment}", "-c", f"tag={self.tag}"]
        self._run("synth", "--quiet", self.stacks(), "--app", f"{sys.executable} -m infra.app", "--output", str(self._assembly), *context)

    def deploy(self, *stacks: str) -> dict[str, dict[str, str]]:
        """Deploy; returns the outputs of every stack, by name."""
        outputs = self.folder / "outputs.json"
        told = ["--require-approval", "never", "--progress", "events", "--outputs-file", str(outputs)]
        self._run("deploy", *(stacks or (self.stacks(),)), *self._templates, *told)
        found: dict[str, dict[str, str]] = json.loads(outputs.read_text(encoding="utf-8"))
        return found

    def diff(self) -> bool:
        """Whether anything differs from what is deployed."""
        try:
            self._run("diff", self.stacks(), *self._templates, "--fail")
        except Differs:
            return True
        return False

    def destroy(self, *stacks: str) -> None:
        """Delete them, all where none is named."""
        self._run("destroy", *(stacks or (self.stacks(),)), *self._templates, "--force", "--progress", "events")

    def resource_types(self) -> dict[str, list[str]]:
        """Type of each resource in each template, by stack."""
        found = {}
        for path in sorted(self._assembly.rglob("*.template.json")):
            template = json.loads(path.read_text(encoding="utf-8"))
            found[path.name.removesuffix(".template.json")] = [r["Type"] for r in template.get("Resources", {}).values()]
        return found

    @property
    def _assembly(self) -> Path:
        return self.folder / f"templates-{self.tag}"

    @property
    def _templates(self) -> list[str]:
        return ["--app", str(self._assembly)]

    def _run(self, command: str, *words: str, cwd: Path = PROJECT) -> None:
        log = self.folder / f"cdk-{command}.log"
        began = log.stat().st_size if log.exists() else 0
        with log.open("ab") as lines:
            code = _wait([str(CLI), command, *words, "--no-notices"], self._environ(), cwd, lines.fileno(), f"cdk {command}")
        said = log.read_bytes()[began:].decode("utf-8", errors="replace")
        if command == "diff" and code == 1 and re.search(r"Number of stacks with differences: [1-9]", said):
            raise Differs
        if code:
            raise ProgramFailed(f"cdk {command} ended with {code}: {_reason(said)}")

    def _environ(self) -> dict[str, str]:
        quiet = {
            # Whether the templates are sound is another check's affair, and takes five seconds each time.
            "CDK_VALIDATION": "false",
            "CDK_DISABLE_VERSION_CHECK": "1",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CI": "1",
            "NO_COLOR": "1",
        }
        return {**self.emulator.environ(), **quiet, "CDK_DEFAULT_ACCOUNT": ACCOUNT, "CDK_DEFAULT_REGION": REGION}


def _wait(line: Sequence[str], environ: Mapping[str, str], cwd: Path, log: int, what: str) -> int:
    try:
        process = subprocess.Popen(
            line, cwd=cwd, env=dict(environ), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as exc:
        raise ProgramFailed(f"{what} cannot be started: {line[0]}: {exc.strerror}") from exc
    try:
        return process.wait(LIMIT_S)
    except subprocess.TimeoutExpired as exc:
        raise ProgramFailed(f"{what} did not end within {LIMIT_S:g} s") from exc
    finally:
        end_group(process, 5.0)


def _reason(said: str) -> str:
    """The line of the output that says the most."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if "CREATE_FAILED" in line or line.startswith("infra:")]
    telling = telling or [line for line in lines if "failed" in line.lower() or "error" in line.lower()]
    return (telling or lines or ["it said nothing"])[0][:500]
