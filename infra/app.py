"""The CDK application: ``cdk synth -c env=dev -c tag=TAG``. The only reader of context, and the only place that ends the process.

=============== ===========================================================================================
context         what it says
=============== ===========================================================================================
``env``         dev, staging or prod (infra/config.py)
``tag``         version of the images, mostly the commit that they were built from
``images``      other versions of some of them: ``api=sha256:...,flows=sha256:...``
``profile``     always-on, lean or near-zero (infra/profiles.py); always-on where it is left out
``domain``      private domain of the services; with ``certificate``, the ARN of one in ACM for ``*.<domain>``
``github``      OWNER/NAME whose workflows may deploy
=============== ===========================================================================================
"""

from __future__ import annotations

import sys
from dataclasses import replace

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.config import environment_named, names_of
from infra.constructs.delivery import repository_named
from infra.constructs.registry import image_tags
from infra.profiles import with_profile
from infra.stage import PlatformStage
from propensity.campaigns import all_campaigns
from propensity.errors import PropensityError


def build(app: cdk.App) -> PlatformStage:
    """Add the platform of the environment that the context names, and the policy checks that every synthesis must pass.

    Raises
    ------
    SettingsInvalid
        The context names no environment or one that does not exist, no image, or something that cannot be one.
    CampaignError
        A campaign's declaration is unsound.
    """
    environment = with_profile(environment_named(app.node.try_get_context("env")), app.node.try_get_context("profile"))
    names = names_of(app.node.try_get_context("domain"), app.node.try_get_context("certificate"))
    environment = replace(environment, names=names)
    stage = PlatformStage(
        app,
        f"propensity-{environment.name}",
        environment=environment,
        campaigns=tuple(all_campaigns().values()),
        tags=image_tags(app.node.try_get_context("tag"), app.node.try_get_context("images")),
        version=str(app.node.try_get_context("tag")),
        repository=repository_named(app.node.try_get_context("github")),
    )
    # Which commit is deployed, for whoever has to go back to it. The stack that is deployed last says so.
    cdk.CfnOutput(stage.operations, "Version", value=str(app.node.try_get_context("tag")))
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
