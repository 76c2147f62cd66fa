"""A class flow as people write it: a model configuration, and a prompty that is loaded for every line."""

from pathlib import Path

from promptflow.core import AzureOpenAIModelConfiguration, Prompty
from promptflow.tracing import trace

HERE = Path(__file__).absolute().parent


class Chat:
    made = 0

    def __init__(self, model_config: AzureOpenAIModelConfiguration, tone: str = "loud", limit: int = 1) -> None:
        type(self).made += 1
        self.model_config = model_config
        self.tone = tone
        self.limit = limit

    @trace
    def __call__(self, question: str, history: list = None) -> dict:
        prompty = Prompty.load(source=HERE / "chat.prompty", model={"configuration": self.model_config})
        answer = prompty(question=question)
        told = [self.model_config.azure_deployment, self.tone, self.limit, history, self.made]
        return {"answer": answer, "told": told}
