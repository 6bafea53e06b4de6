from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import pids
from local.ports import any_free, is_free
from local.processes import Processes, Program, answers
from local.state import read_state, write_state
from propensity.errors import ProgramFailed, SettingsInvalid

SLEEP = "import time; time.sleep(600)"
SERVE = (
    "import sys; from http.server import *\n"
    "class Handler(BaseHTTPRequestHandler):\n"
    "    def do_GET(self): self.send_response(200); self.end_headers()\n"
    "ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()"
)


def program(code: str, *args: str, **more: object) -> Program:
    fields: dict[str, object] = {
        "name": "sleeper",
        "title": "Sleeper",
        "command": (sys.executable, "-c", code, *args),
        "environ": dict(os.environ),
        "wait_s": 20.0,
    }
    return Program(**{**fields, **more})  # type: ignore[arg-type]  # a test's short form


@pytest.fixture
def processes(home: Path) -> Iterator[Processes]:
    made = Processes(home)
    yield made
    made.stop([found.name for found in made.all_running()])


def test_a_program_is_started_once_and_stopped_once(processes: Processes) -> None:
    first = processes.start(program(SLEEP))
    assert processes.start(program(SLEEP)).pid == first.pid
    assert [found.pid for found in processes.all_running()] == [first.pid]

    assert processes.stop(["sleeper"]) == ["sleeper"]
    assert pids.identity(first.pid) is None
    assert processes.stop(["sleeper"]) == []


def test_another_command_knows_what_the_first_started(processes: Processes, home: Path) -> None:
    found = processes.start(program(SLEEP))
    assert Processes(home).running("sleeper") == found
    assert Processes(home).stop(["sleeper"]) == ["sleeper"]


def test_a_recycled_process_id_is_left_alone(processes: Processes, home: Path) -> None:
    bystander = processes.start(program(SLEEP, name="bystander"))
    processes.start(program(SLEEP))
    processes.stop(["sleeper"])
    record = read_state(home / "processes" / "bystander.json")
    write_state(home / "processes" / "sleeper.json", {**record, "name": "sleeper", "identity": "of-an-earlier-process"})

    assert processes.running("sleeper") is None
    assert processes.stop(["sleeper"]) == []
    assert pids.identity(bystander.pid) == bystander.identity


def test_workers_end_with_their_program(processes: Processes, home: Path) -> None:
    note = home / "worker"
    code = (
        "import subprocess, sys, time, pathlib\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        "pathlib.Path(sys.argv[1] + '.new').write_text(str(child.pid)); pathlib.Path(sys.argv[1] + '.new').rename(sys.argv[1])\n"
        "time.sleep(600)"
    )
    forking = program(code, str(note), ready=lambda _: note.exists())
    processes.start(forking)
    processes.wait_ready([forking])
    worker = int(note.read_text())
    born = pids.identity(worker)
    assert born is not None

    processes.stop(["sleeper"])
    assert pids.wait_gone(worker, born, timeout_s=10)


def test_a_program_is_ready_when_its_address_answers(processes: Processes) -> None:
    port = any_free()
    url = f"http://127.0.0.1:{port}/"
    serving = program(SERVE, str(port), port=port, ready=lambda _: answers(url))
    processes.start(serving)
    processes.wait_ready([serving])
    assert answers(url)


def test_a_program_that_ends_quotes_its_log(processes: Processes) -> None:
    failing = program("raise SystemExit('the disk is full')", ready=lambda _: False)
    processes.start(failing)
    with pytest.raises(ProgramFailed, match="the disk is full"):
        processes.wait_ready([failing])


def test_a_program_that_is_never_ready_is_named(processes: Processes) -> None:
    stuck = program(SLEEP, ready=lambda _: False, wait_s=0.1)
    processes.start(stuck)
    with pytest.raises(ProgramFailed, match="Sleeper"):
        processes.wait_ready([stuck])


def test_a_command_that_does_not_exist_is_named(processes: Processes) -> None:
    with pytest.raises(ProgramFailed, match="/no/such/program"):
        processes.start(program(SLEEP, command=("/no/such/program",)))
    assert processes.all_running() == []


def test_a_taken_port_is_named_and_nothing_is_started(processes: Processes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(SettingsInvalid, match=str(port)):
            processes.start(program(SLEEP, port=port))
        with pytest.raises(SettingsInvalid, match=str(port)):
            processes.choose_port("sleeper", "Sleeper", 1, asked=port)
    assert processes.all_running() == []


def test_ports_are_remembered_and_given_to_one_program_each(processes: Processes, home: Path) -> None:
    preferred = any_free()
    assert processes.choose_port("a", "A", preferred) == preferred
    other = processes.choose_port("b", "B", preferred)
    assert other != preferred
    assert Processes(home).choose_port("b", "B", preferred) == other


def test_secrets_of_the_environment_are_not_shown() -> None:
    assert "hush" not in repr(program(SLEEP, environ={"PASSWORD": "hush"}))
