from logging_utils import describe
from promptflow import tool
from utils import words


@tool
def score(groundtruth: str, prediction: str) -> float:
    wanted = words(groundtruth)
    print(describe(wanted))
    return len(wanted & words(prediction)) / len(wanted)
