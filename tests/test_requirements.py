"""The locked dependency sets: complete, in agreement, and each image without what it must not hold."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / "requirements"
SETS = sorted(p.stem for p in FOLDER.glob("*.txt") if p.stem != "constraints")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(\[[^]]*])?==([^\s;]+)")


def pins(name: str) -> set[tuple[str, str]]:
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {(match[1], match[3]) for line in lines if (match := PIN.match(line))}


def packages(name: str) -> set[str]:
    return {package for package, _ in pins(name)}


def test_every_declared_set_is_locked() -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(SETS) == set(declared)


@pytest.mark.parametrize("name", SETS)
def test_every_line_is_a_pin_with_hashes(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    entries = text.replace("\\\n", " ").splitlines()
    assert entries
    for entry in entries:
        assert PIN.match(entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("name", [*SETS, "constraints"])
def test_no_file_names_an_address_a_machine_or_an_option(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert " @ " not in text
    assert not re.search(r"^\s*--(?!hash=)", text, re.MULTILINE)


@pytest.mark.parametrize("name", SETS)
def test_versions_agree_over_all_sets(name: str) -> None:
    assert pins(name) <= pins("constraints")


def test_the_scoring_image_is_small() -> None:
    forbidden = {
        "pandas",
        "pyarrow",
        "mlflow",
        "mlflow-skinny",
        "scikit-learn",
        "xgboost",
        "prefect",
        "evidently",
        "matplotlib",
        "sqlalchemy",
    }
    assert not packages("api") & forbidden
    assert "xgboost-cpu" in packages("api")


def test_lambdas_hold_neither_pydantic_nor_numbers() -> None:
    assert not packages("lambda") & {"pydantic", "numpy", "pandas", "scipy"}


def test_no_set_holds_the_gpu_build() -> None:
    assert not [p for name in SETS for p in packages(name) if p == "xgboost" or p.startswith("nvidia")]


def test_development_holds_every_other_set() -> None:
    others = set().union(*(packages(name) for name in SETS if name not in ("dev", "bootstrap")))
    assert others <= packages("dev")
