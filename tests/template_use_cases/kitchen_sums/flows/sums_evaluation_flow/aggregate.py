from typing import List

from promptflow import log_metric, tool


@tool
def accuracy_aggregate(processed_results: List[int]):
    total = len(processed_results)
    right = processed_results.count(1)
    errors = processed_results.count(-1)
    log_metric(key="accuracy", value=round(right / total, 2))
    log_metric(key="error_rate", value=round(errors / total, 2))
    return right / total, errors / total
