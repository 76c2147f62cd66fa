import json
from pathlib import Path
from typing import TypedDict

from promptflow.core import AzureOpenAIModelConfiguration, Prompty
from promptflow.tracing import trace

BASE_DIR = Path(__file__).absolute().parent


class Result(TypedDict):
    correctness: float
    explanation: str


class CardEvaluator:
    def __init__(self, model_config: AzureOpenAIModelConfiguration):
        self.model_config = model_config

    @trace
    def __call__(self, prediction: str, groundtruth: str = "") -> Result:
        """Judge one card."""
        prompty = Prompty.load(
            source=BASE_DIR / "eval_card_quality.prompty",
            model={"configuration": self.model_config},
        )
        judged = json.loads(prompty(card=prediction, must_hold=groundtruth))
        return Result(correctness=float(judged["score"]), explanation=judged["explanation"])

    def __aggregate__(self, line_results):
        """Over all lines."""
        total = len(line_results)
        return {"average_correctness": sum(r["correctness"] for r in line_results) / total, "total": total}
