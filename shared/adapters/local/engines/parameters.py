"""The parameters of a flow without nodes, sorted by what they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import BusinessFailure
from shared.use_case.flow_model import MODEL_SETTINGS


@dataclass(frozen=True)
class Split:
    """Parameters by kind."""

    flow: str
    """Its name, for errors."""
    init: Mapping[str, Any]
    """`init.<argument>[.<key>]`, without the prefix."""
    inputs: Mapping[str, Any]
    """`inputs.<input>`, without the prefix: for lines that do not bring it."""
    settings: Mapping[str, Any]
    """Of the model."""

    @classmethod
    def of(cls, parameters: Mapping[str, Any], variants: Mapping[str, str], flow: str) -> Split:
        """Sort them. Raises BusinessFailure where the flow cannot have one, or a variant is chosen."""
        if variants:
            raise BusinessFailure(f"{flow} has no nodes, so {next(iter(variants))!r} cannot have a variant.")
        by_kind: dict[str, dict[str, Any]] = {"init": {}, "inputs": {}, "settings": {}}
        for key, value in parameters.items():
            head, dot, rest = key.partition(".")
            if key in MODEL_SETTINGS:
                by_kind["settings"][key] = value
            elif dot and rest and head in ("init", "inputs"):
                by_kind[head][rest] = value
            else:
                raise BusinessFailure(
                    f"The parameter {key!r} is none of {flow}, which has no nodes: init.<argument>, inputs.<input> or a"
                    " model setting is expected."
                )
        return cls(flow, **by_kind)

    def refuse_settings(self) -> None:
        """Raise BusinessFailure if there are model settings: the flow's code makes its calls by itself."""
        if self.settings:
            key = next(iter(self.settings))
            raise BusinessFailure(
                f"The parameter {key!r} is a model setting, but the code of {self.flow} calls models by itself: give it"
                f" an argument and vary init.<argument>, or inputs.{key}."
            )

    def refuse_init(self) -> None:
        """Raise BusinessFailure if there are arguments for a class: the flow is none."""
        if self.init:
            raise BusinessFailure(f"The parameter 'init.{next(iter(self.init))}' is for a class; {self.flow} is none.")
