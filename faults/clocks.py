"""R29: the service's clock is wrong, and jumps; nothing is lost."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from faults.crashes import bodies_of, lost
from faults.load import Load
from faults.promise import NotPossible, Result, Scale
from faults.world import Service, World

DAY_S = 86_400
SOURCE = Path(__file__).with_name("shift.c")


def compile_shift(folder: Path) -> Path:
    """The library that shifts a process' clock. Raises NotPossible where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NotPossible("no C compiler: the library that shifts the clock of one process cannot be made")
    library = folder / "shift.so"
    made = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise NotPossible(f"the library that shifts the clock of one process cannot be made: {made.stderr.strip()[-200:]}")
    return library


def _told_s(service: Service) -> float:
    """The time that the service's last log line bears, less the true one."""
    line = json.loads(service.log_path.read_text(encoding="utf-8").splitlines()[-1])
    return (datetime.fromisoformat(line["time"]) - datetime.now(UTC)).total_seconds()


def r29(world: World, scale: Scale) -> Result:
    """Started with a wrong clock, then set forwards and backwards under load."""
    shifts_s = (3 * DAY_S, -3 * DAY_S, 400 * DAY_S, 0, -3_600)[: scale.of(full=5, short=3)]
    library = compile_shift(world.folder)
    file = world.folder / "shift"
    file.write_bytes(struct.pack("<q", shifts_s[0]))
    off: list[float] = []
    with world.service(LD_PRELOAD=str(library), SHIFT_FILE=str(file)) as service:
        with Load(service, bodies_of(world, 3), callers=6, again=False) as load:
            for shift_s in shifts_s:
                with file.open("r+b") as shared:
                    shared.write(struct.pack("<q", shift_s))
                load.more(scale.of(full=500, short=60))
                off.append(abs(_told_s(service) - shift_s))
                world.say(f"  clock {shift_s / DAY_S:+.2f} days, {load.acknowledged():,} acknowledged")
            answers = load.stop()
        missing, partial, surplus = lost(service, answers)
        stamps = [entry.received_at for entry in service.logged().values()]
    statuses = Counter(answer.status for answer in answers)
    now = datetime.now(UTC)
    # Rows bear the clock of Postgres: windows of monitoring do not depend on which task wrote them.
    strayed = sum(stamp is None or abs((now - stamp).total_seconds()) > 3_600 for stamp in stamps)
    return Result(
        set(statuses) == {200} and missing == partial == surplus == strayed == 0 and max(off) < 60,
        f"{missing} missing, {partial} partial of {statuses[200]:,} acknowledged; {len(answers) - statuses[200]} not answered with 200"
        f"{f': {dict(statuses)}' if set(statuses) != {200} else ''}; {strayed} rows with the wrong time",
        f"the service's time of day set to {', '.join(f'{s / DAY_S:+g}' for s in shifts_s)} days by a library loaded before libc, under 6 "
        "callers with kept connections; its log lines bore the wrong time; the clock of Postgres was right",
    )
