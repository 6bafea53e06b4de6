from __future__ import annotations

import pytest

from infra.cron import scheduler_expression
from propensity.errors import CampaignError


@pytest.mark.parametrize(
    ("cron", "expression"),
    [
        ("0 3 5 * *", "cron(0 3 5 * ? *)"),
        ("0 22 * * *", "cron(0 22 * * ? *)"),
        ("*/15 8-18 * * *", "cron(*/15 8-18 * * ? *)"),
        # Sunday is 0 or 7 to cron and 1 to AWS.
        ("0 6 * * 0", "cron(0 6 ? * SUN *)"),
        ("0 6 * * 7", "cron(0 6 ? * SUN *)"),
        ("0 6 * * 1-5", "cron(0 6 ? * MON-FRI *)"),
        ("0 6 * * mon,thu", "cron(0 6 ? * MON,THU *)"),
    ],
)
def test_a_cron_line_as_aws_writes_it(cron: str, expression: str) -> None:
    assert scheduler_expression(cron, campaign="term-deposit") == expression


@pytest.mark.parametrize("cron", ["0 6 1 * 1", "0 6 * *", "0 6 * * * *", "0 6 * * ?;", ""])
def test_what_aws_cannot_say_is_refused_by_naming_the_campaign(cron: str) -> None:
    with pytest.raises(CampaignError, match="term-deposit"):
        scheduler_expression(cron, campaign="term-deposit")
