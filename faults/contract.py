"""R18: the service is what its OpenAPI document says, tried with thousands of requests made from that document."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response as StResponse
from schemathesis.specs.openapi import checks
from schemathesis.transport.serialization import serialize_binary

from faults.access import headers
from faults.client import HOST
from faults.promise import Result, Scale
from faults.samples import make_model
from faults.world import Service, World
from propensity.campaigns import campaign

AnyCase = Case[Any]
# A case is one request; so many are drawn from each operation at a time.
AT_A_TIME = 40
# One request of so many is sent without a key.
WITHOUT_KEY = 20
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


class _Trial:
    """Sends cases and counts what came."""

    def __init__(self, service: Service) -> None:
        self.cases = 0
        self.not_sent = 0
        self.statuses: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()
        self._url = f"http://{HOST}:{service.port}"
        self._session = requests.Session()
        self._key = service.keys["operator"]

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def ask(self, case: AnyCase) -> None:
        """One request. A 500 is always a failure; a 503 is one unless it is documented."""
        key = headers(self._key) if self.cases % WITHOUT_KEY else {}
        try:
            response = case.call(base_url=self._url, session=self._session, headers=key, timeout=60)
        except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, UnicodeError):
            self.not_sent += 1
            return
        except requests.exceptions.ConnectionError as exc:
            self.failures[f"{_name(case)}: no reply ({type(exc).__name__})"] += 1
            return
        self.cases += 1
        self.statuses[response.status_code] += 1
        if response.status_code == 500:
            self.failures[f"{_name(case)}: 500"] += 1
        self._check(case, response)

    def _check(self, case: AnyCase, response: StResponse) -> None:
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            for failure in group.exceptions:
                self.failures[f"{_name(case)}: {response.status_code}: {type(failure).__name__}"] += 1


def _name(case: AnyCase) -> str:
    return f"{case.operation.method.upper()} {case.operation.path}"


def _draw(strategy: Any, ask: Callable[[AnyCase], None], count: int, seed: int) -> None:
    """Let hypothesis draw ``count`` cases and ask each."""

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @hypothesis.given(case=strategy)
    def draw(case: AnyCase) -> None:
        ask(case)

    # An operation without parameters and body cannot be asked wrongly.
    with suppress(hypothesis.errors.Unsatisfiable):
        draw()


def _open(document: dict[str, Any]) -> dict[str, Any]:
    """The document without its security: schemathesis would leave the key out of half of all requests, which then get no further."""
    paths = {
        path: {method: {k: v for k, v in operation.items() if k != "security"} for method, operation in operations.items()}
        for path, operations in document["paths"].items()
    }
    components = {k: v for k, v in document.get("components", {}).items() if k != "securitySchemes"}
    return {**{k: v for k, v in document.items() if k != "security"}, "paths": paths, "components": components}


def _serialise_others(document: dict[str, Any]) -> None:
    """Bodies of formats that schemathesis does not know are sent as the text or bytes that were drawn."""
    operations: Iterable[dict[str, Any]] = [
        operation for path in document["paths"].values() for operation in path.values() if isinstance(operation, dict)
    ]
    offered = {mimetype for operation in operations for mimetype in operation.get("requestBody", {}).get("content", {})}

    def lines(_context: object, value: Any) -> bytes:
        return "\n".join(map(json.dumps, value)).encode() if isinstance(value, list) else serialize_binary(value)

    def plain(_context: object, value: Any) -> bytes:
        return serialize_binary(value)

    for mimetype in offered - {"application/json"}:
        schemathesis.serializer(mimetype)(lines if "ndjson" in mimetype or "jsonl" in mimetype else plain)


def r18(world: World, scale: Scale) -> Result:
    """Sound and unsound requests for every operation of the document."""
    wanted = scale.of(full=10_000, short=150)
    with world.service(start=False) as service:
        service.promote(make_model(campaign("purchase-propensity")))  # every campaign can answer
        service.restart()
        document = service.once("GET", "/openapi.json").json()
        _serialise_others(document)
        found = list(schemathesis.openapi.from_dict(_open(document)).get_all_operations())
        operations = [one.ok() for one in found if isinstance(one, Ok)]
        trial = _Trial(service)
        turn, before = 0, -1
        while trial.cases < wanted and trial.cases > before:
            before = trial.cases
            for operation in operations:
                for mode in GenerationMode:
                    at_a_time = scale.of(full=AT_A_TIME, short=8)
                    _draw(operation.as_strategy(generation_mode=mode), trial.ask, at_a_time, turn)
            turn += 1
            world.say(f"  {trial.cases:,} cases, {sum(trial.failures.values())} failures of {len(trial.failures)} kinds")
        trial.close()
        lives = service.running()
    shown = "; ".join(f"{what} x {count}" for what, count in trial.failures.most_common(6))
    return Result(
        not trial.failures and lives and len(operations) == len(found) and trial.cases >= wanted,
        f"{trial.cases:,} cases over {len(operations)} operations: {trial.statuses[500]} x 500, {sum(trial.failures.values())} otherwise "
        f"than documented{': ' if shown else ''}{shown}; {dict(sorted(trial.statuses.items()))}",
        "schemathesis with requests made from /openapi.json, sound and unsound by turns; statuses, media types, headers and reply schemas "
        f"checked; {trial.not_sent} drawn requests that HTTP cannot carry were left out",
    )
