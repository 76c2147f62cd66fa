"""What a node's prompt or Python tool may be given, found by reading its file, never by importing it.

The code of a flow runs in its own process only; here it is text: a Jinja2 template's variables, a tool's signature.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

from shared.use_case.code import Function, parsed
from shared.use_case.problems import Problems

MODEL_INPUTS: Final = frozenset(
    {
        "deployment_name",
        "model",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "user",
        "n",
        "echo",
        "logprobs",
        "top_logprobs",
        "best_of",
        "suffix",
        "functions",
        "function_call",
        "tools",
        "tool_choice",
        "response_format",
        "seed",
        "detail",
    }
)
"""Inputs of every `llm` node, beside the variables of its prompt: the model's own parameters."""


def tool_inputs(kind: str, code: Path) -> frozenset[str] | None:
    """The inputs that a node of this kind may take; None where the file does not tell (or takes anything)."""
    match kind:
        case "llm":
            variables = _template_variables(code)
            return None if variables is None else variables | MODEL_INPUTS
        case "prompt":
            return _template_variables(code)
        case "python":
            signature = _signature(code)
            if signature is None or signature.kwarg is not None:
                return None
            return frozenset(argument.arg for argument in _arguments(signature))
        case _:
            return None


def needed_inputs(code: Path) -> frozenset[str]:
    """The arguments of a Python tool without a default."""
    signature = _signature(code)
    if signature is None:
        return frozenset()
    positional = [*signature.posonlyargs, *signature.args]
    needed = positional[: len(positional) - len(signature.defaults)]
    needed += [a for a, default in zip(signature.kwonlyargs, signature.kw_defaults, strict=True) if default is None]
    return frozenset(argument.arg for argument in needed)


def tool_connections(code: Path) -> frozenset[str]:
    """The arguments of a Python tool whose annotation says that they are connections."""
    signature = _signature(code)
    if signature is None:
        return frozenset()
    return frozenset(
        argument.arg
        for argument in _arguments(signature)
        if argument.annotation is not None and "Connection" in ast.unparse(argument.annotation)
    )


def fault(kind: str, code: Path) -> tuple[int, str, str] | None:
    """(line, key, message) of what is wrong with the text of a prompt or a tool; None: it can be read."""
    if kind == "python":
        problems = Problems()
        tree = parsed(code, code.name, problems)
        if tree is not None and not _may_define_tool(tree):
            return 1, "code", "has no function under `@tool`, which is what a node runs; add the decorator"
        tools = _tools(tree) if tree is not None else {}
        if len(tools) > 1:
            line, shown = list(tools.values())[1].lineno, ", ".join(map(repr, tools))
            return line, "code", f"has more than one function under `@tool` ({shown}); a node runs one: move the others"
        return next(((p.line, p.key, p.message) for p in problems.found), None)
    content = code.read_bytes()
    try:
        return template_fault(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return line, "prompt", f"byte 0x{content[error.start]:02x} is not UTF-8; save the file in UTF-8 encoding"


def template_fault(text: str) -> tuple[int, str, str] | None:
    """The same for the text of a prompt."""
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment(autoescape=True).parse(text)
    except TemplateSyntaxError as error:
        return error.lineno, "prompt", f"is not a valid Jinja template: {error.message}"
    except (RecursionError, MemoryError):
        return 0, "prompt", "is nested too deeply for a Jinja template"
    except ValueError:  # Python reads no numbers of thousands of digits
        return 0, "prompt", "is not a valid Jinja template: it holds a number that is too long"
    return None


def _may_define_tool(tree: ast.Module) -> bool:
    """Whether anything in a module is called `tool`, or may be, for it is imported by `*`."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id="tool") | ast.Attribute(attr="tool"):
                return True
            case ast.alias(name="tool" | "*") | ast.alias(asname="tool"):
                return True
            case _:
                pass
    return False


def _template_variables(code: Path) -> frozenset[str] | None:
    from jinja2 import Environment, TemplateError, meta

    try:
        # The template is parsed, never rendered: nothing in it can run or needs escaping.
        parsed = Environment(autoescape=True).parse(code.read_text(encoding="utf-8"))
    except (TemplateError, ValueError, RecursionError, MemoryError):
        return None
    return frozenset(meta.find_undeclared_variables(parsed))


def _signature(code: Path) -> ast.arguments | None:
    """The signature of the function under `@tool`; None where there is none, or it cannot be read."""
    try:
        tree = ast.parse(code.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return next((function.args for function in _tools(tree).values()), None)


def _tools(tree: ast.Module) -> dict[str, Function]:
    """Name → the function under `@tool`, in the order of the file."""
    found: dict[str, Function] = {}
    for node in tree.body:
        if isinstance(node, Function):
            called = [part.func if isinstance(part, ast.Call) else part for part in node.decorator_list]
            if any(ast.unparse(one).split(".")[-1] == "tool" for one in called):
                found[node.name] = node
    return found


def _arguments(signature: ast.arguments) -> list[ast.arg]:
    return [*signature.posonlyargs, *signature.args, *signature.kwonlyargs]
