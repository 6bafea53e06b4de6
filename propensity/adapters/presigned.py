"""Addresses by which somebody without credentials may upload or download one object of S3, within a time and a size.

S3 itself refuses what is late, tampered with or too large. An address is good for as long as it says and no longer than the credentials
that signed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from propensity.errors import ObjectStoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 5


class Presigner:
    """Signs addresses of objects in one bucket, below one prefix.

    Parameters
    ----------
    endpoint_url : str or None
        Another S3 than AWS; it stands in the addresses.
    """

    def __init__(self, bucket: str, prefix: str, endpoint_url: str | None = None) -> None:
        self._bucket = bucket
        self._head = f"{prefix}/" if prefix else ""
        self._client = _client(endpoint_url)

    def form(self, key: str, *, smallest: int, largest: int, expires_s: int) -> dict[str, Any]:
        """Address and fields of a form that uploads one object of ``smallest`` to ``largest`` bytes: ``{"url", "fields"}``.

        Raises ObjectStoreUnavailable where there are no credentials to sign with.
        """
        with _signing():
            made = self._client.generate_presigned_post(
                self._bucket, self._head + key, Conditions=[["content-length-range", smallest, largest]], ExpiresIn=expires_s
            )
        return {"url": made["url"], "fields": made["fields"]}

    def begin_parts(self, key: str) -> str:
        """Begin an upload in parts; its id. What is not completed the bucket's lifecycle removes."""
        with _signing():
            return self._client.create_multipart_upload(Bucket=self._bucket, Key=self._head + key)["UploadId"]

    def part(self, key: str, upload_id: str, number: int, size_bytes: int, *, expires_s: int) -> str:
        """Address for the PUT of one part of exactly that size."""
        named = {"UploadId": upload_id, "PartNumber": number, "ContentLength": size_bytes}
        return self._sign("upload_part", key, named, expires_s)

    def complete(self, key: str, upload_id: str, *, expires_s: int) -> str:
        """Address for the POST that puts the parts together, which is refused where the object is there already."""
        return self._sign("complete_multipart_upload", key, {"UploadId": upload_id, "IfNoneMatch": "*"}, expires_s)

    def download(self, key: str, *, name: str, media_type: str, expires_s: int) -> str:
        """Address from which a browser saves the object under that name."""
        told = {"ResponseContentDisposition": f'attachment; filename="{name}"', "ResponseContentType": media_type}
        return self._sign("get_object", key, told, expires_s)

    def _sign(self, operation: str, key: str, named: dict[str, Any], expires_s: int) -> str:
        with _signing():
            return self._client.generate_presigned_url(
                operation, Params={"Bucket": self._bucket, "Key": self._head + key, **named}, ExpiresIn=expires_s
            )


def _client(endpoint_url: str | None) -> S3Client:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": 2, "mode": "standard"},
        # Objects under a key of KMS are taken with this signature alone.
        signature_version="s3v4",
        # "virtual" makes botocore name the bucket's region: the global address redirects for a new bucket, and a form cannot follow.
        s3={"addressing_style": "path" if endpoint_url else "virtual"},
        # A checksum that the caller must compute is not asked of him: what he sends is plain HTTP.
        request_checksum_calculation="when_required",
    )
    client: S3Client = boto3.session.Session().client("s3", endpoint_url=endpoint_url, config=config)
    return client


@contextmanager
def _signing() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as exc:
        raise ObjectStoreUnavailable(f"S3 refused an upload: {exc.response.get('Error', {}).get('Code', 'unknown')}") from exc
    except BotoCoreError as exc:
        raise ObjectStoreUnavailable(f"S3 did not answer: {type(exc).__name__}") from exc
