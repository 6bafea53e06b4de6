"""What windows are compared with: the live model, the rows that it was trained on, and the bins and groups that they decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitoring.evidently_report import Side
from propensity.campaign import Campaign
from propensity.drift.bins import as_numbers
from propensity.drift.counted import Reference, reference_of
from propensity.errors import ModelDamaged
from propensity.groups import Grouping, groupings
from propensity.model import Manifest, Model
from propensity.months import MonthArray
from propensity.ports import ObjectStore
from propensity.relearning import FAMILIES
from propensity.schema import Table
from propensity.snapshot import SnapshotData, read_snapshot


@dataclass(frozen=True)
class Comparison:
    """The live model with the rows that it was trained on, and the bins that they decide."""

    model: Model
    side: Side
    reference: Reference
    groupings: list[Grouping]


def comparison_of(campaign: Campaign, store: ObjectStore, model: Model) -> Comparison:
    """Read a model's training rows and score them. Raises as `reference_rows` and `read_snapshot` do."""
    table, months = reference_rows(read_snapshot(store, campaign, model.manifest.snapshot_id), model.manifest)
    side = Side(table, model.score(table))
    return Comparison(model, side, reference_of(campaign, table, side.scores, months), groupings_of(campaign, table))


def groupings_of(campaign: Campaign, table: Table) -> list[Grouping]:
    """The groups of the declared columns; numbers are cut at the quartiles of these rows."""
    return groupings(campaign, {name: as_numbers(table.columns[name]) for name in campaign.watch.grouped})


def reference_rows(data: SnapshotData, manifest: Manifest) -> tuple[Table, MonthArray | None]:
    """The rows that a model was trained on with their months; where its data has no calendar, all rows of its snapshot.

    Of a model that went on learning from the log (`propensity.relearning`): those of the snapshot that it began with. What came since is
    what its windows are made of.

    Raises ModelDamaged where the snapshot does not hold them.
    """
    if manifest.trained_months is None or data.months is None:
        return data.table, data.months
    first, last = (np.datetime64(month, "M") for month in manifest.trained_months)
    held = (data.months >= first) & (data.months <= last)
    table = data.table.take(held)
    followed = manifest.families == FAMILIES and 0 < len(table) <= manifest.trained_rows
    if len(table) != manifest.trained_rows and not followed:
        raise ModelDamaged(
            f"the model was trained on {manifest.trained_rows} rows of {first} to {last}; its snapshot {manifest.snapshot_id} "
            f"holds {len(table)} of these months"
        )
    return table, data.months[held]
