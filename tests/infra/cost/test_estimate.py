"""What a month costs, from templates made here: each sum is worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from infra.cost.assembly import Resource, read_template
from infra.cost.estimate import Estimate, estimate, report
from infra.cost.prices import read_prices
from infra.cost.usage import Usage

HOURS = 730


def resource(name: str, kind: str, **properties: Any) -> Resource:
    return Resource("stack", name, kind, properties)


def made(*resources: Resource, usage: Usage | None = None, region: str = "us-east-1") -> Estimate:
    return estimate(resources, read_prices(region), usage or Usage())


def task(name: str = "Task", cpu: int = 512, memory: int = 1024, architecture: str = "ARM64") -> Resource:
    platform = {"CpuArchitecture": architecture, "OperatingSystemFamily": "LINUX"}
    return resource(name, "AWS::ECS::TaskDefinition", Cpu=str(cpu), Memory=str(memory), RuntimePlatform=platform)


def service(name: str = "Service", *, definition: Any = None, **properties: Any) -> Resource:
    return resource(name, "AWS::ECS::Service", TaskDefinition=definition or {"Ref": "Task"}, **properties)


def test_a_service_costs_its_processors_and_memory_all_month() -> None:
    found = made(task(), service(DesiredCount=2))
    assert found.usd == pytest.approx(2 * HOURS * (0.5 * 0.03238 + 1 * 0.00356))
    assert found.not_priced == {}


def test_a_region_has_prices_of_its_own() -> None:
    assert made(task(), service(), region="eu-central-1").usd == pytest.approx(HOURS * (0.5 * 0.03725 + 0.00409))


def test_the_smallest_number_of_tasks_counts_where_a_service_scales() -> None:
    target = resource(
        "Scaling",
        "AWS::ApplicationAutoScaling::ScalableTarget",
        MinCapacity=3,
        ResourceId={"Fn::Join": ["", ["service/", {"Ref": "Cluster"}, "/", {"Fn::GetAtt": ["Service", "Name"]}]]},
    )
    assert made(task(), service(DesiredCount=1), target).usd == pytest.approx(3 * made(task(), service()).usd)


def test_spare_capacity_costs_a_third() -> None:
    spot = service(CapacityProviderStrategy=[{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}])
    assert made(task(), spot).usd == pytest.approx(0.32 * made(task(), service()).usd)


def test_a_task_definition_of_another_stack_is_found_by_its_export() -> None:
    export = {"Fn::ImportValue": "propensity-dev-Tasks:ExportsOutputRefTask0A1B2C3D"}
    elsewhere = Resource("other", "Task", "AWS::ECS::TaskDefinition", task().properties)
    found = made(elsewhere, service(definition=export))
    assert found.stacks()["stack"] == pytest.approx(made(task(), service()).usd)


def test_a_service_without_its_task_definition_is_not_priced() -> None:
    found = made(service())
    assert found.usd == 0
    assert list(found.not_priced) == ["AWS::ECS::Service"]


def test_tasks_of_no_service_share_the_hours_of_jobs() -> None:
    found = made(task("A"), task("B"), task("C"), service(definition={"Ref": "C"}, DesiredCount=0), usage=Usage(job_hours=100))
    assert found.usd == pytest.approx(100 * (0.5 * 0.03238 + 1 * 0.00356))


@pytest.mark.parametrize(("multi_az", "copies"), [(False, 1), (True, 2), (None, 1)], ids=["one zone", "two zones", "not said"])
def test_a_database_in_two_zones_costs_twice(multi_az: bool | None, copies: int) -> None:
    told: dict[str, Any] = {"DBInstanceClass": "db.t4g.micro", "AllocatedStorage": "20", "StorageType": "gp3"}
    told |= {} if multi_az is None else {"MultiAZ": multi_az}
    assert made(resource("Database", "AWS::RDS::DBInstance", **told)).usd == pytest.approx(copies * (HOURS * 0.016 + 20 * 0.115))


def test_a_password_that_the_database_service_keeps_is_a_secret_too() -> None:
    told: dict[str, Any] = {"DBInstanceClass": "db.t4g.micro", "AllocatedStorage": "20", "StorageType": "gp3"}
    kept = made(resource("Database", "AWS::RDS::DBInstance", ManageMasterUserPassword=True, **told))
    assert kept.usd - made(resource("Database", "AWS::RDS::DBInstance", **told)).usd == pytest.approx(0.40)


def test_storage_grows_with_the_predictions_up_to_what_is_allowed() -> None:
    told: dict[str, Any] = {"DBInstanceClass": "db.t4g.micro", "AllocatedStorage": "20", "StorageType": "gp3", "MaxAllocatedStorage": 50}
    for rows, gb in ((1e6, 20), (6e6, 36), (1e9, 50)):
        found = made(resource("Database", "AWS::RDS::DBInstance", **told), usage=Usage(rows=rows, row_bytes=500, months_kept=12))
        assert found.usd == pytest.approx(HOURS * 0.016 + gb * 0.115), rows


def cluster(least: float) -> tuple[Resource, Resource]:
    scaling = {"MinCapacity": least, "MaxCapacity": 2}
    return (
        resource("Cluster", "AWS::RDS::DBCluster", ServerlessV2ScalingConfiguration=scaling),
        resource("Writer", "AWS::RDS::DBInstance", DBInstanceClass="db.serverless", DBClusterIdentifier={"Ref": "Cluster"}),
    )


def test_a_database_that_pauses_costs_the_hours_it_is_awake() -> None:
    usage = Usage(database_hours=100, database_units=1, rows=0, requests=0)
    assert made(*cluster(0), usage=usage).usd == pytest.approx(100 * 0.12)
    assert made(*cluster(0.5), usage=usage).usd == pytest.approx((100 + 0.5 * (HOURS - 100)) * 0.12)


def test_a_function_costs_by_call_and_by_memory_and_time() -> None:
    function = resource(
        "Door", "AWS::Lambda::Function", Handler="lambda/front_door/handler.handle", MemorySize=512, Architectures=["arm64"]
    )
    helper = resource("Helper", "AWS::Lambda::Function", Handler="index.handler")
    found = made(function, helper, usage=Usage(requests=1_000_000, request_ms=200))
    assert found.usd == pytest.approx(0.20 + 1_000_000 * 0.2 * 0.5 * 0.0000133334)


def test_totals_are_shared_and_not_counted_twice() -> None:
    buckets = [resource(f"Bucket{number}", "AWS::S3::Bucket") for number in range(4)]
    usage = Usage(store_gb=100, requests=0, lists=0)
    assert made(*buckets, usage=usage).usd == pytest.approx(made(buckets[0], usage=usage).usd) == pytest.approx(2.3)


def test_an_interface_endpoint_costs_in_each_zone_and_a_gateway_nothing() -> None:
    interface = resource("Endpoint", "AWS::EC2::VPCEndpoint", VpcEndpointType="Interface", SubnetIds=[{"Ref": "A"}, {"Ref": "B"}])
    gateway = resource("Gateway", "AWS::EC2::VPCEndpoint", VpcEndpointType="Gateway")
    assert made(interface, gateway).usd == pytest.approx(2 * HOURS * 0.01)


def test_a_machine_for_nat_and_a_gateway() -> None:
    gateway = resource("Nat", "AWS::EC2::NatGateway")
    machine = resource(
        "Machine", "AWS::EC2::Instance", InstanceType="t4g.nano", NetworkInterfaces=[{"AssociatePublicIpAddress": True, "DeviceIndex": "0"}]
    )
    assert made(gateway, usage=Usage(nat_gb=100)).usd == pytest.approx(HOURS * 0.045 + 100 * 0.045)
    assert made(machine).usd == pytest.approx(HOURS * (0.0042 + 0.005) + 8 * 0.08)


def test_container_insights_are_paid_though_no_template_names_their_metrics() -> None:
    on = resource("Cluster", "AWS::ECS::Cluster", ClusterSettings=[{"Name": "containerInsights", "Value": "enabled"}])
    off = resource("Cluster", "AWS::ECS::Cluster", ClusterSettings=[{"Name": "containerInsights", "Value": "disabled"}])
    assert made(on, task(), service(DesiredCount=0)).usd == pytest.approx((8 + 12) * 0.30)
    assert made(off).usd == 0


@pytest.mark.parametrize(
    ("kind", "properties", "usd"),
    [
        ("AWS::KMS::Key", {}, 1.0),
        ("AWS::SecretsManager::Secret", {}, 0.4),
        ("AWS::EC2::EIP", {}, HOURS * 0.005),
        ("AWS::CloudWatch::Alarm", {"MetricName": "Errors"}, 0.1),
        ("AWS::CloudWatch::Alarm", {"Metrics": [{"MetricStat": {}}, {"MetricStat": {}}, {"Expression": "a/b"}]}, 0.2),
        ("AWS::CloudWatch::Dashboard", {}, 3.0),
        ("AWS::WAFv2::WebACL", {"Rules": [{}, {}, {}]}, 8 + 200_000 * 0.0000006),
        ("AWS::ApiGateway::RestApi", {}, 200_000 * 0.0000035 + 5 * 0.09),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", {"Type": "application"}, HOURS * (0.0225 + 0.1 * 0.008)),
        ("AWS::EMRServerless::Application", {"Architecture": "ARM64"}, 0.0),
    ],
)
def test_what_has_a_price_of_its_own(kind: str, properties: Mapping[str, Any], usd: float) -> None:
    found = made(resource("It", kind, **properties))
    assert found.usd == pytest.approx(usd)
    assert found.not_priced == {}
    assert found.free == {}


@pytest.mark.parametrize(
    ("kind", "properties", "why"),
    [
        ("AWS::RDS::DBInstance", {"DBInstanceClass": "db.x9.huge", "AllocatedStorage": "20"}, "rds.db.x9.huge"),
        ("AWS::RDS::DBInstance", {"DBInstanceClass": {"Ref": "Class"}, "AllocatedStorage": "20"}, "DBInstanceClass"),
        ("AWS::RDS::DBInstance", {"DBInstanceClass": "db.t4g.micro", "StorageType": "io2", "AllocatedStorage": "20"}, "io2"),
        ("AWS::EMRServerless::Application", {"InitialCapacity": [{"Key": "DRIVER"}]}, "warm"),
        ("AWS::GameLift::Fleet", {}, "no price"),
    ],
)
def test_what_has_no_price_is_named_with_the_reason(kind: str, properties: Mapping[str, Any], why: str) -> None:
    found = made(resource("It", kind, **properties))
    (reason,) = found.not_priced[kind]
    assert reason.startswith("It: ")
    assert why in reason


def test_free_types_are_counted() -> None:
    found = made(resource("A", "AWS::IAM::Role"), resource("B", "AWS::IAM::Role"), resource("C", "Custom::Made"))
    assert found.free == {"AWS::IAM::Role": 2, "Custom::Made": 1}
    assert found.stacks() == {"stack": 0.0}


def test_the_report_holds_what_is_relied_upon_and_its_sums_agree() -> None:
    template = {"Resources": {"Key": {"Type": "AWS::KMS::Key"}, "Dashboard": {"Type": "AWS::CloudWatch::Dashboard", "Properties": {}}}}
    found = made(*read_template(template, "one"), *read_template(template, "two"))
    told = report(found, environment="dev", profile="lean", limit_usd=7)
    assert {"environment", "profile", "usage", "monthly_usd", "stacks", "prices_as_of"} <= set(told)
    assert told["stacks"] == {"one": 4.0, "two": 4.0}
    assert told["services"] == {"CloudWatch": 6.0, "KMS": 2.0}
    assert told["monthly_usd"] == sum(line["usd"] for line in told["lines"]) == 8.0
    assert not told["within_limit"]
