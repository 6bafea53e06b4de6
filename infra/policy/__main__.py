"""``python -m infra.policy --env prod``: checkov and cfn-lint over the templates of an environment; 1 where something is not accepted."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.config import environment_named
from infra.policy.accepted import reason_for
from infra.policy.tools import PROJECT, Finding, cfn_lint, checkov, tools_folder
from infra.profiles import PROFILES, with_profile
from propensity.errors import ProgramFailed, PropensityError

REPORT = PROJECT / "build" / "reports" / "policy.json"
# Templates name the images; any name will do for looking at the rest.
TAG = "policy"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, print, write the report; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        environment = with_profile(environment_named(given.env), given.profile)
        with tempfile.TemporaryDirectory(prefix="propensity-policy-") as folder:
            templates = given.templates or _synthesise(given.env, environment.profile.name, Path(folder))
            programs = tools_folder()
            found = [*cfn_lint(programs, templates, environment.network.region), *checkov(programs, templates)]
    except PropensityError as exc:
        print(f"policy: {exc}", file=sys.stderr)
        return exc.exit_code
    told = report(found, environment.name, environment.profile.name, len(templates))
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    for one in told["open"]:
        print(f"{one['tool']} {one['check']} {one['template']} {one['resource']}: {one['message']}")
    print(f"{len(templates)} templates of {environment.name}: {len(told['open'])} findings, {len(told['accepted'])} accepted with a reason")
    return 1 if told["open"] else 0


def report(found: Sequence[Finding], environment: str, profile: str, templates: int) -> dict[str, Any]:
    """The findings, apart by whether they were accepted."""
    rows: dict[str, list[dict[str, str]]] = {"open": [], "accepted": []}
    for one in found:
        reason = reason_for(one.check, one.resource)
        row = {"tool": one.tool, "check": one.check, "template": one.template, "resource": one.resource, "message": one.message}
        rows["open" if reason is None else "accepted"].append(row if reason is None else {**row, "reason": reason})
    return {"environment": environment, "profile": profile, "templates": templates, **rows}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.policy", description="checkov and cfn-lint over an environment's templates.")
    parser.add_argument("--env", required=True, help="dev, staging or prod")
    parser.add_argument("--profile", help=f"one of {', '.join(PROFILES)}; always-on where none is named")
    parser.add_argument("--templates", type=Path, nargs="*", help="these instead of those of a synthesis of their own")
    return parser


def _synthesise(environment: str, profile: str, folder: Path) -> list[Path]:
    """Templates of an environment, with cdk-nag's checks. Raises ProgramFailed."""
    declared: dict[str, Any] = json.loads((PROJECT / "cdk.json").read_text(encoding="utf-8"))
    told = {**declared["context"], "env": environment, "profile": profile, "tag": TAG}
    variables = {**os.environ, "CDK_OUTDIR": str(folder), "CDK_CONTEXT_JSON": json.dumps(told), "CDK_VALIDATION": "false"}
    done = subprocess.run([sys.executable, "-m", "infra.app"], cwd=PROJECT, env=variables, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProgramFailed(f"the synthesis of {environment} failed: {done.stderr.strip()[-1000:]}")
    return sorted(folder.glob("assembly-*/*.template.json"))


if __name__ == "__main__":
    sys.exit(main())
