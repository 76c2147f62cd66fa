"""Two chains of different flows at the same time in one runner: their modules have the same names, and they print.

Line 0 of each flow waits until the other chain's flow runs, and every line waits for 31 others while its `sys.stdout`
is its own: what these tests see was mixed as much as it can be.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from genaiops.lab.bench import THREADS
from genaiops.lab.pump import LabBus, Pump
from genaiops.lab.results import Results
from shared import settings
from shared.adapters.blob_keys import BlobKeys
from shared.adapters.local.clock import SystemClock
from shared.adapters.local.flow_runner import LocalFlowRunner
from shared.adapters.local.registry import LocalRegistry
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.adapters.memory.notifier import RecordingNotifier
from shared.adapters.memory.pipelines import RecordingPipelines
from shared.chain.messages import ChainKind, ChainRequest, Queue
from shared.names import chain_id
from shared.ports import OutgoingMessage, Ports
from shared.use_case import bundle, opened
from tests.unit.use_case_folder import put

pytestmark = [pytest.mark.xdist_group("side-by-side"), pytest.mark.timeout(600)]

IN_FLIGHT = 32
LINES = 2 * IN_FLIGHT

EXPERIMENT = """
name: {name}
flow: flows/standard
datasets:
- name: numbers
  source: data/numbers.jsonl
  mappings: {{number: "${{data.number}}"}}
evaluators:
- name: marks
  flow: flows/evaluation
  datasets:
  - name: numbers
    mappings: {{number: "${{data.number}}", said: "${{run.outputs.said}}"}}
"""
PRINTS = """
import os
import sys
import threading
import time
from io import StringIO
from pathlib import Path

from helpers import SIGN, own
from logging_utils import told

TOGETHER = threading.Barrier(32)


def meet():
    place = Path(os.environ["MEETING"])
    (place / SIGN).touch()
    limit = time.monotonic() + 100
    while len(list(place.iterdir())) < 2:
        assert time.monotonic() < limit, "the other chain's flow does not run"
        time.sleep(0.01)


def prints(number):
    before = sys.stdout
    captured = sys.stdout = StringIO()
    print(own(number))
    if number == 0:
        meet()
    TOGETHER.wait(100)
    print(told(number))
    sys.stdout = before
    return captured.getvalue()
"""
DAG = """
inputs:
  number: {type: int}
outputs:
  said: {type: string, reference: "${say.output}"}
nodes:
- name: say
  type: python
  source: {type: code, path: say.py}
  inputs: {number: "${inputs.number}"}
"""
SCORES = """
from helpers import right


def eval_said(number, said):
    return {"right": right(number, said)}
"""
ALPHA = {
    "flows/standard/flow.dag.yaml": DAG,
    "flows/standard/say.py": "from promptflow.core import tool\nfrom prints import prints\n\n\n@tool\ndef say(number: int) -> str:\n    return prints(number)\n",
    "flows/standard/helpers.py": 'from utils.text import stars\n\nSIGN = "alpha"\n\n\ndef own(number):\n    return stars(number)\n',
    "flows/standard/utils/__init__.py": "",
    "flows/standard/utils/text.py": 'def stars(number):\n    return f"alpha *{number}*"\n',
    "flows/standard/logging_utils.py": 'def told(number):\n    return f"{number} is told by alpha"\n',
    "flows/evaluation/helpers.py": 'def right(number, said):\n    return said == f"alpha *{number}*\\n{number} is told by alpha\\n"\n',
}
BETA = {
    "flows/standard/flow.flex.yaml": "entry: say:say\n",
    "flows/standard/say.py": "from prints import prints\n\n\ndef say(number: int):\n    return {'said': prints(number)}\n",
    "flows/standard/helpers.py": 'from utils import dashes\n\nSIGN = "beta"\n\n\ndef own(number):\n    return dashes(number)\n',
    "flows/standard/utils.py": 'def dashes(number):\n    return f"beta -{number}-"\n',
    "flows/standard/logging_utils.py": 'def told(number):\n    return f"beta knows {number}"\n',
    "flows/evaluation/helpers.py": (
        "from beta.flows.standard.logging_utils import told\nfrom beta.flows.standard.utils import dashes\n\n\n"
        'def right(number, said):\n    return number % 4 != 0 and said == f"{dashes(number)}\\n{told(number)}\\n"\n'
    ),
}


def written(root: Path, name: str, files: Mapping[str, str], meeting: Path) -> Path:
    """A use case folder of these files and what both have in common."""
    common = {
        "experiment.yaml": EXPERIMENT.format(name=name),
        "environment/env.yaml": f"MEETING: {meeting}\n",
        "data/numbers.jsonl": "".join(f'{{"number": {number}}}\n' for number in range(LINES)),
        "flows/standard/prints.py": PRINTS,
        "flows/evaluation/eval_said.py": SCORES,
    }
    for path, text in {**common, **files}.items():
        put(root / name, path, text)
    return root / name


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Results]]:
    """Use case → what its chain left behind; both chains were requested before anything ran."""
    root = tmp_path_factory.mktemp("side-by-side")
    home, meeting = root / "home", root / "meeting"
    meeting.mkdir()
    folders = [written(root, name, files, meeting) for name, files in (("alpha", ALPHA), ("beta", BETA))]
    here = replace(settings.read({"GENAIOPS_HOME": str(home)}), look_seconds=1)
    clock, blobs = SystemClock(), MemoryBlobStore()
    bus, runner = LabBus(here, clock), LocalFlowRunner(home, grace_s=300, max_runs=THREADS)
    ports = Ports(
        settings=here,
        clock=clock,
        bus=bus,
        blobs=blobs,
        runner=runner,
        registry=LocalRegistry(blobs, clock),
        endpoints=MemoryEndpoints({}),
        notifier=RecordingNotifier(),
        pipelines=RecordingPipelines(),
        keys=BlobKeys(blobs),
    )
    requests = []
    for folder in folders:
        made = bundle.make(folder)
        blobs.write(opened.CONTAINER, opened.bundle_blob(made.digest), made.content)
        requests.append(
            ChainRequest(
                request_id=str(uuid.uuid4()),
                kind=ChainKind.PR,
                use_case=made.use_case,
                environment="dev",
                bundle=made.digest,
                requester="tests",
            )
        )
    ids = {request.use_case: chain_id(request.use_case, request.kind, request.request_id) for request in requests}
    messages = [OutgoingMessage(r.model_dump_json().encode(), f"{ids[r.use_case]}/request") for r in requests]
    try:
        with Pump(ports, bus, THREADS) as pump:
            bus.send(here.queues[Queue.CHAIN_REQUESTS], messages)
            yield {name: Results(blobs, pump.until_ended(identifier)) for name, identifier in ids.items()}
    finally:
        runner.close()


@pytest.mark.parametrize(
    ("use_case", "said"),
    [
        pytest.param("alpha", "alpha *{0}*\n{0} is told by alpha\n", id="dag"),
        pytest.param("beta", "beta -{0}-\nbeta knows {0}\n", id="function"),
    ],
)
def test_each_line_is_answered_by_its_own_flows_modules_with_what_it_printed_itself(
    use_case: str, said: str, ran: dict[str, Results]
) -> None:
    results = ran[use_case]
    assert results.succeeded, results.reason
    lines = results.lines("default", "numbers")
    assert list(lines["status"]) == ["completed"] * LINES
    assert list(lines["outputs.said"]) == [said.format(number) for number in range(LINES)]


@pytest.mark.parametrize(("use_case", "right"), [("alpha", 1.0), ("beta", 0.75)])
def test_each_evaluator_is_its_own_use_cases(use_case: str, right: float, ran: dict[str, Results]) -> None:
    results = ran[use_case]
    scores = results.lines("default", "numbers")["marks.right"]
    assert results.compare("marks.right").loc["default", "numbers"] == fmean(scores) == right
