from promptflow.core import log_metric, tool


@tool
def aggregate(correct: list[bool]) -> float:
    accuracy = sum(correct) / len(correct)
    log_metric("accuracy", accuracy)
    return accuracy
