"""Plays an agent of Azure Pipelines: runs the steps of a job in order, in a checkout, as the service's own agent does.

Scripts are really run by bash. Played are the tasks around them: `AzureCLI@2` (its script with a stand-in of `az` that is
logged in for so long), `Cache@2`, `UsePythonVersion@0`, `PublishTestResults@2` and artifacts. What is documented:
macros and the environment of a step (https://learn.microsoft.com/azure/devops/pipelines/process/variables), logging
commands (…/pipelines/scripts/logging-commands) and what `target` forbids them (…/yaml-schema/steps-bash), conditions
(…/pipelines/process/conditions), caches that are kept where the job succeeded (…/pipelines/release/caching).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.pipelines.expressions import evaluate, shown, truth

MACRO = re.compile(r"\$\(([A-Za-z_][\w.]*)\)")
COMMAND = re.compile(r"##vso\[(?P<name>[\w.]+)\s*(?P<properties>[^\]]*)\](?P<value>.*)")
RESTRICTED = {"task.setvariable", "task.logissue", "task.complete", "task.setsecret", "task.setprogress", "task.debug"}
"""Commands that `target: commands: restricted` lets through."""
STAND_INS = Path(__file__).parent / "stand_ins"


class PlayError(Exception):
    """The job asks for what an agent would refuse."""


@dataclass
class Step:
    """What became of a step."""

    name: str
    code: int | None
    """Exit code; None: its condition was not met."""
    printed: str = ""


@dataclass
class Agent:
    """`Agent(checkout, folder).run(job)`; what a run leaves is in the fields."""

    checkout: Path
    folder: Path
    """For everything outside the checkout: `$(Pipeline.Workspace)` and its like."""
    variables: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    """Of the machine: what its processes have anyhow."""
    connections: frozenset[str] = frozenset()
    """Service connections that the pipeline may use."""
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    """`step.variable` → value, for the jobs that depend on this one."""
    issues: list[str] = field(default_factory=list)
    used_connections: list[str] = field(default_factory=list)
    _read_only: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name, place in {
            "Pipeline.Workspace": "workspace",
            "Agent.TempDirectory": "temp",
            "Build.ArtifactStagingDirectory": "staging",
            "stand-in.artifacts": "artifacts",
            "stand-in.cache": "cache",
        }.items():
            if not name.startswith("stand-in."):  # the service's; the agent's own folders are new for every job
                shutil.rmtree(self.folder / place, ignore_errors=True)
            (self.folder / place).mkdir(parents=True, exist_ok=True)
            self.variables[name] = str(self.folder / place)
        self.variables |= {"Agent.OS": "Linux", "System.DefaultWorkingDirectory": str(self.checkout)}

    @property
    def failed(self) -> bool:
        return any(step.code for step in self.steps)

    def ran(self) -> list[str]:
        """The steps whose condition was met."""
        return [step.name for step in self.steps if step.code is not None]

    def run(self, job: Mapping[str, Any]) -> bool:
        """Run an agent job, or the steps of a deployment job; returns whether it succeeded."""
        steps = job["steps"] if "steps" in job else job["strategy"]["runOnce"]["deploy"]["steps"]
        kept = []
        for step in steps:
            name = step.get("displayName") or next(iter(step))
            if not self._is_met(step.get("condition", "succeeded()")):
                self.steps.append(Step(name, None))
                continue
            code, printed = self._play(step, kept)
            self.steps.append(Step(name, code, printed))
        if not self.failed:
            for path, target in kept:
                shutil.copytree(path, target)
        return not self.failed

    def _is_met(self, condition: str) -> bool:
        functions = {
            "succeeded": lambda: not self.failed,
            "failed": lambda: self.failed,
            "always": lambda: True,
            "canceled": lambda: False,
        }
        return truth(evaluate(condition, {"variables": _Lenient(self.variables)}, functions))

    def macros(self, text: Any) -> str:
        """`$(name)` replaced where there is such a variable; else it stays, and is a command to bash."""
        names = {name.lower(): value for name, value in self.variables.items()}
        return MACRO.sub(lambda found: names.get(found[1].lower(), found[0]), shown(text))

    def _play(self, step: Mapping[str, Any], kept: list[tuple[Path, Path]]) -> tuple[int, str]:
        inputs = {name: self.macros(value) for name, value in step.get("inputs", {}).items()}
        kind = step.get("task") or next(iter(step))
        match kind:
            case "checkout":
                return 0, ""
            case "bash":
                return self._bash(step, step["bash"], {})
            case "AzureCLI@2":
                return self._azure_cli(step, inputs)
            case "UsePythonVersion@0":
                found = shutil.which(f"python{inputs['versionSpec']}", path=self.environment["PATH"])
                return (0, found) if found else (1, f"there is no Python {inputs['versionSpec']}")
            case "Cache@2":
                self._restore(inputs, kept)
                return 0, ""
            case "PublishTestResults@2":
                return (0, "") if Path(inputs["testResultsFiles"]).is_file() else (1, "no test results")
            case "publish":
                shutil.copytree(
                    self.macros(step["publish"]), Path(self.variables["stand-in.artifacts"]) / step["artifact"]
                )
                return 0, ""
            case "download":
                source = Path(self.variables["stand-in.artifacts"]) / step["artifact"]
                shutil.copytree(source, Path(self.variables["Pipeline.Workspace"]) / step["artifact"])
                return 0, ""
        raise PlayError(f"{kind} is no step that an agent can run here")

    def _azure_cli(self, step: Mapping[str, Any], inputs: Mapping[str, str]) -> tuple[int, str]:
        if inputs["azureSubscription"] not in self.connections:
            raise PlayError(f"the pipeline may not use the service connection {inputs['azureSubscription']}")
        if inputs["scriptType"] != "bash" or inputs["scriptLocation"] != "inlineScript":
            raise PlayError("only inline scripts for bash are played")
        self.used_connections.append(inputs["azureSubscription"])
        # The task logs in with a configuration folder of its own and logs out when the script has ended.
        with_login = {"AZURE_CONFIG_DIR": str(self.folder / "azure"), "STAND_IN_LOGGED_IN": inputs["azureSubscription"]}
        return self._bash(step, step["inputs"]["inlineScript"], with_login)

    def _bash(self, step: Mapping[str, Any], script: str, more: Mapping[str, str]) -> tuple[int, str]:
        file = self.folder / "temp" / "script.sh"
        file.write_text(self.macros(script))
        given = {name: self.macros(value) for name, value in step.get("env", {}).items()}
        variables = {re.sub(r"[. ]", "_", name).upper(): value for name, value in self.variables.items()}
        command = ["bash", "--noprofile", "--norc", str(file)]
        environment = {**self.environment, **variables, **more, **given}
        done = subprocess.run(
            command, cwd=self.checkout, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        for line in done.stdout.splitlines():
            if found := COMMAND.search(line):
                self._command(step, found["name"], _properties(found["properties"]), found["value"])
        return done.returncode, done.stdout + done.stderr

    def _command(self, step: Mapping[str, Any], name: str, properties: Mapping[str, str], value: str) -> None:
        target = step.get("target", {})
        if target.get("commands") == "restricted" and name not in RESTRICTED:
            return
        if name == "task.logissue":
            self.issues.append(value)
        elif name == "task.setvariable":
            variable = properties["variable"]
            settable = target.get("settableVariables")
            if (settable is not None and variable not in settable) or variable in self._read_only:
                return
            if properties.get("isreadonly", "").lower() == "true":
                self._read_only.add(variable)
            value = _unescaped(value)
            if properties.get("isoutput", "").lower() == "true":
                if "name" not in step:
                    raise PlayError(f"nobody can read the output {variable} of a step without a name")
                variable = f"{step['name']}.{variable}"
                self.outputs[variable] = value
            self.variables[variable] = value

    def _restore(self, inputs: Mapping[str, str], kept: list[tuple[Path, Path]]) -> None:
        """The cache of that key, or the newest whose key begins like one of `restoreKeys`; kept under its key at the end."""
        store, path = Path(self.variables["stand-in.cache"]), Path(inputs["path"])
        exact = store / _file_name(inputs["key"])
        prefixes = [_file_name(key) for key in inputs.get("restoreKeys", "").splitlines()]
        like = sorted(
            (one for one in store.iterdir() if any(one.name.startswith(prefix) for prefix in prefixes)),
            key=lambda one: one.stat().st_ctime_ns,
        )
        found = exact if exact.is_dir() else like[-1] if like else None
        if found is not None:
            shutil.copytree(found, path, dirs_exist_ok=True)
        if found != exact:
            path.mkdir(parents=True, exist_ok=True)
            kept.append((path, exact))


def machine() -> dict[str, str]:
    """The environment of an agent's machine: nothing of the tests' own, and the stand-ins first on its path."""
    keep = {
        name: os.environ[name]
        for name in ("HOME", "LANG", "PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
        if name in os.environ
    }
    python = Path(sys.executable).resolve().parent
    return {
        **keep,
        "PATH": f"{STAND_INS}:{python}:{keep['PATH']}",
        "TF_BUILD": "True",
        "STAND_IN_PYTHON": sys.executable,
    }


class _Lenient(dict[str, str]):
    """Variables in a condition: their names are alike in any case, and one that is not set is null."""

    def __missing__(self, name: str) -> str | None:
        return next((value for known, value in self.items() if known.lower() == name.lower()), None)


def _properties(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    return {name.strip().lower(): _unescaped(value) for name, _, value in pairs}


def _unescaped(text: str) -> str:
    for code, character in (("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%AZP25", "%")):
        text = text.replace(code, character)
    return text


def _file_name(key: str) -> str:
    return re.sub(r"[^\w-]+", "_", key).strip("_")
