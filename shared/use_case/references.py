"""Values of a use case's files that stand for something else: `${name}`, and the placeholder `<name>`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from shared.use_case.model import ConnectionSpec

_REFERENCE: Final = re.compile(r"\s*\$\{\s*([^{}$]+?)\s*\}\s*")
_PLACEHOLDER: Final = re.compile(r"\s*<[^<>]*>\s*")
_SECRET_NAME: Final = re.compile(
    r"(?i)(((api|access|account|subscription|admin|query)[_-]?key|secret|password|passphrase|credential"
    r"|connection[_-]?string|(access|auth|api|bearer)[_-]?token)s?|passwd|pwd|(^|[_-])token)$"
)
_PERHAPS_SECRET: Final = re.compile(r"(?i)(^|[_-])(keys?|pat|sas|dsn|tokens)$")

_SECRET_VALUE: Final = re.compile(
    r"sk-[A-Za-z0-9_-]{20}|gh[opsu]_[A-Za-z0-9]{20}|github_pat_|xox[abp]-|AKIA[A-Z0-9]{16}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|[^ ]*;(Account|SharedAccess)Key=[^;]{20}"
)
"""How keys of well-known services begin."""
_SHORTEST_SECRET: Final = 16
"""Characters: a shorter literal is taken for a stand-in's key, or another text that opens nothing."""


def reference(value: object) -> str | None:
    """The name in `${name}`; None for any other value."""
    found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return found[1] if found else None


def is_placeholder(value: object) -> bool:
    """Whether the value is a `<…>` that somebody was meant to replace: it says that nothing is there yet."""
    return isinstance(value, str) and _PLACEHOLDER.fullmatch(value) is not None


def is_secret_name(name: str) -> bool:
    """Whether a variable of that name holds a secret, as far as names tell."""
    return _SECRET_NAME.search(name) is not None


def may_be_secret_name(name: str) -> bool:
    """The same with a wider net, for what is only hidden and never refused: `PARTITION_KEY` may hold no secret."""
    return is_secret_name(name) or _PERHAPS_SECRET.search(name) is not None


def is_secret(name: str, value: object) -> bool:
    """Whether a value is a secret in clear, as far as its name and its look tell: neither a reference nor short."""
    if not isinstance(value, str) or reference(value) is not None or is_placeholder(value):
        return False
    looks = _SECRET_VALUE.match(value.strip()) is not None
    return looks or (is_secret_name(name) and len(value.strip()) >= _SHORTEST_SECRET)


def connection_variables(name: str) -> tuple[str, ...]:
    """The names under which a whole connection, or one of its values, is looked for.

    As written, in capitals, and in capitals with `_` for what no shell allows in a name.
    """
    capitals = name.upper()
    return tuple(dict.fromkeys((name, capitals, re.sub(r"[^A-Z0-9_]", "_", capitals))))


def are_connections(connections: Iterable[ConnectionSpec]) -> frozenset[str]:
    """Every variable that is a whole connection, key and all: those are never given to a flow."""
    return frozenset(variable for spec in connections for variable in connection_variables(spec.name))
