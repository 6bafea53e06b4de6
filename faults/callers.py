"""S3 S4: a caller sees his own predictions alone, and a low role does what it may and no more."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

from faults.client import Client, Reply
from faults.promise import Result, Scale
from faults.samples import Row
from faults.world import CAMPAIGN, PREDICTIONS, Service, World

MARKETING, OPERATOR, AUDITOR = "marketing", "operator", "auditor"
EVERY = frozenset({MARKETING, OPERATOR, AUDITOR})
# Route, and the roles that may. Written here once more on purpose, and not read from the service: a slip there is to be seen here.
ROUTES: Mapping[tuple[str, str], frozenset[str]] = {
    ("POST", PREDICTIONS): frozenset({MARKETING, OPERATOR}),
    ("POST", f"/v1/campaigns/{CAMPAIGN}/outcomes"): frozenset({MARKETING, OPERATOR}),
    ("GET", f"/v1/campaigns/{CAMPAIGN}/outcomes"): EVERY,
    ("GET", "/v1/campaigns"): EVERY,
    ("GET", f"/v1/campaigns/{CAMPAIGN}"): EVERY,
    ("GET", f"/v1/campaigns/{CAMPAIGN}/schema"): EVERY,
    ("GET", f"/v1/campaigns/{CAMPAIGN}/model"): EVERY,
    ("GET", "/metrics"): frozenset({OPERATOR, AUDITOR}),
}
PUBLIC = ("/", "/livez", "/startupz", "/readyz", "/openapi.json", "/docs")
OTHER_METHODS = ("PUT", "PATCH", "DELETE")
STRANGERS: Mapping[str, str | None] = {
    "no key": None,
    "a key that nobody has": "Bearer prop_00000000_" + "A" * 43,
    "a key cut short": "Bearer prop_0000",
    "a password": "Basic b3BlcmF0b3I6b3BlcmF0b3I=",
    "an empty key": "Bearer ",
    "another scheme": "Token abc",
}


def _ask(client: Client, method: str, path: str, rows: list[Row], extra: Mapping[str, str] | None = None) -> Reply:
    headers = dict(extra or {})
    if method == "GET":
        return client.call(method, path, None, headers)
    if path.endswith("outcomes"):
        return client.post_json(path, [{"customer_id": rows[0]["id"], "outcome": "yes"}], headers)
    return client.call(method, path, b"[]", headers) if method != "POST" else client.post_json(path, rows, headers)


def s4(world: World, scale: Scale) -> Result:  # noqa: ARG001
    """Every route as every role, as strangers, and with methods that do not exist."""
    wrong: list[str] = []
    tried = 0
    with world.service() as service:
        for what, found, wanted in _matrix(service, world.rows[:2]):
            tried += 1
            if found.status not in wanted:
                wrong.append(f"{what}: {found.status}, not {'/'.join(map(str, wanted))}")
    return Result(
        not wrong,
        f"{tried - len(wrong)} of {tried} as they should be{': ' if wrong else ''}{'; '.join(wrong[:6])}",
        f"{len(ROUTES)} routes x roles {', '.join(sorted(EVERY))}; {len(STRANGERS)} kinds of strangers; public addresses without a key; "
        f"{', '.join(OTHER_METHODS)}; roles claimed in other headers",
    )


def _matrix(service: Service, rows: list[Row]) -> Iterator[tuple[str, Reply, tuple[int, ...]]]:
    """What was tried, the reply, and the statuses that are right."""
    for role in sorted(EVERY):
        client = service.client(role)
        for (method, path), roles in ROUTES.items():
            # An outcome may be one that cannot be matched or read: not refused for the role is what counts.
            right = ((200, 400, 422) if path.endswith("outcomes") else (200,)) if role in roles else (403, 404)
            yield f"{role}: {method} {path}", _ask(client, method, path, rows), right
            if role not in roles:
                claims = {"X-Role": OPERATOR, "X-Forwarded-User": OPERATOR, "X-HTTP-Method-Override": "GET"}
                yield f"{role} claiming more: {method} {path}", _ask(client, method, path, rows, claims), (403, 404)
        for method in OTHER_METHODS:
            yield f"{role}: {method} {PREDICTIONS}", _ask(client, method, PREDICTIONS, rows), (403, 404, 405)
        yield f"{role}: /docs", client.get("/docs"), (200,)
        client.close()
    stranger = Client(service.port, "")
    for what, header in STRANGERS.items():
        for method, path in ROUTES:
            yield f"{what}: {method} {path}", _ask(stranger, method, path, rows, {"Authorization": header} if header else None), (401,)
    for path in PUBLIC:
        yield f"no key: {path}", stranger.get(path), (200,)
    yield "no key: an address that is none", stranger.get("/v1/nothing"), (401, 404)
    stranger.close()


def s3(world: World, scale: Scale) -> Result:
    """Two callers of one role ask for each other's predictions."""
    count = scale.of(full=200, short=20)
    wrong: list[str] = []
    with world.service() as service:
        clients = {name: service.client(name) for name in (MARKETING, "marketing2", OPERATOR, AUDITOR)}
        owner, other = clients[MARKETING], clients["marketing2"]
        ids: list[str] = []
        for at in range(count):
            key = {"Idempotency-Key": f"mine-{at}"}
            ids.append(owner.post_json(PREDICTIONS, [world.rows[at]], key).json()["predictions"][0]["prediction_id"])
        unknown = other.get(f"/v1/predictions/{uuid.uuid4()}.1")
        for name in ids:
            found = {who: client.get(f"/v1/predictions/{name}") for who, client in clients.items()}
            statuses = {who: reply.status for who, reply in found.items()}
            if statuses != {MARKETING: 200, "marketing2": 404, OPERATOR: 200, AUDITOR: 200}:
                wrong.append(f"one prediction: {statuses}")
            # Somebody else's and none at all must be told alike.
            if _told(found["marketing2"]) != _told(unknown):
                wrong.append("the refusal tells that there is such a prediction")
        for at in range(count):
            replay = other.post_json(PREDICTIONS, [world.rows[at]], {"Idempotency-Key": f"mine-{at}"})
            if replay.status != 200 or replay.json()["predictions"][0]["prediction_id"] in ids:
                wrong.append(f"another's Idempotency-Key: {replay.status}")
        for client in clients.values():
            client.close()
    return Result(
        not wrong and unknown.status == 404,
        f"{len(wrong)} read or told of {2 * count} tries{': ' if wrong else ''}{'; '.join(wrong[:3])}",
        f"{count} predictions of one marketing caller asked for by another, operator, auditor; then his keys and bodies sent by the other",
    )


def _told(reply: Reply) -> dict[str, object]:
    found = reply.json()
    return {name: value for name, value in found.items() if name != "request_id"}
