import os

from openai import AzureOpenAI

from .logging_utils import log
from .retry import retry


class OAI:
    def __init__(self):
        if os.environ.get("OPENAI_API_TYPE") != "azure":
            raise ValueError("OPENAI_API_TYPE is not azure")
        self.client = AzureOpenAI(
            azure_endpoint=os.environ.get("OPENAI_API_BASE"),
            api_key=os.environ.get("OPENAI_API_KEY"),
            api_version=os.environ.get("OPENAI_API_VERSION"),
        )


class OAIChat(OAI):
    @retry(2)
    def generate(self, messages: list, **kwargs) -> str:
        answer = self.client.chat.completions.create(
            model=os.environ.get("CHAT_MODEL_DEPLOYMENT_NAME"), messages=messages, **kwargs
        )
        log("answered")
        return answer.choices[0].message.content

    def stream(self, messages: list, **kwargs):
        for word in self.generate(messages, **kwargs).split(" "):
            yield word + " "
