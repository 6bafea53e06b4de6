"""The rehearsal's short form: the data lake alone is deployed, used and destroyed."""

from __future__ import annotations

from pathlib import Path

import pytest

from propensity.adapters.presigned import Presigner
from rehearse.cdk import Cdk
from rehearse.deployed import Deployed, fetch
from rehearse.emulator import Emulator
from rehearse.lists import post_form

pytestmark = pytest.mark.slow


def test_the_data_lake_is_deployed_used_and_destroyed(emulator: Emulator, folder: Path) -> None:
    cdk = Cdk(emulator, folder, "dev", "short")
    cdk.bootstrap()
    cdk.synth()
    deployed = Deployed(emulator, cdk.deploy(cdk.stacks("DataLake")), "")
    signer = Presigner(deployed.bucket, "", emulator.url)

    form = signer.form("lists/x/upload", smallest=1, largest=10, expires_s=60)
    assert post_form(form["url"], form["fields"], b"eleven byte").status in (400, 403)
    assert post_form(form["url"], {**form["fields"], "x-amz-signature": "0" * 64}, b"ten bytes.").status == 403
    assert post_form(form["url"], form["fields"], b"ten bytes.").status in (200, 201, 204)

    address = signer.download("lists/x/upload", name="list.csv", media_type="text/csv", expires_s=60)
    assert fetch(address).body == b"ten bytes."
    assert fetch(address.replace("upload", "another")).status == 403
    # Emptied by the function that the CDK adds, which the emulator really runs.
    cdk.destroy(cdk.stacks("DataLake"))
    assert [b["Name"] for b in emulator.client("s3").list_buckets()["Buckets"] if not b["Name"].startswith("cdk-")] == []
