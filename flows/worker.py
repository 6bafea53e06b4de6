"""``python -m flows.worker``: register the flows of every campaign with Prefect, then start the runs that people and alerts ask for.

On AWS the clock is EventBridge, so the deployments have no schedule. Each run is a task of its own on ECS, made from the task definition
that the environment names, and gets no other right, secret or size than that one has.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from propensity.errors import PropensityError, SettingsInvalid
from propensity.schedules import platform_schedules, schedules

POOL = "propensity"
KIND = "ecs"
CLUSTER = "PROPENSITY_FLOW_CLUSTER"
TASK_DEFINITION = "PROPENSITY_FLOW_TASK_DEFINITION"
CONTAINER = "PROPENSITY_FLOW_CONTAINER"
SUBNETS = "PROPENSITY_FLOW_SUBNETS"
SECURITY_GROUPS = "PROPENSITY_FLOW_SECURITY_GROUPS"
VPC = "PROPENSITY_FLOW_VPC"
CAPACITY = "PROPENSITY_FLOW_CAPACITY_PROVIDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where flow runs run."""

    cluster: str
    task_definition: str
    container: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    vpc: str
    capacity_provider: str


def read_place(variables: Mapping[str, str]) -> Place:
    """Read the environment. Raises SettingsInvalid, naming what is missing."""
    missing = [n for n in (CLUSTER, TASK_DEFINITION, CONTAINER, SUBNETS, SECURITY_GROUPS, VPC, CAPACITY) if not variables.get(n)]
    if missing:
        raise SettingsInvalid(f"these variables are not set: {', '.join(missing)}")
    return Place(
        cluster=variables[CLUSTER],
        task_definition=variables[TASK_DEFINITION],
        container=variables[CONTAINER],
        subnets=tuple(variables[SUBNETS].split(",")),
        security_groups=tuple(variables[SECURITY_GROUPS].split(",")),
        vpc=variables[VPC],
        capacity_provider=variables[CAPACITY],
    )


def job_template(place: Place, default: Mapping[str, Any]) -> dict[str, Any]:
    """The worker's own template, its variables filled in."""
    filled = {
        "cluster": place.cluster,
        "task_definition_arn": place.task_definition,
        "container_name": place.container,
        "vpc_id": place.vpc,
        "network_configuration": {
            "subnets": list(place.subnets),
            "securityGroups": list(place.security_groups),
            "assignPublicIp": "DISABLED",
        },
        "capacity_provider_strategy": [{"capacityProvider": place.capacity_provider, "weight": 1, "base": 0}],
    }
    properties = default["variables"]["properties"]
    unknown = sorted(set(filled) - set(properties))
    if unknown:
        raise SettingsInvalid(f"this version of prefect-aws has no {', '.join(unknown)}")
    changed = {name: {**properties[name], "default": value} for name, value in filled.items()}
    return {**default, "variables": {**default["variables"], "properties": {**properties, **changed}}}


async def register(place: Place) -> list[str]:
    """Make or update the pool and the deployments; the names of the latter."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.deployments.runner import RunnerDeployment
    from prefect.exceptions import ObjectAlreadyExists
    from prefect_aws.workers.ecs_worker import ECSWorker

    template = job_template(place, ECSWorker.get_default_base_job_template())
    async with get_client() as client:
        try:
            await client.create_work_pool(WorkPoolCreate(name=POOL, type=KIND, base_job_template=template))
        except ObjectAlreadyExists:
            await client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=template))
    names = []
    for one in [*schedules(), *platform_schedules()]:
        deployment = RunnerDeployment.from_entrypoint(one.entrypoint, name=one.name, parameters=one.parameters, work_pool_name=POOL)
        await deployment.aapply()
        names.append(one.name)
    return names


def main() -> int:
    """Register, then become the worker."""
    try:
        place = read_place(os.environ)
    except PropensityError as exc:
        print(f"worker: {exc}", file=sys.stderr)
        return exc.exit_code
    names = asyncio.run(register(place))
    print(f"registered {', '.join(names)}", flush=True)
    return os.execvp("prefect", ["prefect", "worker", "start", "--pool", POOL, "--type", KIND, "--with-healthcheck"])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
