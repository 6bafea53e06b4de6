"""What is measured: which servers, formats, list lengths and connections, in how many rounds of how many seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.service import NO_LOG, OURS

PEERS = ("fastapi", "flask", "mlflow-serve", "mlserver-mlflow", "mlserver-xgboost", "bentoml")
SERVERS = (OURS, *PEERS)
REASONS = "json-reasons-3"
FORMATS = ("json", "json-columns", "ndjson", "csv", "arrow", "parquet")
Shape = tuple[int, int]


@dataclass(frozen=True)
class Cell:
    """One server, asked in one format for lists of one length over so many connections."""

    server: str
    format: str
    rows: int
    connections: int


@dataclass(frozen=True)
class Plan:
    """A whole run.

    Attributes
    ----------
    shapes : (rows, connections) at which our JSON meets the peers
    format_shapes : at which our other formats are measured
    log_shapes : at which our JSON is measured without its log
    limit_shapes : at which JSON and Arrow without the log are held against the model alone
    reasons_rows : rows of the lists that also ask for reasons, over one connection
    skipped : what is left out and why
    """

    rounds: int
    seconds: float
    cold_starts: int
    shapes: tuple[Shape, ...]
    format_shapes: tuple[Shape, ...]
    log_shapes: tuple[Shape, ...]
    limit_shapes: tuple[Shape, ...]
    reasons_rows: int
    skipped: tuple[str, ...]

    def cells(self, number: int) -> Iterator[list[Cell]]:
        """The cells of round ``number``, in groups whose cells follow each other at once. Each round begins with another server."""
        for shape in self.shapes:
            servers = [OURS, *([NO_LOG] if shape in self.log_shapes else []), *PEERS]
            at = number % len(servers)
            yield [Cell(server, "json", *shape) for server in servers[at:] + servers[:at]]
        for shape in self.log_shapes:
            if shape not in self.shapes:
                pair = [Cell(OURS, "json", *shape), Cell(NO_LOG, "json", *shape)]
                yield pair if number % 2 else pair[::-1]
        for shape in self.format_shapes:
            yield [Cell(OURS, name, *shape) for name in FORMATS if name != "json"]
        for shape in self.limit_shapes:
            missing = [] if shape in self.log_shapes else [Cell(NO_LOG, "json", *shape)]
            yield [*missing, Cell(NO_LOG, "arrow", *shape)]
        alone = (self.reasons_rows, 1)
        without = [] if alone in self.shapes or alone in self.log_shapes else [Cell(OURS, "json", *alone)]
        yield [*without, Cell(OURS, REASONS, *alone)]

    def lengths(self) -> list[int]:
        """Every list length, shortest first."""
        return sorted({rows for rows, _ in (*self.shapes, *self.format_shapes, *self.log_shapes, *self.limit_shapes)})


_SLOW = (
    "10,000 rows x 32 connections: 320,000 rows would be in flight, half a minute for one wave of the slower servers; "
    "10,000 x 8 says the same"
)
_QUICK = (
    "QUICK: 100 rows, 32 connections and 10,000 rows x 8 against the peers; other formats on 1,000 and 10,000 rows with one connection; "
    "fewer and shorter rounds"
)
FULL = Plan(
    rounds=3,
    seconds=2.0,
    cold_starts=5,
    shapes=tuple((rows, n) for rows in (1, 100, 1_000, 10_000) for n in (1, 8, 32) if (rows, n) != (10_000, 32)),
    format_shapes=((100, 8), (1_000, 1), (1_000, 8), (10_000, 1), (10_000, 8)),
    log_shapes=tuple((rows, n) for rows in (1, 100, 1_000, 10_000) for n in (1, 8)),
    limit_shapes=((1_000, 1), (10_000, 1)),
    reasons_rows=1_000,
    skipped=(_SLOW,),
)
QUICK = Plan(
    rounds=2,
    seconds=1.0,
    cold_starts=3,
    shapes=((1, 1), (1_000, 8), (10_000, 1)),
    format_shapes=((1_000, 1), (10_000, 1)),
    log_shapes=((100, 8), (1_000, 8), (10_000, 8)),
    limit_shapes=((1_000, 1), (10_000, 1)),
    reasons_rows=1_000,
    skipped=(_SLOW, _QUICK),
)


def duration_s(plan: Plan, servers: Sequence[str]) -> float:
    """About how long the rounds take, in seconds: each cell its time and a little more."""
    cells = sum(cell.server in servers for group in plan.cells(0) for cell in group)
    return plan.rounds * cells * (plan.seconds + 0.6)
