"""Has a model judge answers: how far the passages support them, and how far they address the question."""

# No `from __future__ import annotations` here: prompt flow looks at the class that annotates `model_config`, to fill in
# the connection; as a text it would not know it.

import json
import re
from pathlib import Path
from typing import Optional, TypedDict

from promptflow.core import AzureOpenAIModelConfiguration, Prompty
from promptflow.tracing import trace

HERE = Path(__file__).parent
LONGEST = 8_000  # characters of question, answer and context each that a judge reads
SCORE = re.compile(r"\bscore\W{1,6}(\d+(?:\.\d+)?)", re.IGNORECASE)
LOWEST, HIGHEST = 1.0, 5.0


class Judgement(TypedDict):
    """Scores from 1 to 5; None where the judge gave none."""

    groundedness: Optional[float]
    relevance: Optional[float]
    groundedness_reason: str
    relevance_reason: str


class AnswerJudge:
    """Reads both judge prompts once; then judges answer by answer."""

    def __init__(self, model_config: AzureOpenAIModelConfiguration):
        model = {"configuration": model_config}
        self._groundedness = Prompty.load(source=HERE / "groundedness.prompty", model=model)
        self._relevance = Prompty.load(source=HERE / "relevance.prompty", model=model)

    @trace
    def __call__(self, question: str, answer: str, context: str) -> Judgement:
        """Both scores of one answer, with the judge's reasons."""
        said = _text(answer)
        groundedness, why_grounded = read_score(self._groundedness(context=_text(context), answer=said))
        relevance, why_relevant = read_score(self._relevance(question=_text(question), answer=said))
        return {
            "groundedness": groundedness,
            "relevance": relevance,
            "groundedness_reason": why_grounded,
            "relevance_reason": why_relevant,
        }

    def __aggregate__(self, line_results: list) -> dict:
        """The mean of each score over the lines that have it, and the share of lines that have both."""
        metrics = {}
        for name in ("groundedness", "relevance"):
            scores = [line[name] for line in line_results if line[name] is not None]
            if scores:
                metrics[name] = sum(scores) / len(scores)
        judged = [line for line in line_results if None not in (line["groundedness"], line["relevance"])]
        metrics["judged"] = len(judged) / len(line_results) if line_results else 0.0
        return metrics


def read_score(said: object) -> tuple[Optional[float], str]:
    """Score and reason of what a judge said: a JSON object, one inside other text, or a line such as `Score: 4`."""
    text = said if isinstance(said, str) else ""
    value, reason = None, ""
    start, end = text.find("{"), text.rfind("}")
    try:
        judged = json.loads(text[start : end + 1]) if 0 <= start < end else {}
        value, reason = judged.get("score"), str(judged.get("reason", ""))
    except (ValueError, RecursionError):
        judged = {}
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        found = SCORE.search(text)
        value = float(found[1]) if found else None
    return (float(value) if value is not None and LOWEST <= value <= HIGHEST else None), reason[:500]


def _text(value: Optional[str]) -> str:
    """The text, cut. Prompty would take one that starts with `data:image/…` for an image: the line break prevents it."""
    return f"\n{(value or '')[:LONGEST]}\n"
