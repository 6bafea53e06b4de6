"""A new version while callers call, and the end of it all."""

from __future__ import annotations

import threading
import time
from typing import Any

from rehearse.cdk import Cdk
from rehearse.deployed import Deployed, wait_for
from rehearse.scoring import PREDICTIONS, customers
from rehearse.steps import StepFailed

TAG = "rehearsal-2"
PAUSE_S = 0.1
ROLLED_S = 90.0


class Caller(threading.Thread):
    """Posts customers one after the other until told to stop, by the REST API as everybody does."""

    def __init__(self, deployed: Deployed) -> None:
        super().__init__(daemon=True, name="caller")
        self._deployed = deployed
        self._ended = threading.Event()
        self._body = customers(1)
        self.statuses: list[int] = []

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                self.statuses.append(self._deployed.call("POST", PREDICTIONS, self._body, key="marketing").status)
            except StepFailed:
                self.statuses.append(0)
            time.sleep(PAUSE_S)

    def stop(self) -> None:
        self._ended.set()
        self.join(60)

    def told(self) -> str:
        """How many requests there were. Raises StepFailed where one was not answered with 200."""
        refused = [status for status in self.statuses if status != 200]
        if refused or not self.statuses:
            raise StepFailed(f"{len(refused)} of {len(self.statuses)} requests were not answered with 200: {sorted(set(refused))}")
        return f"{len(self.statuses)} requests meanwhile, every one answered with 200"


def update(cdk: Cdk, deployed: Deployed) -> str:
    """Every image gets another tag: tasks of the new version take over from those of the old one, and no caller is refused."""
    before = _scoring(deployed)
    caller = Caller(deployed)
    caller.start()
    try:
        cdk.of(TAG).deploy()
        wait_for(lambda: bool(_scoring(deployed)) and not _scoring(deployed) & before, "the end of the old tasks", timeout_s=ROLLED_S)
        time.sleep(1.0)
    finally:
        caller.stop()
    wait_for(lambda: _versions(deployed) == {TAG}, f"every service running {TAG}", timeout_s=ROLLED_S)
    return caller.told()


def roll_back(deployed: Deployed) -> str:
    """A version that ends as soon as it starts: the circuit breaker puts the old one back, and no caller notices."""
    ecs = deployed.emulator.client("ecs")
    before = _scoring(deployed)
    (cluster,) = ecs.list_clusters()["clusterArns"]
    service = next(t["group"].removeprefix("service:") for t in deployed.tasks("service:") if t["taskArn"] in before)
    known = ecs.describe_services(cluster=cluster, services=[service])["services"][0]["taskDefinition"]
    broken = _broken(ecs, known)
    caller = Caller(deployed)
    caller.start()
    try:
        ecs.update_service(cluster=cluster, service=service, taskDefinition=broken)

        def put_back() -> bool:
            found = ecs.describe_services(cluster=cluster, services=[service])["services"][0]
            states = {deployment["taskDefinition"]: deployment.get("rolloutState") for deployment in found["deployments"]}
            return bool(found["taskDefinition"] == known) and states.get(broken, "FAILED") == "FAILED"

        wait_for(put_back, "the old version coming back", timeout_s=ROLLED_S)
        time.sleep(1.0)
    finally:
        caller.stop()
    if not _scoring(deployed) & before:
        raise StepFailed("the tasks of the old version did not go on")
    return caller.told()


def changed(cdk: Cdk) -> str:
    """The command line sees that the new version differs from what is deployed."""
    new = cdk.of(TAG)
    new.synth()
    if not new.diff():
        raise StepFailed("cdk diff sees no difference")
    return "cdk diff sees it"


def destroy(cdk: Cdk, deployed: Deployed) -> str:
    """Nothing of the platform is left: no stack, no bucket, no task."""
    cdk.destroy()
    client = deployed.emulator.client
    states = ("DELETE_COMPLETE", "REVIEW_IN_PROGRESS")
    stacks = [s["StackName"] for s in client("cloudformation").list_stacks()["StackSummaries"] if s["StackStatus"] not in states]
    buckets = [b["Name"] for b in client("s3").list_buckets()["Buckets"] if not b["Name"].startswith("cdk-")]
    tasks = deployed.tasks()
    if stacks != ["CDKToolkit"] or buckets or tasks:
        raise StepFailed(f"left are the stacks {stacks}, the buckets {buckets} and {len(tasks)} tasks")
    return "no stack, no bucket and no task is left"


def _versions(deployed: Deployed) -> set[str]:
    """Tags of the images that run."""
    return {container["image"].rpartition(":")[2] for task in deployed.tasks("service:") for container in task["containers"]}


def _broken(ecs: Any, definition: str) -> str:
    """The same task definition with a program that ends at once."""
    found = ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
    containers = [{**one, "entryPoint": ["python"], "command": ["-c", "raise SystemExit(1)"]} for one in found["containerDefinitions"]]
    kept = ("family", "networkMode", "taskRoleArn", "executionRoleArn", "cpu", "memory", "volumes")
    made = ecs.register_task_definition(
        containerDefinitions=containers, requiresCompatibilities=["FARGATE"], **{name: found[name] for name in kept if found.get(name)}
    )
    return str(made["taskDefinition"]["taskDefinitionArn"])


def _scoring(deployed: Deployed) -> set[str]:
    """Running tasks of the scoring service."""
    return {t["taskArn"] for t in deployed.tasks("service:") if any(c["name"] == "scoring" for c in t["containers"])}
