from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from local.link import link


def test_the_project_is_put_on_the_path_with_its_commands(tmp_path: Path) -> None:
    project, site, scripts = (tmp_path / name for name in ("project", "site", "bin"))
    for folder in (project / "shop", site, scripts):
        folder.mkdir(parents=True)
    (project / "pyproject.toml").write_text('[project]\nname = "shop"\n[project.scripts]\nshop = "shop.cli:main"\n')
    (project / "shop" / "cli.py").write_text("def main(): return 7\n")

    link(project, site, scripts, sys.executable)

    code = f"import site; site.addsitedir({str(site)!r}); import shop.cli; raise SystemExit(shop.cli.main())"
    assert subprocess.run([sys.executable, "-S", "-c", code], check=False).returncode == 7
    done = subprocess.run([scripts / "shop"], env={"PYTHONPATH": str(project)}, check=False)
    assert done.returncode == 7
