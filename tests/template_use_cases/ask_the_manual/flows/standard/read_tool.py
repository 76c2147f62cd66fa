from ask_the_manual.read import read_manual
from promptflow import tool


@tool
def read_tool(manual: str, env_ready_signal: str) -> str:
    return read_manual(manual)
