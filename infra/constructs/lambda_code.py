"""What Lambda functions are made of: this project's code by path, and one layer. Nothing is built and nothing fetched at synthesis."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath

import aws_cdk as cdk
from aws_cdk import IgnoreMode
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from propensity.errors import SettingsInvalid

PROJECT = Path(__file__).resolve().parents[2]
RUNTIME = lambda_.Runtime.PYTHON_3_14
# Copied from where this program itself runs: the very versions that the lock file names and the tests ran with. boto3 is in the runtime.
LAYER_PACKAGES = ("aws-lambda-powertools", "jmespath", "typing-extensions")
_LAYER_ID = "FunctionPackages"
_MACHINE_CODE = (".so", ".pyd", ".dylib")


def code() -> lambda_.Code:
    """The folders ``propensity`` and ``lambda``, nothing else of the project."""
    return lambda_.Code.from_asset(
        str(PROJECT), exclude=["/*", "!/propensity", "!/lambda", "__pycache__", "*.pyc"], ignore_mode=IgnoreMode.GIT
    )


def layer(scope: Construct) -> lambda_.LayerVersion:
    """The layer of the stack that ``scope`` is in; made when first asked for."""
    stack = cdk.Stack.of(scope)
    known = stack.node.try_find_child(_LAYER_ID)
    if known is None:
        return lambda_.LayerVersion(
            stack,
            _LAYER_ID,
            code=lambda_.Code.from_asset(str(layer_folder())),
            compatible_runtimes=[RUNTIME],
            description=", ".join(LAYER_PACKAGES),
        )
    assert isinstance(known, lambda_.LayerVersion)
    return known


@cache
def layer_folder() -> Path:
    """A folder with the packages of the layer; it appears whole, so that any number of processes may synthesise at once.

    Raises
    ------
    SettingsInvalid
        A package is not installed here, or is not plain Python.
    """
    files = [file for package in LAYER_PACKAGES for file in _files(package)]
    # By what is in it: another version of a package is another folder.
    made_of = hashlib.sha256()
    for source, inside in files:
        made_of.update(f"{inside} {hashlib.sha256(source.read_bytes()).hexdigest()}\n".encode())
    folder = PROJECT / "build" / "lambda-layer" / made_of.hexdigest()[:16]
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".half-"))
    for source, inside in files:
        target = half / "python" / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    half.chmod(0o755)
    try:
        half.rename(folder)
    except OSError:
        # Another process was faster; what it made is the same.
        shutil.rmtree(half)
        if not folder.is_dir():
            raise
    return folder


def _files(package: str) -> Iterator[tuple[Path, PurePosixPath]]:
    """Modules of a package and its licence; what the installer wrote down about this machine stays here."""
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError as exc:
        raise SettingsInvalid(f"the package {package} is not installed here, and the Lambda functions need it: make setup") from exc
    for file in found.files or ():
        if file.suffix in _MACHINE_CODE:
            raise SettingsInvalid(f"the package {package} brings machine code, which would have to be that of Lambda")
        about = file.parts[0].endswith(".dist-info")
        wanted = file.name in ("METADATA", "LICENSE", "LICENSE.txt") if about else file.suffix != ".pyc"
        if wanted and ".." not in file.parts:
            yield Path(str(found.locate_file(file))), PurePosixPath(*file.parts)
