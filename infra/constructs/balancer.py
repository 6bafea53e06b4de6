"""The internal balancer: one address for each service, told apart by its name."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.config import Environment, Names
from infra.constructs.network import PlatformNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which requests a service gets.

    Attributes
    ----------
    name : str
        Of the service; its address begins with it.
    priority : int
        Lower is asked first.
    health : str
        A path that answers 200 while the process works, whatever the services that it needs itself do.
    """

    name: str
    priority: int
    health: str

    def condition(self, names: Names) -> elb.ListenerCondition:
        return elb.ListenerCondition.host_headers([names.host(self.name)])


class Balancer(Construct):
    """A balancer that has no address outside the network.

    Attributes
    ----------
    listener : elb.ApplicationListener
        Answers 404 where no service wants the request.
    balancer : elb.ApplicationLoadBalancer
    names : Names
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, environment: Environment, network: PlatformNetwork, security_group: ec2.ISecurityGroup
    ) -> None:
        super().__init__(scope, construct_id)
        self.balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=network.vpc,
            vpc_subnets=network.private,
            internet_facing=False,
            security_group=security_group,
            desync_mitigation_mode=elb.DesyncMitigationMode.STRICTEST,
            drop_invalid_header_fields=True,
            deletion_protection=environment.keep_data,
            # Longer than any answer takes, so that the balancer never closes a connection that a service still uses.
            idle_timeout=Duration.seconds(60),
        )
        self.names = environment.names
        self._access_log(environment)
        self.listener = self._listener()
        self._zone = route53.PrivateHostedZone(self, "Zone", zone_name=self.names.domain, vpc=network.vpc)

    def _listener(self) -> elb.ApplicationListener:
        certificate = self.names.certificate_arn
        return self.balancer.add_listener(
            "Http" if certificate is None else "Https",
            port=self.names.port,
            protocol=elb.ApplicationProtocol.HTTP if certificate is None else elb.ApplicationProtocol.HTTPS,
            certificates=None if certificate is None else [elb.ListenerCertificate.from_arn(certificate)],
            ssl_policy=None if certificate is None else elb.SslPolicy.TLS13_RES,
            open=False,
            default_action=elb.ListenerAction.fixed_response(404, content_type="text/plain", message_body="no service of that name\n"),
        )

    def name(self, service: str) -> None:
        """Give the balancer one more name, within the network."""
        route53.ARecord(
            self,
            "Name-" + service,
            zone=self._zone,
            record_name=service,
            target=route53.RecordTarget.from_alias(targets.LoadBalancerTarget(self.balancer)),
        )

    def _access_log(self, environment: Environment) -> None:
        bucket = s3.Bucket(
            self,
            "AccessLog",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            lifecycle_rules=[s3.LifecycleRule(id="expire", expiration=Duration.days(environment.retention.access_log_days))],
            removal_policy=RemovalPolicy.RETAIN if environment.keep_data else RemovalPolicy.DESTROY,
            auto_delete_objects=not environment.keep_data,
        )
        self.balancer.log_access_logs(bucket)
        acknowledge(bucket, {"S1": "This bucket holds access logs itself; logging who reads them would log without end."})
