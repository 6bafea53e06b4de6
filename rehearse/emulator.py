"""The AWS emulator: an environment of its own with exactly the locked packages, and one process of it on a free port."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.ports import HOST, any_free
from propensity.errors import ProgramFailed

PROJECT = Path(__file__).resolve().parents[1]
REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
BUILD = PROJECT / "build" / "rehearse"
REGION = "eu-central-1"
ACCOUNT = "000000000000"
# What any AWS SDK is told. The emulator accepts every key; no other account is ever reached with these.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
START_S, STOP_S = 60.0, 20.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Emulator:
    """A running emulator.

    Attributes
    ----------
    port : int
        Where it listens, on 127.0.0.1 alone.
    log : Path
        What it said.
    """

    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def environ(self) -> dict[str, str]:
        """For AWS SDKs and tools: the emulator is all there is of AWS."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PROPENSITY_", "CDK_"))}
        return {
            **kept,
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self, service: str) -> Any:
        """A boto3 client that knows no other AWS."""
        import boto3

        return boto3.session.Session().client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )


def prepare(say: Say) -> Path:
    """Make the emulator's environment where it is not there yet; returns its Python. Raises ProgramFailed with the reason."""
    python = BUILD / "emulator" / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    lock = REQUIREMENTS / "emulator.txt"

    def install() -> None:
        _run([str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(BUILD / "emulator")], "the emulator's environment")
        options = ["--quiet", "--python", str(python), "--require-hashes", "--no-deps", "--compile-bytecode"]
        _run([str(uv), "pip", "install", *options, "--requirement", str(lock)], "the emulator's packages")

    _once(BUILD / "emulator", lock.read_bytes() + sys.version.encode(), install, say)
    node = REQUIREMENTS / "node"

    def install_node() -> None:
        shutil.rmtree(BUILD / "node", ignore_errors=True)
        shutil.copytree(node, BUILD / "node")
        _run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--prefix", str(BUILD / "node")], "the packages of Node")

    _once(BUILD / "node", (node / "package-lock.json").read_bytes(), install_node, say)
    return python


def _once(folder: Path, made_of: bytes, make: Callable[[], None], say: Say) -> None:
    stamp = folder / ".installed"
    wanted = hashlib.sha256(made_of).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return
    say(f"installing the locked packages into {folder.relative_to(PROJECT)}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    make()
    stamp.write_text(wanted, encoding="ascii")


def _run(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False)
    except OSError as exc:
        raise ProgramFailed(f"{what} could not be made: {command[0]}: {exc.strerror}") from exc
    except subprocess.TimeoutExpired as exc:
        raise ProgramFailed(f"{what} could not be made within 240 s") from exc
    if done.returncode:
        lines = done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["it said nothing"]
        raise ProgramFailed(f"{what} could not be made: {lines[-1][:300]}")


@contextmanager
def running(python: Path, folder: Path, more: Mapping[str, str]) -> Iterator[Emulator]:
    """An emulator that answers; it ends with everything that it started. Raises ProgramFailed where it does not come up.

    Parameters
    ----------
    folder : Path
        Where it may write.
    more : mapping of str to str
        ``REHEARSAL_...`` variables of `rehearse.emulated`.
    """
    emulator = Emulator(any_free(), folder / "emulator.log")
    code = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); from rehearse.emulated.main import main; main()"
    with emulator.log.open("ab") as log:
        process = subprocess.Popen(
            [str(python), "-c", code],
            cwd=folder,
            env=_environ(emulator, python, folder, more),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(emulator, process)
        yield emulator
    finally:
        end_group(process, STOP_S)


def _environ(emulator: Emulator, python: Path, folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Little of this program's own: functions inherit what the emulator has."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    return {
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(temporary),
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": emulator.url,
        "BIND_HOST": HOST,
        # Signatures are verified, and what no policy allows is refused.
        "AUTH": "true",
        "GATEWAY_PORT": str(emulator.port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "S3_DATA_DIR": str(folder / "s3"),
        "NODE_PATH": str(BUILD / "node" / "node_modules"),
        "PYTHONPATH": str(Path(__file__).resolve().parent / "emulated" / "function_path"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "REHEARSAL_GATEWAY_PORT": str(emulator.port),
        "REHEARSAL_PYTHON": sys.executable,
        "REHEARSAL_PROJECT": str(PROJECT),
        "REHEARSAL_FOLDER": str(folder),
        **more,
    }


def _wait(emulator: Emulator, process: subprocess.Popen[bytes]) -> None:
    latest = time.monotonic() + START_S
    while time.monotonic() < latest:
        if process.poll() is not None:
            raise ProgramFailed(f"the emulator ended while it started: {emulator.log.read_text(errors='replace')[-500:].strip()}")
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{emulator.url}/_ministack/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise ProgramFailed(f"the emulator did not answer within {START_S:g} s")


def end_group(process: subprocess.Popen[Any], grace_s: float) -> None:
    """End a process that leads a group, and all that it started: SIGTERM to itself, after ``grace_s`` seconds SIGKILL to the group."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
