"""A call sheet as a page shows it: some rows of it, and what so many contacts, best first, are expected to bring."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from propensity.decision import CONTACT, LEAVE
from propensity.list_state import RESULT, ListId
from propensity.ports import ObjectStore
from propensity.sheet_formats import Keep, SheetReader

ROWS_SHOWN = 50
LINES_SHOWN = 50
# Where the slider may stand; each place is exact.
STOPS = 1_000
_REMEMBERED = 16


@dataclass(frozen=True)
class Stop:
    """What the best ``contacts`` bring: conversions and profit, both expected, summed."""

    contacts: int
    conversions: float
    profit: float


@dataclass(frozen=True)
class Curve:
    """Stops from nobody to everyone, the most profitable one among them.

    ``decided`` is what those bring who are to be contacted; ``in_order`` says whether they are the best so many, and so a stop, too.
    """

    stops: tuple[Stop, ...]
    best: Stop
    decided: Stop
    in_order: bool

    @property
    def everyone(self) -> Stop:
        return self.stops[-1]


class Curves:
    """The curves of the lists that were looked at last: a result never changes, and to sum a long one takes a while."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Curve] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, store: ObjectStore, list_id: ListId) -> Curve:
        """The curve of a list that is done."""
        key = list_id.key(RESULT)
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
                return found
        made = _curve(SheetReader(store.pieces(key)))
        with self._lock:
            self._known[key] = made
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return made


def _curve(sheet: SheetReader) -> Curve:
    decision, score, profit = sheet.column("decision"), sheet.column("score"), sheet.column("expected_profit")
    assert decision is not None, "every call sheet says what was decided"
    assert score is not None, "and what the score is"
    assert profit is not None, "and what it is worth"
    every, decided, in_order = [Stop(0, 0.0, 0.0)], Stop(0, 0.0, 0.0), True
    for row in sheet.rows():
        # Whoever may not be contacted is no contact to be chosen.
        if row[decision] not in (CONTACT, LEAVE):
            continue
        more = Stop(1, float(row[score]), float(row[profit]))
        every.append(_sum(every[-1], more))
        if row[decision] == CONTACT:
            decided = _sum(decided, more)
            in_order &= decided.contacts == len(every) - 1
    best = max(every, key=lambda stop: (round(stop.profit, 2), -stop.contacts))
    step = max(1, -(-len(every) // STOPS))
    kept = {*range(0, len(every), step), best.contacts, len(every) - 1} | ({decided.contacts} if in_order else set())
    return Curve(tuple(every[at] for at in sorted(kept)), best, decided, in_order)


def _sum(one: Stop, other: Stop) -> Stop:
    return Stop(one.contacts + other.contacts, one.conversions + other.conversions, one.profit + other.profit)


def first_rows(store: ObjectStore, list_id: ListId, start: int, keeps: Sequence[Keep] = ()) -> list[Mapping[str, str]]:
    """Rows of the call sheet from ``start`` (the first is 0), by column."""
    sheet = SheetReader(store.pieces(list_id.key(RESULT)))
    rows: Iterator[list[str]] = islice(sheet.rows(), start, start + ROWS_SHOWN)
    for keep in keeps:
        rows = keep(rows, sheet.places)
    return [dict(zip(sheet.header, row, strict=True)) for row in rows]


def first_lines(store: ObjectStore, key: str) -> list[Mapping[str, str]]:
    """The first lines of a sheet of rows that are in no result, by column."""
    sheet = SheetReader(store.pieces(key))
    return [dict(zip(sheet.header, row, strict=True)) for row in islice(sheet.rows(), LINES_SHOWN)]


def decided_rows(rows: Iterator[list[str]], places: Mapping[str, int]) -> Iterator[list[str]]:
    """Those who are to be contacted."""
    return (row for row in rows if row[places["decision"]] == CONTACT)


def best_of(contacts: int) -> Keep:
    """The best so many of those who may be contacted."""

    def keep(rows: Iterator[list[str]], places: Mapping[str, int]) -> Iterator[list[str]]:
        return islice((row for row in rows if row[places["decision"]] in (CONTACT, LEAVE)), contacts)

    return keep
