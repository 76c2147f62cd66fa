from __future__ import annotations

from shared.connections import Connection
from shared.redaction import Redaction
from shared.use_case.references import is_secret_name


def connection(key: str, *, stand_in: bool = False) -> Connection:
    return Connection("aoai", "azure", "https://models.example.com", key, stand_in=stand_in)


def test_every_key_is_taken_out_wherever_it_stands() -> None:
    redacted = Redaction([connection("first-secret"), connection("second-secret")])
    assert redacted("first-secret, second-secret and first-secret") == "***, *** and ***"


def test_a_key_that_begins_with_another_leaves_no_rest() -> None:
    redacted = Redaction([connection("sk-12345678"), connection("sk-12345678-and-more")])
    assert redacted("sent sk-12345678-and-more") == "sent ***"


def test_what_is_no_secret_stays() -> None:
    redacted = Redaction([connection("stand-in", stand_in=True), connection("short"), connection("")])
    assert redacted("short: the stand-in answered") == "short: the stand-in answered"


def test_secrets_of_a_custom_connection_are_taken_out_and_its_configs_stay() -> None:
    custom = Connection(
        "shop", "custom", "", "", "", configs={"url": "https://shop"}, secrets={"token": "first-secret"}
    )
    assert Redaction([custom])("first-secret at https://shop") == "*** at https://shop"


def test_what_an_address_holds_beside_the_address_is_taken_out() -> None:
    address = "https://ann:pass%21word@models.example.com/v1?code=a-long-code"
    redacted = Redaction([Connection("aoai", "azure", address, "short")])
    assert (
        redacted("pass%21word, pass!word, a-long-code of models.example.com") == "***, ***, *** of models.example.com"
    )


def test_variables_whose_name_says_that_they_are_secret_are_taken_out() -> None:
    redacted = Redaction([], {"SEARCH_API_KEY": "first-secret", "PROMPT_TOKEN_LIMIT": "30000000", "PLACE": "Rotterdam"})
    assert redacted("first-secret, 30000000 in Rotterdam") == "***, 30000000 in Rotterdam"


def test_variables_are_hidden_by_a_wider_net_than_they_are_refused_by() -> None:
    variables = {
        "SHOP_TOKEN": "first-secret",
        "SHOP_KEY": "second-secret",
        "DB_PWD": "third-secret",
        "NAME": "a-person",
    }
    assert Redaction([], variables)("first-secret second-secret third-secret a-person") == "*** *** *** a-person"
    assert not is_secret_name("PARTITION_KEY")
