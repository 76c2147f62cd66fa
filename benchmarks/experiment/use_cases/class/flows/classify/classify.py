from dataclasses import dataclass

from openai import AzureOpenAI
from promptflow.core import AzureOpenAIModelConfiguration

STYLES = {"brief": "Sort it: billing, login or other.", "polite": "Please sort it into billing, login or other."}


@dataclass
class Sorted:
    category: str
    letters: int


class Classifier:
    def __init__(self, model_config: AzureOpenAIModelConfiguration, style: str = "brief"):
        self.style = style
        self.deployment = model_config.azure_deployment
        self.client = AzureOpenAI(
            azure_endpoint=model_config.azure_endpoint,
            api_key=model_config.api_key,
            api_version=model_config.api_version or "2024-02-01",
        )

    def __call__(self, text: str) -> Sorted:
        messages = [{"role": "system", "content": STYLES[self.style]}, {"role": "user", "content": text}]
        said = self.client.chat.completions.create(model=self.deployment, messages=messages, temperature=0)
        category = said.choices[0].message.content.strip().lower()
        return Sorted(category=category, letters=len(category))
