"""checkov and cfn-lint, in an environment of their own: checkov wants older packages than the platform."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from propensity.errors import ProgramFailed

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("checkov==3.3.30", "cfn-lint==1.58.0")
# cfn-lint: 2 errors, 4 warnings, 8 information, added up. checkov: 1 for findings.
FOUND = range(16)
TIMEOUT_S = 900


@dataclass(frozen=True, slots=True)
class Finding:
    """What a tool does not like: which check, about which resource of which template."""

    tool: str
    check: str
    template: str
    resource: str
    message: str


def tools_folder() -> Path:
    """Where the programs of both tools lie; installed when first asked for. Raises ProgramFailed."""
    home = PROJECT / "build" / "policy-tools"
    mark = home / f".{'-'.join(PACKAGES)}"
    if not mark.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(home)], "make the tools' environment")
        _run([str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *PACKAGES], "install checkov and cfn-lint")
        mark.touch()
    return home / "bin"


def cfn_lint(programs: Path, templates: Sequence[Path], region: str) -> Iterator[Finding]:
    """What cfn-lint says. Raises ProgramFailed."""
    told = _run([str(programs / "cfn-lint"), "--format", "json", "--regions", region, "--", *map(str, templates)], "run cfn-lint", FOUND)
    for found in json.loads(told or "[]"):
        path = [str(part) for part in found["Location"]["Path"] or []]
        resource = path[1] if path[:1] == ["Resources"] and len(path) > 1 else "/".join(path)
        yield Finding("cfn-lint", found["Rule"]["Id"], Path(found["Filename"]).name, resource, found["Message"])


def checkov(programs: Path, templates: Sequence[Path]) -> Iterator[Finding]:
    """What checkov says; it asks nobody outside. Raises ProgramFailed."""
    options = ["--framework", "cloudformation", "--compact", "--quiet", "--output", "json", "--skip-download"]
    named = [argument for template in templates for argument in ("--file", str(template))]
    told = _run([str(programs / "checkov"), *options, *named], "run checkov", FOUND)
    reports: Any = json.loads(told)
    for report in reports if isinstance(reports, list) else [reports]:
        if report.get("summary", {}).get("parsing_errors"):
            raise ProgramFailed("checkov could not read a template")
        for found in report.get("results", {}).get("failed_checks", []):
            resource = str(found["resource"]).rpartition(".")[2]
            yield Finding("checkov", found["check_id"], Path(found["file_path"]).name, resource, found["check_name"])


def _run(command: Sequence[str], what: str, allowed: Sequence[int] | range = (0,)) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ProgramFailed(f"could not {what}: {type(exc).__name__}") from exc
    if done.returncode not in allowed:
        raise ProgramFailed(f"could not {what}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout
