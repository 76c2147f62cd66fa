import os
from pathlib import Path

from promptflow.core import AzureOpenAIModelConfiguration, Prompty
from promptflow.tracing import trace

BASE_DIR = Path(__file__).absolute().parent


def log(message: str):
    verbose = os.environ.get("VERBOSE", "false")
    if verbose.lower() == "true":
        print(message, flush=True)


class ChatFlow:
    def __init__(self, model_config: AzureOpenAIModelConfiguration, max_history=8):
        self.model_config = model_config
        self.max_history = max_history

    @trace
    def __call__(self, question: str, chat_history: list = None) -> str:
        """One turn."""
        prompty = Prompty.load(
            source=BASE_DIR / "chat.prompty",
            model={"configuration": self.model_config},
        )
        chat_history = chat_history or []
        while len(chat_history) > self.max_history:
            chat_history = chat_history[1:]
            log(f"Reducing chat history count to {len(chat_history)}")
        return prompty(question=question, chat_history=chat_history)


if __name__ == "__main__":
    from promptflow.tracing import start_trace

    start_trace()
    config = AzureOpenAIModelConfiguration(connection="aoai", azure_deployment="gpt-35-turbo")
    print(ChatFlow(config)("When does the mill open?", []))
