"""The deployed system as somebody outside meets it, and what only its operators can look at."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from local.ports import HOST
from propensity.adapters.object_store import S3Store, open_s3
from propensity.errors import StoreError
from rehearse.emulator import Emulator
from rehearse.steps import StepFailed

DOMAIN = "propensity.internal"
TIMEOUT_S = 40.0
ATTEMPTS = 20
Result = TypeVar("Result")


@dataclass(frozen=True)
class Reply:
    """What was answered. Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def told(self) -> str:
        """Status and code, for people."""
        found = self.json()
        code = found.get("code") if isinstance(found, dict) else None
        return f"{self.status} {code}" if code else f"{self.status}"


@dataclass(frozen=True)
class Deployed:
    """One deployment.

    Parameters
    ----------
    outputs : mapping
        Outputs of every stack.
    postgres : str
        ``host:port`` of what is behind RDS.
    """

    emulator: Emulator
    outputs: Mapping[str, Mapping[str, str]]
    postgres: str
    keys: dict[str, str] = field(default_factory=dict)

    def output(self, stack: str, name: str) -> str:
        """Raises StepFailed where the stack has no such output."""
        found = [values[name] for known, values in self.outputs.items() if known.endswith(f"-{stack}") and name in values]
        if len(found) != 1:
            raise StepFailed(f"the stack {stack} has no output {name}")
        return found[0]

    # -- from outside

    def call(
        self, method: str, path: str, body: bytes | None = None, *, key: str | None = None, gateway_key: bool = True, **headers: str
    ) -> Reply:
        """A request to the REST API.

        Parameters
        ----------
        key : str or None
            Whose key of the scoring service goes along (`keys`).
        gateway_key : bool
            Whether the API's own key goes along.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if gateway_key:
            sent.setdefault("x-api-key", self.api_key)
        if key is not None:
            sent["Authorization"] = f"Bearer {self.keys[key]}"
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        return request(self.emulator.port, method, self._prefix + path, body, sent)

    def inside(self, service: str, path: str) -> Reply:
        """A GET as a program within the network would send it, by the balancer."""
        return request(self.emulator.port, "GET", path, None, {"Host": f"{service}.{DOMAIN}"})

    @cached_property
    def api_key(self) -> str:
        """The key of the REST API's first caller."""
        found = self.emulator.client("apigateway").get_api_keys(includeValues=True)["items"]
        if not found:
            raise StepFailed("the REST API has no key")
        return str(found[0]["value"])

    @cached_property
    def _prefix(self) -> str:
        address = urlsplit(self.output("Front", "Address"))
        return f"/_aws/execute-api/{(address.hostname or '').split('.')[0]}/{address.path.strip('/')}"

    # -- what operators see

    @property
    def bucket(self) -> str:
        return urlsplit(self.output("DataLake", "StoreUrl")).netloc

    @cached_property
    def store(self) -> S3Store:
        """The data lake."""
        return open_s3(self.bucket, "", self.emulator.url)

    def tasks(self, group: str = "", *, stopped: bool = False) -> list[dict[str, Any]]:
        """Tasks of the cluster whose group begins so."""
        ecs = self.emulator.client("ecs")
        found: list[dict[str, Any]] = []
        for cluster in ecs.list_clusters()["clusterArns"]:
            states = ("RUNNING", "STOPPED") if stopped else ("RUNNING",)
            arns = [arn for state in states for arn in ecs.list_tasks(cluster=cluster, desiredStatus=state)["taskArns"]]
            for at in range(0, len(arns), 100):
                found += ecs.describe_tasks(cluster=cluster, tasks=arns[at : at + 100])["tasks"]
        return [task for task in found if task["group"].startswith(group)]

    def variables(self, container: str) -> dict[str, str]:
        """Variables and secrets of the newest task definition with that container, with addresses as they are on this machine."""
        ecs = self.emulator.client("ecs")
        for arn in ecs.list_task_definitions(sort="DESC")["taskDefinitionArns"]:
            for found in ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]["containerDefinitions"]:
                if found["name"] == container:
                    plain = {pair["name"]: pair["value"] for pair in found.get("environment", [])}
                    return plain | {pair["name"]: self._secret(pair["valueFrom"]) for pair in found.get("secrets", [])}
        raise StepFailed(f"no task definition has a container {container}")

    def database_url(self, role: str, password: str, database: str = "propensity") -> str:
        """Where a role logs in, on this machine."""
        return f"postgresql://{role}:{quote(password, safe='')}@{self.postgres}/{database}"

    def _secret(self, value_from: str) -> str:
        parts = value_from.split(":")
        text = self.emulator.client("secretsmanager").get_secret_value(SecretId=":".join(parts[:7]))["SecretString"]
        return str(json.loads(text)[parts[7]] if len(parts) > 7 and parts[7] else text)


def request(port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
    """One request to this machine. Raises StepFailed where no reply comes."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    except (OSError, http.client.HTTPException) as exc:
        raise StepFailed(f"no reply to {method} {path.partition('?')[0]}: {type(exc).__name__}") from exc
    finally:
        connection.close()


def fetch(url: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
    """One request to an address that the deployed system gave out. Raises StepFailed."""
    parts = urlsplit(url)
    if parts.port is None:
        raise StepFailed(f"an address of this machine was expected, not one of {parts.hostname}")
    return request(
        parts.port, method, urlunsplit(("", "", parts.path or "/", parts.query, "")), body, {"Host": parts.netloc, **(headers or {})}
    )


def expect(reply: Reply, *statuses: int) -> Reply:
    """The reply. Raises StepFailed where its status is another."""
    if reply.status not in statuses:
        wanted = " or ".join(map(str, statuses))
        raise StepFailed(f"{wanted} was expected, the reply is {reply.told()}: {reply.body[:300].decode('utf-8', 'replace')}")
    return reply


def patiently(do: Callable[[], Result]) -> Result:
    """What ``do`` returns, once the store that it needs answers in time: services that are starting leave little of this machine."""
    for _ in range(ATTEMPTS - 1):
        try:
            return do()
        except StoreError:
            time.sleep(1.0)
    return do()


def wait_for(condition: Callable[[], bool], what: str, *, timeout_s: float = 60.0) -> None:
    """Raises StepFailed where it does not come."""
    latest = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > latest:
            raise StepFailed(f"{what} did not come within {timeout_s:g} s")
        time.sleep(0.2)
