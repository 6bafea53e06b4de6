"""Whom Grafana tells: nobody by default, and whoever an environment declares, by secrets that stand in no template."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.config import Told, environment_named
from infra.constructs.registry import IMAGES
from propensity.campaigns import all_campaigns
from propensity.errors import SettingsInvalid

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:grafana-AbCdEf"
MAIL = {
    "email": "team@example.com;lead@example.com",
    "smtp_host": "email-smtp.eu-central-1.amazonaws.com:587",
    "smtp_from": "grafana@example.com",
    "smtp_secret_arn": SECRET,
}


def grafana_of(new_app: Callable[[str], Any], told: Told) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Variables and secrets of Grafana's container, and the template of the network."""
    from aws_cdk.assertions import Template

    from infra.stage import PlatformStage

    stage = PlatformStage(
        new_app("dev"),
        "platform",
        environment=dataclasses.replace(environment_named("dev"), told=told),
        campaigns=tuple(all_campaigns().values())[:1],
        tags=dict.fromkeys(IMAGES, "1"),
        version="1",
    )
    assert stage.services is not None
    template = Template.from_stack(stage.services).to_json()
    (container,) = (
        found
        for one in template["Resources"].values()
        if one["Type"] == "AWS::ECS::TaskDefinition"
        for found in one["Properties"]["ContainerDefinitions"]
        if found["Name"] == "grafana"
    )
    variables = {one["Name"]: one["Value"] for one in container["Environment"]}
    secrets = {one["Name"]: one["ValueFrom"] for one in container["Secrets"]}
    return variables, secrets, dict(Template.from_stack(stage.network).to_json())


def test_nobody_is_named_by_default_so_that_the_images_own_values_hold(new_app: Callable[[str], Any]) -> None:
    variables, secrets, network = grafana_of(new_app, Told())
    assert not {name for name in {*variables, *secrets} if name.startswith(("PROPENSITY_ALERT", "GF_SMTP"))}
    assert "letters of Grafana" not in json.dumps(network)


def test_whoever_is_declared_is_told_and_no_secret_stands_in_a_template(new_app: Callable[[str], Any]) -> None:
    variables, secrets, network = grafana_of(new_app, Told(webhook_secret_arn=SECRET, **MAIL))
    assert variables["PROPENSITY_ALERT_EMAIL"] == MAIL["email"]
    assert (variables["GF_SMTP_HOST"], variables["GF_SMTP_STARTTLS_POLICY"]) == (MAIL["smtp_host"], "MandatoryStartTLS")
    assert secrets["PROPENSITY_ALERT_WEBHOOK"] == SECRET
    assert (secrets["GF_SMTP_USER"], secrets["GF_SMTP_PASSWORD"]) == (f"{SECRET}:username::", f"{SECRET}:password::")
    assert "PROPENSITY_ALERT_WEBHOOK" not in variables
    ports = [rule["ToPort"] for rule in _egress(network) if rule.get("Description") == "letters of Grafana, by TLS"]
    assert ports == [587]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"email": "team@example.com"}, "together"),
        ({"smtp_host": "mail.example.com:587"}, "together"),
        ({**MAIL, "email": "team"}, "semicolons"),
        ({**MAIL, "smtp_from": "a@b"}, "smtp_from"),
        ({**MAIL, "smtp_host": "mail.example.com"}, "host:port"),
        ({**MAIL, "smtp_secret_arn": SECRET[:-7]}, "smtp_secret_arn"),
        ({"webhook_secret_arn": "https://hooks.example.com/token"}, "webhook_secret_arn"),
    ],
)
def test_half_of_it_or_something_else_is_refused_without_repeating_it(wrong: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsInvalid, match=named) as refused:
        Told(**wrong)
    assert "token" not in str(refused.value)


def _egress(network: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [r["Properties"] for r in network["Resources"].values() if r["Type"] == "AWS::EC2::SecurityGroup"]
    apart = [r["Properties"] for r in network["Resources"].values() if r["Type"] == "AWS::EC2::SecurityGroupEgress"]
    return [rule for group in groups for rule in group.get("SecurityGroupEgress", [])] + apart
