"""What is worth trying again: only a store that did not answer. Bad data and bad models stay bad."""

from __future__ import annotations

from typing import Any

from propensity.errors import StoreError

RETRIES = 3
DELAYS_S = (1.0, 5.0, 20.0)


def is_store_error(_task: Any, _task_run: Any, state: Any) -> bool:
    """Prefect's ``retry_condition_fn``: whether a task failed because a store did not answer."""
    return isinstance(state.result(raise_on_failure=False), StoreError)
