"""The function as the runtime loads it."""

from __future__ import annotations

import importlib
import io
import logging
from types import ModuleType

import pytest


@pytest.fixture
def front_door() -> ModuleType:
    """``from lambda.front_door import handler`` cannot be written: ``lambda`` is a keyword. The runtime imports it the same way."""
    return importlib.import_module("lambda.front_door.handler")


@pytest.fixture
def log(front_door: ModuleType, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the function logs, as it would stand in the log."""
    written = io.StringIO()
    front_door.logger(front_door.SERVICE)
    (handler,) = logging.getLogger("front-door").handlers
    monkeypatch.setattr(handler, "stream", written)
    return written
