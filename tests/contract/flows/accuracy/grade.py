import os

from promptflow.core import tool

from words import same


@tool
def grade(prediction: str, truth: str) -> int:
    if truth == "the end":
        os._exit(9)
    if truth == "unknown":
        raise ValueError("the truth of this line is unknown")
    return int(same(prediction, truth))
