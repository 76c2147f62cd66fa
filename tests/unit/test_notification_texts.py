"""What a task's log, an approver's notice and an alert say, and what they never let data say."""

from __future__ import annotations

import json
import re

import pytest

from shared import reporting
from shared.chain.messages import ChainKind, DatasetUpload
from shared.chain.state import Chain, ChainStatus, GivenApproval, LogEntry
from shared.errors import BusinessFailure
from shared.evaluation.gates_model import Baseline, write_gates
from shared.notification import approval_text as approvals
from shared.notification.alert_text import alert_text, alert_title
from shared.notification.approval_text import approval_facts, approval_text
from shared.notification.final_log import final_log, rendered
from shared.notification.told import Told
from shared.ports import Ports
from tests import samples
from tests.unit.people import memory_ports, waiting_chain

COMMAND = re.compile(r"##(vso)?\[", re.IGNORECASE)
FORGED = "ok ##vso[task.complete result=Succeeded]\n##[section]Succeeded\r\n##vso[task.setvariable variable=a]b"


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


# ------------------------------------------------------------------------------------------------------- final log


def test_the_log_has_every_line_with_its_time_then_metrics_verdict_and_links(ports: Ports) -> None:
    chain = samples.deployed(waiting_chain(ports))
    lines = final_log(ports, chain).splitlines()
    assert lines[0] == f"##[section]Merge chain of ticket_triage: {chain.id}"
    assert lines[1] == "09:26:00 Chain started by Priya Natarajan."
    assert lines[2] == "##[warning]09:30:00 1 line failed on every run, within the tolerated share."
    table = lines[lines.index("##[section]Metrics") :]
    assert table[1] == "Dataset tickets_mixed (8 rows)"
    assert table[2].split()[:2] == ["choice", "classification.accuracy"]
    assert table[3].split()[:3] == ["classify.examples", "(candidate)", "0.88"]
    assert len({len(line) for line in table[2:8]}) == 1, "figures stand under each other"
    end = lines[lines.index("##[section]Succeeded") :]
    assert "Registered: ticket_triage version 4" in end
    assert "Deployment: d-91ac22be on ticket-triage" in end
    assert f"Report: {ports.settings.functions_url}/api/chains/{chain.id}/files/report.html" in end


def test_lines_that_the_state_has_but_the_log_not_yet_are_in_it_once(ports: Ports) -> None:
    chain = waiting_chain(ports)
    journal = tuple(LogEntry(number=n, at=samples.NOW, level="info", text=f"line {n}") for n in (2, 3))
    log = final_log(ports, chain.model_copy(update={"journal": journal}))
    assert log.count("09:30:00 line 3") == 1
    assert log.count("09:30:00") == 2


def test_what_failed_is_an_error_of_the_log(ports: Ports) -> None:
    sentence = "classification.accuracy of default on tickets_mixed is 0.7; it must be at least 0.8"
    chain = samples.sample_chain(
        outcome=ChainStatus.FAILED, reason=f"1 gate missed: {sentence}", missed_gates=(sentence,)
    )
    lines = final_log(ports, chain).splitlines()
    assert f"##[error]Gate missed: {sentence}" in lines
    assert f"##[error]Why: 1 gate missed: {sentence}" in lines
    assert "##[section]Gates missed" in lines
    assert "##[section]Metrics" not in lines, "there is no evidence to take them from"


def test_no_text_of_data_or_people_gives_a_command_to_the_log(ports: Ports) -> None:
    chain = samples.sample_chain(outcome=ChainStatus.FAILED, reason=FORGED, missed_gates=(FORGED,))
    evidence = json.loads(json.dumps(_evidence(ports)).replace("classify.terse", json.dumps(FORGED)[1:-1]))
    log = tuple(LogEntry(number=1, at=samples.NOW, level=level, text=FORGED) for level in ("info", "warning", "error"))
    text = rendered(Told(chain=chain, functions_url="http://here", evidence=evidence, log=log))
    assert FORGED.split()[1] not in text
    for line in text.splitlines():
        found = [match.start() for match in COMMAND.finditer(line)]
        assert found in ([], [0]), line
        assert not line.lower().startswith("##vso")
    assert text.count("##[section]") == 3, "the heading, the metrics and the verdict are ours"


# -------------------------------------------------------------------------------------------------------- approval


def test_an_approver_is_told_what_would_be_deployed_by_whose_request_and_how_good_it_is(ports: Ports) -> None:
    text = approval_text(ports, waiting_chain(ports))
    assert text.startswith("You are asked to approve the deployment of **ticket_triage**, version 4, to dev.")
    assert "commit 3f2a9c417d0e · branch main" in text
    assert "by Priya Natarajan" in text
    assert "Approvals needed: 1. One rejection decides, and silence is a rejection, too." in text
    assert "◆ **classify.examples** (candidate) | 0.88" in text
    assert "default (default) | 0.74" in text
    assert "classify.terse" not in text.split("Gate |")[0], "an approver compares the candidate and the default"
    assert "✓ met | accuracy of classification | tickets\\_mixed | 0.88" in text.replace("tickets_", "tickets\\_")
    assert "There is no baseline yet" in text


def test_the_endpoint_and_its_traffic_are_named_where_they_are_known(ports: Ports) -> None:
    chain = waiting_chain(ports)
    told = Told(chain=chain, functions_url="http://here", endpoint="ticket-triage", traffic=10)
    text = approvals.rendered(told)
    assert "to the endpoint **ticket-triage** in dev. Once its tests have passed, it takes 10 % of the traffic." in text


def test_approvals_that_were_given_are_named_and_counted(ports: Ports) -> None:
    chain = waiting_chain(ports)
    assert chain.approval is not None
    given = GivenApproval(person="maria@example.org", at=samples.NOW, comment="Fine *by me*.")
    approval = chain.approval.model_copy(update={"required": 2, "given": (given,)})
    chain = chain.model_copy(update={"approval": approval})
    text = approval_text(ports, chain)
    assert "Approvals needed: 2, of which 1 is given." in text
    assert "Fine \\*by me\\*." in text
    assert approval_facts(chain)["Approvals needed"] == "2, of which 1 is given"


def test_results_that_changed_after_the_request_are_not_shown_to_an_approver(ports: Ports) -> None:
    chain = waiting_chain(ports)
    ports.blobs.write("reports", f"{chain.id}/evidence.json", b"{}")
    assert "There is no report of this version" in approval_text(ports, chain)


def test_a_card_gets_short_facts_on_one_line_each(ports: Ports) -> None:
    chain = waiting_chain(ports)
    request = chain.request.model_copy(update={"requester": "Mallory\n**Approved** \u202e" + "x" * 150})
    facts = approval_facts(chain.model_copy(update={"request": request}))
    assert facts["Version"] == "4"
    assert facts["Candidate"] == "classify.examples"
    assert facts["Gates"] == "all met"
    assert all(len(value) <= 120 and value.isprintable() for value in facts.values())


def test_a_chain_that_asked_for_no_approval_has_no_notice(ports: Ports) -> None:
    chain = samples.sample_chain()
    with pytest.raises(BusinessFailure, match="asked for no approval"):
        approval_text(ports, chain)
    with pytest.raises(BusinessFailure, match="asked for no approval"):
        approval_facts(chain)


# ----------------------------------------------------------------------------------------------------------- alert


def test_an_alert_tells_what_became_worse_on_which_upload(ports: Ports) -> None:
    sentence = (
        "classification.accuracy of default on tickets_mixed is 0.7; it must be at most 0.05 below the baseline of 0.81"
    )
    chain = samples.sample_chain(
        ChainKind.DATASET, outcome=ChainStatus.FAILED, missed_gates=(sentence,), regressions=(sentence,)
    )
    upload = DatasetUpload(name="tickets_mixed", blob="ticket_triage/tickets_mixed/<b>new</b>.jsonl")
    chain = chain.model_copy(update={"request": chain.request.model_copy(update={"dataset": upload})})
    _results(ports, chain)
    text = alert_text(ports, chain)
    assert text.startswith("**tickets_mixed** was uploaded (ticket_triage/tickets_mixed/&lt;b&gt;new&lt;/b&gt;.jsonl)")
    assert f"- {sentence}" in text
    assert "The baseline is version 3 of ticket_triage" in text
    assert alert_title(chain) == "ticket_triage is worse on the new version of tickets_mixed"
    only_missed = chain.model_copy(update={"regressions": ()})
    assert alert_title(only_missed) == "ticket_triage misses its gates on the new version of tickets_mixed"


def _results(ports: Ports, chain: Chain) -> None:
    prepared = samples.write_results(ports.blobs, chain)
    known = Baseline(
        name="ticket_triage", version="3", metrics={"tickets_mixed": {"classification.accuracy": 0.81}}, datasets={}
    )
    write_gates(ports.blobs, chain.id, samples.sample_gates(prepared).model_copy(update={"baseline": known}))
    reporting.build(ports, chain, final=False)


def _evidence(ports: Ports) -> dict[str, object]:
    chain = waiting_chain(ports)
    document: dict[str, object] = json.loads(ports.blobs.read("reports", f"{chain.id}/evidence.json"))
    return document
