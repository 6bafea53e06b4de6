"""Image repositories, one for each image that the pipeline builds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra.config import Environment
from propensity.errors import SettingsInvalid

Image = Literal["api", "flows", "mlflow", "grafana"]
IMAGES: tuple[Image, ...] = get_args(Image)
_VERSION = re.compile(r"sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)


class Registry(Construct):
    """Repositories whose tags never move: what was tested is what runs.

    Attributes
    ----------
    repositories : mapping of image to ecr.Repository
    """

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(scope, construct_id)
        self.repositories: Mapping[Image, ecr.Repository] = {image: self._repository(image, environment) for image in IMAGES}

    def _repository(self, image: Image, environment: Environment) -> ecr.Repository:
        return ecr.Repository(
            self,
            image.capitalize(),
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            encryption=ecr.RepositoryEncryption.KMS,
            lifecycle_rules=[
                ecr.LifecycleRule(
                    description="leftovers", tag_status=ecr.TagStatus.UNTAGGED, max_image_age=Duration.days(7), rule_priority=1
                ),
                ecr.LifecycleRule(description="old ones", max_image_count=environment.retention.image_count, rule_priority=2),
            ],
            removal_policy=RemovalPolicy.RETAIN if environment.keep_data else RemovalPolicy.DESTROY,
            empty_on_delete=not environment.keep_data,
        )


class Images:
    """Which image of each repository runs.

    Parameters
    ----------
    tags : mapping of image to str
        A tag, or a digest as ``sha256:...``.
    version : str
        The commit that all of it is made of: what runs without an image, jobs on Spark, is found by it.
    """

    def __init__(self, registry: Registry, tags: Mapping[Image, str], version: str) -> None:
        self._registry = registry
        self.tags = tags
        self.version = version

    def container(self, image: Image) -> ecs.ContainerImage:
        return ecs.ContainerImage.from_ecr_repository(self._registry.repositories[image], self.tags[image])

    def repository(self, image: Image) -> ecr.Repository:
        return self._registry.repositories[image]


def image_tags(tag: object, images: object = None) -> dict[Image, str]:
    """Which version of each image runs.

    Parameters
    ----------
    tag : str
        Of every image: the context ``tag``, mostly the commit that they were built from.
    images : str or None
        Others for some of them, as ``api=sha256:...,flows=sha256:...``: the context ``images``.

    Raises
    ------
    SettingsInvalid
        There is none for some image, or it is neither a tag nor a digest.
    """
    given = dict.fromkeys(IMAGES, "" if tag is None else str(tag))
    for part in filter(None, str(images or "").split(",")):
        name, _, version = part.partition("=")
        if name not in given:
            raise SettingsInvalid(f"there is no image {name!r}: -c images=NAME=VERSION,..., where NAME is one of {', '.join(IMAGES)}")
        given[name] = version
    for image, version in given.items():
        if not version:
            raise SettingsInvalid(f"no version of the image {image} was named: add -c tag=TAG, the commit that the images were built from")
        if not _VERSION.fullmatch(version):
            raise SettingsInvalid(f"{version!r} is no version of the image {image}: a tag, or a digest as sha256:...")
    return given
