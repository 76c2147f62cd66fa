"""Subscribe the function app to uploads of datasets (infra/datasets.bicep), as soon as it has loaded its blob trigger.

azd runs this after it has deployed the code, and so may a pipeline: `python3 infra/hooks/subscribe_datasets.py`. It
reads AZURE_RESOURCE_GROUP, FUNCTION_APP and DATASETS_TOPIC, and works with the Azure CLI's login. The trigger's key
passes through neither this process nor its output: Resource Manager fills it in. Running it again changes nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

NEEDED = ("AZURE_RESOURCE_GROUP", "FUNCTION_APP", "DATASETS_TOPIC")
TEMPLATE = Path(__file__).parent.parent / "datasets.bicep"
HAS_KEY = "contains(keys(systemKeys || `{}`), 'blobs_extension')"
"""Asks whether the key is there, not for the key: https://jmespath.org."""
TRIES = 30
PAUSE_S = 10.0
"""The Functions host loads a new package within a few minutes; the address must answer Event Grid's handshake then."""


class HookError(Exception):
    """What went wrong, and what to do."""


def main(variables: Mapping[str, str], pause: Callable[[float], None] = time.sleep) -> None:
    """Wait for the trigger, and deploy the subscription. Raises HookError."""
    missing = [name for name in NEEDED if not variables.get(name)]
    if missing:
        raise HookError(
            f"{', '.join(missing)} must be set: the resource group, and what infra/main.bicep answers by these names "
            "(`azd env get-values` shows them)."
        )
    group, app, topic = (variables[name] for name in NEEDED)
    _each_try("the function app has no key of its blob trigger yet", lambda: _has_key(group, app), pause)
    print(f"{app} has loaded its triggers; subscribing it to uploads of datasets", flush=True)
    _each_try("the subscription was refused", lambda: _subscribe(group, app, topic), pause)
    print("Uploads under the container datasets start a re-evaluation from now on.")


def _each_try(waits_for: str, attempt: Callable[[], str | None], pause: Callable[[float], None]) -> None:
    """Try until `attempt` says nothing; what it says is why not yet."""
    why: str | None = ""
    for number in range(TRIES):
        if number:
            pause(PAUSE_S)
        why = attempt()
        if why is None:
            return
    raise HookError(
        f"After {TRIES} tries, {waits_for}. The last answer: {why} Look whether the app's functions are listed in the "
        "portal (its log begins with settings that are wrong), then run this again."
    )


def _has_key(group: str, app: str) -> str | None:
    answer = _az("functionapp", "keys", "list", "--resource-group", group, "--name", app, "--query", HAS_KEY)
    # Before the host has come up for the first time it cannot list keys at all.
    return None if answer.ok and json.loads(answer.output or "false") is True else (answer.error or "no such key.")


def _subscribe(group: str, app: str, topic: str) -> str | None:
    """Event Grid asks the address for a handshake: a host that is just starting may miss it."""
    answer = _az(
        *("deployment", "group", "create", "--resource-group", group, "--name", "datasets"),
        *("--template-file", str(TEMPLATE), "--parameters", f"topicName={topic}", f"functionAppName={app}"),
        *("--query", "properties.provisioningState"),
    )
    return None if answer.ok else answer.error


class _Answer:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.ok = done.returncode == 0
        self.output = done.stdout.strip()
        self.error = done.stderr.strip()[-2_000:]


def _az(*arguments: str) -> _Answer:
    program = shutil.which("az")  # on Windows it is az.cmd, which is not found without this
    if program is None:
        raise HookError("The Azure CLI (az) was not found: https://learn.microsoft.com/cli/azure/install-azure-cli")
    command = [program, *arguments, "--only-show-errors", "--output", "json"]
    return _Answer(subprocess.run(command, capture_output=True, text=True, check=False))  # noqa: S603 - no shell


if __name__ == "__main__":
    try:
        main(os.environ)
    except HookError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
