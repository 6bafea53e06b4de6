"""A whole run, from nothing to the report."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import package, service
from benchmarks.exchange import SERVICE, WITH_REASONS, Exchange, Row, columns_of, peer_exchanges
from benchmarks.goals import Report, goals
from benchmarks.limit import Limit
from benchmarks.measure import LIMIT_S, Bench, Sample, log_cost, summary
from benchmarks.peers_setup import Peers
from benchmarks.plan import FORMATS, REASONS, Plan
from benchmarks.servers import PROJECT, Server, try_all
from benchmarks.service import NO_LOG, OURS, Home
from local.ports import HOST
from propensity.errors import ProgramFailed
from propensity.features import Encoding
from propensity.model import Model
from propensity.schema import check_rows

STATE = PROJECT / "build" / "bench"
CUSTOMERS = 20_000
CHECKED = 200
# XGBoost's margin is float32; peers turn it into a probability in float32 as well.
TOLERANCE = 1e-6
LIMIT_ROUND_S = 0.5
Say = Callable[[str], None]


@dataclass
class Findings:
    """What a run gathers."""

    samples: list[Sample] = field(default_factory=list)
    limits: dict[int, list[float]] = field(default_factory=dict)
    contributions: list[float] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    not_offered: dict[str, str] = field(default_factory=dict)
    agreement: dict[str, float] = field(default_factory=dict)
    cold_starts: list[float] = field(default_factory=list)
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)


def run(plan: Plan, say: Say) -> Report:
    """Measure everything that the plan names and return the report."""
    os.environ["PROPENSITY_CAMPAIGNS_DIR"] = str(package.CAMPAIGNS)
    begun = time.perf_counter()
    findings = Findings()
    campaign = package.benchmark_campaign()
    say(f"the model: {package.TREES} trees of depth {package.DEPTH}, {len(campaign.features)} features")
    model = package.kept_model(campaign, STATE / "models")
    customers, _ = package.draw(campaign, CUSTOMERS, package.CUSTOMERS_SEED)
    encoding = Encoding(model.manifest.ranks)
    matrix = STATE / "matrix.npy"
    np.save(matrix, encoding.matrix(customers.table))
    package.write_for_peers(model, STATE / "peers")
    sample_file = STATE / "customers.json"
    sample_file.write_text(json.dumps(customers.rows[:CHECKED]), encoding="utf-8")
    launches, findings.absent = Peers(STATE / "peers", sample_file, STATE / "state", say).launches()
    with service.home(STATE / "home", model) as home, ExitStack() as stack:
        _cold_starts(plan, home, findings, say)
        servers, failed = try_all([home.launch(OURS), home.launch(NO_LOG), *launches], STATE / "logs", say)
        for name, server in servers.items():
            stack.callback(server.stop)
            findings.memory[name] = {"start": asdict(server.memory)}
        findings.absent |= failed
        exchanges = _exchanges(model, encoding)
        checked = customers.rows[:CHECKED]
        _agree(servers, exchanges, checked, model.score(customers.table.take(np.arange(CHECKED))), home, findings, say)
        limit = stack.enter_context(Limit(STATE / "peers", matrix, STATE / "limit.log"))
        headers = dict.fromkeys((OURS, NO_LOG), home.headers)
        bench = Bench(servers, exchanges, customers.rows, headers, STATE / "requests", lambda: home.postgres_cpu_s)
        with _asleep(servers, findings):
            for number in range(plan.rounds):
                _round(plan, number, bench, limit, findings, say)
    return report(plan, findings, time.perf_counter() - begun)


def _exchanges(model: Model, encoding: Encoding) -> dict[tuple[str, str], Exchange]:
    campaign = model.campaign

    def encode(rows: Sequence[Row]) -> list[list[float]]:
        columns = columns_of(rows)
        checked = check_rows(campaign, {name: columns[name] for name in campaign.feature_names}, columns["id"], len(rows), text=False)
        numbers: list[list[float]] = encoding.matrix(checked.table).astype(np.float64).round(9).tolist()
        return numbers

    ours = {(server, name): exchange for server in (OURS, NO_LOG) for name, exchange in SERVICE.items()}
    peers = {(server, "json"): exchange for server, exchange in peer_exchanges(encode).items()}
    return {**ours, (OURS, REASONS): WITH_REASONS, **peers}


def _cold_starts(plan: Plan, home: Home, findings: Findings, say: Say) -> None:
    for _ in range(plan.cold_starts):
        findings.cold_starts.append(service.cold_start_s(home.launch(OURS), STATE / "logs"))
    say(f"cold start of the service: {median(findings.cold_starts):.1f} s, median of {plan.cold_starts}")


def _agree(
    servers: dict[str, Server],
    exchanges: dict[tuple[str, str], Exchange],
    rows: Sequence[Row],
    expected: np.ndarray[Any, np.dtype[np.float64]],
    home: Home,
    findings: Findings,
    say: Say,
) -> None:
    """Every server must give the model's own scores. What does not is left out of the comparison, and the report says why."""
    for server, format_ in list(exchanges):
        if server not in servers:
            continue
        name = f"{server} {format_}"
        headers = home.headers if server in (OURS, NO_LOG) else {}
        why = _difference(exchanges[server, format_], servers[server].port, rows, expected, headers)
        if isinstance(why, float) and why <= TOLERANCE:
            findings.agreement[name] = why
            continue
        reason = why if isinstance(why, str) else f"its scores differ from the model's by up to {why:.2g}"
        say(f"{name}: not measured: {reason}")
        (findings.not_offered if server in (OURS, NO_LOG) else findings.absent)[name if server in (OURS, NO_LOG) else server] = reason
        del exchanges[server, format_]
    say(f"{len(findings.agreement)} ways to ask give the same {len(rows)} scores, to {max(findings.agreement.values(), default=0):.1g}")


def _difference(
    exchange: Exchange, port: int, rows: Sequence[Row], expected: np.ndarray[Any, np.dtype[np.float64]], headers: Mapping[str, str]
) -> float | str:
    """The largest difference from the expected scores, or why there are none."""
    try:
        status, mimetype, reply = exchange.ask(rows, HOST, port, headers)
    except OSError as exc:
        return f"no reply ({type(exc).__name__})"
    if status in (406, 415):
        return f"not offered (status {status})"
    if status != 200:
        return f"status {status}: {reply[:200].decode('utf-8', 'replace')}"
    try:
        got = np.array(exchange.scores(mimetype, reply), dtype=np.float64)
    except (ValueError, KeyError, TypeError, LookupError) as exc:
        return f"its reply has no scores where they are expected ({type(exc).__name__})"
    return f"{len(got)} scores for {len(rows)} customers" if got.shape != expected.shape else float(np.abs(got - expected).max())


@contextmanager
def _asleep(servers: Mapping[str, Server], findings: Findings) -> Iterator[None]:
    """Every server paused; its memory is read afterwards."""
    for server in servers.values():
        server.pause()
    yield
    for name, server in servers.items():
        findings.memory[name]["end"] = asdict(server.memory)


def _round(plan: Plan, number: int, bench: Bench, limit: Limit, findings: Findings, say: Say) -> None:
    for rows in plan.lengths():
        findings.limits.setdefault(rows, []).append(limit.us_per_row("predict", rows, LIMIT_ROUND_S))
    findings.contributions.append(limit.us_per_row("contributions", plan.reasons_rows, LIMIT_ROUND_S))
    for group in plan.cells(number):
        shown = []
        for cell in (cell for cell in group if bench.offers(cell)):
            try:
                sample = bench.measure(cell, plan.seconds)
            except ProgramFailed as exc:
                findings.absent[f"{cell.server} {cell.format} {cell.rows:,} x {cell.connections}"] = str(exc)
                continue
            findings.samples.append(sample)
            name = cell.server if cell.format == "json" else f"{cell.server} {cell.format}"
            shown.append(f"{name} {sample.result.requests_per_s * cell.rows:,.0f}" + (" (errors)" if sample.result.errors else ""))
        if shown:
            first = group[0]
            say(f"round {number + 1} of {plan.rounds}, {first.rows:,} rows x {first.connections}, rows/s: " + " · ".join(shown))


def report(plan: Plan, findings: Findings, seconds: float) -> Report:
    """Everything found, as ``bench.json`` holds it."""
    by_cell: dict[Any, list[Sample]] = {}
    for sample in findings.samples:
        by_cell.setdefault(sample.cell, []).append(sample)
    entries = [summary(samples) for samples in by_cell.values()]
    made: Report = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "others_cpu_share": median(sample.others_cpu_share for sample in findings.samples) if findings.samples else None,
        "model": {"trees": package.TREES, "depth": package.DEPTH},
        "rounds": plan.rounds,
        "seconds_per_cell": plan.seconds,
        "request_limit_s": LIMIT_S,
        "limit_us_per_row": {str(rows): median(values) for rows, values in sorted(findings.limits.items())},
        "exact_contributions_us_per_row": median(findings.contributions) if findings.contributions else None,
        "results": [entry for entry in entries if entry["server"] != NO_LOG],
        "no_log": [entry for entry in entries if entry["server"] == NO_LOG],
        "durable_log_cost_share": _log_costs(plan, findings, 8),
        "durable_log_cost_share_1_connection": _log_costs(plan, findings, 1),
        "cold_start_s": {"median": median(findings.cold_starts) if findings.cold_starts else None, "all": findings.cold_starts},
        "memory_mib": findings.memory,
        "agreement": findings.agreement,
        "absent": findings.absent,
        "not_offered": findings.not_offered,
        "skipped": list(plan.skipped),
        "formats": list(FORMATS),
    }
    return {**made, "goals": goals(made)}


def _log_costs(plan: Plan, findings: Findings, connections: int) -> dict[str, float | None]:
    lengths = sorted({rows for rows, n in plan.log_shapes if n == connections})
    return {str(rows): log_cost(findings.samples, OURS, NO_LOG, rows, connections) for rows in lengths}


def clean(folder: Path) -> None:
    """Remove encoded requests: they are large and quickly made again."""
    for path in folder.glob("*"):
        path.unlink()
