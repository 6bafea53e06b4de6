"""R20 R21: the same list in whatever CSV reads the same, and a bad row does not sink it."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from faults.client import Client, Reply
from faults.promise import Result, Scale
from faults.samples import Row
from faults.world import PREDICTIONS, World

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
QUOTING = {"quotes where needed": csv.QUOTE_MINIMAL, "quotes everywhere": csv.QUOTE_ALL}
ENCODINGS = {"UTF-8": "utf-8", "UTF-8 with mark": "utf-8-sig", "UTF-16 with mark": "utf-16", "cp1252": "cp1252"}
LINE_ENDS = {"LF": "\n", "CRLF": "\r\n"}
# Every id tries what a wrong reader would break: letters beyond ASCII, each delimiter, quotes, spaces at the ends of words.
IDS = ("Jürgen Müller", "a,b", "c;d", "e|f", 'say "x"', "ñandú, é", "0012", "1e5", "plain", "Straße; 5")


def as_csv(rows: Sequence[Row], delimiter: str, quoting: int, line_end: str, *, decimal: str = ".") -> str:
    """Rows as a spreadsheet would write them."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=line_end)  # type: ignore[arg-type]
    writer.writerow(rows[0])
    writer.writerows([[_cell(value, decimal) for value in row.values()] for row in rows])
    return out.getvalue()


def _cell(value: Any, decimal: str) -> Any:
    return repr(value).replace(".", decimal) if isinstance(value, float) else value


def _scores(reply: Reply) -> list[tuple[str, float]]:
    found = reply.json()
    if "columns" in found:
        return list(zip(found["columns"]["customer_id"], found["columns"]["score"], strict=True))
    return [(p["customer_id"], p["score"]) for p in found["predictions"]]


def _verdict(reply: Reply, wanted: list[tuple[str, float]]) -> str:
    """``identical``, ``refused`` with a name for it, or what is wrong."""
    found = reply.json()
    if 400 <= reply.status < 500 and found.get("code") and found.get("detail"):
        return "refused"
    if reply.status != 200:
        return f"status {reply.status}"
    got = _scores(reply)
    if got == wanted:
        return "identical"
    # Rows that are refused one by one, by name, are no misreading; the others must be as they were sent.
    named = found["errors_total"] > 0 and found["counts"]["refused"] == len(wanted) - len(got)
    return "refused" if named and set(got) <= set(wanted) else "MISREAD"


def r20(world: World, scale: Scale) -> Result:  # noqa: ARG001
    """Sixty-four ways to write the same ten customers, and the decimal comma besides."""
    rows = [{**row, "id": name} for row, name in zip(world.rows, IDS, strict=False)]
    verdicts: Counter[str] = Counter()
    bad: list[str] = []
    with world.service() as service:
        client = service.client()
        wanted = _scores(client.post_json(PREDICTIONS, {"customers": rows, "reasons": 0}))
        for names in itertools.product(DELIMITERS, QUOTING, ENCODINGS, LINE_ENDS):
            delimiter, quoting, encoding, line_end = names
            text = as_csv(rows, DELIMITERS[delimiter], QUOTING[quoting], LINE_ENDS[line_end])
            verdict = _verdict(_post_csv(client, text.encode(ENCODINGS[encoding])), wanted)
            verdicts[verdict] += 1
            if verdict not in ("identical", "refused"):
                bad.append(f"{', '.join(names)}: {verdict}")
        decimal = [
            _verdict(_post_csv(client, as_csv(rows, mark, QUOTING[quotes], "\r\n", decimal=",").encode(encoding)), wanted)
            for mark, quotes, encoding in itertools.product((";", "\t"), QUOTING, ENCODINGS.values())
        ]
        client.close()
    return Result(
        len(wanted) == len(IDS) and not bad and set(decimal) <= {"identical", "refused"} and sum(verdicts.values()) == 64,
        f"{verdicts['identical']} of 64 identical, {verdicts['refused']} refused by name, {len(bad)} misread{': ' if bad else ''}"
        f"{'; '.join(bad[:4])}; with decimal commas {dict(Counter(decimal))}",
        "delimiter x quoting x encoding x line end, against the scores of the same customers sent as JSON; ids hold delimiters, quotes and "
        "letters beyond ASCII",
    )


def _post_csv(client: Client, data: bytes) -> Reply:
    return client.call("POST", f"{PREDICTIONS}?reasons=0", data, {"Content-Type": "text/csv"})


def _as_json(rows: Sequence[Row]) -> tuple[bytes, str]:
    return json.dumps({"customers": rows, "reasons": 0}).encode(), "application/json"


def _as_columns(rows: Sequence[Row]) -> tuple[bytes, str]:
    return json.dumps({"columns": {name: [row[name] for row in rows] for name in rows[0]}, "reasons": 0}).encode(), "application/json"


def _as_lines(rows: Sequence[Row]) -> tuple[bytes, str]:
    return "\n".join(json.dumps(row) for row in rows).encode(), "application/x-ndjson"


def _as_csv(rows: Sequence[Row]) -> tuple[bytes, str]:
    return as_csv(rows, ",", csv.QUOTE_MINIMAL, "\n").encode(), "text/csv"


FORMATS: dict[str, Callable[[Sequence[Row]], tuple[bytes, str]]] = {
    "JSON": _as_json,
    "JSON by column": _as_columns,
    "NDJSON": _as_lines,
    "CSV": _as_csv,
}
# (column, value, code of the issue; empty where the format decides): what makes a row bad in every format.
FAULTS: tuple[tuple[str, Any, str], ...] = (
    ("age", 7_000, "out_of_range"),
    ("age", "old", "not_a_number"),
    ("job", "astronaut", "unknown_category"),
    ("euribor3m", "", ""),
    ("id", "", "bad_id"),
)


def r21(world: World, scale: Scale) -> Result:
    """One bad row after the other, then many at once, in every format."""
    rows = [dict(row) for row in world.rows[: scale.of(full=1_000, short=100)]]
    wrong: list[str] = []
    tried = 0
    with world.service() as service:
        client = service.client()
        for name, write in FORMATS.items():
            whole = dict(_scores(_post(client, write(rows))))
            places = {at: FAULTS[at % len(FAULTS)] for at in range(3, len(rows), len(rows) // 25)}
            for places_now in [*({at: fault} for at, fault in places.items()), places]:
                tried += 1
                found = _post(client, write(_spoiled(rows, places_now)))
                told = {(e["row"], e["column"], e["code"]) for e in found.json()["errors"]} if found.status == 200 else set()
                # JSON tells an empty text from a missing number, a file cannot.
                empty = "missing" if name == "CSV" else "not_a_number"
                wanted = {(at + 1, None if column == "id" else column, code or empty) for at, (column, _, code) in places_now.items()}
                others = {k: v for k, v in whole.items() if k not in {rows[at]["id"] for at in places_now}}
                if told != wanted or dict(_scores(found)) != others:
                    wrong.append(f"{name}: {sorted(map(str, wanted))[:2]} told as {sorted(map(str, told))[:2]}, status {found.status}")
        client.close()
    return Result(
        not wrong,
        f"{tried - len(wrong)} of {tried} lists: exact rows, columns and reasons, every other row with its score{': ' if wrong else ''}"
        f"{'; '.join(wrong[:3])}",
        f"lists of {len(rows):,} with one bad row, and with {len(places)} of {len(FAULTS)} kinds, as {', '.join(FORMATS)}",
    )


def _spoiled(rows: list[Row], places: dict[int, tuple[str, Any, str]]) -> list[Row]:
    spoiled = list(rows)
    for at, (column, value, _) in places.items():
        spoiled[at] = {**rows[at], column: value}
    return spoiled


def _post(client: Client, body: tuple[bytes, str]) -> Reply:
    data, mimetype = body
    return client.call(
        "POST", PREDICTIONS if mimetype == "application/json" else f"{PREDICTIONS}?reasons=0", data, {"Content-Type": mimetype}
    )
