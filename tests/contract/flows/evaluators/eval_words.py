"""Evaluation functions without a flow file: their numbers are averaged."""

from helpers import same as eval_same_elsewhere  # imported: not an evaluation function of this file
from words import WHERE


def eval_exact(prediction: str, truth: str) -> bool:
    return eval_same_elsewhere(prediction, truth)


def eval_length(prediction: str, longest: int = 100) -> dict:
    scores = {"length": len(prediction), "where": WHERE}
    return scores if len(prediction) <= longest else {**scores, "over": len(prediction) - longest}
