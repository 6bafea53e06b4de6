"""What the templates tell each program is what the program reads: names, forms and bounds."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from flows import worker
from flows.databases import ADMIN_PASSWORD, ADMIN_URL, password_variable, roles
from propensity.settings import Settings

Synthesise = Callable[..., Any]
# What a reference will be at AWS, by what it refers to; the first that fits.
FORMS = (
    ("SecurityGroup", "sg-1"),
    ("GroupId", "sg-1"),
    ("Subnet", "subnet-1"),
    ("Password", "arn:aws:secretsmanager:eu-central-1:1:secret:x"),
    ("PrefectAuth", "arn:aws:secretsmanager:eu-central-1:1:secret:x"),
    ("Topics", "arn:aws:sns:eu-central-1:1:x"),
    ("LakeBucket", "bucket"),
    ("Instance", "database.example"),
    ("Cluster", "arn:aws:ecs:eu-central-1:1:cluster/x"),
    ("Task", "arn:aws:ecs:eu-central-1:1:task-definition/x:1"),
    ("Queue", "queue"),
    ("TasksEnded", "queue"),
    ("Vpc", "vpc-1"),
    ("SparkRole", "arn:aws:iam::1:role/x"),
    ("SparkApplication", "00abc"),
    ("SparkLog", "lines"),
)


def resolved(value: Any) -> str:
    if isinstance(value, str):
        return value
    ((function, inside),) = value.items()
    if function == "Fn::Join":
        return str(inside[0]).join(resolved(part) for part in inside[1])
    named = json.dumps(inside)
    return next(form for what, form in FORMS if what in named)


def function_variables(platform: Any, handler: str) -> dict[str, str]:
    found = [f for f in platform.properties("AWS::Lambda::Function").values() if f.get("Handler") == f"lambda/{handler}/handler.handle"]
    (function,) = found
    return {name: resolved(value) for name, value in function["Environment"]["Variables"].items()}


def container(platform: Any, name: str) -> dict[str, Any]:
    containers = [c for t in platform.properties("AWS::ECS::TaskDefinition").values() for c in t["ContainerDefinitions"]]
    (found,) = (c for c in containers if c["Name"] == name)
    return dict(found)


def variables(found: dict[str, Any]) -> dict[str, str]:
    return {variable["Name"]: resolved(variable["Value"]) for variable in found["Environment"]}


@pytest.mark.parametrize("handler", ["front_door", "lists", "list_uploaded", "alert"])
def test_a_function_can_read_what_it_is_told(synthesise: Synthesise, name: str, handler: str) -> None:
    told = function_variables(synthesise(name), handler)
    importlib.import_module(f"lambda.{handler}.environment").read_environment(told)


def test_where_no_prefect_runs_alerts_start_a_task(synthesise: Synthesise) -> None:
    read = importlib.import_module("lambda.alert.environment")
    told = read.read_environment(function_variables(synthesise("dev", "near-zero"), "alert"))
    assert isinstance(told.retrain, read.RetrainTask)
    assert told.retrain.container == "flow"


def test_the_functions_image_is_told_what_both_handlers_read(synthesise: Synthesise) -> None:
    (scoring,) = (f for f in synthesise("dev", "near-zero").properties("AWS::Lambda::Function").values() if f.get("PackageType") == "Image")
    told = {name: resolved(value) for name, value in scoring["Environment"]["Variables"].items()}
    # lambda/container.py adds it: the address of the service within the function.
    told["PROPENSITY_SCORING_URL"] = "http://127.0.0.1:8700"
    for handler in ("front_door", "lists"):
        importlib.import_module(f"lambda.{handler}.environment").read_environment(told)


def test_the_worker_can_read_what_it_is_told(synthesise: Synthesise, name: str) -> None:
    place = worker.read_place(variables(container(synthesise(name), "worker")))
    assert place.container == "flow"
    assert len(place.subnets) == 2


@pytest.mark.parametrize("program", ["scoring", "flow", "list"])
def test_programs_are_told_settings_that_exist(synthesise: Synthesise, name: str, program: str) -> None:
    told = [n.removeprefix("PROPENSITY_").lower() for n in variables(container(synthesise(name), program)) if n.startswith("PROPENSITY_")]
    assert {"database_url", "store_url"} <= set(told)
    assert set(told) <= set(Settings.model_fields)


def test_the_migration_is_told_every_password(synthesise: Synthesise, name: str) -> None:
    found = container(synthesise(name), "migration")
    assert {secret["Name"] for secret in found["Secrets"]} == {ADMIN_PASSWORD, *map(password_variable, roles())}
    assert ADMIN_URL in variables(found)
