"""A domain and its certificate: every service is then reached by TLS alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from infra.config import Names, names_of
from propensity.errors import SettingsInvalid

Synthesise = Callable[..., Any]
DOMAIN = "propensity.example.com"
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d-0000-0000-0000-000000000000"


@pytest.fixture
def by_tls(synthesise: Synthesise) -> Any:
    return synthesise("prod", domain=DOMAIN, certificate=CERTIFICATE)


def test_without_a_domain_names_are_private() -> None:
    assert names_of(None, "") == Names()
    assert Names().url("scoring") == "http://scoring.propensity.internal"


@pytest.mark.parametrize(
    ("domain", "certificate"),
    [(DOMAIN, None), ("", CERTIFICATE), ("https://x.example", CERTIFICATE), ("x", CERTIFICATE), (DOMAIN, "arn:aws:iam::1:role/x")],
)
def test_half_of_it_or_something_else_is_refused(domain: object, certificate: object) -> None:
    with pytest.raises(SettingsInvalid):
        names_of(domain, certificate)


def test_the_balancer_speaks_tls_alone(by_tls: Any) -> None:
    (listener,) = by_tls.properties("AWS::ElasticLoadBalancingV2::Listener").values()
    assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
    assert listener["Certificates"] == [{"CertificateArn": CERTIFICATE}]
    assert "TLS13" in listener["SslPolicy"]
    (zone,) = by_tls.properties("AWS::Route53::HostedZone").values()
    assert zone["Name"] == f"{DOMAIN}."


def test_nothing_is_told_a_plain_address(by_tls: Any) -> None:
    variables = [
        json.dumps(variable)
        for kind, found in (("AWS::ECS::TaskDefinition", "ContainerDefinitions"), ("AWS::Lambda::Function", "Environment"))
        for one in by_tls.properties(kind).values()
        for variable in [one.get(found, {})]
    ]
    told = set(re.findall(r"https?://[a-z.]+", " ".join(variables)))
    assert told == {f"https://{service}.{DOMAIN}" for service in ("scoring", "mlflow", "prefect", "grafana")}


def test_the_balancer_is_reached_by_that_port_alone(by_tls: Any) -> None:
    doors = {
        rule["FromPort"]
        for name, rule in by_tls.properties("AWS::EC2::SecurityGroupIngress").items()
        if name.startswith("Network/FirewallBalancer")
    }
    assert doors == {443}
