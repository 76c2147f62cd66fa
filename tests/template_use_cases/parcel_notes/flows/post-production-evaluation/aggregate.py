from promptflow import log_metric, tool


@tool
def aggregate(concatenated_result):
    log_metric("average", len(concatenated_result))
    return concatenated_result
