"""A function for a whole run that misbehaves as its first line says."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


def eval_all(data_id: str, column_mapping: dict) -> object:
    match json.loads(Path(data_id).read_text(encoding="utf-8").splitlines()[0])["what"]:
        case "raises":
            raise RuntimeError("no sum of these")
        case "text":
            return "a text"
        case "nan":
            return {"metrics": {"good": 1.0, "bad": float("inf")}}
        case "endless":
            time.sleep(3600)
        case "exits":
            os._exit(7)
        case "removes":
            Path(data_id).unlink()
            Path(data_id).parent.rmdir()
    return {"metrics": {"good": 1.0}}
