from promptflow.core import tool


@tool
def loud(question: str) -> str:
    return question.upper()
