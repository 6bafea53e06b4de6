"""What monitoring reads of the prediction log: values, scores and decisions of many requests at once, without customer ids.

A request of one row costs the general reader as much as one of a hundred. Here a page is read with the columns that are needed, and
requests of one row, which are packed alike, are taken apart together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.adapters.database import Database
from propensity.adapters.packing import unpack
from propensity.ports import LoggedRows

# Requests and predictions in a page, at most (a single request may hold more).
_PAGE_REQUESTS, _PAGE_ROWS = 10_000, 20_000
_TIMEOUT_S = 60.0
_PAGE = """
select request_id::text, received_at, model_digest, declaration_digest, features, scores, contact, received, refused, feature_count
from (
    select *, sum(answered) over (order by received_at, request_id) as upto from (
        select * from prediction_request
        where campaign = %(campaign)s and received_at >= %(since)s and received_at < %(until)s
            and (%(after_id)s::uuid is null or (received_at, request_id) > (%(since)s, %(after_id)s::uuid))
        order by received_at, request_id limit %(requests)s
    ) as next
) as page
where upto <= %(rows)s or upto = answered
order by received_at, request_id"""


def read_rows(database: Database, campaign: str, since: datetime, until: datetime, *, width: int) -> Iterator[LoggedRows]:
    """Predictions received in [since, until) with ``width`` features, oldest first, some thousand requests at a time.

    Each page is a short transaction of its own. Raises DatabaseUnavailable, and DataError where packed features are damaged.
    """
    at: dict[str, Any] = {"campaign": campaign, "since": since, "until": until, "after_id": None}
    at |= {"requests": _PAGE_REQUESTS, "rows": _PAGE_ROWS}
    while True:
        with database.transaction(_TIMEOUT_S) as cursor:
            page = cursor.execute(_PAGE, at).fetchall()
        if not page:
            return
        yield _rows(page, width)
        at |= {"since": page[-1][1], "after_id": page[-1][0]}


def _rows(page: list[tuple[Any, ...]], width: int) -> LoggedRows:
    readable = [row for row in page if row[-1] == width]
    columns = list(zip(*readable, strict=True)) if readable else [()] * 10
    ids, received_at, models, declarations, packed, scores, contact, *_ = columns
    sizes = [len(one) for one in scores]
    return LoggedRows(
        request_ids=ids,
        received_at=received_at,
        model_digests=models,
        declaration_digests=declarations,
        sizes=np.array(sizes, dtype=np.int64),
        features=_features(packed, sizes, width),
        scores=np.array([score for one in scores for score in one], dtype=np.float64),
        contact=np.array([decided for one in contact for decided in one], dtype=np.bool_),
        received=sum(row[7] for row in page),
        refused=sum(row[8] for row in page),
        unreadable=sum(len(row[5]) for row in page if row[-1] != width),
    )


def _features(packed: Sequence[bytes], sizes: Sequence[int], width: int) -> npt.NDArray[np.float64]:
    """All rows as one matrix, shape (n, width); neighbours of one row are taken apart together."""
    out: list[npt.NDArray[np.float64]] = [np.empty((0, width))]
    for alone, run in groupby(zip(sizes, packed, strict=True), key=lambda one: one[0] == 1 and len(one[1]) == 1 + 9 * width):
        if not alone:
            out += [unpack(data, n, width) for n, data in run]
            continue
        together = [data for _, data in run]
        # The first decides whether this program can read them: a version is never mixed within a row's length by chance.
        unpack(together[0], 1, width)
        whole = np.frombuffer(b"".join(together), dtype=np.uint8).reshape(-1, 1 + 9 * width)
        out.append(np.ascontiguousarray(whole[:, 1 + width :]).view("<f8"))
    return np.concatenate(out)
