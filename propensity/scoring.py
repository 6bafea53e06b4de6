"""Score a list: the one path that HTTP, files and flows share. Validation, scores, decision, reasons; no storage, no web."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Policy
from propensity.decision import Decision, as_json, band_positions, bands, decide
from propensity.errors import RowIssue
from propensity.explain import Reason, reasons
from propensity.gate import UNGATED, Gated, Looked
from propensity.model import Model
from propensity.ports import LoggedRequest
from propensity.schema import RawColumns, Table

UNKNOWN_COLUMN = "not a column of this campaign"
LABEL_COLUMN = "the label: known only afterwards"
CALENDAR_COLUMN = "when the row happened: not a feature"


class CheckedRows(Protocol):
    """What validation leaves: usable rows, what was wrong with the others, and how many those are."""

    @property
    def table(self) -> Table: ...
    @property
    def issues(self) -> Sequence[RowIssue]: ...
    @property
    def refused(self) -> int: ...


@dataclass(frozen=True)
class ScoredList:
    """A list with an answer per usable row. Rows are in the order sent; ``decision.rank`` orders them."""

    model: Model
    policy: Policy
    table: Table
    scores: npt.NDArray[np.float64]
    decision: Decision
    reasons: Sequence[Sequence[Reason]]
    issues: Sequence[RowIssue]
    refused: int
    gate: Gated = UNGATED

    @cached_property
    def band_positions(self) -> npt.NDArray[np.int8]:
        """The band of each row, as a position in `propensity.decision.BANDS`."""
        return band_positions(self.scores, self.model.campaign.economics)

    @property
    def bands(self) -> list[str]:
        """The band of each row as a word."""
        return bands(self.scores, self.model.campaign.economics)

    @property
    def received(self) -> int:
        return len(self.table) + self.refused

    def logged(self, request_id: str, declaration_digest: str, *, source: str, caller: str = "") -> LoggedRequest:
        """What the prediction log keeps of this list, sent by ``caller``: enough to say the same again."""
        return LoggedRequest(
            request_id=request_id,
            campaign=self.model.campaign.name,
            model_digest=self.model.digest,
            model_version=self.model.version,
            policy=as_json(self.policy),
            declaration_digest=declaration_digest,
            customer_ids=self.table.ids,
            rows=self.table.rows,
            features=raw_features(self.table),
            scores=self.scores,
            contact=self.decision.contact,
            received=self.received,
            refused=self.refused,
            source=source,
            caller=caller,
            gate=self.gate.record(),
        )

    def best(self, n: int) -> list[int]:
        """Positions of the ``n`` best rows, best first."""
        return [int(at) for at in np.argsort(self.decision.rank, kind="stable")[:n]]


def score_list(model: Model, checked: CheckedRows, policy: Policy, *, top_reasons: int = 3) -> ScoredList:
    """Score validated rows, decide by ``policy``, and explain each score by its ``top_reasons`` strongest features."""
    return decide_list(model, checked, policy, model.score(checked.table), top_reasons=top_reasons)


def decide_list(
    model: Model,
    checked: CheckedRows,
    policy: Policy,
    scores: npt.NDArray[np.float64],
    *,
    top_reasons: int = 3,
    looked: Looked | None = None,
) -> ScoredList:
    """The same for rows that the model has scored already. ``looked``: what the contact gate says of them; None where nobody is contacted
    by what is decided here.
    """
    table, economics, gated = checked.table, model.campaign.economics, UNGATED
    if looked is None:
        decision = decide(scores, policy, economics)
    else:
        decision, gated = looked.decide(lambda rows: decide(scores if rows is None else scores[rows], policy, economics))
    why = reasons(model, table, top_reasons)
    return ScoredList(model, policy, table, scores, decision, why, checked.issues, checked.refused, gated)


def raw_features(table: Table) -> npt.NDArray[np.float64]:
    """A table as one float64 matrix, shape (n, features), without any loss; `table_from_raw` is its inverse."""
    if isinstance(table.columns, RawColumns):
        return table.columns.raw
    # Column by column in memory, as it is packed and as the columns are.
    out = np.empty((len(table.campaign.features), len(table)))
    for at, name in enumerate(table.campaign.feature_names):
        column = table.columns[name]
        out[at] = np.where(column < 0, np.nan, column) if column.dtype == np.int16 else column
    return out.T


def table_from_raw(campaign: Campaign, features: npt.NDArray[np.float64], ids: Sequence[str], rows: npt.NDArray[np.int64]) -> Table:
    """The table that `raw_features` was made from."""
    return Table(campaign, tuple(ids), rows, RawColumns(campaign, features))


def surplus_columns(campaign: Campaign, names: Iterable[str], id_column: str) -> Mapping[str, str]:
    """Columns that were sent and are not used, each with the reason, in the order sent."""
    known = {*campaign.feature_names, id_column}
    why = {campaign.calendar.column: CALENDAR_COLUMN} if campaign.calendar else {}
    why |= {campaign.label.column: LABEL_COLUMN} | {name: f"excluded: {reason}" for name, reason in campaign.excluded}
    return {name: why.get(name, UNKNOWN_COLUMN) for name in dict.fromkeys(names) if name not in known}
