import os
from functools import lru_cache

from openai import AzureOpenAI

STYLES = {"brief": "Sort it: billing, login or other.", "polite": "Please sort it into billing, login or other."}


@lru_cache(maxsize=1)
def client() -> AzureOpenAI:
    return AzureOpenAI(
        azure_endpoint=os.environ["MODEL_URL"], api_key=os.environ["MODEL_KEY"], api_version="2024-02-01"
    )


def classify(text: str, style: str = "brief") -> str:
    messages = [{"role": "system", "content": STYLES[style]}, {"role": "user", "content": text}]
    said = client().chat.completions.create(model="benchmark", messages=messages, temperature=0)
    return said.choices[0].message.content.strip().lower()
