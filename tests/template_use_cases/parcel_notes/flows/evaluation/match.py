from typing import List

from promptflow import tool


@tool
def match(answer: List[str], ground_truth: List[str]):
    exact = sorted(answer) == sorted(ground_truth)
    partial = exact or bool(set(answer) & set(ground_truth))
    return {"exact_match": int(exact), "partial_match": int(partial), "answer": answer}
