import ast
import json

from promptflow import tool
from utils import first_line


@tool
def code_refine(original_code: str) -> str:
    try:
        original_code = json.loads(original_code)["code"]
        fixed = original_code.replace("\\n", "\n")
        ast.parse(fixed)
        return fixed
    except json.JSONDecodeError:
        return "JSONDecodeError"
    except Exception as e:
        return "Unknown Error:" + first_line(str(e))
