"""The web application firewall before the REST API."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from infra.config import Environment
from infra.constructs.log_groups import log_retention

# Lists are larger than the 8 kB that this rule allows, and are read by nothing that such a body could overflow.
COUNTED = ("SizeRestrictions_BODY",)
WINDOW_S = 300
# AWS takes log groups of a firewall only under names that begin so.
LOG_NAME = "aws-waf-logs-propensity-"
HIDDEN_HEADERS = ("authorization", "x-api-key")


class Firewall(Construct):
    """AWS' rules against known attacks, and a limit per address above what all callers together may send.

    Attributes
    ----------
    acl : waf.CfnWebACL
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, stage: apigateway.Stage) -> None:
        super().__init__(scope, construct_id)
        limit = int(WINDOW_S * sum(caller.rate_per_s for caller in environment.callers))
        self.acl = waf.CfnWebACL(
            self,
            "Acl",
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_seen("all"),
            rules=[
                _managed(0, "AWSManagedRulesCommonRuleSet", COUNTED),
                _managed(1, "AWSManagedRulesKnownBadInputsRuleSet", ()),
                _managed(2, "AWSManagedRulesAmazonIpReputationList", ()),
                waf.CfnWebACL.RuleProperty(
                    name="rate",
                    priority=3,
                    action=waf.CfnWebACL.RuleActionProperty(block={}),
                    statement=waf.CfnWebACL.StatementProperty(
                        rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                            limit=limit, aggregate_key_type="IP", evaluation_window_sec=WINDOW_S
                        )
                    ),
                    visibility_config=_seen("rate"),
                ),
            ],
        )
        waf.CfnWebACLAssociation(self, "OfApi", resource_arn=stage.stage_arn, web_acl_arn=self.acl.attr_arn)
        self._log(environment)

    def _log(self, environment: Environment) -> None:
        name = LOG_NAME + environment.name
        group = logs.LogGroup(
            self,
            "Log",
            log_group_name=name,
            retention=log_retention(environment.retention.access_log_days),
            removal_policy=RemovalPolicy.RETAIN if environment.keep_data else RemovalPolicy.DESTROY,
        )
        address = cdk.Stack.of(self).format_arn(
            service="logs", resource="log-group", resource_name=name, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
        )
        logging = waf.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=self.acl.attr_arn,
            log_destination_configs=[address],
            redacted_fields=[waf.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": header}) for header in HIDDEN_HEADERS],
        )
        logging.node.add_dependency(group)


def _managed(priority: int, name: str, counted: Sequence[str]) -> waf.CfnWebACL.RuleProperty:
    overrides = [
        waf.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=waf.CfnWebACL.RuleActionProperty(count={})) for rule in counted
    ]
    statement = waf.CfnWebACL.ManagedRuleGroupStatementProperty(vendor_name="AWS", name=name, rule_action_overrides=overrides or None)
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        statement=waf.CfnWebACL.StatementProperty(managed_rule_group_statement=statement),
        visibility_config=_seen(name),
    )


def _seen(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    # Samples hold parts of requests: of customers' lists.
    return waf.CfnWebACL.VisibilityConfigProperty(cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False)
