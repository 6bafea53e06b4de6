"""What the function is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..variables import address, bucket_and_prefix, required, s3_endpoint, seconds, whole_number

STORE = "PROPENSITY_STORE_URL"
SCORING = "PROPENSITY_SCORING_URL"
TIMEOUT = "PROPENSITY_SCORING_TIMEOUT_S"
UPLOAD_LIMIT = "PROPENSITY_UPLOAD_LIMIT_BYTES"
UPLOAD_EXPIRY = "PROPENSITY_UPLOAD_EXPIRY_S"
DOWNLOAD_EXPIRY = "PROPENSITY_DOWNLOAD_EXPIRY_S"
S3_ENDPOINT = "PROPENSITY_S3_ENDPOINT_URL"

MIB = 1024 * 1024
# S3 takes up to 10,000 parts of up to 5 GiB; a list of this size is some hundred million customers.
LARGEST_UPLOAD_BYTES = 100 * 1024 * MIB
# A presigned address lives no longer than the credentials that signed it, and those of a function are good for some hours.
LONGEST_EXPIRY_S = 6 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class ListsEnvironment:
    """Where lists lie, and who can say whose a key is.

    Attributes
    ----------
    bucket, prefix : str
        The data lake, from ``PROPENSITY_STORE_URL``, as in ``s3://bucket`` or ``s3://bucket/prefix``.
    scoring_host, scoring_port : str, int
        The scoring service, which verifies the caller's key, from ``PROPENSITY_SCORING_URL``.
    timeout_s : float
        How long its answer may take, from ``PROPENSITY_SCORING_TIMEOUT_S``.
    upload_limit_bytes : int
        From ``PROPENSITY_UPLOAD_LIMIT_BYTES``: what S3 takes at most for one list.
    upload_expiry_s, download_expiry_s : int
        From ``PROPENSITY_UPLOAD_EXPIRY_S`` and ``PROPENSITY_DOWNLOAD_EXPIRY_S``: how long the presigned addresses are good.
    s3_endpoint_url : str or None
        Another S3 than that of AWS, from ``PROPENSITY_S3_ENDPOINT_URL``; it is what callers see in presigned addresses. May be left out.
    """

    bucket: str
    prefix: str
    scoring_host: str
    scoring_port: int
    timeout_s: float
    upload_limit_bytes: int
    upload_expiry_s: int
    download_expiry_s: int
    s3_endpoint_url: str | None


def read_environment(variables: Mapping[str, str]) -> ListsEnvironment:
    """Read the variables. Raises SettingsInvalid, naming the one that is missing or wrong."""
    required(variables, STORE, SCORING, TIMEOUT, UPLOAD_LIMIT, UPLOAD_EXPIRY, DOWNLOAD_EXPIRY)
    bucket, prefix = bucket_and_prefix(variables, STORE)
    host, port = address(variables, SCORING, "http://scoring.internal:8700")
    return ListsEnvironment(
        bucket=bucket,
        prefix=prefix,
        scoring_host=host,
        scoring_port=port,
        timeout_s=seconds(variables, TIMEOUT, 29),
        upload_limit_bytes=whole_number(variables, UPLOAD_LIMIT, 1, LARGEST_UPLOAD_BYTES),
        upload_expiry_s=whole_number(variables, UPLOAD_EXPIRY, 1, LONGEST_EXPIRY_S),
        download_expiry_s=whole_number(variables, DOWNLOAD_EXPIRY, 1, LONGEST_EXPIRY_S),
        s3_endpoint_url=s3_endpoint(variables, S3_ENDPOINT),
    )
