"""The command line's reference page, made from the app itself, so that page and program cannot differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from genaiops.cli.outcome import MEANING

HEAD = """# The command line

Made from the code by `make docs`; do not edit.

`python -m genaiops COMMAND --help` shows the same. Output for people goes to standard output, errors go to standard
error as one line; `--json` prints JSON where a script would want it. Colours appear only on a terminal, and never with
`NO_COLOR` set.

| exit code | meaning |
|---|---|
"""


def command_line_reference() -> str:
    """The page as Markdown."""
    from genaiops.cli.app import app

    codes = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANING.items())
    root = typer.main.get_command(app)
    sections = "".join(_section(name, command) for name, command in _commands("", root))
    return HEAD + codes + "\n" + "Global options stand before the command:\n\n" + _options(root) + sections


def _commands(prefix: str, command: Any) -> Iterator[tuple[str, Any]]:
    for name, child in getattr(command, "commands", {}).items():
        full = f"{prefix} {name}".strip()
        if hasattr(child, "commands"):
            yield from _commands(full, child)
        else:
            yield full, child


def _section(name: str, command: Any) -> str:
    arguments = " ".join(_argument(p) for p in command.params if p.param_type_name == "argument")
    usage = f"python -m genaiops {name} {arguments}".strip()
    return f"\n## {name}\n\n{command.help}\n\n    {usage}\n\n{_options(command)}"


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name.upper()).strip("[]")
    return name if parameter.required else f"[{name}]"


def _cell(text: str) -> str:
    """Text as a table cell shows it: no cell ends in it, and nothing in angle brackets is taken for a tag."""
    parts = text.replace("|", r"\|").split("`")
    return "`".join(part if index % 2 else part.replace("<", r"\<") for index, part in enumerate(parts))


def _options(command: Any) -> str:
    rows = []
    for parameter in command.params:
        shown = ", ".join(f"`{name}`" for name in parameter.opts)
        if parameter.param_type_name == "argument":
            shown = _argument(parameter)
        default = parameter.default
        is_shown = (
            default not in (None, "", False, ()) and parameter.param_type_name == "option" and not callable(default)
        )
        suffix = f" (default: `{default}`)" if is_shown else ""
        rows.append(f"| {shown} | {_cell(parameter.help or '')}{suffix} |\n")
    return "| | |\n|---|---|\n" + "".join(rows) if rows else ""
