"""Secrets are planted in use cases of every kind whose flows tell them on; no file, page or command shows one.

A flow fails on its first line with every secret that it was given, and prints them. What a flow returns is its own
business; errors, logs, records and whatever else is made of them are ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from genaiops import lab
from genaiops.stand_in_model import start_stand_in
from shared.adapters.local.blobs import FileBlobStore
from shared.chain.state import ChainStatus
from tests.acceptance.embedded import ROOT, Embedded
from tests.unit.use_case_folder import put

pytestmark = [pytest.mark.xdist_group("planted-secrets"), pytest.mark.timeout(300)]

MARK = "PLANTED"
"""In each secret, in its first part: a half that is left over is found, too."""
HOST = {
    "AOAI_API_KEY": f"{MARK}-model-{MARK}-key",
    "SHOP_TOKEN": f"{MARK}-shop-{MARK}-token",
    "SHOP_API_KEY": f"{MARK}-variable-{MARK}-key",
    "CREDENTIAL": f"{MARK}-init-{MARK}-credential",
}

EXPERIMENT = """\
name: {name}
flow: flows/standard
connections:
- name: aoai
  connection_type: AzureOpenAIConnection
  api_base: ${{api_base}}
  api_key: ${{api_key}}
- name: shop
  connection_type: CustomConnection
  configs: {{url: "https://shop.example.com"}}
  secrets: {{token: "${{token}}"}}
datasets:
- name: questions
  source: questions.jsonl
  description: Questions; the first one fails.
  mappings: {{question: "${{data.question}}"}}
evaluators:
- name: exact
  flow: flows/evaluate
  datasets:
  - name: questions
    mappings: {{expected: "${{data.question}}", answer: "${{run.outputs.answer}}"}}
tolerated_failures: 0.5
gates:
  choose_by: exact.accuracy
  checks:
  - {{metric: exact.accuracy, at_least: 0}}
approval: {{approvers: [ada]}}
deployment: {{sample_request: request.json, expected_outputs: [answer], after_ci: true}}
"""
TELL = """\
import os


def tell(question, *more):
    known = [*more, *(value for name, value in os.environ.items() if "PLANTED" in value)]
    assert len(known) >= 1
    text = " and ".join(known)
    print(text)
    if question == "first":
        raise RuntimeError(f"refused with {text}") from KeyError(text)
    if question == "second":
        return {"answer": type("Refusal", (), {"__repr__": lambda self: text})()}
    return {"answer": question}
"""
ENVIRONMENT = "environment_variables:\n  A_KEY: ${aoai.api_key}\n  A_TOKEN: ${shop.token}\n"
KINDS = {
    "function": {
        "flow.flex.yaml": f"entry: answer:answer\n{ENVIRONMENT}",
        "answer.py": "from tell import tell\n\n\ndef answer(question: str) -> dict:\n    return tell(question)\n",
    },
    "class": {
        "flow.flex.yaml": f"entry: answer:Answer\n{ENVIRONMENT}",
        "init.json": json.dumps({"credential": "${credential}"}),
        "answer.py": (
            "from tell import tell\n\n\nclass Answer:\n    def __init__(self, credential: str) -> None:\n"
            "        assert 'PLANTED' in credential\n        self.credential = credential\n\n"
            "    def __call__(self, question: str) -> dict:\n        return tell(question, self.credential)\n"
        ),
    },
    "dag": {
        "flow.dag.yaml": (
            "inputs: {question: {type: string}}\n"
            'outputs: {answer: {type: string, reference: "${answer.output}"}}\nnodes:\n'
            "- {name: answer, type: python, source: {type: code, path: answer.py},"
            ' inputs: {question: "${inputs.question}", aoai: aoai, shop: shop}}\n'
        ),
        "answer.py": (
            "from promptflow.connections import AzureOpenAIConnection, CustomConnection\n"
            "from promptflow.core import tool\nfrom tell import tell\n\n\n@tool\n"
            "def answer(question: str, aoai: AzureOpenAIConnection, shop: CustomConnection) -> object:\n"
            '    return tell(question, aoai.api_key, shop.secrets["token"])["answer"]\n'
        ),
    },
}
SCORES = """\
import os


def eval_exact(expected: str, answer: str) -> dict:
    if expected == "third":
        raise ValueError(os.environ["SHOP_API_KEY"])
    return {"accuracy": float(expected == answer)}
"""


def use_case(folder: Path, kind: str) -> Path:
    made = folder / f"tells_{kind}"
    put(made, "experiment.yaml", EXPERIMENT.format(name=made.name))
    put(made, "environment/env.yaml", "SHOP_API_KEY: ${SHOP_API_KEY}\nCREDENTIAL: ${CREDENTIAL}\n")
    put(made, "data/questions.jsonl", "".join(f'{{"question": "{n}"}}\n' for n in NAMES))
    put(made, "request.json", '{"question": "fourth"}')
    put(made, "flows/evaluate/eval_exact.py", SCORES)
    for name, content in {**KINDS[kind], "tell.py": TELL}.items():
        put(made, f"flows/standard/{name}", content)
    return made


NAMES = ("first", "second", "third", "fourth", "fifth", "sixth")


def secrets_in(content: bytes) -> list[str]:
    """The planted values of which a part is there. Flow code may name the mark alone."""
    parts = {part for value in HOST.values() for part in (value, value[3:], value[:-3])}
    return sorted(part for part in parts if part.encode() in content)


def leaking(folder: Path) -> list[tuple[str, str]]:
    """Files below the folder, packed ones too, that hold a planted value."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file() or path.name == "planted.env":
            continue
        content = path.read_bytes()
        contents = [content]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(BytesIO(content)) as packed:
                contents += [packed.read(name) for name in packed.namelist()]
        found += [(str(path.relative_to(folder)), said) for each in contents for said in secrets_in(each)]
    return found


def with_model(url: str) -> dict[str, str]:
    return {**HOST, "AOAI_API_BASE": url}


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    model = start_stand_in()
    yield model.url
    model.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_in_the_lab_keeps_no_secret_that_its_flow_tells(
    kind: str, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file = tmp_path / "planted.env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in with_model(model).items()))
    monkeypatch.setenv("GENAIOPS_ENV_FILE", str(env_file))
    monkeypatch.setenv("CREDENTIAL", HOST["CREDENTIAL"])
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    with lab.Lab(blobs=FileBlobStore(tmp_path / "store")) as bench:
        results = bench.run(lab.load(use_case(tmp_path, kind)))
        lines = results.lines("default", "questions")
        page = results.report(tmp_path / "report")
        shown = "\n".join([results.table().to_csv(), lines.to_csv(), repr(results), results.reason, repr(results.runs)])
        assert leaking(tmp_path) == []
    assert secrets_in(shown.encode()) == []
    errors = list(lines["error"])
    assert "RuntimeError" in errors[0] or "refused with ***" in errors[0], errors
    assert "***" in errors[0]
    assert list(lines["status"])[3:] == ["completed"] * 3
    assert "refused with" in page.with_name("lines.csv").read_text("utf-8")


def test_a_host_and_its_commands_show_no_secret_that_flows_tell(tmp_path: Path, model: str) -> None:
    app = tmp_path / "app"
    (app / "flows").mkdir(parents=True)
    for name in ("function_app.py", "host.json"):
        (app / name).symlink_to(ROOT / name)
    folders = [use_case(app / "flows", kind) for kind in KINDS]
    embedded = Embedded(tmp_path / "home", GENAIOPS_ROOT=str(app), CREDENTIAL=HOST["CREDENTIAL"])
    embedded.variables["GENAIOPS_ENV_FILE"] = str(embedded.home / "planted.env")
    lines = "".join(f"{name}={value}\n" for name, value in with_model(model).items())
    (embedded.home / "planted.env").write_text(lines)
    embedded.start()
    try:
        embedded.until_serving()
        chains = [embedded.request(folder.name, folder.name, folder=folder) for folder in folders]
        for chain in chains:
            embedded.approve(embedded.until_waiting(chain))
        for chain in chains:
            assert embedded.until_ended(chain).status is ChainStatus.SUCCEEDED, embedded.log(chain)
        said = [embedded.page(chain).encode() for chain in chains]
        for folder in folders:
            url = f"{embedded.router_url}/{folder.name}/score"
            for question in ("first", "second"):
                status, answer = embedded.http(url, json.dumps({"question": question}).encode())
                assert status >= 400, answer
                said.append(answer)
        for command in ("status", "watch", "report"):
            said += [printed(embedded, command, chain) for chain in chains]
        assert [secrets_in(text) for text in said] == [[]] * len(said)
        embedded.stop()
        assert leaking(embedded.home) == []
    finally:
        if embedded.process is not None:
            embedded.kill()
    embedded.until_no_process_is_left()


def printed(embedded: Embedded, command: str, chain: str) -> bytes:
    """What a command prints, on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", "genaiops", command, chain],
        cwd=ROOT,
        env=os.environ | embedded.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
