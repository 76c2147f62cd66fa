"""Azure Machine Learning: the workspace's client, of which a process makes one, and what is done through it.

`client.py` makes the clients. `registry.py` is the port Registry over data assets and models: `asset_names.py` and
`asset_tags.py` say how names and tags fit Azure ML's limits, `storage.py` how blobs are addressed, `versions.py` reads
and writes versions, `sharing.py` copies them into a shared registry, `turns.py` lets one writer at a time change one.
`runs/` is the port FlowRunner over prompt flow runs.
"""

from __future__ import annotations

from shared.adapters.azure.machine_learning.client import Workspace
from shared.adapters.azure.machine_learning.registry import AzureRegistry
from shared.adapters.azure.machine_learning.runs.runner import AzureFlowRunner

__all__ = ["AzureFlowRunner", "AzureRegistry", "Workspace"]
