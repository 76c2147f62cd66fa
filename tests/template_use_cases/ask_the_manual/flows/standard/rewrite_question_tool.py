from ask_the_manual.rewrite_question import rewrite_question
from promptflow import tool


@tool
def rewrite_question_tool(question: str, history: list, env_ready_signal: str) -> str:
    return rewrite_question(question, history)
