from promptflow.core import tool


@tool
def style() -> str:
    return "plain"
