from typing import List

from promptflow import tool


@tool
def cleansing(entities_str: str) -> List[str]:
    return [part.strip() for part in entities_str.split(",") if part.strip()]
