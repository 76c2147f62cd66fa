"""The code of the use case grounded question answering that needs no model: passages, search, and chat histories."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FLOW = ROOT / "flows" / "grounded_qa" / "flows" / "grounded_qa"
QUESTIONS = ROOT / "data" / "grounded_qa" / "questions_answerable.jsonl"


def module_of(name: str) -> ModuleType:
    """A module of the flow under a name that no other flow's module has."""
    spec = importlib.util.spec_from_file_location(f"grounded_qa_{name}", FLOW / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


retrieval = module_of("retrieval")
history = module_of("history")


@pytest.fixture(scope="module")
def index() -> Any:
    return retrieval.PassageIndex(retrieval.read_passages(FLOW / "documents"))


# ------------------------------------------------------------------------------------------------------------ passages


def test_a_section_becomes_a_passage_that_knows_the_headings_above_it() -> None:
    first, second = retrieval.split("tea", "# Tea\n\nIt is hot.\n\n## Green\nSteep it\nshortly.\n\n## Empty\n")
    assert (first.id, first.heading, first.text) == ("tea-1", "Tea", "It is hot.")
    assert (second.id, second.heading, second.text) == ("tea-2", "Tea: Green", "Steep it shortly.")
    assert str(second) == "[tea-2] Tea: Green\nSteep it shortly."


def test_a_long_section_is_split_between_sentences_and_keeps_every_word() -> None:
    text = " ".join(f"Sentence number {number} says something." for number in range(60))
    passages = retrieval.split("long", f"# Long\n\n## One\n{text}")
    assert len(passages) > 2
    assert all(len(passage.text) <= retrieval.LONGEST for passage in passages)
    assert all(passage.text.endswith(".") for passage in passages)
    assert " ".join(passage.text for passage in passages) == text


def test_every_document_has_passages_and_no_two_passages_one_id(index: Any) -> None:
    documents = {path.stem for path in (FLOW / "documents").glob("*.md")}
    assert {passage.document for passage in index.passages} == documents
    assert len(documents) >= 12
    ids = [passage.id for passage in index.passages]
    assert len(ids) == len(set(ids))
    assert not any("�" in passage.text or passage.text.startswith("#") for passage in index.passages)


# -------------------------------------------------------------------------------------------------------------- search


def test_rare_words_count_more_than_common_ones() -> None:
    texts = ["the lamp is on", "the lamp is off", "the zebra is on", "the lamp is here"]
    passages = [retrieval.Passage(f"p-{number}", "p", "", text) for number, text in enumerate(texts)]
    (best,) = retrieval.PassageIndex(passages).search("is the zebra a lamp", top_k=1)
    assert best.id == "p-2"


def test_of_two_passages_with_a_word_the_shorter_one_comes_first() -> None:
    passages = [
        retrieval.Passage("p-1", "p", "", "tea" + " and much else" * 20),
        retrieval.Passage("p-2", "p", "", "tea"),
        retrieval.Passage("p-3", "p", "", "coffee"),
    ]
    assert [found.id for found in retrieval.PassageIndex(passages).search("tea")] == ["p-2", "p-1"]


def test_a_search_gives_at_most_top_k_passages_and_none_without_a_common_word(index: Any) -> None:
    for top_k in (0, 1, 3, 100):
        assert len(index.search("How many days of leave are there?", top_k=top_k)) <= top_k
    assert index.search("転職") == []
    assert index.search("") == []
    assert retrieval.PassageIndex([]).search("anything") == []


def test_an_earlier_question_helps_a_short_one_and_leaves_a_clear_one_alone(index: Any) -> None:
    (alone,) = index.search("And after four years?", top_k=1)
    (helped,) = index.search("And after four years?", "How often are laptops replaced?", top_k=1)
    (clear,) = index.search("How many characters must passwords have?", "How do I request leave?", top_k=1)
    assert (helped.document, clear.document) == ("equipment", "information-security")
    assert alone.document != "equipment"


def test_the_expected_document_is_found_for_most_questions_and_more_often_among_three_than_first(index: Any) -> None:
    rows = [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()]

    def found(top_k: int) -> float:
        hits = 0
        for row in rows:
            turns = history.recent_turns(row["chat_history"], 3)
            passages = index.search(row["question"], turns[-1][0] if turns else "", top_k)
            hits += row["expected_document"] in {passage.document for passage in passages}
        return hits / len(rows)

    assert 0.85 < found(1) < found(3) < 1


# ------------------------------------------------------------------------------------------------------------- history


def turn(question: str, answer: str) -> dict[str, Any]:
    return {"inputs": {"question": question}, "outputs": {"answer": answer}}


def test_both_forms_of_a_history_are_read_alike() -> None:
    messages = [
        {"role": "user", "content": "How long?"},
        {"role": "assistant", "content": "Ten days."},
        {"role": "user", "content": "And then?"},
    ]
    assert history.recent_turns([turn("How long?", "Ten days.")], 3) == [("How long?", "Ten days.")]
    assert history.recent_turns(messages, 3) == [("How long?", "Ten days."), ("And then?", "")]


def test_only_the_last_turns_are_kept_and_each_is_cut_to_one_line() -> None:
    turns = history.recent_turns([turn(f"question {number}\n\nsystem:\n", "x" * 9_000) for number in range(50)], 2)
    assert [question for question, _ in turns] == ["question 48 system:", "question 49 system:"]
    assert all(len(answer) == history.LONGEST for _, answer in turns)
    assert history.recent_turns([turn("a", "b")], 0) == []


@pytest.mark.parametrize("given", [None, "text", 7, {}, [None, 1, "a", {}, {"inputs": {}}, {"role": "assistant"}]])
def test_what_is_no_history_counts_as_none(given: object) -> None:
    assert history.recent_turns(given, 3) == []
    assert history.as_text([]) == ""


def test_turns_stand_in_the_prompt_one_line_each() -> None:
    text = history.as_text([("How long?", "Ten days."), ("And then?", "")])
    assert text.splitlines() == [
        "Earlier question: How long?",
        "Earlier answer: Ten days.",
        "Earlier question: And then?",
        "Earlier answer: ",
    ]
