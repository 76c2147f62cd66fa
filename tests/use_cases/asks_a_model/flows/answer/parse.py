import json

from promptflow.core import tool


@tool
def parse(answer: str) -> str:
    if not answer:
        raise ValueError("The model answered nothing.")
    try:
        return str(json.loads(answer)["category"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"The model did not answer with a category: {answer[:20]!r}") from None
