from typing import List

from promptflow.core import log_metric, tool


@tool
def accuracy(correct: List[bool], verdicts: List[str]):
    log_metric("accuracy", sum(correct) / len(correct))
    log_metric("letters", sum(len(verdict) for verdict in verdicts))
