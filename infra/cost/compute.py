"""What computes: Fargate services and tasks, functions, instances, Spark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.cost.assembly import Resource
from infra.cost.clock import started
from infra.cost.lines import Line, Month, Pricing, literal, number
from infra.cost.prices import NotPriced

SERVICE, TASK, CLUSTER = "AWS::ECS::Service", "AWS::ECS::TaskDefinition", "AWS::ECS::Cluster"
FUNCTION, INSTANCE, GROUP = "AWS::Lambda::Function", "AWS::EC2::Instance", "AWS::AutoScaling::AutoScalingGroup"
SCALED = "AWS::ApplicationAutoScaling::ScalableTarget"
SPARK_VCPU, SPARK_GB = 4, 16


def service(resource: Resource, month: Month) -> Iterator[Line]:
    """A service runs its tasks all month."""
    definition = month.referred(resource.properties.get("TaskDefinition"), resource.stack)
    if definition is None or definition.kind != TASK:
        raise NotPriced("its task definition is in none of the templates")
    tasks = _tasks(resource, month)
    yield from _fargate(resource, definition, month, tasks * month.hours, f"{tasks:g} x {definition.name}", spot=_on_spot(resource))


def task_definition(resource: Resource, month: Month) -> Iterator[Line]:
    """What the clock starts, by its schedules; other tasks that no service keeps running share the hours of jobs."""
    kept = {id(month.referred(found.properties.get("TaskDefinition"), found.stack)) for found in month.of_kind(SERVICE)}
    if id(resource) not in kept:
        others = sum(1 for found in month.of_kind(TASK) if id(found) not in kept)
        yield from _fargate(resource, resource, month, month.usage.job_hours / others, "jobs", spot=False)
    due = [one for one in started(month) if one.definition is resource]
    for spot in sorted({one.spot for one in due}):
        hours, times = sum(one.hours for one in due if one.spot is spot), sum(one.times for one in due if one.spot is spot)
        yield from _fargate(resource, resource, month, hours, f"{times:.0f} runs by the clock", spot=spot)


def cluster(resource: Resource, month: Month) -> Iterator[Line]:
    """The cluster itself is free; the metrics that Container Insights writes are not."""
    settings = literal(resource, "ClusterSettings") or []
    if any(setting.get("Name") == "containerInsights" and setting.get("Value") != "disabled" for setting in settings):
        services = sum(1 for _ in month.of_kind(SERVICE))
        of_services = month.share(CLUSTER, services) * month.usd("cloudwatch", "insights_metrics_per_service")
        metrics = month.usd("cloudwatch", "insights_metrics_per_cluster") + of_services
        yield Line(resource, "CloudWatch", "Container Insights", metrics, "metric-month", month.usd("cloudwatch", "metric_month"))


def function(resource: Resource, month: Month) -> Iterator[Line]:
    """Functions are paid by the call and by memory x time. Those of deployments alone are called too rarely to count."""
    calls = _calls(resource, month)
    gb = number(literal(resource, "MemorySize") or 128, what="MemorySize") / 1024
    architecture = "arm64" if "arm64" in (literal(resource, "Architectures") or []) else "x86_64"
    seconds = calls * month.usage.request_ms / 1000
    yield Line(resource, "Lambda", "calls", calls, "call", month.usd("lambda", "request"))
    yield Line(resource, "Lambda", f"{gb:g} GB while working", gb * seconds, "GB-second", month.usd("lambda", f"gb_second_{architecture}"))
    for kept in month.of_kind("AWS::Lambda::Alias", "AWS::Lambda::Version"):
        if (
            kept.properties.get("ProvisionedConcurrencyConfig")
            and month.referred(kept.properties.get("FunctionName"), kept.stack) == resource
        ):
            raise NotPriced("provisioned concurrency")


def instance(resource: Resource, month: Month) -> Iterator[Line]:
    """A virtual machine with 8 GB of disk; a public address costs extra."""
    size = str(literal(resource, "InstanceType"))
    yield Line(resource, "EC2", size, month.hours, "hour", month.usd("ec2", size))
    yield Line(resource, "EC2", "disk", 8, "GB-month", month.usd("ebs", "gb_month_gp3"))
    if any(card.get("AssociatePublicIpAddress") for card in resource.properties.get("NetworkInterfaces", [])):
        yield Line(resource, "VPC", "public address", month.hours, "hour", month.usd("network", "ipv4_hour"))


def scaling_group(resource: Resource, month: Month) -> Iterator[Line]:
    """A group keeps its smallest number of machines, of the type that its launch template names."""
    template = month.referred((literal(resource, "LaunchTemplate") or {}).get("LaunchTemplateId"), resource.stack)
    size = None if template is None else literal(template, "LaunchTemplateData", "InstanceType")
    count = number(literal(resource, "DesiredCapacity") or literal(resource, "MinSize"), what="MinSize")
    yield Line(resource, "EC2", f"{count:g} x {size}", count * month.hours, "hour", month.usd("ec2", str(size)))
    yield Line(resource, "EC2", "disk", 8 * count, "GB-month", month.usd("ebs", "gb_month_gp3"))


def spark(resource: Resource, month: Month) -> Iterator[Line]:
    """An application that starts with a job and stops by itself; workers that are kept warm are not priced."""
    if literal(resource, "InitialCapacity"):
        raise NotPriced("InitialCapacity keeps workers warm")
    architecture = str(literal(resource, "Architecture") or "X86_64").lower()
    hours = month.share(resource.kind, month.usage.spark_hours)
    yield Line(resource, "EMR Serverless", "vCPU", SPARK_VCPU * hours, "vCPU-hour", month.usd("emr_serverless", architecture, "vcpu_hour"))
    yield Line(resource, "EMR Serverless", "memory", SPARK_GB * hours, "GB-hour", month.usd("emr_serverless", architecture, "gb_hour"))


def _fargate(resource: Resource, definition: Resource, month: Month, hours: float, what: str, *, spot: bool) -> Iterator[Line]:
    chosen = str(literal(definition, "RuntimePlatform", "CpuArchitecture") or "X86_64").lower()
    vcpu = number(literal(definition, "Cpu"), what="Cpu") / 1024
    gb = number(literal(definition, "Memory"), what="Memory") / 1024
    share = month.usd("fargate", "spot", "share_of_price") if spot else 1.0
    for amount, unit, price in ((vcpu, "vCPU", "vcpu_hour"), (gb, "GB", "gb_hour")):
        text = f"{what}, {amount:g} {unit}" + (", spot" if spot else "")
        yield Line(resource, "Fargate", text, amount * hours, f"{unit}-hour", share * month.usd("fargate", chosen, price))


def _tasks(resource: Resource, month: Month) -> float:
    """How many tasks run: the smallest number where the service scales itself."""
    for target in month.of_kind(SCALED):
        if _points_to(target.properties.get("ResourceId"), resource.name):
            return number(literal(target, "MinCapacity"), what="MinCapacity")
    asked = literal(resource, "DesiredCount")
    return 1.0 if asked is None else number(asked, what="DesiredCount")


def _points_to(value: Any, name: str) -> bool:
    if isinstance(value, dict):
        return any(_points_to(inner, name) for inner in value.values())
    if isinstance(value, list):
        return any(_points_to(inner, name) for inner in value)
    return bool(value == name)


def _on_spot(resource: Resource) -> bool:
    providers = resource.properties.get("CapacityProviderStrategy") or []
    return bool(providers) and all(provider.get("CapacityProvider") == "FARGATE_SPOT" for provider in providers)


def _calls(resource: Resource, month: Month) -> float:
    """Calls a month: requests for what stands in their way, lists for what handles lists, hardly any for the rest."""
    handler = str(resource.properties.get("Handler") or "")
    in_the_way = resource.properties.get("PackageType") == "Image" or handler.startswith("lambda/front_door/")
    if in_the_way:
        return month.usage.requests
    return 4 * month.usage.lists if handler.startswith("lambda/list") else 0.0


PRICING: dict[str, Pricing] = {
    SERVICE: service,
    TASK: task_definition,
    CLUSTER: cluster,
    FUNCTION: function,
    INSTANCE: instance,
    GROUP: scaling_group,
    "AWS::EMRServerless::Application": spark,
}
