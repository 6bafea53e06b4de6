from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.config import ENVIRONMENTS, environment_named
from infra.profiles import PROFILES, with_profile
from propensity.errors import SettingsInvalid

Synthesise = Callable[..., Any]


def test_without_a_name_everything_is_always_on() -> None:
    assert with_profile(environment_named("dev"), None).profile.name == "always-on"


@pytest.mark.parametrize("name", ["", "free", 1])
def test_an_unknown_profile_is_refused_by_naming_those_that_exist(name: object) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        with_profile(environment_named("dev"), name)
    assert all(known in str(refused.value) for known in PROFILES)


@pytest.mark.parametrize("profile", list(PROFILES))
def test_a_profile_never_touches_what_is_promised_about_data(profile: str) -> None:
    for environment in ENVIRONMENTS:
        changed = with_profile(environment, profile)
        for kept in ("name", "keep_data", "termination_protection", "key_deletion_days", "retention", "callers", "postgres"):
            assert getattr(changed, kept) == getattr(environment, kept)


def test_lean_has_the_same_parts_and_smaller(synthesise: Synthesise) -> None:
    usual, lean = synthesise("prod"), synthesise("prod", "lean")
    assert set(lean.stacks) == set(usual.stacks)
    assert not lean.of_type("AWS::EC2::NatGateway")
    on_spot = {n: s["CapacityProviderStrategy"][0]["CapacityProvider"] for n, s in lean.properties("AWS::ECS::Service").items()}
    assert {name for name, provider in on_spot.items() if provider == "FARGATE"} == {n for n in on_spot if "Scoring" in n}


@pytest.mark.parametrize("profile", ["lean", "near-zero"])
def test_only_made_up_data_go_without_a_firewall(synthesise: Synthesise, profile: str) -> None:
    assert synthesise("dev").of_type("AWS::WAFv2::WebACL")
    assert not synthesise("dev", profile).of_type("AWS::WAFv2::WebACL")
    assert synthesise("prod", profile).of_type("AWS::WAFv2::WebACLAssociation")
    for environment in ENVIRONMENTS:
        assert with_profile(environment, profile).firewall or not environment.keep_data


def test_near_zero_has_no_secret_of_a_server_that_it_does_not_have(synthesise: Synthesise) -> None:
    usual, found = (set(synthesise("dev", profile)["Database"].of_type("AWS::SecretsManager::Secret")) for profile in ("lean", "near-zero"))
    assert {name.rstrip("0123456789ABCDEF") for name in usual - found} == {"DatabasePrefectAuth", "DatabaseGrafanaAdmin", "DatabaseSession"}
    assert found < usual


def test_near_zero_runs_nothing_while_nobody_asks(synthesise: Synthesise) -> None:
    found = synthesise("dev", "near-zero")
    for kind in ("AWS::ECS::Service", "AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::EC2::NatGateway"):
        assert not found.of_type(kind)
    (cluster,) = found.properties("AWS::RDS::DBCluster").values()
    scaling = cluster["ServerlessV2ScalingConfiguration"]
    assert scaling["MinCapacity"] == 0
    assert scaling["SecondsUntilAutoPause"] >= 300


def test_near_zero_seldom_wakes_its_database_to_look_at_the_flows(synthesise: Synthesise) -> None:
    looks = {}
    for profile in ("lean", "near-zero"):
        for one in synthesise("dev", profile)["Jobs"].of_type("AWS::Scheduler::Schedule").values():
            if "flows.health" in one["Properties"]["Target"]["Input"]:
                looks[profile] = one["Properties"]["ScheduleExpression"]
    assert looks == {"lean": "rate(1 hour)", "near-zero": "rate(6 hours)"}


@pytest.mark.parametrize(("profile", "hours"), [("lean", 1), ("near-zero", 6)])
def test_looks_at_the_flows_know_how_far_apart_they_are(synthesise: Synthesise, profile: str, hours: int) -> None:
    """Else each would find that nobody had looked since the one before, and tell people."""
    task = synthesise("dev", profile)["Jobs"].named("FlowTask", "AWS::ECS::TaskDefinition")["Properties"]
    (flow,) = (container for container in task["ContainerDefinitions"] if container["Name"] == "flow")
    told = {variable["Name"]: variable["Value"] for variable in flow["Environment"]}
    assert told["PROPENSITY_CHECKS_EVERY_S"] == str(hours * 3600)


def test_near_zero_has_the_same_api_answered_by_the_services_image(synthesise: Synthesise) -> None:
    usual, found = synthesise("dev")["Front"], synthesise("dev", "near-zero")["Front"]
    assert paths(found.template) == paths(usual.template)
    for kind in ("AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlan", "AWS::ApiGateway::GatewayResponse"):
        assert len(found.of_type(kind)) == len(usual.of_type(kind)) > 0, kind
    (scoring,) = (f["Properties"] for f in found.of_type("AWS::Lambda::Function").values() if f["Properties"].get("PackageType") == "Image")
    assert scoring["ImageConfig"]["Command"] == ["python", "-m", "lambda.container"]
    assert "RegistryApi" in json.dumps(scoring["Code"]["ImageUri"])
    integrations = {json.dumps(m["Properties"]["Integration"]["Uri"]) for m in found.of_type("AWS::ApiGateway::Method").values()}
    assert len(integrations) == 1


def paths(template: dict[str, Any]) -> list[str]:
    resources = template["Resources"]

    def path(name: str) -> str:
        told = resources[name]["Properties"]
        parent = told["ParentId"].get("Ref")
        return f"{'' if parent is None else path(parent)}/{told['PathPart']}"

    return sorted(path(name) for name, found in resources.items() if found["Type"] == "AWS::ApiGateway::Resource")


def test_a_job_of_near_zero_brings_its_mlflow_along(synthesise: Synthesise) -> None:
    jobs = synthesise("dev", "near-zero")["Jobs"]
    flow = jobs.named("FlowTask", "AWS::ECS::TaskDefinition")["Properties"]
    containers = {container["Name"]: container for container in flow["ContainerDefinitions"]}
    assert containers["mlflow"]["Essential"] is False
    assert containers["flow"]["DependsOn"] == [{"Condition": "HEALTHY", "ContainerName": "mlflow"}]
    told = {variable["Name"]: variable["Value"] for variable in containers["flow"]["Environment"]}
    assert told["PROPENSITY_MLFLOW_URL"] == "http://127.0.0.1:5000"
    assert "PREFECT_API_URL" not in told


def test_retention_reaches_prefect_s_database_where_there_is_one_and_is_not_due_where_there_is_none(synthesise: Synthesise) -> None:
    usual, near_zero = (synthesise("dev", profile)["Jobs"] for profile in ("lean", "near-zero"))
    assert "retention-platform" in json.dumps(usual.of_type("AWS::Scheduler::Schedule"))
    assert "retention-platform" not in json.dumps(near_zero.of_type("AWS::Scheduler::Schedule"))
    (flow, *_) = usual.named("FlowTask", "AWS::ECS::TaskDefinition")["Properties"]["ContainerDefinitions"]
    address = next(v["Value"] for v in flow["Environment"] if v["Name"] == "PROPENSITY_PREFECT_DATABASE_URL")
    secrets = {secret["Name"]: json.dumps(secret["ValueFrom"]) for secret in flow["Secrets"]}
    assert "postgresql://prefect@" in json.dumps(address)
    assert "verify-full" in json.dumps(address)
    # libpq would take the platform's own password for an address that has none.
    assert secrets["PROPENSITY_PREFECT_DATABASE_PASSWORD"] != secrets["PGPASSWORD"]
    assert "Passwordprefect" in secrets["PROPENSITY_PREFECT_DATABASE_PASSWORD"]
