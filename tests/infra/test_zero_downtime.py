"""A deployment never answers nobody, and undoes itself where the new version is no good."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from api.server import Server
from infra.constructs.service import DEREGISTRATION_S
from infra.constructs.task import STOP_S

Synthesise = Callable[..., Any]


def services(synthesise: Synthesise, name: str) -> dict[str, Any]:
    found: dict[str, Any] = synthesise(name).properties("AWS::ECS::Service")
    return found


def test_every_service_puts_itself_back(synthesise: Synthesise, name: str) -> None:
    for service in services(synthesise, name).values():
        breaker = service["DeploymentConfiguration"]["DeploymentCircuitBreaker"]
        assert breaker == {"Enable": True, "Rollback": True}


def test_new_tasks_are_there_before_old_ones_go(synthesise: Synthesise, name: str) -> None:
    behind = [s for s in services(synthesise, name).values() if s.get("LoadBalancers")]
    assert len(behind) == 4
    for service in behind:
        assert service["DeploymentConfiguration"]["MinimumHealthyPercent"] == 100
        assert service["DeploymentConfiguration"]["MaximumPercent"] == 200
        assert service["HealthCheckGracePeriodSeconds"] >= 60


def test_there_is_never_more_than_one_worker(synthesise: Synthesise, name: str) -> None:
    (worker,) = (s for s in services(synthesise, name).values() if not s.get("LoadBalancers"))
    assert worker["DesiredCount"] == 1
    assert worker["DeploymentConfiguration"]["MaximumPercent"] == 100


def test_alarms_roll_the_scoring_service_back(synthesise: Synthesise, name: str) -> None:
    stack = synthesise(name)["Services"]
    (alarmed,) = (s for n, s in stack.of_type("AWS::ECS::Service").items() if n.startswith("Scoring"))
    alarms = alarmed["Properties"]["DeploymentConfiguration"]["Alarms"]
    assert (alarms["Enable"], alarms["Rollback"]) == (True, True)
    watched = [stack.resources[one["Ref"]]["Properties"] for one in alarms["AlarmNames"]]
    assert {alarm["MetricName"] for alarm in watched} == {"HTTPCode_Target_5XX_Count", "TargetResponseTime"}


def test_health_does_not_ask_for_postgres(synthesise: Synthesise, name: str) -> None:
    # tests/api shows that /startupz goes on answering while Postgres is away.
    groups = synthesise(name)["Services"].of_type("AWS::ElasticLoadBalancingV2::TargetGroup")
    paths = {n: g["Properties"]["HealthCheckPath"] for n, g in groups.items()}
    assert sorted(paths.values()) == ["/api/health", "/api/health", "/health", "/startupz"]


def test_what_is_in_flight_is_finished(synthesise: Synthesise, name: str) -> None:
    import inspect

    drain_s = inspect.signature(Server.__init__).parameters["drain_s"].default
    assert drain_s < DEREGISTRATION_S < STOP_S <= 120
    for group in synthesise(name)["Services"].of_type("AWS::ElasticLoadBalancingV2::TargetGroup").values():
        told = {a["Key"]: a["Value"] for a in group["Properties"]["TargetGroupAttributes"]}
        assert told["deregistration_delay.timeout_seconds"] == str(DEREGISTRATION_S)
    for task in synthesise(name).properties("AWS::ECS::TaskDefinition").values():
        assert {c["StopTimeout"] for c in task["ContainerDefinitions"]} == {STOP_S}
        # As process 1 a program without a handler ignores SIGTERM; an init process passes it on and takes it.
        assert all(c["LinuxParameters"]["InitProcessEnabled"] for c in task["ContainerDefinitions"])


def test_tables_come_first(synthesise: Synthesise, name: str) -> None:
    compute = synthesise(name)["Compute"]
    (done,) = compute.of_type("AWS::CloudFormation::CustomResource").values()
    task = done["Properties"]["TaskDefinition"]["Ref"]
    assert compute.resources[task]["Properties"]["ContainerDefinitions"][0]["Command"] == ["python", "-m", "flows.databases"]
    for later in ("Services", "Jobs"):
        assert "Compute" in synthesise(name).depends[later]


@pytest.mark.parametrize("kept", ["prod", "staging"])
def test_the_scoring_service_has_a_spare(synthesise: Synthesise, kept: str) -> None:
    (scoring,) = (s for n, s in services(synthesise, kept).items() if n.startswith("Services/Scoring"))
    assert scoring["DesiredCount"] >= 2
    assert scoring["CapacityProviderStrategy"] == [{"CapacityProvider": "FARGATE", "Weight": 1}]
