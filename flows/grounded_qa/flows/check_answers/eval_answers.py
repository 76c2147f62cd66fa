"""Checks an answer against the ground truth, without a model: facts, citations, and whether it knows when not to answer."""

from __future__ import annotations

import re

UNKNOWN = re.compile(r"\bI (?:do not|don[’']t) know\b", re.IGNORECASE)
PASSAGE = re.compile(r"^\[([\w-]{1,60})\] ", re.MULTILINE)


def eval_answer(
    answer: str,
    citations: list,
    context: str,
    answerable: bool,
    expected_document: str,
    expected_facts: list,
) -> dict:
    """Scores from 0 to 1 of one answer; None where a score does not apply: a metric is the mean of the others.

    - `correct`: it holds every expected fact; where there is no answer, it says that it does not know.
    - `knows_limits`: it says that it does not know exactly where there is no answer.
    - `facts`: the share of expected facts that it holds.
    - `retrieved`: the expected document is among the passages that the model was shown.
    - `cites_document`: it cites the expected document.
    - `citations_exist`: it cites, and only passages that the model was shown. An answer that is not known cites nothing.
    """
    said = " ".join((answer or "").split())
    unknown = bool(UNKNOWN.search(said))
    shown = set(PASSAGE.findall(context or ""))
    cited = set(citations or [])
    held = [fact for fact in expected_facts or [] if _plain(fact) in _plain(said)]
    limits = unknown != bool(answerable)
    return {
        "correct": float(limits and len(held) == len(expected_facts or [])),
        "knows_limits": float(limits),
        "facts": len(held) / len(expected_facts) if expected_facts else None,
        "retrieved": float(expected_document in map(_document, shown)) if expected_document else None,
        "cites_document": float(expected_document in map(_document, cited)) if expected_document else None,
        "citations_exist": float(bool(cited) and cited <= shown) if cited or not unknown else None,
    }


def _document(passage: str) -> str:
    """The document of a passage's id, `<document>-<number>`."""
    return passage.rpartition("-")[0]


def _plain(text: str) -> str:
    return text.casefold().replace("’", "'")
