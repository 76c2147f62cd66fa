"""The variables of the process environment that a flow's own files ask for, beside those of `environment/env.yaml`.

They ask by `${env:NAME}`, and by `${…}` as an `init` value: what such a variable holds is part of what a line follows
from, for an installation may name its model in one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from shared.digests import files_of
from shared.use_case.flow_model import FlowFacts
from shared.use_case.init_variables import references

_ENDINGS: Final = (".prompty", ".yaml", ".yml", ".json")
_ASKED: Final = re.compile(rb"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


def asked(flow: Path, facts: FlowFacts) -> frozenset[str]:
    """Their names, whether they are set or not."""
    texts = (path.read_bytes() for name, path in files_of(flow) if name.endswith(_ENDINGS))
    return frozenset(found.decode() for text in texts for found in _ASKED.findall(text)) | frozenset(
        variable for _, variable in references(facts.init)
    )
