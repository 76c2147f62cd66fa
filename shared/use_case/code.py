"""Python source of a flow as text: its modules, what is defined in them, and whether they call a model.

Nothing is imported and nothing is run: a flow's code runs in its own process only.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.use_case.problems import Problems

Function = ast.FunctionDef | ast.AsyncFunctionDef

MOST_HOPS: Final = 8
"""Re-exports that are followed from an entry to its definition."""
_MODEL_PACKAGES: Final = frozenset({"openai", "langchain", "litellm", "semantic_kernel", "anthropic", "autogen"})
_MODEL_NAMES: Final = ("Connection", "ModelConfiguration", "OpenAI", "Prompty", "ChatCompletionsClient")


@dataclass(frozen=True)
class Definition:
    """What a name means in the code of a flow."""

    node: Function | ast.ClassDef | None
    """None: it is there, but no file of the flow tells what it is."""
    module: ast.Module
    file: Path


def parsed(path: Path, file: str, problems: Problems) -> ast.Module | None:
    """A module's syntax tree; None if it has none, with the reason in `problems` (`file` is the name they show)."""
    content = b""
    try:
        content = path.read_bytes()
        tree = ast.parse(content)
        # The parser passes over bytes in comments that are not of the file's encoding; `import` refuses them.
        content.decode(tokenize.detect_encoding(io.BytesIO(content).readline)[0])
    except OSError as error:
        problems.add(file, 0, "code", f"cannot be read ({error.strerror}); expected a Python file at this path")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x} is not {error.encoding.upper()}"
        problems.add(file, line, "code", f"{byte}; save the file in UTF-8 encoding")
    except (SyntaxError, ValueError) as error:
        if b"\0" in content:  # which parsers tell in different ways, and without the line
            problems.add(file, content.count(b"\n", 0, content.index(b"\0")) + 1, "code", "holds a NUL; remove it")
        else:
            line = (error.lineno if isinstance(error, SyntaxError) else None) or 0
            said = error.msg if isinstance(error, SyntaxError) else str(error)[:200]
            problems.add(file, line, "code", f"is not valid Python: {said}")
    except (RecursionError, MemoryError):
        problems.add(file, 0, "code", "is not valid Python: it is nested too deeply")
    else:
        return tree
    return None


def module_file(folder: Path, module: str) -> Path | None:
    """The file of a module as `import` would find it in the flow's folder; None: there is none."""
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    base = folder.joinpath(*parts)
    for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    return None


def modules_in(folder: Path) -> list[str]:
    """The modules that lie in a flow's folder itself, for error messages."""
    return sorted(path.stem for path in folder.glob("*.py"))


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module or class, with those under `if`, `try` and `with`."""
    for statement in body:
        yield statement
        match statement:
            case ast.If():
                yield from statements([*statement.body, *statement.orelse])
            case ast.Try():
                handled = [inner for handler in statement.handlers for inner in handler.body]
                yield from statements([*statement.body, *handled, *statement.orelse, *statement.finalbody])
            case ast.With():
                yield from statements(statement.body)
            case _:
                pass


def names_in(module: ast.Module) -> list[str]:
    """The functions and classes that a module defines, for error messages."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [s.name for s in statements(module.body) if isinstance(s, kinds) and not s.name.startswith("_")]


def find(name: str, module: ast.Module, file: Path, folder: Path) -> Definition | None:
    """What `name` means in a module, through imports from other files of the folder; None: nothing defines it."""
    return _Search(folder).find(name, module, file, MOST_HOPS)


class _Search:
    """One search. It asks each file for a name once: files that import `*` from each other have no end of ways."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked: set[tuple[Path, str]] = set()

    def find(self, name: str, module: ast.Module, file: Path, hops: int) -> Definition | None:
        """What the name means here; where it is defined more than once, the last time counts."""
        found: Definition | None = None
        for statement in statements(module.body):
            match statement:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if statement.name == name:
                    found = Definition(statement, module, file)
                case ast.ImportFrom():
                    for alias in statement.names:
                        if alias.name == "*" or (alias.asname or alias.name) == name:
                            other = self._imported(statement, name if alias.name == "*" else alias.name, file, hops)
                            found = other or found or Definition(None, module, file)
                case ast.Import() if any((a.asname or a.name.partition(".")[0]) == name for a in statement.names):
                    found = Definition(None, module, file)
                case ast.Assign() | ast.AnnAssign():
                    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                    if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                        found = Definition(None, module, file)
                case _:
                    pass
        return found

    def _imported(self, statement: ast.ImportFrom, name: str, file: Path, hops: int) -> Definition | None:
        path = next(iter(_files_of(statement, file, self._folder)), None)
        if path is None or not hops or (path, name) in self._asked:
            return None
        self._asked.add((path, name))
        module = parsed(path, path.name, Problems())
        return self.find(name, module, path, hops - 1) if module is not None else None


def _files_of(statement: ast.stmt, file: Path, folder: Path) -> Iterator[Path]:
    """The files of the folder that an import statement reads, that of the module itself first."""
    names: list[str] = []
    match statement:
        case ast.Import():
            names = [alias.name for alias in statement.names]
        case ast.ImportFrom():
            base: list[str] = []
            if statement.level:
                package = list(file.parent.relative_to(folder).parts)
                base = package[: len(package) - statement.level + 1]
            head = [*base, *(statement.module.split(".") if statement.module else [])]
            names = [".".join(part) for part in (head, *([*head, a.name] for a in statement.names)) if part]
        case _:
            pass
    for name in names:
        path = module_file(folder, name)
        if path is not None:
            yield path


def calls_model(files: list[Path], folder: Path) -> bool:
    """Whether these files, or those of the folder that they import, mention a connection, a model or a prompty."""
    waiting, seen = list(files), set(files)
    while waiting:
        file = waiting.pop()
        module = parsed(file, file.name, Problems())
        for node in ast.walk(module) if module is not None else ():
            if _mentions_model(node):
                return True
            if isinstance(node, ast.Import | ast.ImportFrom):
                new = set(_files_of(node, file, folder)) - seen
                seen |= new
                waiting += new
    return False


def _mentions_model(node: ast.AST) -> bool:
    match node:
        case ast.Import():
            return any(alias.name.partition(".")[0] in _MODEL_PACKAGES for alias in node.names)
        case ast.ImportFrom():
            package = (node.module or "").partition(".")[0]
            return package in _MODEL_PACKAGES or any(alias.name.endswith(_MODEL_NAMES) for alias in node.names)
        case ast.Name():
            return node.id.endswith(_MODEL_NAMES)
        case ast.Attribute():
            return node.attr.endswith(_MODEL_NAMES)
        case ast.Constant():
            return isinstance(node.value, str) and node.value.endswith((".prompty", *_MODEL_NAMES))
        case _:
            return False
