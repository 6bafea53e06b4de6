"""What the emulator knows but leaves out, mended where something deployed relies on it."""

from __future__ import annotations

from typing import Any

_BUCKET = "AWS::S3::Bucket"
_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - the name of a resource type
# Public parameters with the newest machine image; every account can read them.
_MACHINE_IMAGES = {"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64": "ami-0c2023a1b2c3d4e5f"}


def register(handlers: dict[str, dict[str, Any]]) -> None:
    """Mend the handlers in place."""
    from ministack.services import ssm
    from ministack.services.cloudformation import provisioners

    ssm._PUBLIC_AMI_PARAMETERS.update(_MACHINE_IMAGES)
    # Else the secrets of a container keep names that ECS does not read.
    provisioners._normalize_container_defs = provisioners._pascal_to_camel
    _cut_versions()
    _keep_tags_of_buckets(handlers)
    _refer_to_secrets_by_arn(handlers)


def _cut_versions() -> None:
    """A part of one version of an object is answered with that part, and not with the whole."""
    from ministack.services import s3

    get = s3._get_object

    def get_cut(bucket: str, key: str, headers: dict[str, str], query_params: Any = None) -> Any:
        status, told, body = get(bucket, key, headers, query_params)
        asked = headers.get("range", "")
        if status != 200 or not asked or not (query_params or {}).get("versionId"):
            return status, told, body
        found = s3._parse_range(asked, len(body))
        if found is None:
            return 416, {"Content-Type": "application/xml", "Content-Range": f"bytes */{len(body)}"}, b""
        part = body[found[0] : found[1] + 1]
        # A sum over the whole says nothing of a part.
        kept = {name: value for name, value in told.items() if not name.lower().startswith("x-amz-checksum")}
        return 206, kept | {"Content-Length": str(len(part)), "Content-Range": f"bytes {found[0]}-{found[1]}/{len(body)}"}, part

    s3._get_object = get_cut


def _keep_tags_of_buckets(handlers: dict[str, dict[str, Any]]) -> None:
    """The function that empties a bucket before it goes refuses to touch one without its tag."""
    known = handlers[_BUCKET]
    create, update = known["create"], known["update"]

    def create_tagged(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        physical_id, attributes = create(logical_id, props, stack_name)
        _tag(physical_id, props)
        return physical_id, attributes

    def update_tagged(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any) -> Any:
        same_id, attributes = update(physical_id, old, new, *rest)
        _tag(same_id, new)
        return same_id, attributes

    handlers[_BUCKET] = {**known, "create": create_tagged, "update": update_tagged}


def _tag(bucket: str, props: dict[str, Any]) -> None:
    from ministack.services import s3

    s3._bucket_tags[bucket] = {tag["Key"]: tag["Value"] for tag in props.get("Tags") or []}


def _refer_to_secrets_by_arn(handlers: dict[str, dict[str, Any]]) -> None:
    """``Ref`` of a secret is its ARN on AWS, and containers name their secrets by it."""
    known = handlers[_SECRET]
    create, update, delete = known["create"], known["update"], known["delete"]

    def create_by_arn(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        _, attributes = create(logical_id, props, stack_name)
        return attributes["Arn"], attributes

    def update_by_arn(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any) -> Any:
        _, attributes = update(_name_of(physical_id), old, new, *rest)
        return attributes.get("Arn", physical_id), attributes

    def delete_by_arn(physical_id: str, props: dict[str, Any]) -> None:
        delete(_name_of(physical_id), props)

    handlers[_SECRET] = {**known, "create": create_by_arn, "update": update_by_arn, "delete": delete_by_arn}


def _name_of(arn: str) -> str:
    from ministack.services import secretsmanager

    found = [name for name, secret in list(secretsmanager._secrets.items()) if secret["ARN"] == arn]
    return found[0] if found else arn
