from promptflow.core import tool

from words import normalised


@tool
def tidy(answer: str, shout: bool) -> str:
    word = normalised(answer)
    return word.upper() if shout else word
