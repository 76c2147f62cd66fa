"""Routes of HTTP triggers: the templates of the Functions host, matched as it matches them.

Literal parts ignore case and win over parameters, parameters over `{*rest}`. A method that the route does not name is
no match: the host answers 404, not 405.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from genaiops.host.errors import HostError
from genaiops.host.triggers import HttpTrigger

_PARAMETER: Final = re.compile(r"\{(?P<all>\*{0,2})(?P<name>\w+)(?::(?P<constraint>[a-z]+))?(?P<optional>\?)?\}")
_CONSTRAINTS: Final = {
    "int": re.compile(r"-?\d{1,10}"),
    "alpha": re.compile(r"[A-Za-z]*"),
    "guid": re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
}


@dataclass(frozen=True)
class _Segment:
    """One part of a template. `name` empty: the literal `text`."""

    text: str
    name: str = ""
    rest: bool = False
    optional: bool = False
    constraint: re.Pattern[str] | None = None

    @property
    def rank(self) -> int:
        if not self.name:
            return 0
        return 3 if self.rest else 2 - (self.constraint is not None)


@dataclass(frozen=True)
class Route:
    """A parsed template."""

    trigger: HttpTrigger
    segments: tuple[_Segment, ...]

    def match(self, parts: Sequence[str]) -> dict[str, str] | None:
        """The route's parameters if the decoded parts of a path match; an optional one that is absent is left out."""
        values: dict[str, str] = {}
        for position, segment in enumerate(self.segments):
            if segment.rest:
                rest = "/".join(parts[position:])
                return values | ({segment.name: rest} if rest else {})
            if position >= len(parts):
                if segment.optional:
                    continue
                return None
            part = parts[position]
            if not segment.name:
                if part.lower() != segment.text:
                    return None
            elif segment.constraint is not None and not segment.constraint.fullmatch(part):
                return None
            else:
                values[segment.name] = part
        return values if len(parts) <= len(self.segments) else None


class Routes:
    """All routes of an app, most specific first."""

    def __init__(self, triggers: Sequence[HttpTrigger], prefix: str) -> None:
        routes = [Route(trigger, _parse(trigger, prefix)) for trigger in triggers]
        self._routes = sorted(routes, key=lambda route: [segment.rank for segment in route.segments])

    def find(self, method: str, raw_path: str) -> tuple[HttpTrigger, dict[str, str]] | None:
        """The function for a request, with its route parameters; None: 404."""
        parts = path_parts(raw_path)
        for route in self._routes:
            if route.trigger.methods and method.upper() not in route.trigger.methods:
                continue
            values = route.match(parts)
            if values is not None:
                return route.trigger, values
        return None


def path_parts(raw_path: str) -> list[str]:
    """The decoded parts of a path; `%2F` stays as it is, and `.` and `..` are resolved before anything is matched."""
    parts: list[str] = []
    for raw in raw_path.strip("/").split("/"):
        part = "%2F".join(unquote(piece) for piece in re.split("%2[fF]", raw))
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _parse(trigger: HttpTrigger, prefix: str) -> tuple[_Segment, ...]:
    template = "/".join(filter(None, [prefix.strip("/"), trigger.route.strip("/")]))
    segments = []
    for text in filter(None, template.split("/")):
        if "{" not in text:
            segments.append(_Segment(text.lower()))
            continue
        found = _PARAMETER.fullmatch(text)
        constraint = found["constraint"] if found else None
        if found is None or (constraint and constraint not in _CONSTRAINTS):
            raise HostError(
                f"The route {trigger.route!r} of {trigger.name} has the part {text!r}. A part is a literal, {{name}}, "
                f"{{name?}}, {{*name}} or {{name:constraint}} with one of {', '.join(_CONSTRAINTS)}."
            )
        pattern = _CONSTRAINTS[constraint] if constraint else None
        segments.append(_Segment(text, found["name"], bool(found["all"]), bool(found["optional"]), pattern))
    return tuple(segments)
