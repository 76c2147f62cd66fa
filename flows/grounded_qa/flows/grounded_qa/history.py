"""Reads a chat history, whatever form it comes in, and keeps the end of it."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 500  # characters of an earlier question or answer that are kept


def recent_turns(chat_history: object, most: int) -> list[tuple[str, str]]:
    """The last `most` pairs of question and answer; what is neither of the two known forms is left out.

    They are prompt flow's own, `{"inputs": {"question": …}, "outputs": {"answer": …}}`, and a chat's messages,
    `{"role": "user", "content": …}`.
    """
    turns: list[tuple[str, str]] = []
    for entry in chat_history if isinstance(chat_history, Iterable) else ():
        match entry:
            case {"inputs": {"question": str(question)}, "outputs": {"answer": str(answer)}}:
                turns.append((_cut(question), _cut(answer)))
            case {"role": "user", "content": str(question)}:
                turns.append((_cut(question), ""))
            case {"role": "assistant", "content": str(answer)} if turns:
                turns[-1] = (turns[-1][0], _cut(answer))
    return turns[-most:] if most > 0 else []


def as_text(turns: list[tuple[str, str]]) -> str:
    """The turns as they stand in the prompt."""
    return "\n".join(f"Earlier question: {question}\nEarlier answer: {answer}" for question, answer in turns)


def _cut(text: str) -> str:
    """One line: a line of its own such as `system:` would start a message of that role."""
    return " ".join(text.split())[:LONGEST]
