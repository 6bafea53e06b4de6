"""What each image can import: its processes must start without the packages that only other images hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
HEAVY = ("pandas", "pyarrow", "mlflow", "sklearn", "evidently", "prefect", "matplotlib", "sqlalchemy", "alembic", "rich")
SDKS = ("numpy", "pydantic", "xgboost", "boto3", "psycopg", "flask")

# Runs in a fresh interpreter in which the absent packages cannot be found, as in the image.
IMPORT_ALL = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"{{name}} is not in this image", name=name)

sys.meta_path.insert(0, Absent())
for name in {packages!r}:
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(package, "__path__", []), name + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
"""


@pytest.mark.parametrize(
    ("packages", "absent"),
    [
        (("api",), HEAVY),
        (("propensity.campaign", "propensity.recipe", "propensity.campaigns", "propensity.errors"), HEAVY + SDKS),
    ],
    ids=["scoring service", "declarations"],
)
def test_every_module_loads_without_what_its_image_lacks(packages: tuple[str, ...], absent: tuple[str, ...]) -> None:
    code = IMPORT_ALL.format(absent=absent, packages=packages)
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]
