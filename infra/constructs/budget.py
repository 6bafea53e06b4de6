"""The budget: people hear of it before the money is spent."""

from __future__ import annotations

from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.config import Environment

WARN_PERCENT = 80


class Budget(Construct):
    """A monthly limit on what carries this environment's tag."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, people: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        tell = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=people.topic_arn)
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=environment.budget_usd, unit="USD"),
                cost_filters={"TagKeyValue": [f"user:environment${environment.name}"]},
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN", notification_type=kind, threshold=threshold, threshold_type="PERCENTAGE"
                    ),
                    subscribers=[tell],
                )
                for kind, threshold in (("ACTUAL", WARN_PERCENT), ("FORECASTED", 100))
            ],
        )
