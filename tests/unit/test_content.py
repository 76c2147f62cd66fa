"""What a line's result follows from: an edit changes the digests of what it can change, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.connections import Connection
from shared.experimentation.configuration import configuration
from shared.use_case.content import FlowContent
from shared.use_case.flow_facts import flow_facts
from shared.use_case.load import load
from tests.unit.use_case_folder import change, put, written

TERSE = {"classify": "terse"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The terse variant has a prompt of its own."""
    folder = written(tmp_path)
    put(folder, "flows/standard/classify__terse.jinja2", "user:\n{{text}}\n")
    flow = (folder / "flows/standard/flow.dag.yaml").read_text()
    before, _, terse = flow.rpartition("path: classify.jinja2")
    put(folder, "flows/standard/flow.dag.yaml", f"{before}path: classify__terse.jinja2{terse}")
    return folder


def digests(folder: Path) -> tuple[str, str, str]:
    """Of the default variant, of the terse one, and of the evaluator."""
    use_case = load(folder, "dev", data=folder.parents[1] / "data")
    facts = flow_facts(use_case.flow, use_case.flow_file)
    content = FlowContent(use_case, use_case.flow, use_case.flow_file, facts)
    evaluator = use_case.evaluators[0]
    graded = FlowContent(use_case, evaluator.flow, evaluator.flow_file, flow_facts(evaluator.flow, evaluator.flow_file))
    return content.digest({}), content.digest(TERSE), graded.digest({})


def changed(folder: Path, before: tuple[str, str, str]) -> tuple[bool, ...]:
    return tuple(old != new for old, new in zip(before, digests(folder), strict=True))


DEFAULT_ALONE, TERSE_ALONE, EVALUATOR_ALONE = (True, False, False), (False, True, False), (False, False, True)
FLOW, ALL, NOTHING = (True, True, False), (True, True, True), (False, False, False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flows/standard/classify.jinja2", DEFAULT_ALONE),
        ("flows/standard/classify__terse.jinja2", TERSE_ALONE),
        ("flows/standard/parse.py", FLOW),
        ("flows/standard/helper.py", FLOW),
        ("flows/standard/requirements.txt", FLOW),
        ("flows/evaluation/grade.py", EVALUATOR_ALONE),
        ("helpers/shared_by_all.py", ALL),
        ("documents/handbook.md", ALL),
        ("README.md", NOTHING),
        ("data/train.jsonl", NOTHING),
        ("tests/test_flow.py", NOTHING),
        ("experiment.pr.yaml", NOTHING),
        ("flows/not_used/flow.dag.yaml", NOTHING),
        ("flows/standard/__pycache__/parse.pyc", NOTHING),
    ],
)
def test_an_edit_changes_what_it_can_change(folder: Path, name: str, expected: tuple[bool, ...]) -> None:
    path = folder / name
    before = digests(folder)
    put(folder, name, (path.read_text() if path.exists() else "") + ("\n" if name.endswith(".jsonl") else "\n# more\n"))
    assert changed(folder, before) == expected


def test_the_file_of_the_flow_counts_by_chosen_variant(folder: Path) -> None:
    before = digests(folder)
    text = (folder / "flows/standard/flow.dag.yaml").read_text()
    assert text.count("temperature: 0") >= 1
    put(folder, "flows/standard/flow.dag.yaml", text + "\n# a comment\n")
    assert changed(folder, before) == NOTHING, "comments mean nothing"
    change(folder, "flows/standard/flow.dag.yaml", "default_variant_id: plain", "default_variant_id: terse")
    after = digests(folder)
    assert (after[0], after[1]) == (before[1], before[1]), "another default is another choice, not another content"


def test_a_node_may_be_given_a_number_that_is_no_json(folder: Path) -> None:
    change(folder, "flows/standard/flow.dag.yaml", "tone: short", "tone: .inf")
    before = digests(folder)
    change(folder, "flows/standard/flow.dag.yaml", "tone: .inf", "tone: .nan")
    assert changed(folder, before) == TERSE_ALONE


def test_datasets_of_other_environments_are_inputs_too(folder: Path) -> None:
    put(folder, "data/short.jsonl", '{"text": "hello"}\n')
    put(
        folder,
        "experiment.pr.yaml",
        'datasets:\n- {name: train, source: data/short.jsonl, mappings: {text: "${data.text}"}}\n',
    )
    before = digests(folder)
    put(folder, "data/short.jsonl", '{"text": "good evening"}\n')
    assert changed(folder, before) == NOTHING


def test_a_prompt_that_code_reads_counts_for_every_variant(folder: Path) -> None:
    put(folder, "flows/standard/reads.py", 'PROMPT = open("classify__terse.jinja2").read()\n')
    before = digests(folder)
    put(folder, "flows/standard/classify__terse.jinja2", "{{text}} other\n")
    assert changed(folder, before) == FLOW


@pytest.mark.parametrize(
    "code",
    [
        "from greetings.flows.evaluation import grade\n",
        "from pathlib import Path\nROOT = Path(__file__).parent.parent\n",
        "from pathlib import Path\nROOT = Path(__file__).parents[2]\n",
        'TEXT = open("../evaluation/grade.py").read()\n',
        "from pathlib import Path\nHERE = Path(__file__).resolve().parent\nROOT = HERE.parent\n",
        "import os\nROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))\n",
        "import os\nOTHER = os.path.join(os.path.dirname(__file__), os.pardir, 'evaluation')\n",
        "import importlib\ngrade = importlib.import_module('greetings.flows.evaluation.grade')\n",
        "import json, greetings.flows.evaluation.grade\n",
    ],
)
def test_code_that_reaches_beyond_its_folder_counts_the_whole_use_case(folder: Path, code: str) -> None:
    put(folder, "flows/standard/reach.py", code)
    before = digests(folder)
    put(folder, "flows/evaluation/grade.py", "# rewritten\n" + (folder / "flows/evaluation/grade.py").read_text())
    assert changed(folder, before) == ALL


@pytest.mark.parametrize(
    "code",
    [
        "from pathlib import Path\nHERE = Path(__file__).resolve().parent\n",
        "import os\nHERE = os.path.dirname(os.path.abspath(__file__))\n",
        "from greet import flows\nimport os, re\n",
    ],
)
def test_code_that_stays_in_its_folder_counts_no_other_flow(folder: Path, code: str) -> None:
    put(folder, "flows/standard/stays.py", code)
    before = digests(folder)
    put(folder, "flows/evaluation/grade.py", "# rewritten\n" + (folder / "flows/evaluation/grade.py").read_text())
    assert changed(folder, before) == EVALUATOR_ALONE


def test_a_flow_file_that_names_a_path_outside_counts_the_whole_use_case(folder: Path) -> None:
    flow = folder / "flows/standard/flow.dag.yaml"
    put(folder, "flows/standard/flow.dag.yaml", f"{flow.read_text()}\nadditional_includes:\n- ../evaluation/grade.py\n")
    before = digests(folder)
    put(folder, "flows/evaluation/grade.py", "# rewritten\n" + (folder / "flows/evaluation/grade.py").read_text())
    assert changed(folder, before) == ALL


def test_a_file_for_other_tools_beside_the_flow_reaches_nowhere(folder: Path) -> None:
    """The template's flows have a `run.yaml`, by which prompt flow's own command finds their data."""
    put(folder, "flows/standard/run.yaml", "flow: .\ndata: ../../data/train.jsonl\n")
    before = digests(folder)
    put(folder, "flows/evaluation/grade.py", "# rewritten\n" + (folder / "flows/evaluation/grade.py").read_text())
    assert changed(folder, before) == EVALUATOR_ALONE
    put(folder, "data/train.jsonl", (folder / "data/train.jsonl").read_text() + "\n")
    assert changed(folder, before) == EVALUATOR_ALONE


@pytest.mark.parametrize(
    "code",
    [
        'def prompt(style):\n    return (FOLDER / f"classify__{style}.jinja2").read_text()\n',
        "def prompt(file):\n    with open(file) as stream:\n        return stream.read()\n",
        "from jinja2 import Environment, FileSystemLoader\nPROMPTS = Environment(loader=FileSystemLoader('.'))\n",
        "TEXTS = sorted(FOLDER.glob('*'))\n",
    ],
)
def test_where_code_opens_files_every_prompt_counts(folder: Path, code: str) -> None:
    """Their names may come from a parameter or a row."""
    put(folder, "flows/standard/reads.py", code)
    before = digests(folder)
    put(folder, "flows/standard/classify__terse.jinja2", "{{text}} other\n")
    assert changed(folder, before) == FLOW


def test_tests_of_the_use_case_read_for_themselves(folder: Path) -> None:
    put(folder, "flows/standard/reach.py", "from greetings.helpers import shared_by_all\n")
    put(folder, "tests/test_flow.py", 'ROWS = open("../data/train.jsonl").read()\n')
    before = digests(folder)
    put(folder, "data/train.jsonl", (folder / "data/train.jsonl").read_text() + "\n")
    assert changed(folder, before) == NOTHING
    put(folder, "flows/standard/classify__terse.jinja2", "{{text}} other\n")
    assert changed(folder, before)[:2] == (False, True)


def test_a_file_at_the_root_that_code_names_is_content(folder: Path) -> None:
    put(folder, "flows/standard/terms.py", 'TERMS = (Path(__file__).parents[2] / "README.md").read_text()\n')
    put(folder, "README.md", "Terms.\n")
    before = digests(folder)
    put(folder, "README.md", "Other terms.\n")
    assert changed(folder, before) == FLOW


def test_a_dataset_that_code_reads_is_content(folder: Path) -> None:
    """Examples for the prompt, for instance: the rows of other datasets are inputs."""
    put(folder, "flows/standard/few_shot.py", 'EXAMPLES = (ROOT / "data" / "train.jsonl").read_text()  # ../../data\n')
    before = digests(folder)
    put(folder, "data/train.jsonl", (folder / "data/train.jsonl").read_text() + "\n")
    assert changed(folder, before)[:2] == (True, True)


def connection(**values: str) -> Connection:
    known = {"name": "aoai", "api_type": "azure", "api_base": "https://one.example.com", "api_key": "k"}
    return Connection(**{**known, **values})


def test_a_configuration_is_content_parameters_endpoint_variables_and_repetition() -> None:
    base = configuration("c", {"n.t": 0}, [connection()], {"MODE": "a"})
    same = [
        configuration("c", {"n.t": 0, "inputs.style": "brief"}, [connection()], {"MODE": "a"}),
        configuration("c", {"n.t": 0}, [connection(api_key="rotated")], {"MODE": "a"}),
        configuration("c", {"n.t": 0}, [connection()], {"MODE": "a", "AZURE_OPENAI_API_KEY": "a" * 32}),
        configuration("c", {"n.t": 0}, [connection()], {"MODE": "a", "AZURE_OPENAI_API_KEY": "rotated" * 8}),
    ]
    other = [
        configuration("d", {"n.t": 0}, [connection()], {"MODE": "a"}),
        configuration("c", {"n.t": 0.0}, [connection()], {"MODE": "a"}),
        configuration("c", {"n.t": 0}, [connection(api_base="https://two.example.com")], {"MODE": "a"}),
        configuration("c", {"n.t": 0}, [connection(api_version="2025-01-01")], {"MODE": "a"}),
        configuration("c", {"n.t": 0}, [], {"MODE": "a"}),
        configuration("c", {"n.t": 0}, [connection()], {"MODE": "b"}),
        configuration("c", {"n.t": 0}, [connection()], {"MODE": "a", "MAX_COMPLETION_TOKENS": "9"}),
        configuration("c", {"n.t": 0}, [connection()], {"MODE": "a", "STOP_TOKEN": "###"}),
        configuration("c", {"n.t": 0}, [connection()], {"MODE": "a", "STOP_TOKEN": "---"}),
        configuration("c", {"n.t": 0}, [connection()], {"MODE": "a"}, repetition=1),
    ]
    assert set(same) == {base}
    assert len({base, *other}) == 1 + len(other)


def test_a_real_model_never_stands_for_the_stand_in() -> None:
    stand_in = Connection("aoai", "azure", "http://127.0.0.1:7073", "stand-in", stand_in=True)
    elsewhere = Connection("aoai", "azure", "http://127.0.0.1:9999", "stand-in", stand_in=True)
    assert configuration("c", {}, [stand_in], {}) == configuration("c", {}, [elsewhere], {}), "its port is chance"
    assert configuration("c", {}, [stand_in], {}) != configuration("c", {}, [connection()], {})
