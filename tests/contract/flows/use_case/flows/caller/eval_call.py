"""Imports the standard flow by the name of the use case."""

from greetings.flows.callee.flow import greet
from greetings.shared_words import PUNCTUATION


def eval_greeting(name: str) -> str:
    return greet(name) + PUNCTUATION
