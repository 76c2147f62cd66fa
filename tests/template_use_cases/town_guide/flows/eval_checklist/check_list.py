import json
from pathlib import Path

from promptflow.core import AzureOpenAIModelConfiguration, Prompty
from promptflow.tracing import trace

BASE_DIR = Path(__file__).absolute().parent


@trace
def check(answer: str, statement: str, model_config: AzureOpenAIModelConfiguration):
    """Check one statement."""
    examples = [{"answer": "The inn is old.", "statement": "It names the inn.", "score": 5}]
    prompty = Prompty.load(
        source=BASE_DIR / "eval.prompty",
        model={"configuration": model_config},
    )
    return json.loads(prompty(examples=examples, answer=answer, statement=statement))


class EvalFlow:
    def __init__(self, model_config: AzureOpenAIModelConfiguration):
        self.model_config = model_config

    def __call__(self, answer: str, statements: dict):
        """Check every statement."""
        if isinstance(statements, str):
            statements = json.loads(statements)
        results = {}
        for key, statement in statements.items():
            results[key] = check(answer=answer, statement=statement, model_config=self.model_config)
        return results

    def __aggregate__(self, line_results: list) -> dict:
        """Over all lines."""
        total = len(line_results)
        average = sum(int(r["correctness"]["score"]) for r in line_results) / total
        return {"average_correctness": average, "total": total}
