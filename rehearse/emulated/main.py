"""The emulator with everything that this package adds. Started by `rehearse.emulator` in the emulator's own Python."""

from __future__ import annotations

import atexit
import os
from pathlib import Path

from rehearse.emulated import containers, gaps, names, postgres, rights, spark_runs, stand_ins

# What a container gets of this process's own variables; the rest comes from its task definition.
_FOR_CONTAINERS = ("PATH", "LANG", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL")


def main() -> None:
    """Serve until SIGTERM; containers end before the emulator does."""
    from ministack import app
    from ministack.services.cloudformation import provisioners

    python, project = os.environ["REHEARSAL_PYTHON"], os.environ["REHEARSAL_PROJECT"]
    environ = {name: os.environ[name] for name in _FOR_CONTAINERS if name in os.environ}
    # As in an image, the project's own programs come first.
    environ["PATH"] = f"{Path(python).parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
    # Where S3 is, in the platform's own words: it then addresses buckets by path, which needs no names.
    environ["PROPENSITY_S3_ENDPOINT_URL"] = environ["AWS_ENDPOINT_URL"]
    environ |= {"PYTHONPATH": os.environ["PYTHONPATH"], "REHEARSAL_GATEWAY_PORT": os.environ["GATEWAY_PORT"]}
    runtime = containers.Runtime(
        python=python,
        project=project,
        folder=Path(os.environ["REHEARSAL_FOLDER"]) / "tasks",
        postgres=os.environ.get("REHEARSAL_POSTGRES", "127.0.0.1:1"),
        environ=environ,
        idle=os.environ.get("REHEARSAL_IDLE", "").split(","),
        run=os.environ.get("REHEARSAL_RUN", "").split(","),
    )
    atexit.register(runtime.stop_all)
    stand_ins.register(provisioners._RESOURCE_HANDLERS)
    postgres.register(provisioners._RESOURCE_HANDLERS, python=python, project=project)
    gaps.register(provisioners._RESOURCE_HANDLERS)
    containers.register(runtime)
    names.register()
    spark_runs.register(runtime, os.environ["PYTHONPATH"])
    rights.register()
    app.main()
