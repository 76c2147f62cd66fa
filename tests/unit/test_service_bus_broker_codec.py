"""The broker's own AMQP codec: what is decoded is what was encoded, and agrees with the codec of the SDK."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from azure.servicebus._pyamqp._decode import decode_frame, decode_payload
from azure.servicebus._pyamqp._encode import encode_payload, encode_value
from azure.servicebus._pyamqp.message import Header, Message, Properties
from hypothesis import given
from hypothesis import strategies as st

from tests.servers.service_bus.contents import parse, parse_transfer, sections
from tests.servers.service_bus.decoding import decode, skip
from tests.servers.service_bus.encoding import encode
from tests.servers.service_bus.performatives import Attach, Flow, Transfer, decode_performative, encode_performative
from tests.servers.service_bus.values import (
    Array,
    Byte,
    Described,
    Float,
    Int,
    Opaque,
    Short,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
    WireError,
)


def whole(kind: Any, bits: int, *, signed: bool) -> st.SearchStrategy[Any]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return st.integers(low, high).map(kind)


SYMBOLS = st.text(st.characters(max_codepoint=127), max_size=300).map(Symbol)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    whole(Ubyte, 8, signed=False),
    whole(Ushort, 16, signed=False),
    whole(Uint, 32, signed=False),
    whole(Ulong, 64, signed=False),
    whole(Byte, 8, signed=True),
    whole(Short, 16, signed=True),
    whole(Int, 32, signed=True),
    whole(int, 64, signed=True),
    whole(Timestamp, 64, signed=True),
    st.floats(allow_nan=False),
    st.floats(allow_nan=False, width=32).map(Float),
    st.uuids(),
    st.text(max_size=300),
    st.binary(max_size=300),
    SYMBOLS,
    st.binary(min_size=16, max_size=16).map(lambda data: Opaque(0x94, data)),
)
ARRAYS = st.one_of(
    st.lists(st.uuids(), max_size=20).map(lambda values: Array(0x98, values)),
    st.lists(whole(int, 64, signed=True), max_size=40).map(lambda values: Array(0x81, values)),
    st.lists(whole(Timestamp, 64, signed=True), max_size=20).map(lambda values: Array(0x83, values)),
    st.lists(SYMBOLS, max_size=5).map(lambda values: Array(0xB3, values)),
)
VALUES = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(st.text(max_size=20), inner, max_size=6),
        st.builds(Described, whole(Ulong, 64, signed=False) | SYMBOLS, inner),
    ),
    max_leaves=25,
)


def typed(value: Any) -> Any:
    """A value with the type of each part, since 1 == Uint(1) == True."""
    match value:
        case Described():
            return Described, typed(value.descriptor), typed(value.value)
        case Array():
            return Array, value.code, [typed(item) for item in value.values]
        case list():
            return [typed(item) for item in value]
        case dict():
            return [(typed(key), typed(item)) for key, item in value.items()]
        case _:
            return type(value), value


@given(VALUES)
def test_every_value_comes_back_with_its_type(value):
    data = encode(value)
    assert typed(decode(data)[0]) == typed(value)
    assert decode(data)[1] == skip(data, 0) == len(data)


@given(VALUES, st.data())
def test_bytes_that_are_cut_off_are_an_error_and_nothing_else(value, data):
    whole_value = encode(value)
    cut = data.draw(st.integers(0, len(whole_value) - 1))
    with pytest.raises(WireError):
        decode(whole_value[:cut])


@given(st.binary(max_size=60))
def test_arbitrary_bytes_never_break_the_decoder(data):
    try:
        decode(data)
    except WireError:
        pass
    except Exception as error:
        pytest.fail(f"{error!r} is no WireError")


@given(st.recursive(st.text() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.none() | st.uuids(),
                    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5)))  # fmt: skip
def test_what_the_sdk_encodes_is_understood(value):
    output = bytearray()
    encode_value(output, value)
    assert decode(bytes(output))[0] == value


@given(st.text(max_size=300), st.text(min_size=1, max_size=50), st.binary(max_size=400), st.integers(0, 5))
def test_a_message_of_the_sdk_is_read_and_rendered_for_the_sdk(message_id, session_id, body, deliveries):
    output = bytearray()
    sent = Message(
        header=Header(ttl=5000, durable=None, priority=None, first_acquirer=None, delivery_count=None),
        properties=Properties(message_id=message_id, group_id=session_id, subject="RunCell"),
        application_properties={"PlanUrl": "https://ü", "n": 7},
        data=[body],
    )
    encode_payload(output, sent)
    content = parse(bytes(output))
    assert (content.message_id, content.session_id, content.time_to_live) == (message_id, session_id, 5000)
    got = decode_payload(memoryview(content.render(deliveries, {"x-opt-sequence-number": 9})))
    assert got.properties.message_id == message_id.encode()
    assert got.properties.group_id == session_id.encode()
    assert got.application_properties == {b"PlanUrl": "https://ü".encode(), b"n": 7}
    assert b"".join(got.data) == body
    assert (got.header.delivery_count, got.message_annotations) == (deliveries, {b"x-opt-sequence-number": 9})


def test_a_batch_holds_whole_messages():
    inner = bytearray()
    encode_payload(inner, Message(properties=Properties(message_id="m1"), data=[b"one"]))
    envelope = bytes((0, 0x53, 0x75)) + encode(bytes(inner))
    assert [c.message_id for c in parse_transfer(envelope + envelope, 0x80013700)] == ["m1", "m1"]
    assert [code for code, *_ in sections(envelope)] == [0x75]


@pytest.mark.parametrize(
    "performative",
    [
        Attach("link-1", 3, role=True, snd_settle_mode=0, initial_delivery_count=0, max_message_size=262144),
        Flow(7, 100, 3, 2**31 - 1, handle=1, delivery_count=4, link_credit=500, drain=True),
        Transfer(2, delivery_id=300, delivery_tag=uuid.uuid4().bytes_le, message_format=0, settled=False, more=True),
    ],
)
def test_performatives_come_back_and_the_sdk_reads_the_same(performative):
    data = encode_performative(performative)
    assert decode_performative(data + b"payload") == (performative, b"payload")
    _, fields = decode_frame(memoryview(data))
    expected = [item.encode() if isinstance(item, str) else item for item in performative]
    assert [None if item in ([], b"") else item for item in fields[: len(expected)]] == expected


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x53\x99\x45", b"\x45", b"\x00\x53\x14\x45"])
def test_what_is_no_performative_is_refused(data):
    with pytest.raises(WireError):
        decode_performative(data)
