"""An evaluation function that is called once for a whole run."""

import json
from pathlib import Path


def eval_use_case(run_name, data_id, column_mapping, output_path, azure_service={}, threshold=1):
    lines = [json.loads(line) for line in Path(data_id).read_text(encoding="utf-8").splitlines()]
    (Path(output_path) / f"{run_name}.json").write_text("{}")
    assert column_mapping == {"prediction": "${data.prediction}", "truth": "${data.truth}"}
    right = sum(line["prediction"] == line["truth"] for line in lines)
    return {"rows": lines, "metrics": {"right": right, "lines": len(lines)}, "studio_url": None}
