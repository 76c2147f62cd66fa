from ask_the_manual.build_index import create_index
from promptflow import tool


@tool
def build_index_tool(manual_path: str) -> str:
    return create_index(manual_path)
