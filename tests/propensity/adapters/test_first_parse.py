"""The process to throw away: sound packages pass, and what ends, stops or bloats it is refused with the reason."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from propensity.adapters import first_parse as module
from propensity.adapters.first_parse import FirstParse
from propensity.errors import ModelDamaged, ProgramFailed
from propensity.model import Model, SealedPackage, seal_package
from tests.api.broken_models import CHANGES, TEXTS, broken, under_fitting_digests
from tests.builders import tiny_model


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture
def first_parse() -> Iterator[FirstParse]:
    made = FirstParse(cpu_s=2, deadline_s=60)
    yield made
    made.close()


def sealed(model: Model) -> SealedPackage:
    return seal_package(model.campaign, model.manifest.to_bytes(), model.model_json, None)


def children() -> list[str]:
    """Processes that this one started and that have not been waited for."""
    return [name for task in os.listdir("/proc/self/task") for name in open_text(f"/proc/self/task/{task}/children").split()]


def open_text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def test_a_sound_package_passes_and_is_not_tried_again(model: Model, first_parse: FirstParse, monkeypatch: pytest.MonkeyPatch) -> None:
    first_parse(sealed(model))

    def fail(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("tried again")

    monkeypatch.setattr("propensity.adapters.first_parse.subprocess.Popen", fail)
    first_parse(sealed(model))


def test_what_xgboost_prints_is_no_answer(model: Model, first_parse: FirstParse, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = "import sys; sys.path[:] = sys.argv[1:]; import propensity.first_parse as f; look = f._look; "
    monkeypatch.setattr(module, "_PROGRAM", noisy + "f._look = lambda *given: (print('a warning'), look(*given))[1]; f.main()")
    first_parse(sealed(model))


def test_a_child_made_ready_is_used_and_none_is_left(model: Model, first_parse: FirstParse) -> None:
    before = set(children())
    first_parse.prepare()
    (ready,) = set(children()) - before
    first_parse(sealed(model))
    assert ready not in children()
    assert set(children()) == before


def test_a_child_made_ready_and_never_needed_ends(first_parse: FirstParse) -> None:
    before = set(children())
    first_parse.prepare()
    first_parse.prepare()
    assert len(set(children()) - before) == 1
    first_parse.close()
    assert set(children()) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CHANGES, *TEXTS])
def test_a_broken_booster_is_refused_and_leaves_nothing_behind(model: Model, first_parse: FirstParse, name: str) -> None:
    before = set(children())
    with pytest.raises(ModelDamaged):
        first_parse(sealed(broken(model, name)))
    assert set(children()) == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty", "SIGABRT"),
        ("nested", "SIGSEGV"),
        ("categories of its own", "SIGSEGV"),
        ("a cycle deep down", "none: a child"),
        ("a column far away", "column"),
        ("truncated", "cannot be read"),
    ],
)
def test_the_reason_says_what_happened(model: Model, first_parse: FirstParse, name: str, reason: str) -> None:
    with pytest.raises(ModelDamaged, match=reason):
        first_parse(sealed(broken(model, name)))


BLIND = "import sys; sys.path[:] = sys.argv[1:]; import propensity.booster as b; b.check_trees = lambda *_: None; "
ENDLESS = (
    "import sys; sys.path[:] = sys.argv[1:]; import propensity.first_parse as f; f._look = lambda *_: [0 for _ in iter(int, 1)]; f.main()"
)


@pytest.mark.parametrize("name", ["a cycle deep down", "a negative child", "a column far away"])
def test_scoring_that_ends_the_process_is_refused_too(
    model: Model, first_parse: FirstParse, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The second line: the trees are not looked at, so that the canary rows run into what is wrong."""
    monkeypatch.setattr(module, "_PROGRAM", BLIND + "from propensity.first_parse import main; main()")
    with pytest.raises(ModelDamaged, match="SIGSEGV"):
        first_parse(sealed(broken(model, name)))


def test_what_never_ends_is_stopped_after_its_seconds_of_processor(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(children())
    monkeypatch.setattr(module, "_PROGRAM", ENDLESS)
    with pytest.raises(ModelDamaged, match="more time"):
        FirstParse(cpu_s=1)(sealed(model))
    assert set(children()) == before


def test_a_child_that_does_not_answer_in_time_is_ended(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(children())
    monkeypatch.setattr(module, "_PROGRAM", "import time; time.sleep(60)")
    with pytest.raises(ModelDamaged, match="within 1 s"):
        FirstParse(deadline_s=1)(sealed(model))
    assert set(children()) == before


def test_memory_is_limited(model: Model) -> None:
    """Five million zeros are 10 MB of text and many times that once XGBoost has read them."""
    document = json.loads(model.model_json)
    document["learner"]["gradient_booster"]["model"]["tree_info"] = [0] * 5_000_000
    with pytest.raises(ModelDamaged):
        FirstParse(memory_bytes=64 * 2**20)(sealed(under_fitting_digests(model, json.dumps(document).encode())))


def test_other_scores_than_at_training_are_refused(model: Model, first_parse: FirstParse) -> None:
    changed = replace(model, manifest=replace(model.manifest, offset=model.manifest.offset + 1e-9))
    with pytest.raises(ModelDamaged, match="scores"):
        first_parse(sealed(changed))


def test_many_threads_at_once(model: Model, first_parse: FirstParse) -> None:
    def ask(name: str | None) -> bool:
        try:
            first_parse(sealed(model if name is None else broken(model, name)))
        except ModelDamaged:
            return False
        return True

    asked = [None, "a negative child", None, "nested", "a column far away"]
    with ThreadPoolExecutor(5) as threads:
        assert list(threads.map(ask, asked)) == [name is None for name in asked]


def test_a_child_that_cannot_start_says_nothing_of_the_package(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("propensity.adapters.first_parse.sys.executable", "/nowhere/python")
    with pytest.raises(ProgramFailed):
        FirstParse()(sealed(model))
    monkeypatch.undo()
    monkeypatch.setattr(module, "_PROGRAM", "raise SystemExit('no numpy here')")
    with pytest.raises(ProgramFailed, match="no numpy here"):
        FirstParse()(sealed(model))


TELL = """
import json, os, socket, sys
import propensity.first_parse as first_parse
def tell(header, source):
    tried = []
    for what in (lambda: socket.socket(), lambda: open("/etc/passwd"), lambda: os.open("/tmp", os.O_RDONLY)):
        try:
            what()
            tried.append("allowed")
        except OSError as exc:
            tried.append(exc.strerror)
    return {"refused": json.dumps({"environ": dict(os.environ), "tried": tried})}
sys.path[:] = sys.argv[1:]
first_parse._look = tell
first_parse.main()
"""


def test_the_child_holds_no_secret_and_can_open_nothing(model: Model, first_parse: FirstParse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPENSITY_DATABASE_URL", "postgresql://app:secret@127.0.0.1/propensity")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(module, "_PROGRAM", "import sys; sys.path[:] = sys.argv[1:]\n" + TELL)
    with pytest.raises(ModelDamaged) as told:
        first_parse(sealed(model))
    found = json.loads(str(told.value))
    # PATH is what XGBoost makes up on its own.
    assert "secret" not in str(told.value)
    assert set(found["environ"]) <= {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LD_LIBRARY_PATH", "LC_CTYPE", "PATH"}
    assert found["tried"] == ["Too many open files"] * 3
