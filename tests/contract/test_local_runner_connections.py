"""The local flow runner with connections of other types than models, and with a use case's variables."""

from __future__ import annotations

from shared.connections import Connection
from shared.results import LineStatus
from tests.contract.local_runner import one, spec

CONNECTIONS = {
    "shop": Connection(
        "shop", "custom", "", "", "", configs={"url": "https://shop"}, secrets={"token": "planted-token"}
    ),
    "search": Connection("search", "azure_ai_search", "https://search", "planted-search-key", "2023-11-01"),
    "safety": Connection("safety", "azure_content_safety", "https://safety", "planted-safety-key", "2023-10-01"),
    "serp": Connection("serp", "serp", "", "planted-serp-key", ""),
}
VARIABLES = {"SHOP_API_KEY": "planted-variable", "SHOP_PLACE": "Rome"}


def test_a_tool_gets_connections_of_every_type_and_the_variables_of_its_use_case(runner):
    outcome = runner.start(spec("connected", [{"what": "look"}], connections=CONNECTIONS, environment=VARIABLES))

    assert one(outcome).outputs["value"] == {
        "places": ["https://shop", "https://search", "https://safety", "Rome"],
        "lengths": [13, 18, 18, 16, 16],
    }


def test_no_secret_of_any_of_them_is_in_what_is_kept_of_a_failed_line(runner):
    outcome = runner.start(spec("connected", [{"what": "raise"}], connections=CONNECTIONS, environment=VARIABLES))
    line = one(outcome)

    assert line.status is LineStatus.FAILED
    assert "refused: *** *** *** *** ***" in line.error
    assert "planted" not in f"{line!r} {outcome.record!r}"
