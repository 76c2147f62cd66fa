from typing import List

from promptflow import tool


@tool
def cleansing(entities_str: str) -> List[str]:
    # Commas, spaces and full stops at the ends are the model's, not the values'.
    parts = entities_str.split(",")
    return [part.strip(" \t.\"") for part in parts if len(part.strip(" \t.\"")) > 0]
