"""After an outage: one run for all that were missed. What Prefect still has planned of them is cancelled but for the newest, and where it
has none, one is asked for under a key of the due time, so that it is one however often that is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from propensity.adapters.recorded import CATCH_UP
from propensity.flow_health import FlowState

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

log = logging.getLogger("propensity.flows")
# Prefect's own run of a due time gets so long to begin, before another is asked for.
PATIENCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Planned:
    """A run that Prefect has planned and not begun. ``automatic``: by a schedule, not by a person."""

    run_id: str
    deployment: str
    at: datetime
    automatic: bool


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Ids of the runs that were cancelled, and names of the deployments of which one was asked for."""

    cancelled: Sequence[str]
    asked: Sequence[str]


def surplus(planned: Iterable[Planned], now: datetime) -> list[Planned]:
    """Automatic runs whose time has come and of which a later one of the same deployment has come, too."""
    newest: dict[str, Planned] = {}
    due = sorted((run for run in planned if run.automatic and run.at <= now), key=lambda run: run.at)
    for run in due:
        newest[run.deployment] = run
    return [run for run in due if newest[run.deployment] is not run]


def missed(
    states: Iterable[FlowState], planned: Iterable[Planned], names: Mapping[tuple[str, str], str], now: datetime
) -> dict[str, datetime]:
    """By deployment: due times that nobody served, serves or has planned to serve.

    A failure is no miss: whoever reads of it starts the flow again once its cause is mended.
    """
    waiting = {run.deployment for run in planned if run.at <= now}
    found = {}
    for state in states:
        name = names.get((state.schedule.flow, state.schedule.campaign))
        due = state.last_due
        if name is None or due is None or name in waiting or state.state not in ("due", "late"):
            continue
        started = state.beats.get("started")
        begun = started is not None and started.due is not None and started.due >= due
        if not begun and now >= due + PATIENCE:
            found[name] = due
    return found


def catch_up(client: SyncPrefectClient, states: Sequence[FlowState], names: Mapping[tuple[str, str], str], now: datetime) -> CaughtUp:
    """Do both. Raises whatever Prefect's client does where the server does not answer."""
    deployments = {one.id: one for one in _deployments(client, sorted(names.values()))}
    planned = _planned(client, deployments)
    cancelled = [run.run_id for run in surplus(planned, now) if _cancel(client, run)]
    asked = []
    by_name = {one.name: one for one in deployments.values()}
    for name, due in missed(states, planned, names, now).items():
        if name in by_name:
            key = f"{CATCH_UP}/{name}/{due.isoformat()}"
            client.create_flow_run_from_deployment(by_name[name].id, idempotency_key=key, tags=[CATCH_UP])
            asked.append(name)
            log.info(f"{name}: a run is asked for; {due:%Y-%m-%d %H:%M} UTC was missed")
    return CaughtUp(cancelled, asked)


def _deployments(client: SyncPrefectClient, names: list[str]) -> list[Any]:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    chosen = DeploymentFilter(name=DeploymentFilterName(any_=names))
    return list(client.read_deployments(deployment_filter=chosen, limit=200))


def _planned(client: SyncPrefectClient, deployments: Mapping[Any, Any]) -> list[Planned]:
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    if not deployments:
        return []
    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING]))),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=list(deployments))),
        limit=200,
    )
    return [
        Planned(str(run.id), deployments[run.deployment_id].name, run.expected_start_time, bool(run.auto_scheduled))
        for run in runs
        if run.expected_start_time is not None and run.state is not None
    ]


def _cancel(client: SyncPrefectClient, run: Planned) -> bool:
    from prefect.client.schemas.objects import State
    from prefect.states import Cancelled

    cancelled: State[Any] = Cancelled(message="a later run of the same flow serves this due time, too")
    accepted = client.set_flow_run_state(UUID(run.run_id), cancelled).status.value == "ACCEPT"
    if accepted:
        log.info(f"{run.deployment}: the run of {run.at:%Y-%m-%d %H:%M} UTC is cancelled; a later one serves it, too")
    return accepted
