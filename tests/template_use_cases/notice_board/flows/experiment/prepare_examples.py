from typing import Dict, List

from promptflow import tool


@tool
def prepare_examples() -> List[Dict]:
    return [
        {"text": "We hire a cook.", "category": "job"},
        {"text": "The forge looks for help.", "category": "job"},
    ]
