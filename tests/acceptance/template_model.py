"""A model for the use cases in `tests/template_use_cases`: it does by rules what their prompts ask, and always the same.

Served as Azure OpenAI serves chat completions; what a rule does stands in its docstring.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.contract.model_server import completion
from tests.servers.plain_http import Handler, LoopbackServer

Messages = Sequence[Mapping[str, str]]


def _between(text: str, start: str, end: str = r"\Z") -> str:
    found = re.search(rf"{start}(.*?)(?:{end})", text, re.DOTALL)
    assert found is not None, f"no {start!r} in {text!r}"
    return found[1].strip()


def _sentences(text: str, count: int) -> str:
    return " ".join(re.findall(r"[^.]+\.", text)[:count]).replace("  ", " ").strip()


def shorten(messages: Messages) -> str:
    """The first sentence, or the first two."""
    count = 2 if "first two" in messages[0]["content"] else 1
    return _sentences(_between(messages[-1]["content"], "Text:"), count)


def classify(messages: Messages) -> str:
    """By words of the notice; `job` only where the prompt offers it."""
    text = _between(messages[-1]["content"], r"Notice n-\d+:")
    signs = {"sale": "for sale", "event": r"\bmeets?\b", "lost": r"\blost\b", "job": r"looks for help|\bhire\b"}
    offered = messages[0]["content"]
    kinds = [kind for kind, sign in signs.items() if kind in offered and re.search(sign, text)]
    return json.dumps({"category": (kinds or ["other"])[0], "evidence": "Text content"})


def find_entities(messages: Messages) -> str:
    """Places after `from` and `to`, weights in kg; for none an empty answer, or `none` where the prompt asks for it."""
    wanted = _between(messages[-1]["content"], "Wanted:", "\n")
    pattern = {"place": r"(?:from|to) ([A-Z]\w+)", "weight": r"(\d+ kg)"}[wanted]
    found = re.findall(pattern, _between(messages[-1]["content"], "Text:"))
    return ", ".join(found) or ("none" if "Say none" in messages[0]["content"] else "")


def write_code(messages: Messages) -> str:
    """A program that adds or multiplies the question's first two numbers; prose where it has none."""
    question = _between(messages[-1]["content"], "Question:")
    numbers = re.findall(r"\d+(?:\.\d+)?", question)
    if len(numbers) < 2:
        return "That depends."
    sign = "+" if "altogether" in question else "*"
    return json.dumps({"code": f"a = {numbers[0]}\nb = {numbers[1]}\nprint(a {sign} b)"})


def write_card(messages: Messages) -> str:
    """The occasion, with a wish."""
    return f"{_between(messages[0]['content'], 'Occasion:')} All the best!"


def judge_card(messages: Messages) -> str:
    """5 if the card holds the word, else 1."""
    said = messages[-1]["content"]
    holds = _between(said, "Must speak of:", "\n") in _between(said, "Card:")
    return json.dumps({"score": 5 if holds else 1, "explanation": "it does" if holds else "it does not"})


def guide(messages: Messages) -> str:
    """What is known of the town, or how often the user has asked."""
    question = messages[-1]["content"]
    if "How many questions" in question:
        return f"You asked {sum(message['role'] == 'user' for message in messages)}."
    known = {"mill": "The mill opens at ten.", "bell": "The sexton rings the bell."}
    return next((told for word, told in known.items() if word in question), "The ferry leaves from the north quay.")


def check_statement(messages: Messages) -> str:
    """5 if the answer holds what the statement says it names, or if it says nothing of that kind; else 1."""
    said = messages[-1]["content"]
    statement, answer = _between(said, r"\nStatement: It", r"\.\s*\Z"), _between(said, r"\nAnswer:", "\n")
    holds = statement.removeprefix("names ").lower() in answer.lower() or not statement.startswith("names ")
    return json.dumps({"score": 5 if holds else 1, "explanation": statement})


def rewrite(messages: Messages) -> str:
    """`it` becomes `the pump` where the user has spoken of it before."""
    said = messages[-1]["content"]
    question = _between(said, r"\nQuestion:")
    return question.replace(" it ", " the pump ") if re.search("Before: .*pump", said) else question


def answer_from_manual(messages: Messages) -> str:
    """The first sentence of the context."""
    return _sentences(_between(messages[-1]["content"], "Context:", "\n"), 1)


RULES: Final[Mapping[str, Callable[[Messages], str]]] = {
    "You shorten notices": shorten,
    "You sort notices": classify,
    "Find every value": find_entities,
    "You write Python": write_code,
    "You write cards": write_card,
    "You judge cards": judge_card,
    "You guide people": guide,
    "You check whether": check_statement,
    "You make the question": rewrite,
    "You answer from the manual": answer_from_manual,
}
"""How a prompt begins, in its first message or in its last → what it asks for."""


def answer(messages: Messages) -> str:
    """What the rule for these messages says."""
    beginnings = (messages[0]["content"].strip(), messages[-1]["content"].strip())
    return next(rule(messages) for start, rule in RULES.items() if any(text.startswith(start) for text in beginnings))


class TemplateModel(LoopbackServer):
    """`with TemplateModel() as model:` serves on `model.url`."""

    def __init__(self) -> None:
        super().__init__(_Completions)


class _Completions(Handler):
    def do_POST(self) -> None:  # noqa: N802 - the standard library's name
        request = json.loads(self.content())
        self.answer(200, completion(answer(request["messages"])))
