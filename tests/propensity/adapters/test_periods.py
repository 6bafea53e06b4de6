from __future__ import annotations

import math

import pytest

from propensity.adapters.database import Database
from propensity.adapters.periods import PostgresPeriodStore
from propensity.errors import DataError


def test_the_first_result_stands(stores: Database) -> None:
    periods = PostgresPeriodStore(stores)
    assert periods.finished("train", "c", "2010-05") is None
    periods.finish("train", "c", "2010-05", {"roc_auc": 0.1 + 0.2, "rows": 3})
    periods.finish("train", "c", "2010-05", {"rows": 4})
    assert periods.finished("train", "c", "2010-05") == {"roc_auc": 0.1 + 0.2, "rows": 3}
    assert periods.finished("train", "c", "2010-06") is None
    assert periods.finished("score", "c", "2010-05") is None


def test_json_has_no_nan(stores: Database) -> None:
    periods = PostgresPeriodStore(stores)
    with pytest.raises(DataError):
        periods.finish("train", "c", "2010-07", {"roc_auc": math.nan})
    assert periods.finished("train", "c", "2010-07") is None
