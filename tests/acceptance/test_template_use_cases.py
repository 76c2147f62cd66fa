"""Use case folders in the shape of microsoft/genaiops-promptflow-template run as they are, with all of their oddities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import fmean

import pytest

from genaiops import lab
from genaiops.cli.outcome import ExitCode
from tests.acceptance.template_model import TemplateModel
from tests.acceptance.template_world import FOLDERS, KEY, USE_CASES, Host, Template
from tests.cli import printed_json, run

pytestmark = [pytest.mark.xdist_group("template-use-cases"), pytest.mark.timeout(900)]

WARNINGS = {
    "ask_the_manual": {
        ("experiment.yaml", "datasets[0].mappings.math_question"),
        ("experiment.yaml", "evaluators[0].datasets[0].mappings.documents"),
        ("experiment.pr.yaml", "datasets[0].mappings.math_question"),
    },
    "kitchen_sums": {("experiment.pr.yaml", "name")},
    "notice_board": {("experiment.pr.yaml", "datasets[0].mappings.notice_text")},
    "parcel_notes": {("experiment.postprodeval.yaml", "flow")},
}
OVERLAYS = {"town_guide": [], "card_writer": [], "parcel_notes": ["postprodeval"]}


def content_of(folder: Path) -> dict[str, str]:
    """Every file with a digest of its content."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    before = content_of(FOLDERS)
    with pytest.MonkeyPatch.context() as patch, TemplateModel() as model:
        patch.setenv("GENAIOPS_ENV_FILE", str(tmp_path_factory.mktemp("none") / "none.env"))
        with lab.Lab() as bench:
            template = Template(bench, model)
            template.run = cache(template.run)  # type: ignore[method-assign]
            yield template
    assert content_of(FOLDERS) == before, "nothing of the folders was changed, and nothing added"


def names_and_bars(results: lab.Results) -> list[tuple[str, str, int, int]]:
    """(variant, dataset, lines, failed lines) of every run."""
    table = results.table()
    return list(table[["variant", "dataset", "lines", "failed"]].itertuples(index=False, name=None))


# ------------------------------------------------------------------------------------------------------------- validate


@pytest.mark.parametrize("use_case", USE_CASES)
def test_validate_finds_the_folder_valid_in_all_of_its_environments(
    use_case: str, template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    template.configure(monkeypatch, use_case)
    done = run("validate", str(FOLDERS / use_case), "--json")
    found = printed_json(done)
    assert (done.exit_code, found["problems"]) == (ExitCode.OK, [])
    assert found["environments"] == ["dev", *OVERLAYS.get(use_case, ["pr"])]
    assert {(Path(w["file"]).name, w["key"]) for w in found["warnings"]} == WARNINGS.get(use_case, set())


# ------------------------------------------------------------------------- a DAG with variants on two nodes, two datasets


def test_variants_of_two_nodes_run_one_at_a_time_on_both_datasets(template: Template) -> None:
    results = template.run("notice_board")
    assert results.succeeded, results.reason
    variants = ("default", "shorten_text_content.variant_1", "classify_with_llm.variant_1")
    assert names_and_bars(results) == [
        (variant, dataset, lines, 0)
        for dataset, lines in (("notice_board_train", 4), ("notice_board_train_new", 3))
        for variant in variants
    ]
    assert results.models == (f"aoai: {template.model.url}", f"aoai1: {template.model.url}")
    accuracy = results.compare("notice_board_flow.accuracy")["notice_board_train"]
    assert dict(accuracy) == dict(zip(variants, (0.5, 0.75, 0.75), strict=True))
    precision = results.compare("notice_board_flow_adv.precision")["notice_board_train_new"]
    assert dict(precision) == dict.fromkeys(variants, 0.67)
    for variant in variants:
        lines = results.lines(variant, "notice_board_train")
        assert list(lines["inputs.language"]) == ["English"] * 4, "a constant"
        right = lines["outputs.category"] == lines["expected.groundtruth"]
        assert list(lines["notice_board_flow.grade"]) == ["Correct" if found else "Incorrect" for found in right]
        assert accuracy[variant] == right.mean()
    longer = results.lines("shorten_text_content.variant_1", "notice_board_train")
    assert list(longer["outputs.category"]) == ["sale", "event", "other", "lost"]
    exampled = results.lines("classify_with_llm.variant_1", "notice_board_train")
    assert list(exampled["outputs.category"]) == ["sale", "event", "job", "other"]


def test_selected_variants_run_alone_and_are_taken_over(template: Template) -> None:
    template.run("notice_board")
    chosen = template.run("notice_board", variants="default,classify_with_llm.variant_1")
    assert chosen.succeeded, chosen.reason
    assert chosen.variants == ("default", "classify_with_llm.variant_1")
    assert (chosen.model_calls, chosen.reused_lines) == (0, 14)


def test_the_overlay_of_pull_requests_runs_without_evaluators_on_what_inputs_default_to(template: Template) -> None:
    results = template.run("notice_board", "pr", variants="defaults")
    assert results.succeeded, results.reason
    assert names_and_bars(results) == [("default", "notice_board_pr", 4, 0)]
    lines = results.lines("default", "notice_board_pr")
    assert list(lines["outputs.category"]) == ["sale"] * 4, "the mapping names no input of the flow"


# ------------------------------------------------------------------ a DAG with a post-production evaluation beside it


def test_extraction_is_matched_by_variant_whatever_lies_beside_it(template: Template) -> None:
    results = template.run("parcel_notes")
    assert results.succeeded, results.reason
    assert names_and_bars(results) == [
        ("default", "parcel_notes_train", 5, 0),
        ("NER_LLM.None_Said", "parcel_notes_train", 5, 0),
    ]
    assert results.models == (f"aoai: {template.model.url}",), "the overlay of dev lists one connection"
    for variant, exact, partial in (("default", 0.8, 1.0), ("NER_LLM.None_Said", 0.6, 0.8)):
        lines = results.lines(variant, "parcel_notes_train")
        found = [match["exact_match"] for match in lines["matcher.match_cnt"]]
        truth = [[one.strip() for one in text.split(",") if one] for text in lines["expected.ground_truth"]]
        assert found == [int(sorted(a) == sorted(b)) for a, b in zip(lines["outputs.entities"], truth, strict=True)]
        assert results.compare("matcher.exact_match_rate").loc[variant].item() == fmean(found) == exact
        assert results.compare("matcher.partial_match_rate").loc[variant].item() == partial
    last = results.lines("NER_LLM.None_Said", "parcel_notes_train").iloc[-1]
    assert last["outputs.entities"] == ["none"]


def test_a_variant_is_chosen_by_its_name_with_its_capitals(template: Template) -> None:
    chosen = template.run("parcel_notes", variants="NER_LLM.None_Said")
    assert chosen.variants == ("NER_LLM.None_Said",)
    with pytest.raises(lab.LabError, match=r"did you mean 'NER_LLM\.None_Said'"):
        template.run("parcel_notes", variants="NER_LLM.none_said")


def test_an_overlay_that_names_another_flow_runs_the_use_cases_own(template: Template) -> None:
    results = template.run("parcel_notes", "postprodeval", variants="defaults")
    assert results.succeeded, results.reason
    assert names_and_bars(results) == [("default", "parcel_notes_pp_eval", 2, 0)]
    assert list(results.lines("default", "parcel_notes_pp_eval")["outputs.entities"]) == [
        ["Bergen", "Oslo"],
        ["3 kg", "40 kg"],
    ]


# ------------------------------------------------------------------------------------------- a DAG that executes code


def test_each_line_gets_what_its_own_program_printed(template: Template) -> None:
    results = template.run("kitchen_sums")
    assert results.succeeded, results.reason
    lines = results.lines("default", "kitchen_sums_training")
    assert list(lines["outputs.answer"]) == ["18", "375", "84", "12.5", "JSONDecodeError", "42"]
    assert list(lines["sums_evaluation_flow.score"]) == [1, 1, 1, 1, -1, 0]
    metrics = results.table().iloc[0]
    assert metrics["sums_evaluation_flow.accuracy"] == round(4 / 6, 2)
    assert metrics["sums_evaluation_flow.error_rate"] == round(1 / 6, 2)
    assert (metrics["failed"], metrics["model_calls"]) == (0, 6)
    assert results.models == (f"aoai: {template.model.url}",), "an entry that no flow uses disturbs nothing"


# --------------------------------------------------------------------------------------------------------- a function


def test_a_function_runs_with_its_defaults_and_its_variables_and_a_class_judges_it(template: Template) -> None:
    results = template.run("card_writer")
    assert results.succeeded, results.reason
    lines = results.lines("default", "card_data")
    assert [column for column in lines if column.startswith("inputs.")] == ["inputs.text"]
    assert list(lines["outputs.output"]) == [f"{text} All the best!" for text in lines["inputs.text"]]
    holds = [word in card for word, card in zip(lines["expected.groundtruth"], lines["outputs.output"], strict=True)]
    assert list(lines["card_eval.correctness"]) == [5 if found else 1 for found in holds]
    metrics = results.table().iloc[0]
    assert metrics["card_eval.average_correctness"] == fmean(lines["card_eval.correctness"]) == 4
    assert (metrics["card_eval.total"], metrics["failed"], metrics["model_calls"]) == (4, 0, 8)


def test_the_deployment_config_says_where_and_how(template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    template.configure(monkeypatch, "card_writer")
    deployment = lab.load(FOLDERS / "card_writer").deployment
    assert deployment is not None
    assert (deployment.endpoint, deployment.traffic, deployment.after_ci) == ("card-writer", 100, False)
    assert [target.kind for target in deployment.targets] == [
        "azure_managed_endpoint",
        "kubernetes_endpoint",
        "webapp_endpoint",
    ]
    assert deployment.environment_variables == {"example-name": "example-value"}
    assert deployment.sample_request == FOLDERS / "card_writer" / "sample-request.json"
    named = lab.load(FOLDERS / "town_guide").deployment
    assert named is not None
    assert named.endpoint == "tg01e"


# ----------------------------------------------------------------------------------------------------------- a class


def test_a_class_is_judged_by_a_class_and_by_a_function_for_the_whole_run(template: Template) -> None:
    results = template.run("town_guide")
    assert results.succeeded, results.reason
    lines = results.lines("default", "town_guide_data")
    assert list(lines["outputs.output"]) == [
        "The mill opens at ten.",
        "The sexton rings the bell.",
        "You asked 2.",
        "The ferry leaves from the north quay.",
    ]
    judged = [said["score"] for said in lines["town_guide.correctness"]]
    assert judged == [5, 5, 5, 1]
    metrics = results.table().iloc[0]
    assert metrics["town_guide.average_correctness"] == fmean(judged)
    assert metrics["town_guide.total"] == 4
    assert metrics["eval_nlp.groundedness"] == round((1 + 1 + 1 / 3 + 1) / 4, 3)
    assert metrics["eval_nlp.steady"] == 0.75, "asked without its history, one answer differs"
    assert metrics["model_calls"] == 4 + 8 + 4, "the flow, two statements a line, and the class once more"


# --------------------------------------------------------------------------------------------------- nested packages


def test_nested_packages_and_helpers_of_the_same_name_are_each_flows_own(template: Template) -> None:
    results = template.run("ask_the_manual")
    assert results.succeeded, results.reason
    lines = results.lines("default", "ask_the_manual")
    assert [column for column in lines if column.startswith("inputs.")] == ["inputs.question", "inputs.chat_history"]
    assert list(lines["outputs.answer"]) == [
        "To clean it, rinse the pump with warm water. ",
        "The pump needs oil every week. ",
        "The fuse lies behind the lid. ",
        "The fuse lies behind the lid. ",
    ]
    assert all(answer.strip() in context[0] for answer, context in lines[["outputs.answer", "outputs.context"]].values)
    assert list(lines["ask_the_manual_evaluation_flow.overlap"]) == [1, 1, 1, 0]
    metrics = results.table().iloc[0]
    assert metrics["ask_the_manual_evaluation_flow.overlap"] == 0.75
    assert (metrics["failed"], metrics["model_calls"]) == (0, 8)


# -------------------------------------------------------------------------------------------------------------- served


def test_deployed_flows_answer_their_sample_requests(
    template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(tmp_path)
    host.supervisor.start()
    try:
        asked = []
        for use_case in ("card_writer", "town_guide"):  # the variables of one do not disturb the other
            template.configure(monkeypatch, use_case)
            loaded = lab.load(FOLDERS / use_case)
            deployment = loaded.deployment
            assert deployment is not None
            assert deployment.sample_request is not None
            request = json.loads(deployment.sample_request.read_text("utf-8"))
            asked.append((host.deploy(loaded), request, deployment.traffic))
        answers = [host.invoke(*one) for one in asked]
    finally:
        host.supervisor.stop()
    assert answers == [
        (200, {"output": "Ida has passed her exam. All the best!"}),
        (200, {"output": "You asked 2."}),
    ]


# ---------------------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize("use_case", USE_CASES)
def test_no_key_is_in_a_report(use_case: str, template: Template, tmp_path: Path) -> None:
    page = template.run(use_case).report(tmp_path)
    assert all(KEY.encode() not in file.read_bytes() for file in page.parent.iterdir())
