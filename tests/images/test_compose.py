"""compose.yaml names images, commands and variables that exist, and lets nobody in from outside this machine."""

from __future__ import annotations

import inspect
import re
import stat
import subprocess
import warnings
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from api.pages.session import Sessions
from api.server import Server
from flows.databases import ADMIN_PASSWORD, ADMIN_URL, password_variable, roles
from propensity.errors import SettingsInvalid
from propensity.settings import Settings, read_settings

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FOLDER = ".propensity/compose"
SECRET = re.compile(r"PASSWORD(?!_FILE)|SECRET|TOKEN|AUTH_STRING")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that images/secrets.sh makes."""
    folder = tmp_path_factory.mktemp("secrets") / "compose"
    subprocess.run(["bash", "images/secrets.sh", str(folder)], cwd=PROJECT, check=True, capture_output=True)
    return folder


def env_file(folder: Path, named: str) -> dict[str, str]:
    lines = (folder / Path(named).name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def variables(name: str, folder: Path) -> dict[str, str]:
    """All that the service is told: what stands in the file, and what its secret files hold."""
    service = SERVICES[name]
    told: dict[str, str] = {}
    for named in service.get("env_file", []):
        assert Path(named).parent == Path(FOLDER)
        told |= env_file(folder, named)
    # What stands in the file wins over what its secret files say.
    return told | {key: str(value) for key, value in service.get("environment", {}).items()}


def test_the_platform_is_complete() -> None:
    assert set(SERVICES) == {"postgres", "databases", "api", "mlflow", "prefect", "worker", "health", "grafana", "operator"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_of_this_machine_alone(name: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name].get("ports", []))
    assert "network_mode" not in SERVICES[name]


def test_no_two_services_publish_one_port() -> None:
    published = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_locked_in(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert str(service.get("user", "10001")).partition(":")[0] != "0"


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_built_here_or_cannot_change(name: str) -> None:
    service = SERVICES[name]
    if "build" not in service:
        assert re.search(r"@sha256:[0-9a-f]{64}$", service["image"])
        return
    dockerfile = PROJECT / service["build"]["dockerfile"]
    assert dockerfile.is_file()
    assert service["image"] == f"propensity-{dockerfile.parent.name}"


@pytest.mark.parametrize("name", SERVICES)
def test_every_command_exists_in_its_image(name: str) -> None:
    command = [*SERVICES[name].get("entrypoint", []), *SERVICES[name].get("command", [])]
    if not command:
        return
    programs = {script.name for script in metadata.entry_points(group="console_scripts")}
    if command[:2] != ["python", "-m"]:
        assert command[0] in programs
        return
    module = PROJECT / command[2].replace(".", "/")
    assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
    dockerfile = (PROJECT / SERVICES[name]["build"]["dockerfile"]).read_text(encoding="utf-8")
    assert f"COPY {command[2].partition('.')[0]} " in dockerfile


@cache
def known_variables() -> set[str]:
    """Every variable that some program of the platform reads."""
    with warnings.catch_warnings():  # MLflow's own, about its own types
        warnings.simplefilter("ignore")
        from mlflow.cli import server
    from prefect.settings import Settings as PrefectSettings
    from prefect.settings.legacy import _get_valid_setting_names

    ours = {f"PROPENSITY_{field.upper()}" for field in Settings.model_fields} | {
        ADMIN_URL,
        ADMIN_PASSWORD,
        *map(password_variable, roles()),
    }
    ours |= set(re.findall(r"\$\{(PROPENSITY_\w+)\}", "".join(p.read_text(encoding="utf-8") for p in (PROJECT / "images").rglob("*.yaml"))))
    mlflow = {str(option.envvar) for option in server.params if getattr(option, "envvar", None)}
    # libpq's and asyncpg's password; who is at the terminal; the Postgres image's own.
    others = {"PGPASSWORD", "LOGNAME", "POSTGRES_USER", "POSTGRES_PASSWORD_FILE", "POSTGRES_INITDB_ARGS"}
    return ours | mlflow | set(_get_valid_setting_names(PrefectSettings)) | others


@pytest.mark.parametrize("name", SERVICES)
def test_every_variable_is_one_that_a_program_reads(name: str, made: Path) -> None:
    told = set(variables(name, made))
    grafana = {variable for variable in told if re.fullmatch(r"GF_(DATABASE|SERVER|SECURITY)_[A-Z_]+", variable)}
    assert told - grafana <= known_variables()
    assert name == "grafana" or not grafana


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_the_file(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        assert not SECRET.search(variable), variable
        assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), variable


def test_each_service_is_told_its_own_passwords_and_no_other(made: Path) -> None:
    of = env_file(made, "databases.env")
    passwords = {role: of[password_variable(role)] for role in roles()} | {"admin": of[ADMIN_PASSWORD]}
    known = {
        name: {role for role, password in passwords.items() if any(password in value for value in variables(name, made).values())}
        for name in SERVICES
    }
    assert known == {
        "postgres": set(),
        "databases": set(passwords),
        "api": {"propensity_app"},
        "mlflow": {"mlflow"},
        "prefect": {"prefect"},
        "worker": {"propensity_app", "prefect"},
        "health": {"propensity_app", "prefect"},
        "grafana": {"grafana", "propensity_reader"},
        "operator": {"propensity_app", "propensity_owner"},
    }
    assert (made / "postgres").read_text(encoding="utf-8") == passwords["admin"]


def test_both_sides_know_the_password_of_prefect(made: Path) -> None:
    server, worker, operator = (variables(name, made) for name in ("prefect", "worker", "operator"))
    assert server["PREFECT_SERVER_API_AUTH_STRING"] == worker["PREFECT_API_AUTH_STRING"] == operator["PREFECT_API_AUTH_STRING"]


def test_every_process_that_serves_signs_with_one_secret_that_is_long_enough(made: Path) -> None:
    told = variables("api", made)
    Sessions(told["PROPENSITY_SESSION_SECRET"])
    with pytest.raises(SettingsInvalid):
        Sessions(told["PROPENSITY_SESSION_SECRET"][:-1])
    assert not any("PROPENSITY_SESSION_SECRET" in variables(name, made) for name in set(SERVICES) - {"api"})


@pytest.mark.parametrize("name", ["worker", "health"])
def test_what_flows_are_told_is_what_their_settings_take(name: str, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in variables(name, made).items():
        monkeypatch.setenv(variable, value)
    settings = read_settings()
    assert settings.prefect_database_url is not None
    assert settings.prefect_database_password is not None
    assert settings.prefect_database_password.get_secret_value() == env_file(made, "prefect.env")["PGPASSWORD"]
    assert settings.mlflow_url.get_secret_value() == f"http://mlflow:{image_port('mlflow')}"


@pytest.mark.parametrize("name", ["worker", "health", "grafana"])
def test_whoever_is_to_be_told_is_set_in_a_file_that_names_variables_that_are_read(name: str, made: Path) -> None:
    hinted = {
        line.removeprefix("#").partition("=")[0]
        for named in SERVICES[name]["env_file"]
        for line in (made / Path(named).name).read_text(encoding="utf-8").splitlines()
        if re.match(r"#\w+=", line)
    }
    assert hinted
    assert {variable for variable in hinted if not variable.startswith("GF_SMTP_")} <= known_variables()


def test_passwords_of_an_earlier_version_stay_and_what_came_later_is_added(made: Path, tmp_path: Path) -> None:
    later = ("api.env", "retention.env", "alerts.env", "grafana-alerts.env")
    for path in made.iterdir():
        if path.name not in later:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    subprocess.run(["bash", "images/secrets.sh", str(tmp_path)], cwd=PROJECT, check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in made.iterdir()}
    changed = {path.name for path in made.iterdir() if path.read_bytes() != (tmp_path / path.name).read_bytes()}
    assert changed == {"api.env"}


def image_port(image: str) -> int:
    (port,) = re.findall(r"^EXPOSE (\d+)$", (PROJECT / "images" / image / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    return int(port)


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if service.get("ports")])
def test_the_port_that_is_published_is_the_one_that_the_program_listens_on(name: str) -> None:
    service = SERVICES[name]
    (inside,) = (int(port.rpartition(":")[2]) for port in service["ports"])
    command = service.get("command", [])
    said = int(command[command.index("--port") + 1]) if "--port" in command else image_port(name)
    assert inside == said
    for check in service.get("healthcheck", {}).get("test", [])[-1:]:
        assert f"'127.0.0.1', {inside}" in check


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_waited_for_to_be_healthy_has_a_health_check(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            service = SERVICES[other]
            image = (PROJECT / service["build"]["dockerfile"]).read_text(encoding="utf-8") if "build" in service else ""
            assert "healthcheck" in service or "HEALTHCHECK" in image


def test_addresses_within_name_services_and_their_ports(made: Path) -> None:
    for name in SERVICES:
        for variable, value in variables(name, made).items():
            for host, port in re.findall(r"(?:^|[@/])([a-z]+):(\d{4})\b", value):
                assert host in SERVICES or host == "localhost", (name, variable)
                listens = {"postgres": 5432, "prefect": 4200}.get(host) or image_port(host)
                assert int(port) == listens, (name, variable)


def test_passwords_are_long_unlike_each_other_and_nobody_else_reads_them(made: Path) -> None:
    values = list(env_file(made, "databases.env").values())
    assert len(set(values)) == len(values) == len(roles()) + 1
    assert all(re.fullmatch(r"[A-Za-z0-9]{32}", value) for value in values)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.glob("*.env")} == {0o600}


def test_made_again_they_stay_as_they_are(made: Path) -> None:
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    subprocess.run(["bash", "images/secrets.sh", str(made)], cwd=PROJECT, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


def test_what_must_be_there_first_is_waited_for() -> None:
    after = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    assert after["databases"] == {"postgres"}
    assert all("databases" in after[name] for name in ("api", "mlflow", "prefect", "grafana", "health"))
    assert after["worker"] == {"prefect", "mlflow"}


def test_scoring_has_longer_to_stop_than_it_takes_to_drain() -> None:
    drain_s = inspect.signature(Server.__init__).parameters["drain_s"].default
    assert int(SERVICES["api"]["stop_grace_period"].removesuffix("s")) > drain_s
