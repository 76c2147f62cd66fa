"""Where variables are looked for: the process environment, then `.env`.

An empty value counts as none, for a pipeline hands over an unset secret as an empty text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import BusinessFailure


@dataclass(frozen=True)
class Found:
    """A variable that is set."""

    variable: str
    value: str = field(repr=False)
    where: str
    """For people: `the environment`, or the file."""


class Variables:
    """The process environment, and behind it a file that need not exist."""

    def __init__(self, environment: Mapping[str, str], env_file: Path | None) -> None:
        """Raises BusinessFailure where the file cannot be read."""
        self._places = ((environment, "the environment"), (_read(env_file), str(env_file)))
        self.where_to_set = "in the environment" + (f" or in {env_file}" if env_file is not None else "")
        """For errors."""

    def find(self, names: Iterable[str]) -> Found | None:
        """The first of these that is set, in the environment or else in the file."""
        candidates = tuple(names)
        return next(
            (
                Found(name, values[name], where)
                for values, where in self._places
                for name in candidates
                if values.get(name)
            ),
            None,
        )


def _read(env_file: Path | None) -> dict[str, str]:
    if env_file is None or not env_file.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        # interpolate=False: a key may hold `${`, which is no reference.
        return {name: value or "" for name, value in dotenv_values(env_file, interpolate=False).items()}
    except (OSError, UnicodeDecodeError) as error:
        raise BusinessFailure(f"{env_file} cannot be read: {type(error).__name__}. Save it as UTF-8 text.") from error
