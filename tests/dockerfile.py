"""A Dockerfile as its instructions, and its steps carried out without a Docker engine: a virtual environment for `/venv`.

Only what our Dockerfile uses is understood; anything else fails loudly.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction; `stage` counts the FROM instructions before it and itself."""

    keyword: str
    text: str
    stage: int

    @property
    def words(self) -> list[str]:
        """Of the form with a JSON list, or separated by spaces."""
        found = json.loads(self.text) if self.text.startswith("[") else self.text.split()
        return [str(word) for word in found]


def instructions(text: str) -> list[Instruction]:
    found: list[Instruction] = []
    stage = 0
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        keyword, _, rest = line.partition(" ")
        stage += keyword == "FROM"
        found.append(Instruction(keyword, rest.strip(), stage))
    return found


class Built:
    """What an engine would have built of a context, in a folder: `venv` and `app`."""

    def __init__(self, context: Path, folder: Path) -> None:
        self.app = folder / "app"
        self._context = context
        self._folder = folder
        self._venv = folder / "venv"
        self.instructions = instructions((context / "Dockerfile").read_text())
        for each in self.instructions:
            match each.keyword:
                case "COPY" if each.words == ["app", "/app"]:
                    shutil.copytree(context / "app", self.app)
                case "RUN":
                    self._run(each.words)
                case _:
                    pass

    @property
    def last(self) -> list[Instruction]:
        """Of the image itself, not of the stages before it."""
        return [each for each in self.instructions if each.stage == self.instructions[-1].stage]

    def environment(self, **more: str) -> dict[str, str]:
        """The variables that the image sets, and those that a host adds; of this process none."""
        (variables,) = [each for each in self.last if each.keyword == "ENV"]
        own = dict(word.split("=", 1) for word in variables.words)
        home = self._folder / "tmp"
        home.mkdir(exist_ok=True)
        return {**own, "PATH": f"{self._venv}/bin:{os.defpath}", "HOME": str(home), "TMPDIR": str(home), **more}

    def command(self, keyword: str) -> list[str]:
        """Of CMD or HEALTHCHECK, with this environment's Python."""
        (found,) = [each for each in self.last if each.keyword == keyword]
        words = json.loads(found.text[found.text.index("[") :])
        assert words[0] == "python"
        return [str(self._venv / "bin" / "python"), *words[1:]]

    def python(self, code: str) -> str:
        """What a program in the image prints."""
        done = subprocess.run(
            [self._venv / "bin" / "python", "-c", code],
            cwd=self.app, env=self.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, words: Sequence[str]) -> None:
        python = str(self._venv / "bin" / "python")
        match words:
            case ["python", "-m", "venv", "/venv"]:
                _done([sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(self._venv)])
            case ["/venv/bin/python", "-m", "pip", "install", *arguments]:
                paths = [word.replace("/build/", f"{self._context}/") for word in arguments]
                # uv takes seconds where pip takes a minute; where only pip is set up for this machine's index, pip does it.
                if not _done([sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, *paths]):
                    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *paths]
                    subprocess.run(command, check=True)
            case ["/venv/bin/python", "-m", "compileall", "-q", "/app/shared"]:
                subprocess.run([python, "-m", "compileall", "-q", self.app / "shared"], check=True)
            case ["useradd", *_]:
                pass
            case _:
                raise AssertionError(f"no way to run {words} here")


def _done(command: Sequence[str]) -> bool:
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
