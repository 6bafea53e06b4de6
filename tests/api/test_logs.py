"""The process' log: whole JSON lines, no customer in them, and no request that waits for a reader."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from api import logs
from api.logs import JsonFormatter, LineHandler
from tests.api.conftest import World
from tests.api.processes import ROOT, wait_for


@contextmanager
def logger_to(descriptor: int) -> Iterator[tuple[logging.Logger, LineHandler]]:
    """A logger of this project that writes there alone."""
    handler = LineHandler(descriptor)
    logger = logging.getLogger(f"propensity.test.{uuid.uuid4().hex}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, handler
    logger.removeHandler(handler)


def line_of(name: str, message: Any, *args: object) -> dict[str, Any]:
    record = logging.LogRecord(name, logging.WARNING, "channel.py", 437, message, args, None, "service")
    found: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return found


def test_every_line_has_its_time_level_logger_and_message(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file, logger_to(file.fileno()) as (logger, handler):
        logger.info("hello %s", "there", extra={"fields": {"event": "greeting", "request_id": "r1"}})
        logger.warning("trouble")
        handler.flush()
    one, other = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (one["level"], one["logger"], one["message"]) == ("info", logger.name, "hello there")
    assert (one["event"], one["request_id"]) == ("greeting", "r1")
    assert abs(datetime.fromisoformat(one["time"]).timestamp() - time.time()) < 60
    assert other["level"] == "warning"


def test_a_line_within_a_request_has_its_id(world: World) -> None:
    with world.app.test_request_context("/livez"):
        world.app.preprocess_request()
        inside = line_of("propensity.somewhere", "hello")
    assert uuid.UUID(inside["request_id"]).version == 4
    assert "request_id" not in line_of("propensity.somewhere", "hello")


def test_what_other_libraries_fill_in_is_left_out() -> None:
    assert "4711" not in json.dumps(line_of("waitress", "Exception while serving %s" % "/v1/predictions/4711"))  # noqa: UP031
    told = line_of("api", "Exception on %s [%s]", "/v1/predictions/4711", "GET")
    assert told["message"] == "Exception on %s [%s]"
    assert told["place"] == "channel:437 service"
    assert "4711" not in json.dumps(told)
    assert line_of("propensity.api", "store %s", "down")["message"] == "store down"


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file, logger_to(file.fileno()) as (logger, handler):

        def work(name: int) -> None:
            for at in range(300):
                logger.info("x" * (at * 20), extra={"fields": {"thread": name, "at": at}})

        threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        handler.flush()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert {(line["thread"], line["at"]) for line in lines} == {(name, at) for name in range(6) for at in range(300)}
    assert len(lines) == 1800


def test_a_pipe_that_nobody_reads_holds_up_nobody_and_the_loss_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_LINES", 100)
    reading, writing = os.pipe()
    with logger_to(writing) as (logger, handler):
        for at in range(300):  # far more than the pipe (64 KiB) and the lines that may wait: a log that waits would hang here
            logger.info("y" * 1000, extra={"fields": {"at": at}})
        lost = handler.dropped
        assert lost >= 300 - 100 - 70
        found: list[dict[str, Any]] = []

        def read() -> None:
            with os.fdopen(reading) as pipe:
                found.extend(json.loads(line) for line in pipe)

        reader = threading.Thread(target=read)
        reader.start()
        wait_for(lambda: any(line.get("event") == "log_lines_dropped" for line in found))
        logger.info("well again")
        wait_for(lambda: found[-1]["message"] == "well again")
        os.close(writing)
        reader.join(10)
    assert sum(line["lines"] for line in found if line.get("event") == "log_lines_dropped") == lost
    assert len([line for line in found if line["message"].startswith("y")]) == 300 - lost


def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with logger_to(full) as (logger, handler):
        logger.info("hello")
        wait_for(lambda: handler.dropped >= 1)
        os.close(full)


def test_a_record_that_cannot_be_written_is_counted_and_its_values_are_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "log").open("wb") as file, logger_to(file.fileno()) as (logger, handler):
        logger.info("hello", extra={"fields": {"secret-4711": object()}})
        assert handler.dropped == 1
        handler.flush()
    assert "4711" not in "".join(capfd.readouterr())


def test_the_end_of_a_process_writes_what_was_logged_and_a_dying_thread_names_no_value() -> None:
    code = (
        "import logging, threading\nfrom api import logs\nlogs.configure()\n"
        "def fail(): raise ValueError('customer-4711')\n"
        "t = threading.Thread(target=fail); t.start(); t.join()\n"
        "logging.getLogger('propensity.x').info('last words')\n"
        "logging.getLogger('other').info('chatter')\n"
        "raise ValueError('customer-4711')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [line["message"] for line in lines] == ["an exception ended a thread", "last words", "an exception ended a thread"]
    assert lines[0]["exception"] == "ValueError"
    assert lines[0]["frames"][-1].endswith(" fail")
    assert "4711" not in done.stderr


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("0b8f5f0e-58bb-4c1e-9d3a-52a9a77d2f61", True),
        ("01890A5D-AC96-774B-BCCE-B302099A8057", True),
        ("00000000-0000-0000-0000-000000004711", False),
        ("customer-4711", False),
        ("4711", False),
        ("0b8f5f0e-58bb-4c1e-9d3a-52a9a77d2f61 4711", False),
    ],
)
def test_a_callers_own_request_id_is_noted_only_where_it_is_random(
    world: World, caplog: pytest.LogCaptureFixture, sent: str, kept: bool
) -> None:
    caplog.set_level(logging.INFO)
    reply = world.client.get("/livez", headers={"X-Request-Id": sent})
    (line,) = [json.loads(JsonFormatter().format(r)) for r in caplog.records if r.name == "propensity.api.access"]
    assert line.get("client_request_id") == (sent if kept else None)
    assert reply.headers["X-Request-Id"] == line["request_id"] != sent


def test_the_access_line_names_a_declared_campaign_and_no_other(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world.client.get("/v1/campaigns/term-deposit")
    world.client.get("/v1/campaigns/4711")
    lines = [json.loads(JsonFormatter().format(r)) for r in caplog.records if r.name == "propensity.api.access"]
    assert [line.get("campaign") for line in lines] == ["term-deposit", None]
    assert [line.get("code") for line in lines] == [None, "not_found"]
