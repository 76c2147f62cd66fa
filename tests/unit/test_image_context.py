"""The context of a served flow's image: the same bytes for the same deployment, no more than it needs, and no secret."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from shared.adapters.azure.endpoints.image_context import PROGRAM, ImageContext, image_context
from shared.adapters.serving import manifest
from shared.adapters.serving.sources import sources
from shared.connections import Connection
from shared.errors import BusinessFailure
from shared.ports import DeploymentSpec
from shared.use_case.model import ConnectionSpec
from tests.dockerfile import instructions

ROOT = Path(__file__).parents[2]


def deployment(use_case: Path, flow: str, **changes: object) -> DeploymentSpec:
    spec = DeploymentSpec(
        "tickets", "v1-0a1b2c3d", use_case / flow, "0" * 64, "1", root=use_case, package=use_case.name
    )
    return replace(spec, connection_specs=(ConnectionSpec("aoai"),), **changes)


def triage(**changes: object) -> DeploymentSpec:
    return deployment(ROOT / "flows" / "ticket_triage", "flows/ticket_triage", **changes)


def problems(**changes: object) -> DeploymentSpec:
    changes = {"flow_file": "flow.flex.yaml", **changes}
    return deployment(ROOT / "flows" / "word_problems", "flows/word_problems", **changes)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A use case of the test's own: a function flow that needs nothing but Python."""
    folder = tmp_path / "own_case"
    for name, text in {
        "experiment.yaml": "name: own_case\nflow: flows/answer\ndatasets:\n- {name: rows, source: data/rows.jsonl}\n",
        "flows/answer/flow.flex.yaml": "entry: answer:answer\n",
        "flows/answer/answer.py": "def answer(question: str) -> str:\n    return question.upper()\n",
        "flows/judge/eval_judge.py": "def eval_judge(answer):\n    return {}\n",
        "data/rows.jsonl": '{"question": "a"}\n',
        "configs/sample-request.json": '{"question": "b"}\n',
        "common/words.py": "WORDS = []\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def in_use_case(context: ImageContext) -> set[str]:
    prefix = "app/use-case/"
    return {name.removeprefix(prefix) for name in context.files if name.startswith(prefix)}


def test_the_same_deployment_gives_the_same_context_on_any_machine(tmp_path: Path) -> None:
    here = image_context(triage())
    shutil.copytree(ROOT / "flows" / "ticket_triage", tmp_path / "elsewhere")
    there = image_context(deployment(tmp_path / "elsewhere", "flows/ticket_triage", package="ticket_triage"))
    assert there.files == here.files
    assert (there.digest, there.tag) == (here.digest, here.digest[:24])


def test_endpoint_name_version_and_tags_are_not_in_it_so_that_environments_share_an_image() -> None:
    of_dev = image_context(triage())
    of_prod = image_context(
        triage(endpoint="tickets-prod", name="v9-ffffffff", flow_version="9", tags={"chain": "c"}, flow_digest="1" * 64)
    )
    assert of_prod.digest == of_dev.digest


def test_variants_parameters_and_code_change_its_digest(own: Path) -> None:
    spec = deployment(own, "flows/answer", flow_file="flow.flex.yaml")
    digests = [image_context(each).digest for each in (spec, replace(spec, parameters={"inputs.question": "x"}))]
    (own / "flows/answer/answer.py").write_text("def answer(question: str) -> str:\n    return question\n")
    digests.append(image_context(spec).digest)
    digests += [image_context(triage()).digest, image_context(triage(variants={"classify": "listed"})).digest]
    assert len(set(digests)) == len(digests)


def test_a_dag_is_in_it_with_its_variants_and_parameters_applied() -> None:
    context = image_context(triage(variants={"classify": "listed"}, parameters={"classify.temperature": 0.9}))
    dag = json.loads(context.files["app/use-case/flows/ticket_triage/served.dag.yaml"])
    (classify,) = [node for node in dag["nodes"] if node["name"] == "classify"]
    assert classify["source"]["path"] == "classify__listed.jinja2"
    assert classify["inputs"]["temperature"] == 0.9
    assert "node_variants" not in dag


def test_a_variant_that_does_not_exist_is_refused_before_anything_is_built() -> None:
    with pytest.raises(BusinessFailure, match="has no variant 'shouted'"):
        image_context(triage(variants={"classify": "shouted"}))
    with pytest.raises(BusinessFailure, match="does not exist"):
        image_context(replace(triage(), flow=ROOT / "flows" / "nowhere"))


def test_it_holds_the_modules_that_serve_and_no_others() -> None:
    of_ours = {name for name in image_context(triage()).files if name.startswith("app/shared/")}
    assert of_ours == {f"app/{name}" for name in sources(PROGRAM)}
    rooms = {name.removeprefix("app/shared/").rpartition("/")[0] for name in of_ours}
    assert rooms == {"", "adapters", "adapters/local", "adapters/local/engines", "adapters/serving", "use_case"}
    assert not {"settings.py", "bootstrap.py", "perform.py", "azure_settings.py"} & {
        Path(name).name for name in of_ours
    }
    assert len(of_ours) < 70


def test_what_it_holds_imports_nothing_that_its_requirements_lack(tmp_path: Path) -> None:
    context = image_context(problems())
    installed = re.findall(r"^([a-z0-9._-]+)==", context.files["requirements.txt"].decode(), re.MULTILINE)
    assert "promptflow" not in installed
    context.write(tmp_path / "context")
    # Prompt flow, our own modules elsewhere and dotenv are out of reach here, as in an image for plain code.
    program = (
        "import sys\n"
        "class None_:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('promptflow', 'dotenv', 'pandas', 'azure', 'aiohttp', 'flask'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, None_())\n"
        f"import {PROGRAM}\n"
        "print(sorted({m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'shared' and m.__file__})[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{program}"],
        cwd=tmp_path / "context" / "app", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("./shared/") or str(tmp_path) in done.stdout


def test_a_flow_that_stays_in_its_folder_takes_nothing_else_along(own: Path) -> None:
    context = image_context(deployment(own, "flows/answer", flow_file="flow.flex.yaml"))
    assert in_use_case(context) == {"flows/answer/flow.flex.yaml", "flows/answer/answer.py"}


def test_a_flow_that_imports_its_use_case_takes_the_rest_along_without_data_and_configuration(own: Path) -> None:
    (own / "flows/answer/answer.py").write_text("from own_case.common.words import WORDS\n\ndef answer(): ...\n")
    found = in_use_case(image_context(deployment(own, "flows/answer", flow_file="flow.flex.yaml")))
    assert {"common/words.py", "flows/judge/eval_judge.py"} <= found
    assert not any(name.startswith(("data/", "configs/")) for name in found)


def test_a_dataset_that_the_code_names_comes_along(own: Path) -> None:
    (own / "flows/answer/answer.py").write_text(
        "from pathlib import Path\nROWS = Path(__file__).parents[2] / 'data' / 'rows.jsonl'\n\ndef answer(): ...\n"
    )
    assert "data/rows.jsonl" in in_use_case(image_context(deployment(own, "flows/answer", flow_file="flow.flex.yaml")))


def test_no_secret_is_in_it(own: Path) -> None:
    (own / "flows/answer/.env").write_text("AOAI_API_KEY=planted-in-a-file-0001\n")
    (own / ".env").write_text("AOAI_API_KEY=planted-in-a-file-0002\n")
    key = "planted-in-a-connection-0003"
    context = image_context(
        deployment(
            own, "flows/answer", flow_file="flow.flex.yaml",
            connections={"aoai": Connection("aoai", "azure", "https://example.com", key)},
            environment={"SEARCH_KEY": "${SEARCH_KEY}", "STYLE": "short"},
        )
    )  # fmt: skip
    whole = b"\n".join(context.files.values())
    assert b"planted-in-" not in whole
    assert json.loads(context.files[f"app/{manifest.FILE}"])["environment"] == {
        "SEARCH_KEY": "${SEARCH_KEY}",
        "STYLE": "short",
    }


def test_the_manifest_reads_back_as_it_was_written(tmp_path: Path) -> None:
    context = image_context(problems(parameters={"inputs.style": "plain"}, environment={"A": "1"}))
    context.write(tmp_path)
    served = manifest.read(tmp_path / "app")
    assert served.flow == "use-case/flows/word_problems"
    assert (served.flow_file, served.dag, served.root, served.package) == (
        "flow.flex.yaml", "", "use-case", "word_problems",
    )  # fmt: skip
    assert (served.parameters, served.connections) == ({"inputs.style": "plain"}, (ConnectionSpec("aoai"),))


def test_only_flows_that_need_prompt_flow_install_it(own: Path) -> None:
    def installed(spec: DeploymentSpec) -> str:
        return image_context(spec).files["requirements.txt"].decode()

    assert "\npromptflow==" in installed(triage())
    assert "\npromptflow==" not in installed(problems())
    plain = deployment(own, "flows/answer", flow_file="flow.flex.yaml")
    assert "\npromptflow==" not in installed(plain)
    (own / "flows/answer/answer.py").write_text("from promptflow.tracing import trace\n\ndef answer(): ...\n")
    assert "\npromptflow==" in installed(plain)


def test_a_flows_own_requirements_are_installed_with_our_pins_and_only_if_it_has_some(own: Path) -> None:
    with_some = image_context(problems())
    assert with_some.files["flow-requirements.txt"] == b"openai>=3.54\n"
    pins = with_some.files["constraints.txt"].decode().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+( ; .+)?", pin) for pin in pins)
    assert any(pin.startswith("openai==") for pin in pins)
    without = image_context(deployment(own, "flows/answer", flow_file="flow.flex.yaml"))
    assert not {"flow-requirements.txt", "constraints.txt"} & set(without.files)
    assert "flow-requirements" not in without.files["Dockerfile"].decode()


@pytest.mark.parametrize("spec", [triage(), problems()], ids=["dag", "flex"])
def test_the_dockerfile_is_sound(spec: DeploymentSpec, tmp_path: Path) -> None:
    context = image_context(spec)
    context.write(tmp_path)
    found = instructions(context.files["Dockerfile"].decode())
    known = {"FROM", "ENV", "RUN", "COPY", "WORKDIR", "USER", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert {each.keyword for each in found} <= known, "no ADD, no ARG, no SHELL"
    last = {each.keyword: each for each in found if each.stage == 2}
    for each in found:
        match each.keyword:
            case "FROM":
                assert re.fullmatch(r"python:3\.1[12]-slim-[a-z]+( AS packages)?", each.text)
            case "COPY":
                *names, _ = [word for word in each.words if not word.startswith("--from=")]
                if "--from=packages" not in each.words:
                    assert all((tmp_path / name).exists() for name in names), names
            case "RUN" | "CMD":
                assert each.text.startswith("["), "as a list: no shell splits it"
            case "ENV":
                assert not re.search("key|secret|token|password", each.text, re.IGNORECASE)
    installs = [each.text for each in found if '"install"' in each.text]
    assert '"--require-hashes"' in installs[0]
    assert "requirements.txt" in installs[0]
    assert last["USER"].text == "10001:10001"
    assert last["EXPOSE"].text == "8080"
    assert "/health" in last["HEALTHCHECK"].text
    assert last["CMD"].words == ["python", "-m", PROGRAM]
    order = [each.keyword for each in found]
    assert order.index("USER") > max(n for n, keyword in enumerate(order) if keyword in {"RUN", "COPY"})
    assert not any(len(line) > 400 for line in context.files["Dockerfile"].decode().splitlines())


def test_written_twice_into_one_folder_nothing_stale_is_left(tmp_path: Path, own: Path) -> None:
    image_context(triage()).write(tmp_path / "context")
    second = image_context(deployment(own, "flows/answer", flow_file="flow.flex.yaml"))
    second.write(tmp_path / "context")
    there = {
        path.relative_to(tmp_path / "context").as_posix()
        for path in (tmp_path / "context").rglob("*")
        if path.is_file()
    }
    assert there == set(second.files)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BusinessFailure, match="is not empty"):
        image_context(triage()).write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_its_archive_is_deterministic_and_has_neither_times_nor_owners() -> None:
    context = image_context(triage())
    assert context.archive() == context.archive()
    with tarfile.open(fileobj=io.BytesIO(context.archive())) as archive:
        entries = archive.getmembers()
        assert {(e.mtime, e.uid, e.gid, e.mode, e.uname) for e in entries} == {(0, 0, 0, 0o644, "")}
        assert [e.name for e in entries] == sorted(context.files)
        dockerfile = archive.extractfile("Dockerfile")
        assert dockerfile is not None
        assert dockerfile.read() == context.files["Dockerfile"]
