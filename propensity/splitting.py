"""Which rows train and which rows test.

The time-ordered split is the honest one: a model is used on customers that come after those it learned from. The random split is
kept beside it for the record, because published figures use it; on data whose base rate moves it mostly measures the calendar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Months = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Split:
    """Masks over the rows of a snapshot, both of shape (n,), and what they mean in words."""

    kind: str
    train: Mask
    test: Mask
    description: str


def time_split(months: Months, test_share: float) -> Split:
    """Train on the past, test on the most recent whole months that together hold at least ``test_share`` of the rows.

    Raises ValueError where all rows belong to one month.
    """
    distinct, counts = np.unique(months, return_counts=True)
    if len(distinct) < 2:
        raise ValueError("a time-ordered split needs rows of at least two months")
    held = np.cumsum(counts[::-1])
    # The small number keeps a product such as 0.07 * 100 from asking for one month too many.
    enough = int(np.searchsorted(held, test_share * len(months) - 1e-9))
    first_test = distinct[max(1, len(distinct) - 1 - enough)]
    test = months >= first_test
    text = f"trained on {distinct[0]} to {months[~test].max()}, tested on {first_test} to {distinct[-1]}"
    return Split("time", ~test, test, text)


def random_split(positive: Mask, test_share: float, seed: int) -> Split:
    """Stratified random split: the same share of positives on both sides."""
    from sklearn.model_selection import StratifiedShuffleSplit

    splitter = StratifiedShuffleSplit(n_splits=1, test_size=test_share, random_state=seed)
    train, _ = next(splitter.split(np.zeros(len(positive)), positive))
    mask = np.zeros(len(positive), dtype=bool)
    mask[train] = True
    return Split("random", mask, ~mask, f"random stratified {1 - test_share:.0%}/{test_share:.0%}, seed {seed}")
