"""What connects and watches: network, load balancers, the REST API, firewall, messages, alarms."""

from __future__ import annotations

from collections.abc import Iterator

from infra.cost.assembly import Resource
from infra.cost.lines import Line, Month, Pricing, literal
from infra.cost.prices import NotPriced

NAT, ENDPOINT, BALANCER = "AWS::EC2::NatGateway", "AWS::EC2::VPCEndpoint", "AWS::ElasticLoadBalancingV2::LoadBalancer"
REST, HTTP, FIREWALL = "AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Api", "AWS::WAFv2::WebACL"
QUEUE, TOPIC, SCHEDULE = "AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::Scheduler::Schedule"
SCHEDULED_RUNS = 100  # a month, for each schedule


def nat(resource: Resource, month: Month) -> Iterator[Line]:
    """By the hour, and by what passes through."""
    yield Line(resource, "VPC", "NAT gateway", month.hours, "hour", month.usd("network", "nat_hour"))
    yield Line(resource, "VPC", "through NAT", month.share(NAT, month.usage.nat_gb), "GB", month.usd("network", "nat_gb"))


def address(resource: Resource, month: Month) -> Iterator[Line]:
    """Public addresses are paid by the hour, used or not."""
    yield Line(resource, "VPC", "public address", month.hours, "hour", month.usd("network", "ipv4_hour"))


def endpoint(resource: Resource, month: Month) -> Iterator[Line]:
    """Interface endpoints are paid in each zone; gateway endpoints are free."""
    kind = literal(resource, "VpcEndpointType") or "Gateway"
    if kind == "Gateway":
        return
    if kind != "Interface":
        raise NotPriced(f"endpoint type {kind}")
    zones = len(literal(resource, "SubnetIds") or []) or 1
    yield Line(resource, "VPC", f"endpoint in {zones} zones", zones * month.hours, "hour", month.usd("network", "endpoint_hour"))


def balancer(resource: Resource, month: Month) -> Iterator[Line]:
    """By the hour, and by capacity units."""
    kind = str(literal(resource, "Type") or "application")
    used = month.share(BALANCER, month.usage.balancer_units) * month.hours
    yield Line(resource, "Load balancing", kind, month.hours, "hour", month.usd("balancer", "hour"))
    yield Line(resource, "Load balancing", "capacity", used, "unit-hour", month.usd("balancer", f"unit_hour_{kind}"))


def rest_api(resource: Resource, month: Month) -> Iterator[Line]:
    """By the request, and what its answers send out."""
    yield Line(resource, "API Gateway", "requests", month.share(REST, month.usage.requests), "request", month.usd("api", "rest_request"))
    yield Line(resource, "API Gateway", "sent out", month.share(REST, month.usage.out_gb), "GB", month.usd("network", "out_gb"))


def http_api(resource: Resource, month: Month) -> Iterator[Line]:
    """By the request."""
    yield Line(resource, "API Gateway", "requests", month.share(HTTP, month.usage.requests), "request", month.usd("api", "http_request"))


def firewall(resource: Resource, month: Month) -> Iterator[Line]:
    """The list, its rules, and the requests that it looks at."""
    rules = len(literal(resource, "Rules") or [])
    yield Line(resource, "WAF", "list", 1, "month", month.usd("waf", "acl_month"))
    yield Line(resource, "WAF", "rules", rules, "rule-month", month.usd("waf", "rule_month"))
    yield Line(resource, "WAF", "requests", month.share(FIREWALL, month.usage.requests), "request", month.usd("waf", "request"))


def queue(resource: Resource, month: Month) -> Iterator[Line]:
    """A message is sent, received and deleted."""
    yield Line(resource, "SQS", "requests", month.share(QUEUE, 3 * month.usage.lists), "request", month.usd("messages", "sqs_request"))


def topic(resource: Resource, month: Month) -> Iterator[Line]:
    """Alerts and events of lists."""
    yield Line(resource, "SNS", "messages", month.share(TOPIC, month.usage.lists), "message", month.usd("messages", "sns_publish"))


def schedule(resource: Resource, month: Month) -> Iterator[Line]:
    """By the run."""
    yield Line(resource, "EventBridge", "runs", SCHEDULED_RUNS, "run", month.usd("messages", "schedule"))


def alarm(resource: Resource, month: Month) -> Iterator[Line]:
    """By the metric that it reads; a formula may read several."""
    read = sum(1 for query in literal(resource, "Metrics") or [] if "MetricStat" in query) or 1
    yield Line(resource, "CloudWatch", "alarm", read, "alarm-month", month.usd("cloudwatch", "alarm_month"))


def composite(resource: Resource, month: Month) -> Iterator[Line]:
    """An alarm over alarms."""
    yield Line(resource, "CloudWatch", "composite alarm", 1, "alarm-month", month.usd("cloudwatch", "composite_month"))


def dashboard(resource: Resource, month: Month) -> Iterator[Line]:
    """By the dashboard."""
    yield Line(resource, "CloudWatch", "dashboard", 1, "dashboard-month", month.usd("cloudwatch", "dashboard_month"))


def metric(resource: Resource, month: Month) -> Iterator[Line]:
    """A metric made from log lines is a metric of one's own, and paid for in the hours in which a line made one: those of its flow."""
    transformations = literal(resource, "MetricTransformations") or []
    # One with a value where no line comes is there in every hour.
    hours = [month.hours if "DefaultValue" in told else min(month.hours, SCHEDULED_RUNS) for told in transformations]
    made = sum(hours) / month.hours
    yield Line(resource, "CloudWatch", "metric from logs", made, "metric-month", month.usd("cloudwatch", "metric_month"))


def zone(resource: Resource, month: Month) -> Iterator[Line]:
    """A zone of names."""
    yield Line(resource, "Route 53", "zone", 1, "zone-month", month.usd("route53", "zone_month"))


PRICING: dict[str, Pricing] = {
    NAT: nat,
    "AWS::EC2::EIP": address,
    ENDPOINT: endpoint,
    BALANCER: balancer,
    REST: rest_api,
    HTTP: http_api,
    FIREWALL: firewall,
    QUEUE: queue,
    TOPIC: topic,
    SCHEDULE: schedule,
    "AWS::CloudWatch::Alarm": alarm,
    "AWS::CloudWatch::CompositeAlarm": composite,
    "AWS::CloudWatch::Dashboard": dashboard,
    "AWS::Logs::MetricFilter": metric,
    "AWS::Route53::HostedZone": zone,
    "AWS::ServiceDiscovery::PrivateDnsNamespace": zone,
}
