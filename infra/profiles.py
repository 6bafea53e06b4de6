"""How much of an environment runs all the time: three profiles, each a change of what the environment declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from infra.config import Environment, Profile, ServiceSize, TaskSize
from propensity.errors import SettingsInvalid


def always_on(environment: Environment) -> Environment:
    """As declared: every part is there at any time."""
    return replace(environment, profile=Profile(name="always-on"))


def lean(environment: Environment) -> Environment:
    """The same parts, one small task of each on spare capacity, a machine instead of the NAT gateway, a small database in one zone.

    The scoring service alone is not on spare capacity: it answers people. Where data are made up, no firewall stands before the keys.
    """
    small = TaskSize(cpu=256, memory_mib=512)
    services = environment.services
    return replace(
        environment,
        profile=Profile(name="lean", dashboard=False),
        insights=False,
        firewall=environment.keep_data,
        network=replace(environment.network, nat="instance", nat_count=1),
        database=replace(environment.database, instance="t4g.micro", multi_az=False),
        services=replace(
            services,
            scoring=ServiceSize(task=TaskSize(cpu=256, memory_mib=1024), least=1, most=2),
            mlflow=ServiceSize(task=TaskSize(cpu=256, memory_mib=1024), spot=True),
            prefect=ServiceSize(task=TaskSize(cpu=256, memory_mib=1024), spot=True),
            worker=ServiceSize(task=small, spot=True),
            grafana=ServiceSize(task=small, spot=True),
            spot_jobs=True,
        ),
    )


def near_zero(environment: Environment) -> Environment:
    """Nothing runs while nobody asks: scoring in a function made of the service's image, jobs by the clock, a database that pauses.

    The REST API is the same. There is no balancer and no server of MLflow, Prefect or Grafana: a job brings the MLflow that it needs along.
    Flows that are late or failed are heard of within six hours instead of one, since every look wakes the database for some minutes.
    """
    return replace(
        environment,
        profile=Profile(name="near-zero", scoring="lambda", servers=False, dashboard=False, look_hours=6),
        insights=False,
        firewall=environment.keep_data,
        network=replace(environment.network, nat="instance", nat_count=1),
        database=replace(environment.database, kind="serverless", multi_az=False),
        services=replace(environment.services, spot_jobs=True),
    )


PROFILES: dict[str, Callable[[Environment], Environment]] = {"always-on": always_on, "lean": lean, "near-zero": near_zero}


def with_profile(environment: Environment, name: object) -> Environment:
    """The environment in that profile; always-on where none was named. Raises SettingsInvalid, naming those that exist."""
    change = PROFILES.get("always-on" if name is None else str(name))
    if change is None:
        raise SettingsInvalid(f"there is no profile {name!r}: add -c profile=NAME, where NAME is one of {', '.join(PROFILES)}")
    return change(environment)
