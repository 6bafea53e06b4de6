"""What is rehearsed, in which order, and what is needed for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from rehearse import alerts, clock, scoring, spark, updates
from rehearse.cdk import Cdk
from rehearse.deployed import Deployed
from rehearse.emulated.stand_ins import STAND_INS
from rehearse.emulator import Emulator, prepare, running
from rehearse.lists import UploadedList
from rehearse.postgres import EmptyPostgres
from rehearse.steps import StepFailed, Steps

# Containers whose programs are not started: what they would add is a minute of starting. The emulator takes them for running.
IDLE = ("mlflow", "grafana", "flow")
# Of what flows do, the clock's own looks are short enough to be run.
RUN = tuple(clock.DUE.values())
TAG = "rehearsal-1"
# Its data go with it; those of every other environment stay.
DEV = "dev"
NOTES = (
    "Containers are processes of this machine with the variables and secrets of the task definition and the rights of the task's role; "
    f"images are neither built nor pulled. {', '.join(IDLE)} do not run, but for {' and '.join(RUN)}: the emulator takes them for running.",
    f"Functions are run by Python {'.'.join(map(str, sys.version_info[:2]))} and Node as they are on this machine, outside of any sandbox.",
    "RDS is an embedded Postgres of this machine, reached without TLS; its administrator is no superuser, as on RDS.",
    "Names within the network lead to the emulator's balancer; security groups, subnets and routes keep nobody out.",
    "Policies of roles, buckets, queues and topics are evaluated, with every request counted as sent by TLS.",
    "Keys of KMS, WAF, throttling, quotas, alarms and rollback by alarm are recorded and do nothing.",
)


class Rehearsal:
    """The steps over one emulator and one Postgres.

    Parameters
    ----------
    folder : Path
        Empty folder that any user may pass through: as root, Postgres runs as another user.
    environment : str
        Only ``dev`` is destroyed at the end: the emulator knows neither termination nor deletion protection.
    """

    def __init__(self, steps: Steps, folder: Path, environment: str = DEV) -> None:
        self._steps = steps
        self._folder = folder
        self._environment = environment
        self._open = ExitStack()
        self._cdk: Cdk | None = None
        self._deployed: Deployed | None = None

    def run(self) -> None:
        """Carry out every step; whatever was started ends, also where this is interrupted."""
        self._steps.notes = list(NOTES)
        with self._open:
            if not self._steps.run("an emulator of AWS and an empty Postgres start", self._start):
                return
            assert self._cdk is not None
            cdk = self._cdk
            if not (self._steps.run("cdk bootstrap", cdk.bootstrap) and self._steps.run("cdk synth", partial(self._synth, cdk))):
                return
            if self._steps.run("cdk deploy: every stack", self._deploy):
                self._exercise(cdk)
            if self._environment == DEV:
                self._steps.run("cdk destroy: every stack", partial(self._destroy, cdk))

    def _start(self) -> str:
        python = prepare(self._steps.say)
        postgres = EmptyPostgres(self._folder / "postgres", fsync=False, say=lambda _: None)
        self._open.callback(postgres.remove)
        postgres.start()
        address = f"127.0.0.1:{postgres.port()}"
        more = {"REHEARSAL_POSTGRES": address, "REHEARSAL_POSTGRES_URL": postgres.superuser_url, "REHEARSAL_IDLE": ",".join(IDLE)}
        more["REHEARSAL_RUN"] = ",".join(RUN)
        emulator = self._open.enter_context(running(python, self._folder, more))
        self._open.enter_context(only_aws(emulator))
        self._cdk = Cdk(emulator, self._folder, self._environment, TAG)
        self._deployed = Deployed(emulator, {}, address)
        return f"PostgreSQL {postgres.version()}"

    def _synth(self, cdk: Cdk) -> str:
        cdk.synth()
        kinds = cdk.resource_types()
        used = {kind for stack in kinds.values() for kind in stack}
        types = sorted(used & set(STAND_INS))
        self._steps.stand_ins = [*types, spark.STAND_IN]
        count = sum(map(len, kinds.values()))
        return f"{len(kinds)} stacks, {count} resources of {len(used)} types, {len(types)} types by stand-ins"

    def _deploy(self) -> None:
        assert self._cdk is not None
        assert self._deployed is not None
        outputs = self._cdk.deploy()
        self._deployed = Deployed(self._deployed.emulator, outputs, self._deployed.postgres)

    def _exercise(self, cdk: Cdk) -> None:
        assert self._deployed is not None
        deployed, step = self._deployed, self._steps.run
        step("cdk diff right after it finds nothing", partial(_no_difference, cdk))
        if step("the scoring service answers behind the balancer", partial(scoring.alive, deployed)) and step(
            "keys are made and a model is promoted", lambda: f"{scoring.make_keys(deployed)}; {scoring.promote(deployed)}"
        ):
            self._requests(deployed)
            step("a new version differs", partial(updates.changed, cdk))
            step("a new version is deployed while callers call", partial(updates.update, cdk, deployed))
            step("a version that cannot start is rolled back while callers call", partial(updates.roll_back, deployed))
        else:
            self._steps.not_tried("requests, lists, alerts and an update", "no scoring service with a model")

    def _requests(self, deployed: Deployed) -> None:
        step = self._steps.run
        step("REST API without its key", partial(scoring.without_gateway_key, deployed))
        step("REST API with its key, without the caller's own", partial(scoring.without_service_key, deployed))
        step("REST API -> Lambda -> balancer -> scoring service -> Postgres", partial(scoring.scored, deployed))
        step("REST API: a body over 6 MB", partial(scoring.too_large, deployed))
        uploaded = UploadedList(deployed)
        if step("a list is created", uploaded.create):
            step("uploads that are not what was signed", uploaded.refused_uploads)
            if step("presigned upload -> event -> queue -> Lambda -> scoring task", uploaded.upload):
                step("the result is downloaded", uploaded.download)
                step("duplicate events", uploaded.duplicates)
                step("a list in parts", uploaded.in_parts)
        step("a large list -> StartJobRun -> the job that Spark runs", partial(spark.large_list, deployed, TAG))
        step("an alert starts the retrain flow", partial(alerts.alert, deployed))
        step("what the clock starts: flow health, retention", partial(clock.due, deployed))
        step("no log holds a customer", partial(scoring.no_customer_in_logs, deployed))

    def _destroy(self, cdk: Cdk) -> str:
        assert self._deployed is not None
        return updates.destroy(cdk, self._deployed)


def _no_difference(cdk: Cdk) -> str:
    if cdk.diff():
        raise StepFailed("what is deployed is not what the templates say")
    return "no differences"


@contextmanager
def only_aws(emulator: Emulator) -> Iterator[None]:
    """Let the platform's own adapters, called here, know no other AWS than the emulator."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(emulator.environ())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
