"""The other side of the comparison: prompt flow's own `PFClient.run`, in a process and a home of its own.

`python -m benchmarks.pfclient_run FLOW DATA URL` prints the seconds that the run took, and how many lines completed.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def run(flow: str, data: str, url: str) -> dict[str, Any]:
    """Run the flow over the data with the client's own settings (4 worker processes)."""
    import keyring
    from keyring.backend import KeyringBackend
    from promptflow.client import PFClient
    from promptflow.entities import AzureOpenAIConnection

    class Memory(KeyringBackend):  # the client stores connections encrypted, and a server has no keyring for the key
        priority = 1
        held: dict[tuple[str, str], str] = {}  # noqa: RUF012

        def get_password(self, service: str, username: str) -> str | None:
            return self.held.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.held[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            self.held.pop((service, username), None)

    keyring.set_keyring(Memory())  # type: ignore[no-untyped-call]
    client = PFClient()
    client.connections.create_or_update(AzureOpenAIConnection(name="aoai", api_key="benchmark", api_base=url))
    started = time.perf_counter()
    result = client.run(flow=flow, data=data, column_mapping={"ticket": "${data.ticket}"})
    seconds = time.perf_counter() - started
    metrics = result.properties["system_metrics"]
    return {"seconds": seconds, "completed": metrics["__pf__.lines.completed"]}


if __name__ == "__main__":
    answer = run(*sys.argv[1:4])
    print("RESULT " + json.dumps(answer))
