import sys
import time
from io import StringIO

from promptflow import tool


@tool
def execute(code_snippet: str):
    if code_snippet == "JSONDecodeError" or code_snippet.startswith("Unknown Error:"):
        return code_snippet
    before = sys.stdout
    captured = sys.stdout = StringIO()
    names = {}
    try:
        for line in code_snippet.splitlines():
            time.sleep(0.01)  # others print meanwhile
            exec(line, names)
    except Exception as e:
        sys.stdout = before
        return str(e)
    sys.stdout = before
    return captured.getvalue().strip()


if __name__ == "__main__":
    print(execute("print(5 + 3)"))
