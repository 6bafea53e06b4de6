"""The decorator that makes a flow leave heartbeats: between Prefect's own and the function."""

from __future__ import annotations

import functools
import inspect
import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

from propensity.adapters.platform import platform
from propensity.adapters.tell import alerting
from propensity.errors import SettingsInvalid
from propensity.flow_health import PLATFORM
from propensity.recording import Run, record

P = ParamSpec("P")
Flow = Callable[P, dict[str, Any]]
CAMPAIGN = "campaign_name"
CATCH_UP = "catch-up"
# Who asked changes nothing about what is done.
_NO_MATTER = frozenset({CAMPAIGN, "actor"})
log = logging.getLogger("propensity.flows")


def recorded(flow: str, detail_of: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _: {}) -> Callable[[Flow[P]], Flow[P]]:
    """Record each run under that name, for the campaign in the argument ``campaign_name``, else for the platform.

    ``detail_of`` picks from the flow's result what is kept with the record of a good end.
    """

    def decorate(function: Flow[P]) -> Flow[P]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
            given = signature.bind(*args, **kwargs).arguments
            try:
                at = platform()
            except SettingsInvalid as exc:
                log.warning(f"a flow runs without its record: {exc}")
                return function(*args, **kwargs)
            regular = all(name in _NO_MATTER or value == signature.parameters[name].default for name, value in given.items())
            mine = _run(flow, str(given.get(CAMPAIGN, PLATFORM)), regular)
            return record(mine, lambda: function(*args, **kwargs), at.heartbeats, lambda: alerting(at), detail_of)

        # Prefect reads annotations to check parameters, and would look for their names in this module.
        run.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
        return run

    return decorate


def _run(flow: str, campaign: str, regular: bool) -> Run:
    """What Prefect knows of the run; outside of Prefect a run of its own."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    known = None if context is None else context.flow_run
    if known is None:
        return Run(str(uuid.uuid4()), flow, campaign, regular)
    automatic = bool(known.auto_scheduled) or CATCH_UP in (known.tags or [])
    return Run(str(known.id), flow, campaign, regular, automatic, known.expected_start_time)
