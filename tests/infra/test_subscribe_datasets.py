"""The hook that subscribes to uploads, run as azd runs it, against an `az` that notes what it is asked."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.infra.expansion import expand
from tests.infra.world import INFRA, ROOT

HOOK = INFRA / "hooks" / "subscribe_datasets.py"
GIVEN = {"AZURE_RESOURCE_GROUP": "rg", "FUNCTION_APP": "func-1", "DATASETS_TOPIC": "evgt-1"}
AZ = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
asked = folder / "asked.jsonl"
with asked.open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
answers = json.loads((folder / "answers.json").read_text())
code, text = answers.pop(0) if len(answers) > 1 else answers[0]
(folder / "answers.json").write_text(json.dumps(answers))
print(text, file=sys.stderr if code else sys.stdout)
sys.exit(code)
"""


@pytest.fixture
def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stand-in of the Azure CLI, which is first on the path."""
    program = tmp_path / "az"
    program.write_text(AZ.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def answers(az: Path, *given: tuple[int, str]) -> None:
    (az / "answers.json").write_text(json.dumps(given))


def asked(az: Path) -> list[list[str]]:
    return [json.loads(line) for line in (az / "asked.jsonl").read_text().splitlines()]


def run(**more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **more}
    return subprocess.run([sys.executable, str(HOOK)], capture_output=True, text=True, env=environment, check=False)


def test_the_subscription_is_deployed_once_the_key_is_there(az: Path):
    answers(az, (0, "true"), (0, '"Succeeded"'))
    done = run(**GIVEN)
    assert done.returncode == 0, done.stderr
    keys, deployed = asked(az)
    assert keys[:3] == ["functionapp", "keys", "list"]
    assert "contains(keys(systemKeys" in keys[keys.index("--query") + 1]  # whether it is there, not what it is
    assert deployed[:3] == ["deployment", "group", "create"]
    template = Path(deployed[deployed.index("--template-file") + 1])
    given = dict(one.split("=") for one in deployed[deployed.index("--parameters") + 1 :][:2])
    assert expand(template, given).made[0].name == "evgt-1/datasets"


def test_it_waits_for_a_host_that_is_still_starting_and_for_the_handshake(az: Path):
    answers(az, (1, "host not ready"), (0, "false"), (0, "true"), (1, "webhook validation failed"), (0, '"Succeeded"'))
    hook = runpy.run_path(str(HOOK))
    pauses: list[float] = []
    hook["main"](GIVEN, pauses.append)
    assert len(asked(az)) == 5
    assert pauses == [hook["PAUSE_S"]] * 3


def test_it_gives_up_with_the_last_answer_and_what_to_do(az: Path):
    answers(az, (1, "the app has stopped"))
    hook = runpy.run_path(str(HOOK))
    with pytest.raises(hook["HookError"], match=r"(?s)the app has stopped.*run this again"):
        hook["main"](GIVEN, lambda _: None)
    assert len(asked(az)) == hook["TRIES"]


def test_missing_variables_are_named(az: Path):
    done = run(FUNCTION_APP="func-1")
    assert done.returncode == 1
    assert "AZURE_RESOURCE_GROUP, DATASETS_TOPIC must be set" in done.stderr
    assert "Traceback" not in done.stderr


def test_azd_runs_it_after_the_code_and_its_names_are_outputs_of_the_template():
    azd = YAML(typ="safe").load((ROOT / "azure.yaml").read_text())
    (name, service), *_ = azd["services"].items()
    assert (ROOT / service["hooks"]["postdeploy"]["posix"]["run"].split()[1]) == HOOK
    made = expand(INFRA / "main.bicep", {"environmentName": "dev"})
    assert {"FUNCTION_APP", "DATASETS_TOPIC"} <= set(made.outputs)
    (app,) = made.of("Microsoft.Web/sites")
    assert app.body["tags"]["azd-service-name"] == name
    assert app.body["tags"]["azd-env-name"] == "dev"
