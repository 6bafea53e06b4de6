"""Resource types of CloudFormation that the emulator lacks. A stand-in is created, updated and deleted, and is nothing else.

A type that neither the emulator nor this table knows makes the deployment fail: nothing is skipped in silence.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

Props = dict[str, Any]


@dataclass(frozen=True)
class StandIn:
    """How references to it look.

    Attributes
    ----------
    ref : str
        What ``Ref`` gives; ``{hex}`` is a hash that stays the same as long as the resource does.
    attributes : dict of str to str
        What ``Fn::GetAtt`` gives.
    """

    ref: str
    attributes: dict[str, str] = field(default_factory=dict)


STAND_INS: dict[str, StandIn] = {
    "AWS::ApiGateway::ClientCertificate": StandIn("{hex6}"),
    "AWS::ApiGateway::VpcLink": StandIn("{hex6}"),
    "AWS::ApplicationAutoScaling::ScalableTarget": StandIn("service/{hex}|ecs:service:DesiredCount|ecs", {"Id": "{hex}"}),
    "AWS::ApplicationAutoScaling::ScalingPolicy": StandIn("arn:aws:autoscaling:eu-central-1:000000000000:scalingPolicy:{hex}"),
    "AWS::Budgets::Budget": StandIn("budget-{hex}"),
    "AWS::CloudWatch::AnomalyDetector": StandIn("detector-{hex}"),
    "AWS::CloudWatch::CompositeAlarm": StandIn("alarm-{hex}", {"Arn": "arn:aws:cloudwatch:eu-central-1:000000000000:alarm:alarm-{hex}"}),
    "AWS::EC2::EIP": StandIn("203.0.113.7", {"AllocationId": "eipalloc-{hex}", "PublicIp": "203.0.113.7"}),
    "AWS::EC2::EIPAssociation": StandIn("eipassoc-{hex}", {"Id": "eipassoc-{hex}"}),
    "AWS::EC2::FlowLog": StandIn("fl-{hex}", {"Id": "fl-{hex}"}),
    "AWS::EC2::Instance": StandIn(
        "i-{hex}",
        {"InstanceId": "i-{hex}", "PrivateIp": "10.20.0.7", "PublicIp": "203.0.113.7", "AvailabilityZone": "eu-central-1a"},
    ),
    "AWS::EC2::NatGateway": StandIn("nat-{hex}", {"NatGatewayId": "nat-{hex}"}),
    "AWS::EC2::NetworkAcl": StandIn("acl-{hex}", {"Id": "acl-{hex}"}),
    "AWS::EC2::NetworkAclEntry": StandIn("aclentry-{hex}", {"Id": "aclentry-{hex}"}),
    "AWS::EC2::SecurityGroupEgress": StandIn("sgr-{hex}", {"Id": "sgr-{hex}"}),
    "AWS::EC2::SecurityGroupIngress": StandIn("sgr-{hex}", {"Id": "sgr-{hex}"}),
    "AWS::EC2::SubnetNetworkAclAssociation": StandIn("aclassoc-{hex}", {"AssociationId": "aclassoc-{hex}"}),
    "AWS::ECS::CapacityProvider": StandIn("provider-{hex}"),
    "AWS::ECS::ClusterCapacityProviderAssociations": StandIn("providers-{hex}"),
    "AWS::EMRServerless::Application": StandIn(
        "{hex}", {"ApplicationId": "{hex}", "Arn": "arn:aws:emr-serverless:eu-central-1:000000000000:/applications/{hex}"}
    ),
    "AWS::IAM::OIDCProvider": StandIn(
        "arn:aws:iam::000000000000:oidc-provider/{hex}", {"Arn": "arn:aws:iam::000000000000:oidc-provider/{hex}"}
    ),
    "AWS::Logs::QueryDefinition": StandIn("query-{hex}", {"QueryDefinitionId": "query-{hex}"}),
    "AWS::SecretsManager::ResourcePolicy": StandIn("policy-{hex}", {"Id": "policy-{hex}"}),
    "AWS::SecretsManager::RotationSchedule": StandIn("rotation-{hex}", {"Id": "rotation-{hex}"}),
    "AWS::WAFv2::LoggingConfiguration": StandIn("logging-{hex}"),
    "AWS::WAFv2::WebACLAssociation": StandIn("association-{hex}"),
}


def register(handlers: dict[str, dict[str, Any]]) -> None:
    """Add every stand-in to the emulator's handlers. Raises RuntimeError where the emulator has the type by now."""
    for kind, stand_in in STAND_INS.items():
        if kind in handlers:
            raise RuntimeError(f"the emulator knows {kind}: take it from the stand-ins")
        handlers[kind] = _handlers_of(stand_in)


def _handlers_of(stand_in: StandIn) -> dict[str, Any]:
    def create(logical_id: str, props: Props, stack_name: str) -> tuple[str, dict[str, str]]:
        del props
        known = hashlib.sha256(f"{stack_name}/{logical_id}".encode()).hexdigest()
        named = {"hex": known[:17], "hex6": known[:6]}
        return stand_in.ref.format(**named), {name: text.format(**named) for name, text in stand_in.attributes.items()}

    def update(physical_id: str, old: Props, new: Props, stack_name: str, logical_id: str) -> tuple[str, dict[str, str]]:
        del physical_id, old
        return create(logical_id, new, stack_name)

    def delete(physical_id: str, props: Props) -> None:
        del physical_id, props

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}
