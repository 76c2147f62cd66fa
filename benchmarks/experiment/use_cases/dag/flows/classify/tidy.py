from promptflow.core import tool


@tool
def tidy(said: str) -> str:
    return said.strip().lower()
