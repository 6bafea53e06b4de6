"""What a person asks for on the command line: an environment, a profile, versions of images. Standard library only: no Node.js yet."""

from __future__ import annotations

import re

from infra.config import ENVIRONMENTS, Environment
from infra.profiles import with_profile
from propensity.errors import SettingsInvalid

# As infra/constructs/registry.py has them, which cannot be imported without Node.js; a test compares the two.
IMAGES = ("api", "flows", "mlflow", "grafana")
_VERSION = re.compile(r"sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)


def chosen(name: str | None, profile: str | None) -> Environment:
    """The environment of that name in that profile. Raises SettingsInvalid, naming those that exist."""
    for environment in ENVIRONMENTS:
        if environment.name == name:
            return with_profile(environment, profile or None)
    what = f"there is no environment {name!r}" if name else "no environment was named"
    raise SettingsInvalid(f"{what}: give one of {', '.join(environment.name for environment in ENVIRONMENTS)}, as in make ... ENV=dev")


def image_versions(tag: str | None, images: str | None) -> dict[str, str]:
    """Which version of each image is meant: ``tag``, but for those that ``images`` names (``api=sha256:...,flows=...``).

    Raises
    ------
    SettingsInvalid
        An image without a version, an unknown image, or something that is neither a tag nor a digest.
    """
    versions = dict.fromkeys(IMAGES, tag or "")
    for part in filter(None, (images or "").split(",")):
        name, _, version = part.partition("=")
        if name not in versions:
            raise SettingsInvalid(f"there is no image {name!r}: give NAME=VERSION,..., where NAME is one of {', '.join(IMAGES)}")
        versions[name] = version
    missing = [name for name, version in versions.items() if not version]
    if missing:
        raise SettingsInvalid(f"no tag was named for {', '.join(missing)}: give TAG=..., mostly the commit that the images were built from")
    for name, version in versions.items():
        if not _VERSION.fullmatch(version):
            raise SettingsInvalid(f"{version!r} is no version of the image {name}: give a tag, or a digest as sha256:...")
    return versions
