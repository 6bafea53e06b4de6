"""What each image can import: its processes must start without the packages that only other images hold."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from propensity.adapters.object_store import FolderStore
from propensity.campaigns import campaign
from propensity.model import save_package
from tests.api.models import as_table, make_model, make_rows

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


# The service's own code puts itself together, takes a model and scores, where these packages are absent; nothing is ever unpickled.
SERVE = """
import json, sys

found = []
sys.addaudithook(lambda event, given: found.append(given) if event == "pickle.find_class" else None)

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"{{name}} is not in this image", name=name)

sys.meta_path.insert(0, Absent())
from api.__main__ import main  # first, as python -m api has it
from api.app import create_app
from api.auth import ApiKeys
from propensity.access import Role, new_key
from api.models import LiveModels
from api.services import GateServices, Services
from propensity.adapters.first_parse import FirstParse
from propensity.adapters.object_store import FolderStore
from propensity.campaigns import campaign
from tests.fake_gate import FakeErasureStore, FakeSuppressionStore, GatedLog, fake_gate
from tests.fakes import FakeApiKeyStore, FakeDatabase, FakeOutcomeStore, FakePromotionLedger
from tests.fakes_alerts import FakeAlertStore, FakeHeartbeatStore
from propensity.ports import Promotion

declared = campaign("term-deposit")
database, first_parse = FakeDatabase(), FirstParse()
first_parse.prepare()
log, ledger = GatedLog(database, FakeSuppressionStore(database)), FakePromotionLedger(database)
gate = GateServices(fake_gate(log), log.suppressions, log.contacts, FakeErasureStore(log))
digest, body = sys.argv[2], json.loads(sys.stdin.read())
ledger.append(Promotion(declared.name, 1, "promote", digest, digest[:12], None, [], {{}}, "test"))
models = LiveModels({{declared.name: declared}}, FolderStore(sys.argv[1]), ledger, first_parse)
models.refresh()
store = FakeApiKeyStore(database)
text, new = new_key("tester", Role.OPERATOR, by="tester")
store.add(new)
keys = ApiKeys(store, rate_per_s=1000.0)
keys.refresh()
alerts = FakeAlertStore(database), FakeHeartbeatStore(database)
app = create_app(Services({{declared.name: declared}}, models, log, FakeOutcomeStore(log), database, keys, *alerts, gate))
client = app.test_client()
client.environ_base["HTTP_AUTHORIZATION"] = "Bearer " + text
reply = client.post("/v1/campaigns/term-deposit/predictions", json=body)
assert reply.status_code == 200, reply.text
one = reply.json["predictions"][0]["prediction_id"]
assert client.get("/v1/predictions/" + one).json["explanation"]["reproduced"]
assert not found, found
loaded = sorted(set(sys.modules) & {{"pandas", "sklearn", "mlflow", "joblib", "cloudpickle", "dill"}})
print(json.dumps({{"digest": reply.json["model"]["digest"], "scores": [p["score"] for p in reply.json["predictions"]], "loaded": loaded}}))
"""
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}


def test_the_service_takes_a_model_and_scores_without_them_and_unpickles_nothing(tmp_path: Path) -> None:
    """What is claimed: our code imports no unpickler, and none was at work from the start to the reply.

    What is not: that the module ``pickle`` is absent. NumPy and the standard library import it for functions that are never called here.
    """
    declared = campaign("term-deposit")
    model = make_model(declared)
    save_package(FolderStore(tmp_path), model)
    rows = make_rows(declared, 20, seed=5)
    code = SERVE.format(absent=(*HEAVY, "joblib", "cloudpickle", "dill"))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), model.digest],
        cwd=PROJECT,
        input=json.dumps({"customers": rows}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]
    told = json.loads(done.stdout)
    assert told["digest"] == model.digest
    assert told["scores"] == model.score(as_table(declared, rows)).tolist()
    assert told["loaded"] == []


@pytest.mark.parametrize("folder", ["api", "propensity"])
def test_our_code_imports_no_unpickler(folder: str) -> None:
    for path in sorted((PROJECT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & UNPICKLERS, path


def test_the_hook_that_watches_for_unpickling_would_notice() -> None:
    code = """
import pickle, sys
found = []
sys.addaudithook(lambda event, given: found.append(given) if event == "pickle.find_class" else None)
pickle.loads(pickle.dumps(sys.addaudithook))
sys.exit(0 if found else 1)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
