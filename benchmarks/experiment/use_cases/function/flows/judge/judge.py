from typing import TypedDict

from openai import AzureOpenAI
from promptflow.core import AzureOpenAIModelConfiguration


class Judged(TypedDict):
    verdict: str
    correct: bool


class Judge:
    def __init__(self, model_config: AzureOpenAIModelConfiguration):
        self.deployment = model_config.azure_deployment
        self.client = AzureOpenAI(
            azure_endpoint=model_config.azure_endpoint,
            api_key=model_config.api_key,
            api_version=model_config.api_version or "2024-02-01",
        )

    def __call__(self, answer: str, expected: str) -> Judged:
        said = self.client.chat.completions.create(
            model=self.deployment,
            messages=[{"role": "user", "content": f"Compare: {answer} / {expected}"}],
            temperature=0,
        )
        return {"verdict": said.choices[0].message.content, "correct": answer == expected}

    def __aggregate__(self, lines: list) -> dict:
        correct = sum(line["correct"] for line in lines) / len(lines)
        return {"accuracy": correct, "letters": sum(len(line["verdict"]) for line in lines)}
