"""A list's state in the words of its pages: one that was dropped and not agreed upon is told apart from one whose file is awaited."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from api.pages import texts
from propensity.access import Role
from propensity.list_service import Lists
from propensity.list_state import DRAFT, MANIFEST, PROGRESS, ROOT, ListId, ListRecord, ListState, ListStore, parse_key, read_list

if TYPE_CHECKING:
    from api.services import Services

LISTS_SHOWN = 200
CHECK = "check"


@dataclass(frozen=True)
class Shown:
    """A list in a table or on its own page. ``progress``: customers done, of how many; zero where that is not known."""

    list_id: ListId
    state: str
    told: str
    owner: str
    created_at: datetime
    counts: Mapping[str, int] = field(default_factory=dict)
    failure: str = ""
    progress: tuple[int, int] = (0, 0)

    @property
    def address(self) -> str:
        """Of its page."""
        return f"/lists/{self.list_id}"


def state_of(store: ListStore, record: ListRecord) -> str:
    """The state, or ``check`` where the file is here and its columns are not agreed upon."""
    waits = record.state in (ListState.AWAITING_UPLOAD, ListState.EXPIRED)
    return CHECK if waits and store.exists(record.list_id.key(DRAFT)) else str(record.state)


def shown_of(store: ListStore, record: ListRecord) -> Shown:
    """What a page says of a list."""
    state, finished = state_of(store, record), record.finished
    return Shown(
        record.list_id,
        state,
        getattr(texts.states, state),
        record.manifest.owner,
        record.manifest.created_at,
        finished.counts if finished else {},
        (finished.detail or "") if finished else "",
        _progress(store, record.list_id) if state == ListState.SCORING else (0, 0),
    )


def newest(services: Services, lists: Lists) -> tuple[list[Shown], int]:
    """The newest lists that the caller may see, and how many there are."""
    ids = [
        found[0]
        for name in services.campaigns
        for key in services.lists.store.keys(f"{ROOT}/{name}/")  # type: ignore[union-attr]
        if (found := parse_key(key)) is not None and found[1] == MANIFEST
    ]
    records = [read_list(lists.store, list_id, services.clock()) for list_id in ids]
    if lists.caller.role == Role.MARKETING:
        records = [record for record in records if record.manifest.owner == lists.caller.name]
    records.sort(key=lambda record: (record.manifest.created_at, record.list_id), reverse=True)
    return [shown_of(lists.store, record) for record in records[:LISTS_SHOWN]], len(records)


def _progress(store: ListStore, list_id: ListId) -> tuple[int, int]:
    if not store.exists(list_id.key(PROGRESS)):
        return 0, 0
    told = json.loads(store.get(list_id.key(PROGRESS)))
    return int(told["done"]), int(told["total"])
