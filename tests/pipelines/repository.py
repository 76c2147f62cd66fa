"""A repository of its own for a pipeline that is played: this one's files, committed, with packages that are installed already.

`.venv` there is a throw-away environment that sees the packages of the tests' own, and is newer than the lock: so `make
.venv/.ready` finds nothing to do, as on an agent that has them. If it did, it would touch nothing but the throw-away one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = (
    "pipelines",
    "flows",
    "data",
    "shared",
    "functions",
    "genaiops",
    "infra",
    "tests/pipelines/__init__.py",
    "function_app.py",
)
FILES = ("host.json", "requirements.txt", "requirements.lock", "pyproject.toml", "Makefile", "LICENSE", ".gitignore")
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".promptflow", ".runs", ".env", "node_modules")


class Repository:
    """Its branch `development` has one commit: this repository's files as they lie here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for part in (*PARTS, *FILES):
            source, target = ROOT / part, folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=LEFT_OUT)
            else:
                shutil.copy(source, target)
        self.git("init", "--quiet", "--initial-branch", "development")
        self.commit("Begin")
        venv.create(folder / ".venv", symlinks=True)
        packages = next((folder / ".venv" / "lib").glob("python*/site-packages"))
        (packages / "of-the-tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
        ready = folder / ".venv" / ".ready"
        ready.touch()
        os.utime(folder / "requirements.lock", (0, 0))

    def git(self, *arguments: str) -> str:
        """What git answers."""
        who = ("-c", "user.name=Maria", "-c", "user.email=maria@example.org", "-c", "commit.gpgsign=false")
        command = ["git", *who, *arguments]
        done = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True, env=_environment())
        return done.stdout.strip()

    def commit(self, message: str, files: Mapping[str, str] | None = None) -> str:
        """Append to files (none: add what lies there), and commit; returns the commit."""
        for name, text in (files or {}).items():
            with (self.folder / name).open("a") as file:
                file.write(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def pull_request(self, branch: str, files: Mapping[str, str]) -> str:
        """A pull request into development, checked out as its merge; returns the source's commit."""
        self.git("checkout", "--quiet", "-b", branch)
        commit = self.commit("Change", files)
        self.git("checkout", "--quiet", "development")
        self.git("checkout", "--quiet", "--detach")
        self.git("merge", "--quiet", "--no-ff", "--message", "Merge", branch)
        return commit


def _environment() -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
