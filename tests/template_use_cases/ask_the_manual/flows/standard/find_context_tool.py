from ask_the_manual.find_context import find_context
from promptflow import tool


@tool
def find_context_tool(question: str, index_path: str):
    prompt, context = find_context(question, index_path)
    return {"prompt": prompt, "context": [piece.text for piece in context]}
