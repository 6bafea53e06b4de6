"""R27: callers that send slowly cannot stop the others."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from faults.access import headers
from faults.crashes import bodies_of, lost
from faults.load import Load
from faults.processes import peak_mib
from faults.promise import Result, Scale
from faults.watching import Watch
from faults.world import PREDICTIONS, ROOT, Service, World

SHARE, LIMIT_S = 0.99, 1.0


@contextmanager
def dripping(service: Service, connections: int) -> Iterator[list[int]]:
    """Connections that send a byte a second; yields a list that holds, at the end, how many were open at each turn."""
    orders = {
        "port": service.port,
        "path": PREDICTIONS,
        "authorization": headers(service.keys["operator"])["Authorization"],
        "connections": connections,
        "every_s": 1.0,
    }
    command = [sys.executable, "-m", "faults.drip"]
    opened: list[int] = []
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps(orders) + "\n")
            child.stdin.flush()
            opened.append(int(child.stdout.readline()))
            yield opened
            child.stdin.close()
            opened += [int(line) for line in child.stdout]
        finally:
            child.kill()


def r27(world: World, scale: Scale) -> Result:
    """Nine hundred connections drip while good requests and health checks go on."""
    connections, lasts_s = scale.of(full=900, short=300), scale.of(full=60, short=3)
    with world.service() as service:
        with (
            dripping(service, connections) as opened,
            Watch(service, "/livez", every_s=0.05) as livez,
            Load(service, bodies_of(world, 3), callers=2, pause_s=0.05) as load,
        ):
            time.sleep(lasts_s)
            answers = load.stop()
        missing, partial, _ = lost(service, answers)
        memory = peak_mib(service.pid)
    share = livez.share_under(LIMIT_S)
    statuses = Counter(answer.status for answer in answers)
    return Result(
        share >= SHARE and set(statuses) == {200} and missing == partial == 0 and opened[0] == connections,
        f"{100 * share:.1f} % of {len(livez.statuses):,} livez under {LIMIT_S:g} s (slowest {max(livez.took_s):.2f} s), "
        f"{statuses[200]:,} of {len(answers):,} predictions answered, slowest {max(a.took_s for a in answers):.2f} s; "
        f"{opened[0]} connections dripped at first, {opened[-1]} at the end; peak memory {memory:.0f} MiB",
        f"{connections} connections sending one byte a second for {lasts_s} s: a third in the header, in a body, in a chunk",
    )
