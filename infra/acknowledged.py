"""Findings of the policy checks that stand for a reason: one finding, one sentence."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import IConstruct

_PREFIX = "AwsSolutions::AwsSolutions-"


def acknowledge(construct: IConstruct, findings: dict[str, str]) -> None:
    """Let findings on ``construct`` and what is below it pass.

    Parameters
    ----------
    findings : dict
        The finding without its prefix, as in ``IAM5[Resource::*]``, and the reason why it is right as it is.
    """
    for finding, reason in findings.items():
        cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=_PREFIX + finding, reason=reason))


def exported(value: str, owner: IConstruct) -> str:
    """What a value of another stack is called in findings: the name under which that stack exports it."""
    stack = cdk.Stack.of(owner)
    found: dict[str, str] = stack.resolve(stack.export_value(value))
    return found["Fn::ImportValue"]
