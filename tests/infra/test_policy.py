from __future__ import annotations

import re

import pytest

from infra.policy.__main__ import report
from infra.policy.accepted import ACCEPTED, reason_for
from infra.policy.tools import Finding


def finding(check: str, resource: str) -> Finding:
    return Finding("checkov", check, "x.template.json", resource, "message")


def test_a_finding_is_accepted_on_the_resource_that_it_is_about_alone() -> None:
    told = report([finding("CKV_AWS_18", "LakeAccessLogC6959085"), finding("CKV_AWS_18", "LakeBucketB1D32E10")], "dev", "lean", 10)
    assert [row["resource"] for row in told["accepted"]] == ["LakeAccessLogC6959085"]
    assert [row["resource"] for row in told["open"]] == ["LakeBucketB1D32E10"]


def test_an_unknown_check_is_open() -> None:
    assert reason_for("CKV_AWS_9999", "LakeAccessLogC6959085") is None


@pytest.mark.parametrize("accepted", ACCEPTED, ids=lambda one: f"{one.check}-{one.resources}")
def test_every_reason_is_a_sentence_about_a_known_kind_of_check(accepted: object) -> None:
    check, resources, reason = accepted.check, accepted.resources, accepted.reason  # type: ignore[attr-defined]
    assert re.fullmatch(r"CKV2?_AWS_\d+|[EWI]\d{4}", check)
    re.compile(resources)
    assert reason.endswith(".")
    assert len(reason.split()) > 6
