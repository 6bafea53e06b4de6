"""Put this project on the path of the environment that runs this file, with its command ``propensity``; needs no network and no build."""

from __future__ import annotations

import sys
import sysconfig
import tomllib
from pathlib import Path

SCRIPT = """#!{python}
import sys

from {module} import {function}

sys.exit({function}())
"""


def link(project: Path, site_packages: Path, scripts: Path, python: str) -> list[Path]:
    """Write a path file and one script per entry of ``[project.scripts]``; return what was written."""
    declared = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    path_file = site_packages / f"{declared['name']}.pth"
    path_file.write_text(f"{project}\n", encoding="utf-8")
    written = [path_file]
    for name, target in declared.get("scripts", {}).items():
        module, _, function = target.partition(":")
        script = scripts / name
        script.write_text(SCRIPT.format(python=python, module=module, function=function), encoding="utf-8")
        script.chmod(0o755)
        written.append(script)
    return written


if __name__ == "__main__":
    link(Path(__file__).resolve().parent.parent, Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("scripts")), sys.executable)
