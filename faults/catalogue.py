"""Every promise that is tried here, in the order of its number."""

from __future__ import annotations

from faults import contract, crashes, hostile, limits, lists, models, outages, races, replay, retries, rights, slow
from faults.promise import Promise

CATALOGUE: tuple[Promise, ...] = (
    Promise(("R1",), "no acknowledged prediction is lost when the service is killed", "0 missing, 0 partial of 10,000+", crashes.r1),
    Promise(("R2",), "no acknowledged prediction is lost when Postgres is killed", "0 missing, 0 partial of 10,000+", crashes.r2),
    Promise(("R3",), "no acknowledged prediction is lost when both are killed", "0 missing, 0 partial of 10,000+", crashes.r3),
    Promise(
        ("R4", "R5"),
        "a retry never scores or logs twice; a key with another body is refused",
        "1,000 keys x 10 at once: one row set each, byte-equal replies; 422",
        retries.r4_r5,
    ),
    Promise(("R6",), "Postgres down: a fast refusal", "only 503, none over 5 s; 200 within 5 s of recovery; livez 200", outages.r6),
    Promise(("R7",), "Postgres frozen: a fast refusal", "only 503, none over 5 s; 200 within 5 s of recovery; livez 200", outages.r7),
    Promise(("R9",), "serving does without MLflow", "0 failed predictions, 0 connections", outages.r9),
    Promise(("R10",), "serving outlives object storage", "0 failed predictions; cold start: 503, then ready within 5 s", outages.r10),
    Promise(("R11",), "a damaged model never serves", "1,000 damaged files: all refused, scores unchanged", models.r11),
    Promise(("R12",), "a wrong model never serves", "20 and more wrong models: all refused, scores unchanged", models.r12),
    Promise(("R13",), "promotion is atomic under races", "50 at once x 20: one winner, every reply of one model", races.r13),
    Promise(("R14",), "every reply is reproducible from the log", "10,000 of 10,000 bit-equal", replay.r14),
    Promise(("R15",), "SIGTERM loses nothing", "20 times under load: 0 resets, 0 x 5xx", crashes.r15),
    Promise(("R18",), "the service is what its OpenAPI says", "10,000 cases: 0 x 500, 0 undocumented", contract.r18),
    Promise(("R19",), "hostile JSON is the sender's error", "every body a 4xx, 0 x 5xx", hostile.r19),
    Promise(("R20",), "any spreadsheet's CSV reads the same", "64 of 64 identical or refused by name, 0 misread", lists.r20),
    Promise(("R21",), "one bad row does not sink a list", "exact row, column and reason; the rest scored", lists.r21),
    Promise(("R22",), "lists at the limit fit", "RSS under 512 MiB; a million rows in one request refused", limits.r22),
    Promise(("R23",), "limits hold", "bombs and oversize refused, RSS growth under 50 MiB", limits.r23),
    Promise(("R27",), "slow callers cannot stop others", "900 dripping connections: 99 % of livez under 1 s", slow.r27),
    Promise(("S13",), "the service's role cannot change what was logged", "refused by Postgres", rights.s13),
)


def chosen(ids: list[str]) -> list[Promise]:
    """The promises with these ids, all where none is named. Raises KeyError for an id that is not tried here."""
    known = {name for promise in CATALOGUE for name in promise.ids}
    unknown = [name for name in ids if name.upper() not in known]
    if unknown:
        raise KeyError(f"{', '.join(unknown)}: not tried here; there are {', '.join(sorted(known))}")
    wanted = {name.upper() for name in ids} or known
    return [promise for promise in CATALOGUE if wanted & set(promise.ids)]
