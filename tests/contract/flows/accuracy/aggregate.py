import time

from promptflow.core import log_metric, tool


@tool
def aggregate(grades: list[int], truths: list[str]) -> float:
    if "explode" in truths:
        raise RuntimeError("no metrics today")
    accuracy = sum(grades) / len(grades)
    log_metric("accuracy", accuracy)
    time.sleep(0.05)  # gives runs that aggregate at the same time the chance to mix their metrics up
    log_metric("lines", len(truths))
    log_metric("comment", "a text, which is no metric")
    if "nan" in truths:
        log_metric("broken", float("nan"))
    return accuracy
