"""Findings that stand for a reason. Each names the resources that it is about: the same finding on another one is a new finding."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """A finding that is right as it is.

    Attributes
    ----------
    check : str
        As the tool names it.
    resources : str
        A regular expression that the logical ids match from their beginning.
    """

    check: str
    resources: str
    reason: str

    def covers(self, check: str, resource: str) -> bool:
        return check == self.check and re.match(self.resources, resource) is not None


EMPTIES = (
    "CDK's own function. It empties a bucket as its stack is deleted, in environments whose data are not kept, and never runs otherwise."
)

ACCEPTED: tuple[Accepted, ...] = (
    # checkov
    Accepted(
        "CKV_AWS_2",
        "BalancerHttp[A-F0-9]",
        "Without a domain the names are private, which no public authority signs. The hop stays within the network, between security "
        "groups that let nobody else in; with -c domain and -c certificate the balancer speaks TLS alone.",
    ),
    Accepted("CKV_AWS_103", "BalancerHttp[A-F0-9]", "As for CKV_AWS_2: this listener speaks no TLS."),
    Accepted(
        "CKV_AWS_111",
        "(FrontDoor|Lists|Alert|Scoring)Role",
        "The network interfaces of a function have no name before Lambda makes them; these actions cannot be narrowed down.",
    ),
    Accepted(
        "CKV_AWS_115",
        "(FrontDoor|Lists|Alert|Uploaded|MigrationRunner|Scoring)",
        "Reserved concurrency is taken from the rest of the account; the usage plans and the queue bound how many run at once.",
    ),
    Accepted("CKV_AWS_116", "(FrontDoor|Lists|Scoring)", "The caller waits for the answer: what fails is told to him at once."),
    Accepted("CKV_AWS_116", "Uploaded", "It is fed by a queue, which has a dead-letter queue itself."),
    Accepted("CKV_AWS_116", "MigrationRunner", "CloudFormation calls it and waits; a failure fails the deployment."),
    Accepted(
        "CKV_AWS_117", "(Uploaded|MigrationRunner|Alert)", "It calls AWS' own services alone and has nothing to ask within the network."
    ),
    *(Accepted(check, "CustomS3AutoDelete", EMPTIES) for check in ("CKV_AWS_115", "CKV_AWS_116", "CKV_AWS_117")),
    Accepted("CKV_AWS_88", ".*NatInstance", "This is the way out; it takes in what comes from within the network alone."),
    Accepted("CKV_AWS_65", "Cluster", "infra/config.py says where metrics of every task are worth what they cost."),
    Accepted("CKV_AWS_46", ".*NatInstance", "The user data are CDK's own commands that make it route; they hold nothing secret."),
    Accepted("CKV_AWS_157", "DatabaseInstance", "infra/config.py says which environment stands still while its only database restarts."),
    Accepted("CKV_AWS_120", "Rest", "Answers depend on the caller's key and body; a cache would give one caller the answer of another."),
    Accepted("CKV_AWS_158", "", "Logs are encrypted by CloudWatch itself and hold no customer's data, so that they need no key of ours."),
    Accepted(
        "CKV_AWS_173", "(FrontDoor|Lists|Alert|Uploaded|Scoring)", "The variables are addresses and names; Lambda encrypts them itself."
    ),
    Accepted("CKV_AWS_18", ".*AccessLog", "It holds access logs itself; logging who reads them would log without end."),
    Accepted("CKV_AWS_21", ".*AccessLog", "Each object is written once by AWS and never replaced."),
    Accepted(
        "CKV_AWS_27", "", "The queue is encrypted with the key of SQS itself, which this check does not know; messages name objects alone."
    ),
    # cfn-lint
    Accepted("W3005", "", "CDK writes dependencies that are implied as well; saying them twice changes nothing."),
    Accepted("W3010", "Network", "Zones are declared by environment, so that a synthesis asks no account for them."),
)


def reason_for(check: str, resource: str) -> str | None:
    """Why a finding stands; None for one that does not."""
    return next((one.reason for one in ACCEPTED if one.covers(check, resource)), None)
