import os

from .utils.oai import OAIChat


def qna(prompt: str, history: list):
    limit = int(os.environ.get("MAX_ANSWER_WORDS"))
    yield from OAIChat().stream(history + [{"role": "user", "content": prompt}], max_tokens=limit)
