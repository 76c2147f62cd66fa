import a_package_that_nobody_has
from promptflow.core import tool


@tool
def act() -> str:
    return a_package_that_nobody_has.__name__
