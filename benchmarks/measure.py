"""One cell measured, and the medians over rounds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import process_tree
from benchmarks.exchange import Exchange, Row
from benchmarks.load import Load, Result
from benchmarks.plan import Cell
from benchmarks.servers import PROJECT, Server
from local.ports import HOST
from propensity.errors import ProgramFailed

# Different lists, so that no server can answer from memory; together far from the machine's caches.
LISTS = {1: 64, 100: 16, 1_000: 8, 10_000: 3}
LIMIT_S = 60.0


@dataclass(frozen=True)
class Sample:
    """A cell in one round. Processor times are microseconds per row, those of the database apart.

    ``others_cpu_share`` is the share of the machine's cores that went to neither server, database nor load generator.
    """

    cell: Cell
    result: Result
    server_cpu_us_per_row: float
    postgres_cpu_us_per_row: float
    others_cpu_share: float


class Bench:
    """Measures cells of running servers: one is awake at a time.

    Parameters
    ----------
    servers : by name, ready and paused
    exchanges : how (server, format) is asked
    rows : customers to draw lists from
    headers : sent to our own service besides
    requests : Path
        Folder for encoded requests.
    postgres_cpu_s : callable
        Processor seconds of the database so far.
    """

    def __init__(
        self,
        servers: Mapping[str, Server],
        exchanges: Mapping[tuple[str, str], Exchange],
        rows: Sequence[Row],
        headers: Mapping[str, Mapping[str, str]],
        requests: Path,
        postgres_cpu_s: Callable[[], float],
    ) -> None:
        self._servers, self._exchanges, self._rows, self._headers = servers, exchanges, rows, headers
        self._requests, self._postgres_cpu_s = requests, postgres_cpu_s
        self._files: dict[tuple[str, str, int], tuple[str, ...]] = {}

    def offers(self, cell: Cell) -> bool:
        """Whether the cell can be measured."""
        return cell.server in self._servers and (cell.server, cell.format) in self._exchanges

    def files(self, cell: Cell) -> tuple[str, ...]:
        """Paths of the encoded requests of a cell; encoded at the first call."""
        key = (cell.server, cell.format, cell.rows)
        if key not in self._files:
            self._requests.mkdir(parents=True, exist_ok=True)
            exchange, server = self._exchanges[cell.server, cell.format], self._servers[cell.server]
            paths = []
            for number in range(LISTS.get(cell.rows, 4)):
                start = number * cell.rows % len(self._rows)
                rows = (list(self._rows[start:]) + list(self._rows[:start]))[: cell.rows]
                path = self._requests / f"{cell.server}.{cell.format}.{cell.rows}.{number}"
                path.write_bytes(exchange.request(rows, HOST, server.port, self._headers.get(cell.server, {})))
                paths.append(str(path))
            self._files[key] = tuple(paths)
        return self._files[key]

    def measure(self, cell: Cell, seconds: float) -> Sample:
        """Wake the server, load it, put it to sleep again. Raises ProgramFailed where it gives no answer at all."""
        server = self._servers[cell.server]
        files = self.files(cell)
        warm = 1 if cell.rows >= 10_000 else 2
        load = Load(HOST, server.port, files, cell.connections, seconds, LIMIT_S, warm)
        server.resume()
        try:
            begun, own, machine = time.perf_counter(), _own_cpu_s(), process_tree.machine_cpu_s()
            server_cpu, postgres_cpu = server.cpu_s, self._postgres_cpu_s()
            result = generate(load)
            server_cpu, postgres_cpu = server.cpu_s - server_cpu, self._postgres_cpu_s() - postgres_cpu
            others = process_tree.machine_cpu_s() - machine - (_own_cpu_s() - own) - server_cpu - postgres_cpu
            share = max(0.0, others) / (time.perf_counter() - begun) / (os.cpu_count() or 1)
        finally:
            server.pause()
        rows = max(1, result.sent * cell.rows)
        return Sample(cell, result, 1e6 * server_cpu / rows, 1e6 * postgres_cpu / rows, share)


def _own_cpu_s() -> float:
    """Processor time of this process and of the load generators it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def generate(load: Load) -> Result:
    """Run the load generator as a process of its own. Raises ProgramFailed."""
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, cwd=PROJECT, input=json.dumps(asdict(load)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProgramFailed(f"the load generator gave up: {(done.stderr.strip().splitlines() or ['no reason'])[-1][:300]}")
    return Result(**json.loads(done.stdout))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Rounds of one cell as an entry of the report: medians, errors summed."""
    cell, results = samples[0].cell, [sample.result for sample in samples]
    statuses: dict[str, int] = {}
    for result in results:
        for status, n in result.statuses.items():
            statuses[status] = statuses.get(status, 0) + n
    requests_per_s = median(result.requests_per_s for result in results)
    return {
        "server": cell.server,
        "format": cell.format,
        "rows": cell.rows,
        "connections": cell.connections,
        "requests_per_s": requests_per_s,
        "rows_per_s": requests_per_s * cell.rows,
        "p50_ms": _median(result.p50_ms for result in results),
        "p99_ms": _median(result.p99_ms for result in results),
        "server_cpu_us_per_row": median(sample.server_cpu_us_per_row for sample in samples),
        "postgres_cpu_us_per_row": median(sample.postgres_cpu_us_per_row for sample in samples),
        "client_cpu_share": median(result.client_cpu_share for result in results),
        "others_cpu_share": median(sample.others_cpu_share for sample in samples),
        "errors": sum(result.errors for result in results),
        "statuses": statuses,
        "requests_per_s_by_round": [result.requests_per_s for result in results],
    }


def log_cost(samples: Sequence[Sample], with_log: str, without: str, rows: int, connections: int) -> float | None:
    """Share of the throughput that the log costs: one minus the median over rounds of (with / without). None where not measured."""

    def rates(server: str) -> list[float]:
        wanted = Cell(server, "json", rows, connections)
        return [sample.result.requests_per_s for sample in samples if sample.cell == wanted]

    pairs = [(w, n) for w, n in zip(rates(with_log), rates(without), strict=False) if n > 0]
    return 1 - median(w / n for w, n in pairs) if pairs else None
