from promptflow.core import tool


@tool
def quiet(question: str) -> str:
    return question
