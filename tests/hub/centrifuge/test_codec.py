"""Both wire formats, byte by byte, and against each other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.channel import Publication
from actors.log import Record
from hub.centrifuge.codec import PONG, Command, Malformed, Method, Push, WireFormat, publication_content
from hub.centrifuge.codes import INTERNAL_ERROR, PERMISSION_DENIED
from hub.centrifuge.json_codec import CENTRIFUGE_JSON, JsonFormat
from hub.centrifuge.protobuf_codec import CENTRIFUGE_PROTOBUF, ProtobufFormat
from hub.centrifuge.push_codec import PushFormat
from hub.centrifuge.schema import MESSAGES
from hub.centrifuge.unidirectional import EVENTS, LINES
from hub.centrifuge.unidirectional import MESSAGES as ONE_BY_ONE
from tests.hub.centrifuge.literals import COMMANDS, PUSHES, REPLIES

#: Without a transport's frame around.
JSON = JsonFormat(bytes)
PROTOBUF = ProtobufFormat(bytes)
FORMATS: list[WireFormat] = [JSON, PROTOBUF]
PUSHED = PushFormat(bytes)


def whole(message: str, sent: dict[str, Any]) -> dict[str, Any]:
    """What was sent with zeros for the rest."""
    content = dict(MESSAGES[message].zeros)
    for name, value in sent.items():
        of = MESSAGES[message].fields[name].of
        if isinstance(value, list):
            content[name] = [whole(of, one) if of else one for one in value]
        elif isinstance(value, dict) and name == "subs":
            content[name] = {channel: whole(of, one) for channel, one in value.items()}
        else:
            content[name] = whole(of, value) if of else value
    return content


@pytest.mark.parametrize(("text", "binary", "method", "sent"), COMMANDS)
def test_a_command_is_read(text: str, binary: str, method: Method, sent: dict[str, Any]) -> None:
    request = whole(MESSAGES["Command"].fields[method].of, sent)
    for commands in (JSON.decode(text), JSON.decode(text.encode()), PROTOBUF.decode(bytes.fromhex(binary))):
        assert [(one.method, one.request) for one in commands] == [(method, request)]
        assert (f'"id":{commands[0].id},' in text) or (method == "send" and commands[0].id == 0)


def test_a_frame_holds_commands_in_order() -> None:
    texts, binaries = [text for text, *_ in COMMANDS], [bytes.fromhex(binary) for _, binary, *_ in COMMANDS]
    methods = [method for *_, method, _ in COMMANDS]
    assert [one.method for one in JSON.decode("\n".join(texts) + "\n")] == methods
    assert [one.method for one in PROTOBUF.decode(b"".join(binaries))] == methods


@pytest.mark.parametrize(("text", "binary", "method", "result"), REPLIES)
def test_a_reply_is_written(text: str, binary: str, method: Method, result: dict[str, Any]) -> None:
    id = int(text.split(":")[1].split(",")[0])
    assert JSON.reply(id, method, result) == text.encode()
    assert PROTOBUF.reply(id, method, result).hex() == binary


@pytest.mark.parametrize(("text", "binary", "kind", "channel", "content"), PUSHES)
def test_a_push_is_written(text: str, binary: str, kind: Push, channel: str, content: dict[str, Any]) -> None:
    assert JSON.push(channel, kind, content) == text.encode()
    assert PROTOBUF.push(channel, kind, content).hex() == binary


@pytest.mark.parametrize(("text", "binary", "kind", "channel", "content"), PUSHES)
def test_who_only_listens_is_sent_the_push_alone(
    text: str, binary: str, kind: Push, channel: str, content: dict[str, Any]
) -> None:
    assert b'{"push":%b}' % PUSHED.push(channel, kind, content) == text.encode()
    if kind == "connect":
        assert PUSHED.reply(1, "connect", content) == PUSHED.push(channel, kind, content)


RESULT = {"client": "u", "version": "6", "subs": {"c": {"offset": 7}}, "ping": 25, "session": "s", "node": ""}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda format: format.ping, b"{}"),
        (
            lambda format: format.publication_push("c", b'{"a":1}', 7),
            b'{"channel":"c","pub":{"data":{"a":1},"offset":7}}',
        ),
        (
            lambda format: format.reply(1, "connect", RESULT),
            b'{"connect":{"client":"u","version":"6","subs":{"c":{"offset":7}},"ping":25,"session":"s"}}',
        ),
    ],
)
def test_a_frame_for_who_only_listens_is_one_message(make: Callable[[WireFormat], bytes], message: bytes) -> None:
    assert ONE_BY_ONE.frame(make(ONE_BY_ONE)) == b"\x81%c%b" % (len(message), message)
    assert EVENTS.frame(make(EVENTS)) == b"data: %b\n\n" % message
    assert LINES.frame(make(LINES)) == message + b"\n"


def test_a_farewell_is_the_last_frame() -> None:
    assert EVENTS.farewell(3001, "shutdown") == b'data: {"disconnect":{"code":3001,"reason":"shutdown"}}\n\n'
    assert JSON.farewell(3001, "shutdown") == b'{"push":{"disconnect":{"code":3001,"reason":"shutdown"}}}'
    assert PROTOBUF.farewell(3001, "shutdown").hex() == "11220f5a0d08b917120873687574646f776e"
    with pytest.raises(ValueError, match="subscribe"):
        PUSHED.reply(1, "subscribe", {})


def test_a_connect_request_stands_alone() -> None:
    text = next(text for text, _, method, sent in COMMANDS if method == "connect" and sent)
    alone = text.removeprefix('{"id":1,"connect":').removesuffix("}")
    for frame in (alone, alone.encode(), f" {alone}\r\n"):
        assert PUSHED.decode(frame) == JSON.decode(text)
    for empty in ("{}", "null", " null\n", '{"newer":1}'):
        assert PUSHED.decode(empty) == JSON.decode('{"id":1,"connect":{}}')


@pytest.mark.parametrize(
    "frame", ["", " ", "[]", "7", "{", "{}{}", '{"token":1}', '{"subs":[]}', '{"subs":{"c":null}}']
)
def test_what_is_no_connect_request(frame: str) -> None:
    with pytest.raises(Malformed):
        PUSHED.decode(frame)


def test_a_refusal_is_written() -> None:
    assert JSON.error(3, PERMISSION_DENIED) == b'{"id":3,"error":{"code":103,"message":"permission denied"}}'
    assert JSON.error(4, INTERNAL_ERROR).endswith(b'"temporary":true}}')
    assert PROTOBUF.error(3, PERMISSION_DENIED) == b"\x19\x08\x03\x12\x15\x08\x67\x12\x11permission denied"
    assert PROTOBUF.error(4, INTERNAL_ERROR).endswith(b"\x18\x01")


@pytest.mark.parametrize("format", FORMATS)
def test_a_result_with_a_field_there_is_not_is_our_mistake(format: WireFormat) -> None:
    with pytest.raises(KeyError):
        format.reply(1, "subscribe", {"epoh": "e"})


def test_pongs() -> None:
    for frame in ("{}", '{"id":0}', '{"id":null,"ping":null}', '{"newer":{}}'):
        assert JSON.decode(frame) == [PONG]
    for binary in (b"\x00", b"\x02\x08\x00"):
        assert PROTOBUF.decode(binary) == [PONG]
    assert PONG.pong
    assert JSON.decode("{}\n{}") == PROTOBUF.decode(b"\x00\x00") == [PONG, PONG]


def test_pings_are_the_empty_reply() -> None:
    assert CENTRIFUGE_JSON.frame(JSON.ping) == b"\x81\x02{}"
    assert CENTRIFUGE_PROTOBUF.frame(PROTOBUF.ping) == b"\x82\x01\x00"


def test_a_method_nobody_knows_is_left_to_the_session() -> None:
    expected = [Command(id=7)]
    assert JSON.decode('{"id":7,"dance":{"a":1}}') == JSON.decode('{"id":7,"rpc":null}') == expected
    assert PROTOBUF.decode(b"\x06\x08\x07\xa2\x06\x01x") == expected
    assert not expected[0].pong


def test_of_several_requests_the_first_counts() -> None:
    assert JSON.decode('{"id":1,"rpc":{},"connect":{}}')[0].method == "connect"
    assert PROTOBUF.decode(b"\x06\x08\x01\x6a\x00\x22\x00")[0].method == "connect"


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "\n",
        " ",
        "{}\n\n{}",
        "[]",
        "null",
        "1",
        '"x"',
        "{",
        '{"id":-1,"ping":{}}',
        '{"id":4294967296,"ping":{}}',
        '{"id":1.0,"ping":{}}',
        '{"id":true,"ping":{}}',
        '{"id":"1","ping":{}}',
        '{"subscribe":{"channel":"c"}}',
        '{"id":1,"subscribe":[]}',
        '{"id":1,"subscribe":{"channel":1}}',
        '{"id":1,"subscribe":{"recover":1}}',
        '{"id":1,"subscribe":{"offset":-1}}',
        '{"id":1,"subscribe":{"offset":18446744073709551616}}',
        '{"id":1,"subscribe":{"limit":2147483648}}',
        '{"id":1,"history":{"since":1}}',
        '{"id":1,"connect":{"subs":[]}}',
        '{"id":1,"connect":{"subs":{"c":null}}}',
        '{"id":1,"connect":{"headers":{"a":1}}}',
        '{"id":1,"subscribe":{"tf":{"vals":["a",null]}}}',
        '{"id":1,"subscribe":{"tf":{"vals":"a"}}}',
        '{"id":1,"publish":{"data":NaN}}',
        '{"id":1,"publish":{"data":"\ud800"}}',
        '{"id":1,"publish":{"data":' + "[" * 300 + "]" * 300 + "}}",
        '{"id":1,"publish":{"data":' + "[" * 30_000 + "]" * 30_000 + "}}",
        '{"id":1,"subscribe":{"tf":' + '{"nodes":[' * 40 + "]}" * 40 + "}}",
        b'{"id":1,"rpc":{"method":"\xff"}}',
    ],
)
def test_json_that_is_not_the_protocol(frame: str | bytes) -> None:
    with pytest.raises(Malformed):
        JSON.decode(frame)


def nested_filter(depth: int) -> bytes:
    node = b""
    for _ in range(depth):
        node = b"\x32" + length(len(node)) + node
    return node


def length(size: int) -> bytes:
    return bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))


def subscribe(fields: bytes) -> bytes:
    """A frame with one subscribe command."""
    command = b"\x08\x01\x2a" + length(len(fields)) + fields
    return length(len(command)) + command


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        "{}",
        b"\x05",
        b"\x80",
        b"\x02\x08",
        b"\xff" * 10,
        b"\xff" * 9 + b"\x02",
        b"\x01\x00",
        b"\x02\x00\x00",
        b"\x02\x12\x05",
        b"\x02\x0d\x00",
        b"\x02\x3b\x00",
        b"\x02\x3c\x00",
        b"\x02\x2a\x00",
        b"\x04\x2a\x02\x0a\x00",
        subscribe(b"\x08\x01"),
        subscribe(b"\x0a\x01\xff"),
        subscribe(b"\x0a\x02x"),
        subscribe(b"\x6a\x01x"),
        subscribe(b"\xa1\x06\x00"),
        subscribe(b"\x6a" + length(len(nested_filter(40))) + nested_filter(40)),
        b"\x07\x08\x01\x22\x03\x1a\x01\x08",
        b"\x08\x08\x01\x22\x04\x1a\x02\x08\x01",
    ],
)
def test_protobuf_that_is_not_the_protocol(frame: bytes | str) -> None:
    with pytest.raises(Malformed):
        PROTOBUF.decode(frame)


def test_filters_may_be_nested_a_little() -> None:
    tree = nested_filter(20)
    request = PROTOBUF.decode(subscribe(b"\x6a" + length(len(tree)) + tree))[0].request
    assert JSON.decode('{"id":1,"subscribe":{"tf":' + '{"nodes":[' * 20 + "{}" + "]}" * 20 + "}}")[0].request == request


def test_unknown_fields_are_skipped() -> None:
    assert JSON.decode('{"id":1,"newer":1,"unsubscribe":{"channel":"c","newer":[{}]}}') == [
        Command(id=1, method="unsubscribe", request={"channel": "c"})
    ]
    unknown = b"\xa0\x06\x01\xa1\x06" + bytes(8) + b"\xa2\x06\x02hi\xa5\x06" + bytes(4)
    assert PROTOBUF.decode(subscribe(unknown + b"\x0a\x01c"))[0].request["channel"] == "c"


def test_a_message_sent_twice_is_merged() -> None:
    """As Protobuf has it; JSON takes the last."""
    assert PROTOBUF.decode(subscribe(b"\x0a\x01a\x12\x01t\x0a\x01b"))[0].request["channel"] == "b"
    history = b"\x0c\x08\x01\x52\x08\x42\x02\x08\x05\x42\x02\x12\x00"
    assert PROTOBUF.decode(history)[0].request["since"] == {"offset": 5, "epoch": ""}


def test_commands_beside_their_transport() -> None:
    inner = JSON.emulation(b'{"session":"s","node":"n","data":"{\\"id\\":1,\\"ping\\":{}}\\n{}"}')
    assert (inner.node, inner.session, len(JSON.decode(inner.data))) == ("n", "s", 2)
    inner = PROTOBUF.emulation(b"\x0a\x01n\x12\x01s\x1a\x01\x00")
    assert (inner.node, inner.session, PROTOBUF.decode(inner.data)) == ("n", "s", [PONG])
    for body in (b"", b"[]", b'{"data":{}}', b"{}", b'{"data":"x","node":1}'):
        with pytest.raises(Malformed):
            JSON.emulation(body)
    with pytest.raises(Malformed):
        PROTOBUF.emulation(b"\x0a\x05")


def publication(payload: bytes, channel: str = "lead:7", offset: int = 300) -> Publication:
    record = Record(offset=0, timestamp=0, kind="frame", channel=channel, id="", payload=payload)
    return Publication(record, offset)


@pytest.mark.parametrize("payload", [b'{"a":1}', b"1", b"null", b'"\xc3\xab"', b"x" * 70_000])
@pytest.mark.parametrize("channel", ["c", 'say "hi"', "Zo\u00eb", "n" * 255])
@pytest.mark.parametrize("offset", [1, 127, 128, 2**53])
def test_a_publication_is_its_push(payload: bytes, channel: str, offset: int) -> None:
    one = publication(payload, channel, offset)
    content = {"data": payload, "offset": offset}
    assert one.frame(CENTRIFUGE_JSON) == CENTRIFUGE_JSON.frame(JSON.push(channel, "pub", content))
    assert one.frame(CENTRIFUGE_PROTOBUF) == CENTRIFUGE_PROTOBUF.frame(PROTOBUF.push(channel, "pub", content))
    assert one.frame(CENTRIFUGE_JSON) is one.frame(CENTRIFUGE_JSON)


def test_a_payload_on_several_lines_stays_one_line() -> None:
    payload = b'{\r\n  "a": "x\\ny",\n  "b": [1,\n2]\n}'
    line = b'{  "a": "x\\ny",  "b": [1,2]}'
    frame = b'{"push":{"channel":"lead:7","pub":{"data":%b,"offset":300}}}' % line
    assert publication(payload).frame(JSON) == frame
    assert JSON.reply(1, "rpc", {"data": payload}) == b'{"id":1,"rpc":{"data":%b}}' % line
    assert payload in publication(payload).frame(PROTOBUF)


@pytest.mark.parametrize("format", FORMATS)
def test_what_a_publication_may_carry_more(format: WireFormat) -> None:
    more: dict[str, Any] = {
        "info": {"user": "7", "client": "u", "conn_info": b"1"},
        "tags": {"k": "v"},
        "delta": True,
        "key": "k",
    }
    for names in (["info"], ["tags"], ["delta"], ["key"], list(more)):
        some = {name: more[name] for name in names}
        expected = format.push("c", "pub", {"data": b"1", "offset": 7} | some)
        assert sorted(format.publication_push("c", b"1", 7, some)) == sorted(expected)
    assert format.publication_push("c", b"1", 0) == format.push("c", "pub", {"data": b"1"})
    assert format.publication_push("c", b"1", 7, {"info": None, "tags": {}}) == format.publication_push("c", b"1", 7)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("info", "tags", "expected"),
    [
        (
            b'{"user":"7","client":"c","conn_info":{"a":[1]}}',
            None,
            {"info": {"user": "7", "client": "c", "conn_info": b'{"a":[1]}'}},
        ),
        (b'{"user":7}', b'{"k":"v"}', {"info": {"user": "7", "client": ""}, "tags": {"k": "v"}}),
        (None, b'{"k":"v"}', {"tags": {"k": "v"}}),
        (b"nonsense", b'{"k":1}', {}),
        (b"[]", b"[]", {}),
        (b'{"conn_info":' + b"[" * 500 + b"]" * 500 + b"}", b"\xff", {}),
    ],
)
def test_who_published_and_tags_are_in_the_frame(
    format: WireFormat, info: bytes | None, tags: bytes | None, expected: dict[str, Any]
) -> None:
    one = publication(b"1")
    said = Publication(replace(one.record, info=info, tags=tags), one.offset)
    wanted = format.push("lead:7", "pub", {"data": b"1", "offset": 300, **expected})
    assert sorted(said.frame(format)) == sorted(format.frame(wanted))
    content = {name: value for name, value in publication_content(said).items() if value}
    assert content == {"data": b"1", "offset": 300, **expected}


def test_data_of_a_subscription_with_deltas() -> None:
    delta = '7\n4@0,3:"ë"3bXqz;'.encode()
    assert JSON.delta_data(delta) == '"7\\n4@0,3:\\"ë\\"3bXqz;"'.encode()
    assert PROTOBUF.delta_data(delta) == delta


@pytest.mark.parametrize("format", FORMATS)
def test_a_position_is_no_message(format: WireFormat) -> None:
    assert format.position("c", "e", 7) == b""


def test_messages_share_a_frame() -> None:
    messages = [JSON.reply(1, "ping", {}), JSON.ping]
    assert CENTRIFUGE_JSON.frame(*messages) == b'\x81\x15{"id":1,"ping":{}}\n{}'
    messages = [PROTOBUF.reply(1, "ping", {}), PROTOBUF.ping]
    assert CENTRIFUGE_PROTOBUF.frame(*messages) == b"\x82\x06\x04\x08\x01\x62\x00\x00"


@settings(max_examples=1000, deadline=None)
@given(
    st.binary(max_size=200) | st.text(max_size=200) | st.sampled_from([text for text, *_ in COMMANDS]).map(str.encode)
)
def test_no_frame_is_too_strange(frame: bytes | str) -> None:
    for format in FORMATS:
        try:
            assert format.decode(frame)
        except Malformed:
            pass


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(COMMANDS), st.data())
def test_no_damage_is_too_strange(case: tuple[str, str, Method, dict[str, Any]], data: st.DataObject) -> None:
    for format, frame in ((JSON, case[0].encode()), (PROTOBUF, bytes.fromhex(case[1]))):
        damaged = bytearray(frame)
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(damaged)))
            damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        try:
            assert format.decode(bytes(damaged))
        except Malformed:
            pass


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(list(MESSAGES["Command"].fields)),
    st.dictionaries(
        st.sampled_from([*MESSAGES["SubscribeRequest"].fields, "since", "subs", "headers", "track"]), JSON_VALUES
    ),
)
def test_no_json_value_is_too_strange(method: str, request: dict[str, Any]) -> None:
    try:
        assert JSON.decode(json.dumps({"id": 1, method: request}))
    except Malformed:
        pass


LARGEST = 64 * 1024


@pytest.mark.parametrize(
    "frame",
    [
        b"{}\n" * (LARGEST // 3),
        b'{"id":1,"connect":{"subs":{%b}}}' % b",".join(b'"%d":{}' % n for n in range(LARGEST // 12)),
        b"[" * LARGEST,
        b'{"a":' * (LARGEST // 5),
    ],
)
def test_the_worst_json_takes_little_time(frame: bytes) -> None:
    assert seconds(JSON, frame) < 1


def deep(size: int) -> bytes:
    """Filters in filters, many of them."""
    node = b"\x32\x00" * 2000
    return subscribe(b"\x6a" + length(len(node)) + node) * (size // 4020)


@pytest.mark.parametrize(
    "frame",
    [
        bytes(LARGEST),
        b"\x80" * LARGEST,
        deep(LARGEST),
        b"\xfe\xff\x03" + b"\x22\x00" * (LARGEST // 2 - 1),
        b"\xfe\xff\x03" + b"\xa0\x06\x00" * (LARGEST // 3),
    ],
)
def test_the_worst_protobuf_takes_little_time(frame: bytes) -> None:
    assert seconds(PROTOBUF, frame) < 1


def seconds(format: WireFormat, frame: bytes) -> float:
    """Processor time, so that a busy machine does not count."""
    begun = time.process_time()
    try:
        format.decode(frame)
    except Malformed:
        pass
    return time.process_time() - begun
