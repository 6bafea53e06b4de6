"""One list sent as a program sends it: created, uploaded to the address of the reply, waited for."""

from __future__ import annotations

import csv
import io
import json
import time
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from local.client import Api
from propensity.campaign import Campaign
from propensity.errors import DataError, StoreError

WAIT_S = 120.0


def send_list(api: Api, declared: Campaign, rows: Sequence[Mapping[str, Any]]) -> int:
    """Send these customers as a CSV file and wait for the end; how many were scored. Raises DataError, StoreError."""
    text = io.StringIO()
    sheet = csv.DictWriter(text, ["id", *declared.feature_names])
    sheet.writeheader()
    sheet.writerows(rows)
    data = text.getvalue().encode()
    made = api.call(f"/v1/campaigns/{declared.name}/lists", {"format": "csv", "size_bytes": len(data)})
    _upload(made["upload"], data)
    until = time.monotonic() + WAIT_S
    while (told := api.call(f"/v1/lists/{made['list_id']}"))["state"] not in ("done", "failed"):
        if time.monotonic() > until:
            raise StoreError(f"list {made['list_id']} was not scored within {WAIT_S:.0f} s; see the log of the program that scores lists")
        time.sleep(0.3)
    if told["state"] == "failed":
        raise DataError(f"list {made['list_id']} could not be scored: {json.dumps(told['failure'])}")
    return int(told["counts"]["scored"])


def _upload(upload: Mapping[str, Any], data: bytes) -> None:
    """The form that the reply describes."""
    edge = uuid.uuid4().hex
    fields = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in upload.get("fields", {}).items()
    ]
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="list.csv"\r\nContent-Type: text/csv\r\n\r\n'
    body = "".join(fields).encode() + head.encode() + data + f"\r\n--{edge}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    request = urllib.request.Request(upload["url"], data=body, headers=headers)  # noqa: S310 (our own address)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
            reply.read()
    except OSError as exc:
        raise StoreError(f"the list could not be uploaded: {exc}") from exc
