"""The model behind environment variables, which `flow.flex.yaml` fills from a connection.

`OPENAI_API_TYPE` is `azure` (default) or the type of any service that speaks as OpenAI does; address and key are
`AZURE_OPENAI_ENDPOINT` and `AZURE_OPENAI_API_KEY` for both.
"""

from __future__ import annotations

import os
from functools import lru_cache

import openai

MOST_TOKENS = 600  # of a program


def chat(messages: list[dict[str, str]], *, temperature: float, deployment: str) -> str:
    """What the model says; empty where it says nothing."""
    answer = _client().chat.completions.create(
        model=deployment, messages=messages, temperature=temperature, max_tokens=MOST_TOKENS
    )
    return answer.choices[0].message.content or ""


@lru_cache(maxsize=1)
def _client() -> openai.OpenAI:
    """One client for all lines: it keeps its connections open and may be used by many threads."""
    if os.environ.get("OPENAI_API_TYPE", "azure") != "azure":
        return openai.OpenAI(base_url=_needed("AZURE_OPENAI_ENDPOINT"), api_key=_needed("AZURE_OPENAI_API_KEY"))
    return openai.AzureOpenAI(
        azure_endpoint=_needed("AZURE_OPENAI_ENDPOINT"),
        api_key=_needed("AZURE_OPENAI_API_KEY"),
        api_version=os.environ.get("OPENAI_API_VERSION", "2024-02-01"),
    )


def _needed(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise RuntimeError(f"{name} is not set: flow.flex.yaml names the connection that it comes from")
    return value
