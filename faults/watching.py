"""Somebody who asks one address again and again beside an experiment, and writes down what came and how long it took."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from faults.client import Client
from faults.world import Service


@dataclass
class Watch:
    """Asks ``path`` every ``every_s`` seconds, each time on a connection of its own, while the block lasts."""

    service: Service
    path: str
    every_s: float = 0.1
    statuses: list[int] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join(60)

    def _run(self) -> None:
        while not self._ending.is_set():
            started = time.monotonic()
            client = Client(self.service.port, self.service.keys["operator"], timeout_s=30.0)
            try:
                status = client.get(self.path).status
            except (OSError, http.client.HTTPException):
                status = 0
            finally:
                client.close()
            self.statuses.append(status)
            self.took_s.append(time.monotonic() - started)
            self._ending.wait(self.every_s)

    def counts(self) -> dict[int, int]:
        """How often each status came; 0: no reply."""
        return dict(sorted(Counter(self.statuses).items()))

    def share_under(self, limit_s: float) -> float:
        """Share of the questions that got 200 within the limit."""
        good = sum(status == 200 and took < limit_s for status, took in zip(self.statuses, self.took_s, strict=True))
        return good / max(1, len(self.statuses))
