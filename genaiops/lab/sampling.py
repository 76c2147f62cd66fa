"""A copy of a use case folder as the lab runs it: the first rows of each dataset, with other parameters if asked for.

The folder itself is never touched. What differs stands in the copy's overlay of the environment, so that the copy is
read, checked and run like any use case.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from genaiops.lab.errors import LabError
from shared.use_case.members import named
from shared.use_case.model import UseCase
from shared.use_case.problems import Problems
from shared.use_case.sources import EXPERIMENT
from shared.use_case.yaml_file import read_yaml


def copied(
    use_case: UseCase,
    data: Path,
    into: Path,
    *,
    sample: int | None,
    parameters: Mapping[str, Sequence[object]] | None,
) -> Path:
    """Copy the use case, as it lies there now, to the folder `into`; returns it.

    Args:
        use_case: whose folder is copied, with the datasets that lie in `data/<use case>`.
        data: the folder that holds a folder of datasets per use case.
        into: a folder that does not exist.
        sample: rows of each dataset, the first ones; None: as the use case says.
        parameters: in place of the block `parameters`; None: as the use case says.

    Raises:
        LabError: the sample is no number of rows, or a value is none that YAML can hold.
        InvalidUseCase: a file cannot be read.
        Malformed, BusinessFailure: as for a bundle.
    """
    if sample is not None and sample < 1:
        raise LabError(f"sample is {sample!r}; give a number of rows from 1, or None for all of them.")
    for name, path in named(use_case.folder, data).items():
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    overlay = into / f"experiment.{use_case.environment}.yaml"
    blocks = _blocks(overlay)
    if sample is not None:
        listed = blocks.get("datasets") or _blocks(into / EXPERIMENT).get("datasets")
        blocks["datasets"] = [_sampled(dataset, sample) for dataset in listed] if isinstance(listed, list) else listed
    if parameters is not None:
        blocks["parameters"] = {key: list(values) for key, values in parameters.items()}
    try:
        # JSON is YAML; an empty overlay is allowed, and says that nothing differs.
        overlay.write_text(json.dumps(blocks, ensure_ascii=False, indent=1, allow_nan=False), "utf-8")
    except (TypeError, ValueError) as error:
        raise LabError(f"parameters must hold texts, numbers and booleans, as in experiment.yaml: {error}.") from error
    return into


def _blocks(file: Path) -> dict[str, object]:
    """The blocks of a YAML file; none where there is no such file, or nothing in it."""
    if not file.is_file():
        return {}
    problems = Problems()
    document = read_yaml(file, file.name, problems, may_be_empty=True)
    problems.raise_if_any()
    return dict(document.value) if document is not None and isinstance(document.value, dict) else {}


def _sampled(dataset: object, sample: int) -> object:
    if not isinstance(dataset, dict):
        return dataset
    limit = dataset.get("max_rows")
    return {**dataset, "max_rows": min(limit, sample) if isinstance(limit, int) else sample}
