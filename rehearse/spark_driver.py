"""``python -m rehearse.spark_driver SCRIPT ARCHIVE ARGUMENT ...``: what a driver of EMR Serverless does before Spark begins.

With the rights of the job's role it fetches the script and the archive of packages, and runs the former. Of the latter it only looks
whether it can be opened: the packages are those of this project's own environment.
"""

from __future__ import annotations

import os
import runpy
import sys
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

from propensity.adapters.object_store import open_s3


def main(script: str, archive: str, arguments: list[str]) -> None:
    """Run it; it ends the process itself."""
    here = Path(os.environ["TMPDIR"])
    program, packages = _fetched(script, here), _fetched(archive, here)
    with tarfile.open(packages) as found:
        found.getnames()
    sys.argv = [str(program), *arguments]
    runpy.run_path(str(program), run_name="__main__")


def _fetched(url: str, folder: Path) -> Path:
    parts = urlsplit(url)
    path = folder / Path(parts.path).name
    path.write_bytes(open_s3(parts.netloc, "", os.environ["PROPENSITY_S3_ENDPOINT_URL"]).get(parts.path.lstrip("/")))
    return path


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
