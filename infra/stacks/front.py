"""The stack with the way in: REST API, firewall, and the functions behind them."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.constructs.front_functions import alert, front_door, lists
from infra.constructs.parts import Parts
from infra.constructs.rest_api import RestApi
from infra.constructs.scoring_function import ScoringFunction
from infra.constructs.task import Task
from infra.constructs.waf import Firewall


class FrontStack(cdk.Stack):
    """Stateless. Output ``Address``: where callers post.

    Attributes
    ----------
    functions : dict of str to lambda_.Function
        By name.
    heard : PlatformFunction
        The one that hears of alerts.
    rest : RestApi
    """

    def __init__(self, scope: Construct, construct_id: str, *, parts: Parts, flow: Task) -> None:
        super().__init__(scope, construct_id, description="Propensity platform: REST API")
        self.functions: dict[str, lambda_.Function] = {}
        self.heard = alert(self, parts, flow)
        self.functions["Alert"] = self.heard.function
        door: lambda_.Function
        listing: lambda_.Function
        if parts.environment.profile.scoring == "lambda":
            scoring = ScoringFunction(self, "Scoring", parts=parts).function
            self.functions["Scoring"] = door = listing = scoring
        else:
            door, listing = front_door(self, parts).function, lists(self, parts).function
            self.functions |= {"FrontDoor": door, "Lists": listing}
        self.rest = RestApi(self, "Rest", environment=parts.environment, front_door=door, lists=listing)
        if parts.environment.firewall:
            Firewall(self, "Firewall", environment=parts.environment, stage=self.rest.stage)
        else:
            acknowledge(
                self.rest, {"APIG3": "This environment's data are made up; whoever asks needs two keys, and rates are limited by the plan."}
            )
        cdk.CfnOutput(self, "Address", value=self.rest.api.url)
