"""Looks through an expanded pipeline for what no schema tells: names that nothing bears, and tasks where they cannot run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.pipelines.agent import MACRO

SERVER_TASKS = ("PublishToAzureServiceBus@2",)
"""Those of `pipelines/` that run without an agent (`runsOn` in their task.json), and nowhere else."""
LONGEST_WAIT = 4_320
"""Minutes that the service lets a task without an agent wait: 72 hours."""
PREDEFINED = re.compile(r"(?i)(Agent|Build|Pipeline|System)\.\w[\w.]*$")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
OUTPUT = re.compile(r"dependencies\.(\w+)\.outputs\['(\w+)\.(\w+)'\]")


def jobs_of(pipeline: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Every job with its stage."""
    for stage in pipeline["stages"]:
        for job in stage["jobs"]:
            yield stage, job


def steps_of(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of a job, or of a deployment."""
    found = job["steps"] if "steps" in job else job["strategy"]["runOnce"]["deploy"]["steps"]
    return list(found)


def script_of(step: Mapping[str, Any]) -> str | None:
    """The script that a step runs."""
    return step.get("bash") or step.get("inputs", {}).get("inlineScript")


def strings(value: Any) -> Iterator[str]:
    """Every text in it."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(inner)


def problems(pipeline: Mapping[str, Any], group_variables: frozenset[str]) -> list[str]:
    """Everything that is wrong, each with the stage and the job that it is in."""
    found = list(_order("stage", "the pipeline", pipeline["stages"]))
    for stage in pipeline["stages"]:
        found += _order("job", stage["stage"], stage["jobs"])
        jobs = {_name(job): job for job in stage["jobs"]}
        for name, job in jobs.items():
            place = f"{stage['stage']}/{name}"
            found += [
                f"{place}: {text}" for text in [*_job(job), *_outputs(job, jobs), *_macros(stage, job, group_variables)]
            ]
    return found


def _name(one: Mapping[str, Any]) -> str:
    return str(one.get("stage") or one.get("job") or one.get("deployment"))


def _depends(one: Mapping[str, Any]) -> list[str]:
    value = one.get("dependsOn", [])
    return [value] if isinstance(value, str) else list(value)


def _order(kind: str, where: str, all_of: list[Mapping[str, Any]]) -> Iterator[str]:
    before: list[str] = []
    for one in all_of:
        name = _name(one)
        if not IDENTIFIER.fullmatch(name) or name == "deploy" or name in before:
            yield f"{where}: {name!r} cannot name another {kind}"
        yield from (
            f"{where}: {name} depends on {other}, which is nothing before it"
            for other in _depends(one)
            if other not in before
        )
        before.append(name)


def _job(job: Mapping[str, Any]) -> Iterator[str]:
    at_server = job.get("pool") == "server"
    minutes = job.get("timeoutInMinutes")
    if not isinstance(minutes, int | float) or not 0 < minutes <= LONGEST_WAIT:
        yield f"timeoutInMinutes is {minutes!r}"
    if not at_server and not isinstance(job.get("pool"), dict):
        yield f"the pool is {job.get('pool')!r}"
    names: list[str] = []
    for step in steps_of(job):
        if (step.get("task") in SERVER_TASKS) != at_server:
            yield f"{step.get('task') or next(iter(step))} cannot run {'without' if at_server else 'on'} an agent"
        if isinstance(minutes, int | float) and step.get("timeoutInMinutes", 0) > minutes:
            yield "a step waits longer than its job"
        if step.get("checkout", "none") != "none" and step.get("persistCredentials") is not False:
            yield "the checkout leaves its credentials to the scripts"
        if "name" in step and (not IDENTIFIER.fullmatch(step["name"]) or step["name"] in names):
            yield f"{step['name']!r} cannot name another step"
        names.append(step.get("name", ""))
        script = script_of(step)
        if script is not None and (macros := MACRO.findall(script)):
            yield f"a script holds $({macros[0]}), which would be replaced in its text: hand it over by env"


def _outputs(job: Mapping[str, Any], jobs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for text in strings({"condition": job.get("condition", ""), "variables": job.get("variables", {})}):
        for other, step, variable in OUTPUT.findall(text):
            named = {one.get("name"): one for one in steps_of(jobs[other])} if other in jobs else {}
            if other not in _depends(job) or step not in named:
                yield f"there is no output {step}.{variable} of {other} before it"
            elif not re.search(rf"(--to-variable |variable=){variable}\b", script_of(named[step]) or ""):
                yield f"the step {step} of {other} sets no {variable}"


def _macros(stage: Mapping[str, Any], job: Mapping[str, Any], group_variables: frozenset[str]) -> Iterator[str]:
    has_group = any("group" in one for one in stage.get("variables", []))
    set_by_steps = {found for step in steps_of(job) for found in step.get("target", {}).get("settableVariables", [])}
    for text in strings(job):
        for name in MACRO.findall(text):
            known = PREDEFINED.match(name) or name in job.get("variables", {}) or name in set_by_steps
            if not (known or (has_group and name in group_variables) or re.match(r"environment_\w+$", name)):
                yield f"$({name}) is no variable that it has"
        if re.search(r"(?i)system\.?_?accesstoken", text):
            yield "a step gets the token of the job"
