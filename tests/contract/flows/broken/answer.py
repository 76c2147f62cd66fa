import a_package_that_is_not_installed
from promptflow.core import tool


@tool
def answer(text: str) -> str:
    return a_package_that_is_not_installed.answer(text)
