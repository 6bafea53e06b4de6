"""R19: JSON made to break things is the sender's error, never ours."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from faults.client import Client, Reply
from faults.packages import damages
from faults.promise import Result, Scale
from faults.samples import Row
from faults.world import CAMPAIGN, PREDICTIONS, World

_JSON = {"Content-Type": "application/json"}

# Each must be refused as a whole, with a 4xx.
BODIES: tuple[bytes, ...] = (
    b"",
    b" ",
    b"null",
    b"7",
    b"-0",
    b'"x"',
    b"true",
    b"[]",
    b"{}",
    b"[null]",
    b"[[]]",
    b"[",
    b"]",
    b"{",
    b"[1,]",
    b"[,1]",
    b"[1] x",
    b"[]{}",
    b"{'id':1}",
    b"{id:1}",
    b"[NaN]",
    b"[Infinity]",
    b"[-Infinity]",
    b"[1e999]",
    b"[-1e999]",
    b"[01]",
    b"[+1]",
    b"[.5]",
    b"[1.]",
    b"[0x10]",
    b"[1_000]",
    b"\xef\xbb\xbf[]",
    b"\xff\xfe[\x00]\x00",
    b"\x00[]",
    b"[]\x00",
    b'["\xff"]',
    b'["\\ud800"]',
    b'["\\udc00\\ud800"]',
    b'["\\ud800 x"]',
    b'["\xed\xa0\x80"]',
    b'["\xc0\x80"]',
    b'["\\x41"]',
    b'["\\u12"]',
    b'["\n"]',
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'[{"id":' + b"[" * 900 + b"]" * 900 + b"}]",
    b"[" + b"9" * 5_000 + b"]",
    b'[{"id":' + b"9" * 100_000 + b"}]",
    b'[{"id":1e' + b"9" * 1_000 + b"}]",
    b'{"id":1,"id":2}',
    b'[{"id":1,"id" :2}]',
    b'[{"id":1,"i\\u0064":2}]',
    b'{"customers":[{"id":1}],"customers":[{"id":2}]}',
    b'[{"id":{"a":1,"a":2}}]',
    b'{"customers":{}}',
    b'{"customers":null}',
    b'{"customers":"all"}',
    b'{"customers":[]}',
    b'{"customers":[{"id":1}],"surprise":1}',
    b'{"customers":[{"id":1}],"reasons":true}',
    b'{"customers":[{"id":1}],"reasons":-1}',
    b'{"customers":[{"id":1}],"reasons":1.5}',
    b'{"customers":[{"id":1}],"reasons":99999999999999999999}',
    b'{"customers":[{"id":1}],"policy":"profit"}',
    b'{"customers":[{"id":1}],"policy":{"kind":"top_share"}}',
    b'{"customers":[{"id":1}],"policy":{"kind":"top_share","value":2}}',
    b'{"customers":[{"id":1}],"policy":{"kind":["profit"]}}',
    b'{"customers":[{"id":1}],"policy":{"kind":{}}}',
    b'{"customers":[{"id":1}],"policy":{"kind":"budget","value":' + b"9" * 400 + b"}}",
    b'{"columns":[]}',
    b'{"columns":{"id":1}}',
    b'{"columns":{"id":[1],"age":[1,2]}}',
    b"<xml/>",
    b"PK\x03\x04",
    b"\x1f\x8b\x08\x00",
)

# Each as the value of one column of one of two rows: the other row is scored, this one is named.
VALUES: tuple[Any, ...] = (
    *(True, False, "1", "1_000", "", [], {}, [1], {"a": 1}, "\x00", "\u202e", 10**400, -(10**30), 1e308, None, "NaN", 2**63, 2**53 + 1),
    *(-1, 1e-320, "ａ", "x" * 100_000, [[[[[]]]]], "'; drop table prediction_request; --", "{{7*7}}", "=1+1"),
)
IDS: tuple[Any, ...] = (
    None,
    True,
    "",
    "\x00",
    "a\nb",
    "x" * 129,
    10**200,
    1.5e308,
    [],
    {},
    "\ud83d",
    "\u202etxt",
    "\x1b[31m",
    float("1e22"),
)


def r19(world: World, scale: Scale) -> Result:
    """A corpus, hostile values, and sound bodies damaged at random."""
    statuses: Counter[str] = Counter()
    bad: list[str] = []
    with world.service() as service:
        client = service.client()
        for number, body in enumerate(BODIES):
            reply = client.call("POST", PREDICTIONS, body, _JSON)
            statuses[f"corpus {reply.status}"] += 1
            if not 400 <= reply.status < 500 or not _is_problem(reply):
                bad.append(f"body {number} got {reply.status}")
        unrefused = service.logged_requests()
        for what, reply in _hostile_rows(client, world.rows[:2], world.campaign.feature_names):
            statuses[f"values {reply.status}"] += 1
            if reply.status not in (200, 400, 422) or not _strict(reply):
                bad.append(f"{what} got {reply.status}")
            elif reply.status == 200 and reply.json()["counts"]["received"] != 2:
                bad.append(f"{what}: not two rows")
        for what, body, reply in _damaged(client, world.rows[:5], scale.of(full=5_000, short=200)):
            statuses[f"damaged {reply.status}"] += 1
            if reply.status >= 500 or not _strict(reply):
                bad.append(f"{what} got {reply.status}")
            elif reply.status == 200 and _answers(reply) != _answers(client.call("POST", PREDICTIONS, _rewritten(body), _JSON)):
                bad.append(f"{what}: read otherwise than Python reads it")
        client.close()
        lives = service.running()
    return Result(
        not bad and lives and unrefused == 0,
        f"{len(bad)} answered otherwise than promised{': ' if bad else ''}{'; '.join(bad[:5])}; {dict(sorted(statuses.items()))}",
        f"{len(BODIES)} bodies that are no list of customers, {len(VALUES) + len(IDS)} hostile values and "
        "ids, and bodies damaged at random, which Python reads alike where they are read at all",
    )


def _hostile_rows(client: Client, rows: list[Row], names: tuple[str, ...]) -> Iterator[tuple[str, Reply]]:
    columns = [(name, value) for name in (names[0], "job", "euribor3m") for value in VALUES]
    for name, value in [*columns, *(("id", value) for value in IDS)]:
        body = json.dumps([rows[0], {**rows[1], name: value}]).encode()
        yield f"a value of {name}", client.call("POST", f"/v1/campaigns/{CAMPAIGN}/predictions", body, _JSON)


def _damaged(client: Client, rows: list[Row], count: int) -> Iterator[tuple[str, bytes, Reply]]:
    draw = random.Random(19)  # noqa: S311 - repeatable on purpose
    ways = list(damages().items())
    sound = json.dumps({"customers": rows, "reasons": 1, "policy": {"kind": "profit"}}).encode()
    for number in range(count):
        name, way = ways[number % len(ways)]
        body = way(sound, draw)
        yield name, body, client.call("POST", PREDICTIONS, body, _JSON)


def _rewritten(body: bytes) -> bytes:
    """The same document as Python reads and writes it."""
    return json.dumps(json.loads(body)).encode()


def _answers(reply: Reply) -> list[tuple[object, ...]]:
    """What was answered, without ids that are new in every reply."""
    found = reply.json()
    scored = [(p["row"], p["customer_id"], p["score"]) for p in found["predictions"]]
    return [*scored, *((e["row"], e["column"], e["code"]) for e in found["errors"])]


def _is_problem(reply: Reply) -> bool:
    found = reply.json()
    return reply.headers.get("content-type") == "application/problem+json" and isinstance(found, dict) and bool(found.get("code"))


def _strict(reply: Reply) -> bool:
    """Whether the reply is JSON as RFC 8259 has it: NaN and Infinity are not."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(reply.body, parse_constant=refuse)
    except ValueError:
        return False
    return True
