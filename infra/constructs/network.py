"""The network: public subnets for the way out, private ones for what computes, isolated ones for what remembers."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.config import Environment
from infra.constructs.log_groups import log_retention

NAT_INSTANCE = "t4g.nano"
PRIVATE = "private"
ISOLATED = "isolated"


class PlatformNetwork(Construct):
    """A VPC in which nothing but the NAT has a public address.

    Attributes
    ----------
    vpc : ec2.Vpc
    private, isolated : ec2.SubnetSelection
        With a way out, and without one.
    flow_log : logs.LogGroup
        Which connections were accepted and refused.
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(scope, construct_id)
        network = environment.network
        provider = self._instance_provider() if network.nat == "instance" else ec2.NatProvider.gateway()
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(network.cidr),
            availability_zones=[network.region + zone for zone in network.zones],
            nat_gateways=network.nat_count,
            nat_gateway_provider=provider,
            # Nothing is in the default group, and closing it would take a function that runs for this alone.
            restrict_default_security_group=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=26, map_public_ip_on_launch=False),
                ec2.SubnetConfiguration(name=PRIVATE, subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=20),
                ec2.SubnetConfiguration(name=ISOLATED, subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=26),
            ],
            # Objects and images come by here and not through the NAT, which is paid for by the gigabyte.
            gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
        )
        self.private = ec2.SubnetSelection(subnet_group_name=PRIVATE)
        self.isolated = ec2.SubnetSelection(subnet_group_name=ISOLATED)
        if isinstance(provider, ec2.NatInstanceProviderV2):
            self._only_from_inside(provider, network.cidr)
        self.flow_log = logs.LogGroup(
            self,
            "FlowLog",
            retention=log_retention(environment.retention.access_log_days),
            removal_policy=RemovalPolicy.RETAIN if environment.keep_data else RemovalPolicy.DESTROY,
        )
        self.vpc.add_flow_log(
            "Flows",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(self.flow_log),
            max_aggregation_interval=ec2.FlowLogMaxAggregationInterval.TEN_MINUTES,
        )

    def _instance_provider(self) -> ec2.NatInstanceProviderV2:
        return ec2.NatProvider.instance_v2(
            instance_type=ec2.InstanceType(NAT_INSTANCE),
            machine_image=ec2.MachineImage.latest_amazon_linux2023(cpu_type=ec2.AmazonLinuxCpuType.ARM_64),
            default_allowed_traffic=ec2.NatTrafficDirection.OUTBOUND_ONLY,
            associate_public_ip_address=True,
        )

    def _only_from_inside(self, provider: ec2.NatInstanceProviderV2, cidr: str) -> None:
        provider.connections.allow_from(ec2.Peer.ipv4(cidr), ec2.Port.all_traffic(), "whatever leaves the private subnets")
        for subnet in self.vpc.public_subnets:
            for child in subnet.node.children:
                if isinstance(child, ec2.Instance):
                    _harden(child)


def _harden(instance: ec2.Instance) -> None:
    """Disk encrypted, metadata by token alone."""
    cfn = instance.node.default_child
    assert isinstance(cfn, ec2.CfnInstance)
    cfn.block_device_mappings = [
        ec2.CfnInstance.BlockDeviceMappingProperty(
            device_name="/dev/xvda", ebs=ec2.CfnInstance.EbsProperty(encrypted=True, volume_type="gp3", delete_on_termination=True)
        )
    ]
    cfn.add_property_override("MetadataOptions", {"HttpTokens": "required", "HttpEndpoint": "enabled"})
    acknowledge(
        instance,
        {
            "EC28": "The NAT instance serves environments that may pause; its default metrics of five minutes tell enough.",
            "EC29": "The NAT instance holds nothing and is made anew by a deployment: protecting it would only keep the stack from going.",
        },
    )
