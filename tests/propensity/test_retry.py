from __future__ import annotations

from dataclasses import dataclass

import pytest

from propensity import errors
from propensity.retry import DELAYS_S, RETRIES, is_store_error


@dataclass
class Ended:
    """How a task ended, as far as the condition looks at it."""

    outcome: object

    def result(self, raise_on_failure: bool) -> object:
        assert not raise_on_failure
        return self.outcome


@pytest.mark.parametrize(
    "error", [errors.StoreError, errors.DatabaseUnavailable, errors.ObjectStoreUnavailable, errors.RegistryUnavailable]
)
def test_a_store_that_did_not_answer_is_tried_again(error: type[Exception]) -> None:
    assert is_store_error(None, None, Ended(error("no answer")))


@pytest.mark.parametrize(
    "outcome", [errors.DataError("x"), errors.LeakSuspected("x"), errors.PromotionConflict("x"), ValueError("x"), None, 1]
)
def test_nothing_else_is(outcome: object) -> None:
    assert not is_store_error(None, None, Ended(outcome))


def test_there_is_a_delay_for_every_retry() -> None:
    assert len(DELAYS_S) == RETRIES
    assert list(DELAYS_S) == sorted(DELAYS_S)
