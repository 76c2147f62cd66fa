from ask_the_manual.qna import qna
from promptflow import tool


def convert_chat_history_to_messages(history):
    messages = []
    for item in history:
        messages.append({"role": "user", "content": item["inputs"]["question"]})
        messages.append({"role": "assistant", "content": item["outputs"]["answer"]})
    return messages


@tool
def qna_tool(prompt: str, history: list):
    answer = ""
    for piece in qna(prompt, convert_chat_history_to_messages(history)):
        answer = answer + piece
    return {"answer": answer}
