"""What importing `function_app` costs under the azure profile: the cold start, before the first message.

    python -m benchmarks.import_time

Each of five fresh processes imports it once, with the settings of an app in Azure, and says how long that took and how
much memory the process has taken at most (its peak resident size). Printed are the medians.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PROCESSES: Final = 5
SETTINGS: Final = {
    "GENAIOPS_PROFILE": "azure",
    "ServiceBus__fullyQualifiedNamespace": "town.servicebus.windows.net",
    "Storage__blobServiceUri": "https://town.blob.core.windows.net",
    "GENAIOPS_SUBSCRIPTION_ID": "11111111-2222-3333-4444-555555555555",
    "GENAIOPS_RESOURCE_GROUP": "town-rg",
    "GENAIOPS_ML_WORKSPACE": "town-ml",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=00000000-1111-2222-3333-444444444444",
}
_MEASURE: Final = """
import json, resource, sys, time
began = time.perf_counter()
import function_app
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
megabytes = peak / (2**20 if sys.platform == "darwin" else 2**10)
functions = len(function_app.app.get_functions())
print(json.dumps({"seconds": seconds, "megabytes": megabytes, "functions": functions, "modules": sorted(sys.modules)}))
"""


def measured() -> dict[str, object]:
    """Seconds and megabytes of one import in a fresh process, the functions it found and the modules it imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GENAIOPS_")} | SETTINGS
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def main() -> None:
    measured()  # compiled files are written, and the disk has been read
    all_of_them = [measured() for _ in range(PROCESSES)]
    for name, unit in (("seconds", "s"), ("megabytes", "MB")):
        values = [float(str(one[name])) for one in all_of_them]
        shown = ", ".join(f"{value:.2f}" for value in values)
        print(f"import function_app: {statistics.median(values):.2f} {unit} (median of {shown})")


if __name__ == "__main__":
    main()
