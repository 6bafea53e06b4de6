"""The CDK application: ``cdk synth -c env=dev``. The only reader of context, and the only place that ends the process."""

from __future__ import annotations

import sys

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.config import environment_named
from infra.stage import PlatformStage
from propensity.campaigns import all_campaigns
from propensity.errors import PropensityError


def build(app: cdk.App) -> PlatformStage:
    """Add the platform of the environment that the context names, and the policy checks that every synthesis must pass.

    Raises
    ------
    SettingsInvalid
        The context names no environment, or one that does not exist.
    CampaignError
        A campaign's declaration is unsound.
    """
    environment = environment_named(app.node.try_get_context("env"))
    stage = PlatformStage(app, f"propensity-{environment.name}", environment=environment, campaigns=tuple(all_campaigns().values()))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return stage


def main() -> int:
    """Synthesise; return the exit code."""
    app = cdk.App()
    try:
        build(app)
    except PropensityError as exc:
        print(f"infra: {exc}", file=sys.stderr)
        return exc.exit_code
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
