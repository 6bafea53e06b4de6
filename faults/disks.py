"""R28: the disk under Postgres is full."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.crashes import bodies_of, lost
from faults.load import Load
from faults.processes import quiet_port, wait_until
from faults.promise import NotPossible, Result, Scale
from faults.watching import Watch
from faults.world import Service, World
from local.postgres import EmbeddedPostgres
from propensity.errors import DatabaseUnavailable

SMALL_MIB, LARGE_MIB = 150, 600


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own in memory. Raises NotPossible where it cannot be mounted."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}m,mode=0711", "faults", str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise NotPossible(f"a small disk cannot be mounted here: {made.stderr.strip()}; it takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def _enlarge(folder: Path) -> None:
    subprocess.run(["mount", "-o", f"remount,size={LARGE_MIB}m", str(folder)], check=True)


def _fill(folder: Path, leave_mib: int) -> None:
    """Take the room that is left, but for some."""

    room = shutil.disk_usage(folder).free - leave_mib * 2**20
    with (folder / "ballast").open("wb") as ballast:
        while room > 0:
            ballast.write(bytes(min(room, 2**20)))
            room -= 2**20


def _revive(server: EmbeddedPostgres) -> None:
    """Postgres ends itself where it cannot write its journal; somebody starts it again once there is room."""

    def up() -> bool:
        try:
            server.start()
        except DatabaseUnavailable:
            return False
        return True

    wait_until(up, "Postgres coming back", timeout_s=120, pause_s=0.5)


def r28(world: World, scale: Scale) -> Result:
    """The disk fills up under load, stays full, and gets room again."""
    home = world.folder / f"small-{time.monotonic_ns()}"
    with small_disk(home) as folder:
        server = EmbeddedPostgres(folder / "home", port=quiet_port(), fsync=True, say=world.say)
        try:
            server.start()
            with world.service(server) as service:
                return _filled(world, scale, service, server, folder)
        finally:
            server.remove()


def _filled(world: World, scale: Scale, service: Service, server: EmbeddedPostgres, folder: Path) -> Result:
    _fill(folder, leave_mib=scale.of(full=24, short=4))
    with Watch(service, "/livez") as livez, Load(service, bodies_of(world, 100, 10), callers=8) as load:
        wait_until(lambda: any(a.status == 503 for a in load.answers()), "the disk's being full", timeout_s=240, pause_s=0.1)
        before = load.acknowledged()
        world.say(f"  full after {before:,} acknowledged")
        time.sleep(scale.of(full=20, short=1))
        while_full = Counter(a.status for a in load.answers()[-50:])
        _enlarge(folder)
        (folder / "ballast").unlink()
        _revive(server)
        load.more(scale.of(full=300, short=30))
        answers = load.stop()
    missing, partial, surplus = lost(service, answers)
    statuses = Counter(answer.status for answer in answers)
    return Result(
        missing == partial == surplus == 0 and set(statuses) <= {200, 503} and set(livez.counts()) == {200} and statuses[503] > 0,
        f"{missing} missing, {partial} partial, {surplus} logged twice of {statuses[200]:,} acknowledged; {statuses[500]} x 500; "
        f"{dict(statuses)}, while full {dict(while_full)}; livez {livez.counts()}",
        f"Postgres on a file system of {SMALL_MIB} MiB, filled up under 8 callers with lists of 100, later enlarged",
    )
