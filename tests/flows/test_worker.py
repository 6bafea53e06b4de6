"""The pool and the deployments of flow runs on ECS, registered with a real Prefect server."""

from __future__ import annotations

import asyncio

import pytest

from flows import worker
from propensity.errors import SettingsInvalid
from propensity.schedules import platform_schedules, schedules

VARIABLES = {
    worker.CLUSTER: "arn:aws:ecs:eu-central-1:1:cluster/c",
    worker.TASK_DEFINITION: "arn:aws:ecs:eu-central-1:1:task-definition/flow:7",
    worker.CONTAINER: "flow",
    worker.SUBNETS: "subnet-1,subnet-2",
    worker.SECURITY_GROUPS: "sg-1",
    worker.VPC: "vpc-1",
    worker.CAPACITY: "FARGATE_SPOT",
}


@pytest.mark.parametrize("missing", list(VARIABLES))
def test_a_missing_variable_is_named(missing: str) -> None:
    with pytest.raises(SettingsInvalid, match=missing):
        worker.read_place({name: value for name, value in VARIABLES.items() if name != missing})


def test_the_installed_worker_knows_every_variable_that_is_filled_in() -> None:
    from prefect_aws.workers.ecs_worker import ECSWorker

    made = worker.job_template(worker.read_place(VARIABLES), ECSWorker.get_default_base_job_template())
    filled = made["variables"]["properties"]
    assert filled["task_definition_arn"]["default"] == VARIABLES[worker.TASK_DEFINITION]
    assert filled["network_configuration"]["default"]["subnets"] == ["subnet-1", "subnet-2"]
    assert filled["capacity_provider_strategy"]["default"] == [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]


def test_a_variable_that_the_worker_does_not_know_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="cluster"):
        worker.job_template(worker.read_place(VARIABLES), {"variables": {"properties": {}}})


@pytest.mark.slow
def test_registering_twice_leaves_one_deployment_for_each_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    # Read by the temporary server: it must ask nobody outside.
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "CRITICAL")
    from prefect.client.orchestration import get_client
    from prefect.testing.utilities import prefect_test_harness

    async def registered() -> list[tuple[str, str | None, bool]]:
        async with get_client() as client:
            return [(d.name, d.work_pool_name, bool(d.schedules)) for d in await client.read_deployments()]

    place = worker.read_place(VARIABLES)
    with prefect_test_harness(server_startup_timeout=120):
        for _ in range(2):
            asyncio.run(worker.register(place))
        found = asyncio.run(registered())
    # The clock is EventBridge's.
    assert sorted(found) == sorted((scheduled.name, worker.POOL, False) for scheduled in [*schedules(), *platform_schedules()])
