from typing import List

from promptflow import log_metric, tool


@tool
def log_metrics(match_cnts: List[dict]):
    total = len(match_cnts)
    log_metric("exact_match_rate", sum(m["exact_match"] for m in match_cnts) / total)
    log_metric("partial_match_rate", sum(m["partial_match"] for m in match_cnts) / total)
    return {"total": total}
