"""The stack that holds the images. It is deployed before any of them is built."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from infra.config import Environment
from infra.constructs.registry import Registry


class RegistryStack(cdk.Stack):
    """Outputs ``Repository<image>``: where the pipeline pushes.

    Attributes
    ----------
    registry : Registry
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(
            scope,
            construct_id,
            description="Propensity platform: container images",
            termination_protection=environment.termination_protection,
        )
        self.registry = Registry(self, "Registry", environment=environment)
        for image, repository in self.registry.repositories.items():
            cdk.CfnOutput(self, f"Repository{image.capitalize()}", value=repository.repository_uri)
