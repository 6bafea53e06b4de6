"""``python -m infra.cost --env dev``: what a month costs, as a table and as ``build/reports/cost.json``; 1 where the budget is passed."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.cost.assembly import PROJECT, read_assembly, synthesise
from infra.cost.estimate import Estimate, estimate, report
from infra.cost.prices import read_prices
from infra.cost.usage import Usage, as_dict, changed
from infra.preflight_asked import chosen
from infra.profiles import PROFILES
from propensity.errors import PropensityError

REPORT = PROJECT / "build" / "reports" / "cost.json"
OVER_BUDGET = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Estimate, print, write the report; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        environment = chosen(given.env, given.profile)
        usage = changed(Usage(), given.usage)
        prices = read_prices(environment.network.region)
        made = estimate(_resources(given.env, given.profile or None, given.assembly), prices, usage)
    except PropensityError as exc:
        print(f"cost: {exc}", file=sys.stderr)
        return exc.exit_code
    told = report(made, environment=environment.name, profile=environment.profile.name, limit_usd=environment.budget_usd)
    _write(given.report, told)
    print("\n".join(_table(made, told)))
    if not told["within_limit"]:
        dearest = next(iter(told["services"]))
        print(
            f"cost: {environment.name} in the profile {environment.profile.name} costs {made.usd:.2f} USD a month, over its budget of "
            f"{environment.budget_usd} USD (most of it for {dearest}): make it smaller, or raise budget_usd in infra/config.py",
            file=sys.stderr,
        )
        return OVER_BUDGET
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.cost", description="What an environment costs a month, from its templates.")
    parser.add_argument("--env", help="dev, staging or prod")
    parser.add_argument("--profile", help=f"one of {', '.join(PROFILES)}; the environment's own where none is named")
    parser.add_argument("--usage", action="append", default=[], metavar="NAME=NUMBER", help=f"change one of {', '.join(as_dict(Usage()))}")
    parser.add_argument("--assembly", type=Path, help="templates that are there already, as make synth writes them; else they are made")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report for machines goes")
    return parser


def _resources(environment: str, profile: str | None, folder: Path | None) -> list[Any]:
    if folder is not None:
        return read_assembly(folder)
    with tempfile.TemporaryDirectory(prefix="propensity-cost-") as made:
        synthesise(environment, profile, Path(made))
        return read_assembly(Path(made))


def _write(path: Path, told: Mapping[str, Any]) -> None:
    """The report appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    half.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    half.replace(path)


def _table(made: Estimate, told: Mapping[str, Any]) -> list[str]:
    """The estimate for people: by stack and service, then what it rests on."""
    lines = [f"{told['environment']} ({told['profile']}): about {made.usd:.2f} USD a month, its budget is {told['limit_usd']} USD", ""]
    for stack, usd in sorted(made.stacks().items(), key=lambda item: -item[1]):
        lines.append(f"{stack:<44}{usd:>10.2f}")
        lines += [f"  {service:<42}{part:>10.2f}" for service, part in made.services(stack).items()]
    lines += ["", "Usage a month: " + ", ".join(f"{name} {value:g}" for name, value in as_dict(made.month.usage).items())]
    lines.append(f"Prices: {told['prices_region']}, as of {told['prices_as_of']}, on demand, without tax, free tier and discounts")
    lines.append(f"Free: {sum(made.free.values())} resources of {len(made.free)} types")
    if made.not_priced:
        lines.append("NOT PRICED, and not in the sum:")
        lines += [f"  {kind}: {reason}" for kind, reasons in sorted(made.not_priced.items()) for reason in reasons]
    else:
        lines.append("Not priced: nothing")
    return lines


if __name__ == "__main__":
    sys.exit(main())
