"""A list by presigned upload: event, queue, function, one task, result."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from faults.samples import make_rows
from propensity.adapters.presigned import Presigner
from propensity.campaigns import campaign
from rehearse.deployed import Deployed, Reply, expect, fetch, wait_for
from rehearse.scoring import CAMPAIGN, CANARY, logged
from rehearse.steps import StepFailed

LISTS = f"/v1/campaigns/{CAMPAIGN}/lists"
CUSTOMERS = 500
# Of tasks that score a list.
GROUP = "propensity-lists"
SCORED_S = 180.0


@dataclass
class UploadedList:
    """One list on its way through the deployed system. The steps are carried out in this order."""

    deployed: Deployed
    file: bytes = field(default_factory=lambda: list_file(CUSTOMERS))
    made: dict[str, Any] = field(default_factory=dict)
    result: bytes = b""

    def create(self) -> str:
        """A list with an address for its upload; trying again gives the same list."""
        key = secrets.token_hex(8)
        self.made = self._create(key, size_bytes=len(self.file))
        if self._create(key, size_bytes=len(self.file))["list_id"] != self.made["list_id"]:
            raise StepFailed("the same Idempotency-Key made another list")
        other = expect(self.deployed.call("GET", self._here, key="other"), 404)
        return f"list {self.made['list_id'].split('.')[0]}, waits for its upload; another caller: {other.told()}"

    def refused_uploads(self) -> str:
        """Whatever is not exactly what was signed is refused by S3, and nothing of it is stored."""
        form = self.made["upload"]
        seen = {
            "signature changed": self._post({**form["fields"], "x-amz-signature": "0" * 64}),
            "another key": self._post({**form["fields"], "key": form["fields"]["key"] + "x"}),
            "too large": self._post(form["fields"], self.file + b"x"),
            "expired": self._expired(),
        }
        for what, reply in seen.items():
            if reply.status not in (400, 403):
                raise StepFailed(f"an upload with {what} was answered with {reply.status}")
        if self._status()["state"] != "awaiting_upload":
            raise StepFailed("a refused upload was taken for one")
        return ", ".join(f"{what}: {reply.status}" for what, reply in seen.items())

    def upload(self) -> str:
        """The upload alone sets everything going: a task is started and the list is done."""
        started = time.monotonic()
        expect(self._post(self.made["upload"]["fields"]), 200, 201, 204)
        wait_for(lambda: self._status()["state"] in ("done", "failed"), "the end of the list", timeout_s=SCORED_S)
        told = self._status()
        if told["state"] != "done":
            raise StepFailed(f"the list ended as {told['state']}: {json.dumps(told)[:300]}")
        return f"{CUSTOMERS} customers, {time.monotonic() - started:.0f} s from the upload to the result"

    def download(self) -> str:
        """The call sheet by a presigned address, which changed or expired is good for nothing."""
        told = expect(self.deployed.call("GET", f"{self._here}/result", key="marketing"), 303)
        url = told.json()["url"]
        self.result = expect(fetch(url), 200).body
        rows = self.result.decode("utf-8-sig").strip().splitlines()
        if len(rows) != CUSTOMERS + 1:
            raise StepFailed(f"{CUSTOMERS} rows were expected, the call sheet has {len(rows) - 1}")
        tampered = expect(fetch(url.replace("call-sheet.csv?", "errors.csv?")), 403)
        expired = expect(fetch(_expired_download(self.deployed, self._key("call-sheet.csv"))), 403)
        stranger = expect(self.deployed.call("GET", f"{self._here}/result", key="other"), 404)
        return f"{CUSTOMERS} rows; address changed: {tampered.status}, expired: {expired.status}; another caller: {stranger.told()}"

    def duplicates(self) -> str:
        """The same event again, three times by the queue and twice at once: no second task, no second entry, the same result."""
        tasks, entries = len(self.deployed.tasks(GROUP, stopped=True)), logged(self.deployed)
        queue = _queue_of_uploads(self.deployed)
        event = json.dumps({"Records": [self._record()]})
        sqs = self.deployed.emulator.client("sqs")
        for _ in range(3):
            sqs.send_message(QueueUrl=queue, MessageBody=event)
        wait_for(lambda: _empty(sqs, queue), "the queue being empty", timeout_s=60)
        time.sleep(1.0)
        now = len(self.deployed.tasks(GROUP, stopped=True)), logged(self.deployed)
        if now != (tasks, entries):
            raise StepFailed(f"{tasks} tasks and {entries} logged requests became {now[0]} and {now[1]}")
        if self.deployed.store.get(self._key("call-sheet.csv")) != self.result:
            raise StepFailed("the call sheet is another now")
        return f"3 more events: {tasks} task, {entries} logged requests as before, the same call sheet"

    def in_parts(self) -> str:
        """Another list, in parts: the same customers come back, and a part of another size is refused."""
        made = self._create(secrets.token_hex(8), size_bytes=len(self.file), parts=True)
        (part,), complete = made["upload"]["parts"], made["upload"]["complete"]
        larger = expect(fetch(part["url"], "PUT", self.file + b"x"), 400, 403)
        etag = expect(fetch(part["url"], "PUT", self.file), 200).headers["etag"]
        put_together = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        expect(fetch(complete["url"], complete["method"], put_together.encode(), complete["headers"]), 200)
        here = f"/v1/lists/{made['list_id']}"
        wait_for(lambda: self._status(here)["state"] in ("done", "failed"), "the end of the list", timeout_s=SCORED_S)
        told = self._status(here)
        if told["state"] != "done":
            raise StepFailed(f"the list ended as {told['state']}: {json.dumps(told)[:300]}")
        return f"{CUSTOMERS} customers in one part; a part of another size: {larger.status}"

    @property
    def _here(self) -> str:
        return f"/v1/lists/{self.made['list_id']}"

    def _key(self, name: str) -> str:
        campaign_name, _, token = self.made["list_id"].partition(".")
        return f"lists/{campaign_name}/{token}/{name}"

    def _create(self, key: str, **asked: object) -> dict[str, Any]:
        body = json.dumps({"format": "csv", **asked}).encode()
        made: dict[str, Any] = expect(self.deployed.call("POST", LISTS, body, key="marketing", Idempotency_Key=key), 201).json()
        return made

    def _status(self, at: str | None = None) -> dict[str, Any]:
        found: dict[str, Any] = expect(self.deployed.call("GET", at or self._here, key="marketing"), 200).json()
        return found

    def _post(self, fields: dict[str, str], file: bytes | None = None) -> Reply:
        return post_form(self.made["upload"]["url"], fields, self.file if file is None else file)

    def _expired(self) -> Reply:
        """A form that the same code signed, for one second."""
        form = Presigner(self.deployed.bucket, "", self.deployed.emulator.url).form(
            self._key("upload"), smallest=1, largest=len(self.file), expires_s=1
        )
        time.sleep(2.1)
        return post_form(form["url"], form["fields"], self.file)

    def _record(self) -> dict[str, Any]:
        """The upload as S3 tells of it."""
        s3 = self.deployed.emulator.client("s3")
        found = s3.head_object(Bucket=self.deployed.bucket, Key=self._key("upload"))
        told = {"key": self._key("upload"), "size": found["ContentLength"], "versionId": found.get("VersionId")}
        return {
            "eventName": "ObjectCreated:Post",
            "eventSource": "aws:s3",
            "s3": {"bucket": {"name": self.deployed.bucket}, "object": told},
        }


def list_file(count: int) -> bytes:
    """A CSV file with so many made-up customers."""
    rows = make_rows(campaign(CAMPAIGN), count, seed=11, head=CANARY)
    lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def post_form(url: str, fields: dict[str, str], file: bytes) -> Reply:
    """What a browser sends for a form with a file."""
    boundary = secrets.token_hex(16)
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="list.csv"\r\nContent-Type: text/csv\r\n\r\n'.encode()
    body = b"".join([*parts, head, file, f"\r\n--{boundary}--\r\n".encode()])
    return fetch(url, "POST", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})


def _expired_download(deployed: Deployed, key: str) -> str:
    signer = Presigner(deployed.bucket, "", deployed.emulator.url)
    url = signer.download(key, name="call-sheet.csv", media_type="text/csv", expires_s=1)
    time.sleep(2.1)
    return url


def _queue_of_uploads(deployed: Deployed) -> str:
    """The queue that the bucket tells of uploads."""
    told = deployed.emulator.client("s3").get_bucket_notification_configuration(Bucket=deployed.bucket)
    arns = [entry["QueueArn"] for entry in told.get("QueueConfigurations", [])]
    if len(arns) != 1:
        raise StepFailed(f"one queue was expected to hear of uploads, there are {len(arns)}")
    return str(deployed.emulator.client("sqs").get_queue_url(QueueName=arns[0].rpartition(":")[2])["QueueUrl"])


def _empty(sqs: Any, queue: str) -> bool:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return all(value == "0" for value in sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values())
