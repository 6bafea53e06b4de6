"""``python -m lambda.container``: the scoring service as a Lambda function, made of the service's own image.

The image's command starts the service as it is everywhere else, on 127.0.0.1, and then asks Lambda for one request after the other
("Lambda runtime API", AWS Lambda developer guide). Each goes to the same handlers that answer elsewhere as functions of their own: what
is about lists to ``lists``, everything else to ``front_door``, which passes it on to the service. So the API is the same to the byte.

Lambda stops the process between requests. The service looks for new models and keys once it goes on, within a second.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from propensity.errors import ProgramFailed, PropensityError, SettingsInvalid

RUNTIME = "AWS_LAMBDA_RUNTIME_API"
PASSWORD_SECRET = "PROPENSITY_PASSWORD_SECRET_ARN"  # noqa: S105 - the name of a variable that holds the secret's address
_VERSION = "/2018-06-01/runtime"
HOST = "127.0.0.1"
PORT = "8700"
# Lambda gives a function ten seconds to begin; one that takes longer begins anew with the first request.
START_S = 60.0
POLL_S = 0.05
_ENDED = "the scoring service ended with code {}"

Handle = Callable[[dict[str, Any], Any], Any]


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler is told about one request besides the request."""

    aws_request_id: str
    function_name: str
    function_version: str
    memory_limit_in_mb: int
    invoked_function_arn: str
    deadline_ms: int

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self.deadline_ms - int(time.time() * 1000))


class Runtime:
    """Lambda's own side: gives requests and takes answers.

    Parameters
    ----------
    address : str
        ``host:port``, from ``AWS_LAMBDA_RUNTIME_API``.
    """

    def __init__(self, address: str) -> None:
        # Waiting for the next request takes as long as it takes: Lambda stops the process meanwhile.
        self._connection = http.client.HTTPConnection(address, timeout=None)

    def next(self) -> tuple[dict[str, Any], Context]:
        """The next request. Raises ProgramFailed where Lambda answers something else."""
        reply = self._send("GET", f"{_VERSION}/invocation/next", None)
        headers = reply.headers
        request_id = headers.get("Lambda-Runtime-Aws-Request-Id", "")
        if headers.get("Lambda-Runtime-Trace-Id"):
            os.environ["_X_AMZN_TRACE_ID"] = headers["Lambda-Runtime-Trace-Id"]
        context = Context(
            aws_request_id=request_id,
            function_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            function_version=os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
            memory_limit_in_mb=int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0")),
            invoked_function_arn=headers.get("Lambda-Runtime-Invoked-Function-Arn", ""),
            deadline_ms=int(headers.get("Lambda-Runtime-Deadline-Ms", "0")),
        )
        return json.loads(reply.body), context

    def answer(self, request_id: str, answer: Any) -> None:
        self._send("POST", f"{_VERSION}/invocation/{request_id}/response", answer)

    def failed(self, request_id: str, error: BaseException) -> None:
        """Only the kind of the error: its text may quote a body."""
        self._send("POST", f"{_VERSION}/invocation/{request_id}/error", {"errorType": type(error).__name__, "errorMessage": "failed"})

    def failed_to_begin(self, error: BaseException) -> None:
        self._send("POST", f"{_VERSION}/init/error", {"errorType": type(error).__name__, "errorMessage": str(error)})

    def close(self) -> None:
        self._connection.close()

    def _send(self, method: str, path: str, body: Any) -> _Reply:
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        told = response.read()
        if response.status not in (200, 202):
            raise ProgramFailed(f"Lambda answered {response.status} to {method} {path.rpartition('/')[2]}")
        return _Reply(dict(response.headers.items()), told)


@dataclass(frozen=True, slots=True)
class _Reply:
    headers: Mapping[str, str]
    body: bytes


def handler_of(event: Mapping[str, Any]) -> str:
    """Which folder of ``lambda`` answers a REST API proxy event."""
    resource = str(event.get("resource", ""))
    of_lists = resource == "/v1/campaigns/{campaign}/lists" or resource.startswith("/v1/lists/")
    return "lists" if of_lists else "front_door"


def port_of(variables: Mapping[str, str]) -> str:
    """Where the service listens: ``PROPENSITY_API_PORT``, as everywhere else."""
    return variables.get("PROPENSITY_API_PORT") or PORT


def start_service(variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the service and return once it is alive.

    Raises
    ------
    ProgramFailed
        It ended, or is not alive in time.
    StoreError
        The database's password could not be read.
    """
    told = {**variables, "PROPENSITY_API_HOST": HOST, "PROPENSITY_API_PORT": port_of(variables)}
    if variables.get(PASSWORD_SECRET):
        from propensity.adapters.alert_topics import read_secret

        # Not among the function's variables, where everybody who may look at the function could read it.
        told["PGPASSWORD"] = json.loads(read_secret(variables[PASSWORD_SECRET]))["password"]
    service = subprocess.Popen([sys.executable, "-m", "api"], env=told)
    deadline = time.monotonic() + START_S
    while not _alive(int(told["PROPENSITY_API_PORT"])):
        if service.poll() is not None:
            raise ProgramFailed(_ENDED.format(service.returncode))
        if time.monotonic() > deadline:
            service.kill()
            raise ProgramFailed(f"the scoring service did not come up within {START_S:g} s")
        time.sleep(POLL_S)
    return service


def _alive(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def serve(runtime: Runtime, service: subprocess.Popen[bytes], handles: Mapping[str, Handle]) -> None:
    """Answer requests until the service ends. Raises ProgramFailed then: Lambda makes a new process for the next request."""
    while True:
        event, context = runtime.next()
        if service.poll() is not None:
            ended = ProgramFailed(_ENDED.format(service.returncode))
            runtime.failed(context.aws_request_id, ended)
            raise ended
        try:
            answer = handles[handler_of(event)](event, context)
        except Exception as exc:  # noqa: BLE001 - the outermost edge: one request that nobody foresaw must not stop the others
            runtime.failed(context.aws_request_id, exc)
        else:
            runtime.answer(context.aws_request_id, answer)


def main() -> int:
    """Start the service, then answer; return the exit code."""
    address = os.environ.get(RUNTIME, "")
    if not address:
        print(f"container: {RUNTIME} is not set: only Lambda starts this", file=sys.stderr)
        return SettingsInvalid.exit_code
    # A polite kill ends the service as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with closing(Runtime(address)) as runtime:
        try:
            _run(runtime)
        except PropensityError as exc:
            print(f"container: {exc}", file=sys.stderr)
            return exc.exit_code
    return 0


def _run(runtime: Runtime) -> None:
    # Read by the handlers.
    os.environ["PROPENSITY_SCORING_URL"] = f"http://{HOST}:{port_of(os.environ)}"
    try:
        service = start_service(os.environ)
        handles = {name: importlib.import_module(f"lambda.{name}.handler").handle for name in ("front_door", "lists")}
    except PropensityError as exc:
        runtime.failed_to_begin(exc)
        raise
    try:
        serve(runtime, service, handles)
    finally:
        service.terminate()
        service.wait()


if __name__ == "__main__":
    sys.exit(main())
