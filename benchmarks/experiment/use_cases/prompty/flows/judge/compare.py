from promptflow.core import tool


@tool
def compare(answer: str, expected: str) -> bool:
    return answer == expected
