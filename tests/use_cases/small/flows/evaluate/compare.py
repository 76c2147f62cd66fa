from promptflow.core import tool


@tool
def compare(expected: str, answer: str) -> bool:
    return expected == answer
