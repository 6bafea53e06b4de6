from __future__ import annotations

from typing import Any

import pytest

from propensity.challenge import Challenge, RollbackBound
from propensity.errors import CampaignError
from tests.builders import tiny_campaign

NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"approval": "nobody"}, "approval"),
        ({"proof": "hope"}, "proof"),
        ({"judged_by": "f1"}, "judged_by"),
        ({"left_labels": "some"}, "left_labels"),
        ({"challengers": 11}, "challengers"),
        ({"challengers": -1}, "challengers"),
        ({"shadow": ("newest",)}, "shadow"),
        ({"judged_by": "roc_auc"}, "left"),
        ({"judged_by": "profit_per_1000"}, "left"),
        ({"smallest_difference": 0.0}, "smallest_difference"),
        ({"smallest_difference": NAN}, "smallest_difference"),
        ({"min_rows": 29}, "min_rows"),
        ({"confidence": 1.0}, "confidence"),
        ({"rollback": RollbackBound(measure="brier")}, "measure"),  # type: ignore[arg-type]
        ({"rollback": RollbackBound(worse_by=0.0)}, "worse_by"),
        ({"rollback": RollbackBound(worse_by=NAN)}, "worse_by"),
        ({"rollback": RollbackBound(confirmations=0)}, "confirmations"),
    ],
)
def test_contradictions_are_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(CampaignError, match=named):
        tiny_campaign(challenge=Challenge(**changes))


def test_sound_rules() -> None:
    tiny_campaign(challenge=Challenge(judged_by="profit_per_1000", left_labels="random", smallest_difference=5.0, rollback=None))
