"""What tokens say: claims of every kind, and those that cannot be."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.centrifuge import claims
from hub.centrifuge.claims import (
    ConnectionClaims,
    Expected,
    Override,
    SubscriptionClaims,
    SubscriptionOptions,
    TokenExpired,
    TokenInvalid,
)
from hub.configuration import Token

NOW = 1_800_000_000.5
ANYBODY = Expected()


def connection(expected: Expected = ANYBODY, **payload: Any) -> ConnectionClaims:
    return claims.connection(orjson.dumps(payload), expected, NOW)


def subscription(expected: Expected = ANYBODY, **payload: Any) -> SubscriptionClaims:
    return claims.subscription(orjson.dumps(payload), expected, NOW)


def test_the_claims_of_a_connection() -> None:
    read = connection(
        sub="42",
        exp=1_800_000_060,
        info={"name": "Ann"},
        meta={"tenant": 1},
        channels=["a"],
        subs={
            "news": {},
            "chat": {
                "info": {"as": "guest"},
                "b64data": "AAE=",
                "override": {
                    "presence": {"value": True},
                    "join_leave": {"value": False},
                    "force_push_join_leave": {},
                    "force_recovery": {"value": True},
                    "force_positioning": None,
                },
            },
        },
        channel="",
        iat="whenever",
    )
    assert read == ConnectionClaims(
        user="42",
        expires_at=1_800_000_060,
        info=b'{"name":"Ann"}',
        meta=b'{"tenant":1}',
        channels=("a",),
        subs={
            "news": SubscriptionOptions(),
            "chat": SubscriptionOptions(
                info=b'{"as":"guest"}',
                data=b"\x00\x01",
                override=Override(presence=True, join_leave=False, force_push_join_leave=False, force_recovery=True),
            ),
        },
    )
    assert read.subscriptions is read.subs


def test_the_least_a_connection_token_may_say() -> None:
    read = connection()
    assert read == ConnectionClaims(user="", expires_at=None)
    assert read.subscriptions == {}
    assert connection(channels=["a", "b"]).subscriptions == {"a": SubscriptionOptions(), "b": SubscriptionOptions()}


def test_the_claims_of_a_subscription() -> None:
    read = subscription(
        sub="42",
        channel="chat:1",
        client="c1",
        exp=1_800_000_060,
        info=None,
        b64info="eyJ9",
        data=[1],
        override={"force_positioning": {"value": True}},
    )
    assert read == SubscriptionClaims(
        user="42",
        channel="chat:1",
        client="c1",
        expires_at=1_800_000_060,
        options=SubscriptionOptions(info=b'{"}', data=b"[1]", override=Override(force_positioning=True)),
    )
    assert subscription(channel="x") == SubscriptionClaims(user="", channel="x", expires_at=None)


@pytest.mark.parametrize(
    ("payload", "expires_at"),
    [
        ({}, None),
        ({"exp": 1_800_000_060}, 1_800_000_060),
        ({"exp": 1_800_000_060.9}, 1_800_000_060),
        ({"exp": None}, None),
        ({"exp": 1_800_000_060, "expire_at": 0}, None),
        ({"exp": 1_800_000_060, "expire_at": -5}, None),
        ({"exp": 1_800_000_060, "expire_at": 1_900_000_000}, 1_900_000_000),
        ({"expire_at": 5}, 5),
        ({"nbf": 1_800_000_000}, None),
    ],
)
def test_when_it_ends(payload: dict[str, Any], expires_at: int | None) -> None:
    assert connection(**payload).expires_at == expires_at
    assert subscription(channel="x", **payload).expires_at == expires_at


@pytest.mark.parametrize(
    "payload",
    [{"exp": 1_800_000_000}, {"exp": 0}, {"exp": -1}, {"nbf": 1_800_000_001}, {"exp": 5, "expire_at": 1_900_000_000}],
)
def test_too_late_or_too_early(payload: dict[str, Any]) -> None:
    with pytest.raises(TokenExpired):
        connection(**payload)
    with pytest.raises(TokenExpired):
        subscription(channel="x", **payload)


@pytest.mark.parametrize(
    "payload",
    [
        {"channel": "news"},
        {"sub": 42},
        {"sub": ["42"]},
        {"exp": "1800000060"},
        {"exp": True},
        {"exp": 1e300},
        {"expire_at": 1.5},
        {"expire_at": 2**60},
        {"nbf": "x"},
        {"info": 1, "b64info": "AAE"},
        {"b64info": "*"},
        {"b64info": 5},
        {"channels": "news"},
        {"channels": [5]},
        {"subs": []},
        {"subs": {"a": 5}},
        {"subs": {"a": {"b64data": "%"}}},
        {"subs": {"a": {"override": True}}},
        {"subs": {"a": {"override": {"presence": True}}}},
        {"subs": {"a": {"override": {"presence": {"value": 1}}}}},
        {"aud": 5},
        {"aud": [5]},
    ],
)
def test_what_a_connection_token_may_not_say(payload: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        connection(**payload)


@pytest.mark.parametrize("payload", [{}, {"channel": ""}, {"channel": 5}, {"channel": "a", "client": 5}])
def test_what_a_subscription_token_must_say(payload: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        subscription(**payload)


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"\xff", b'{"sub": NaN}', b"[" * 5000])
def test_payloads_that_are_no_claims(payload: bytes) -> None:
    for read in (claims.connection, claims.subscription):
        with pytest.raises(TokenInvalid):
            read(payload, ANYBODY, NOW)


@pytest.mark.parametrize(
    ("token", "payload", "good"),
    [
        (Token(audience="hub"), {"aud": "hub"}, True),
        (Token(audience="hub"), {"aud": ["other", "hub"]}, True),
        (Token(audience="hub"), {"aud": "hubs"}, False),
        (Token(audience="hub"), {"aud": "hub\n"}, False),
        (Token(audience="h.b"), {"aud": "hub"}, False),
        (Token(audience="hub"), {"aud": []}, False),
        (Token(audience="hub"), {}, False),
        (Token(audience_regex="^h.b$"), {"aud": ["x", "hub"]}, True),
        (Token(audience_regex="^h.b$"), {"aud": "hubs"}, False),
        (Token(audience_regex="u"), {"aud": "hub"}, True),
        (Token(issuer="me"), {"iss": "me"}, True),
        (Token(issuer="me"), {"iss": "you"}, False),
        (Token(issuer="me"), {}, False),
        (Token(issuer_regex="^https://[a-z]+$"), {"iss": "https://a"}, True),
        (Token(issuer_regex="^https://[a-z]+$"), {"iss": "http://a"}, False),
        (Token(audience="hub", issuer="me"), {"aud": "hub", "iss": "you"}, False),
    ],
)
def test_audience_and_issuer(token: Token, payload: dict[str, Any], good: bool) -> None:
    expected = Expected.of(token)
    if good:
        assert connection(expected, **payload).user == ""
        assert subscription(expected, channel="x", **payload).channel == "x"
        return
    # Said before it is said that the token has expired.
    with pytest.raises(TokenInvalid):
        connection(expected, exp=1, **payload)
    with pytest.raises(TokenInvalid):
        subscription(expected, channel="x", exp=1, **payload)


@pytest.mark.parametrize(("value", "user"), [("ann", "ann"), (42, "42"), (None, "")])
def test_a_claim_of_another_name_has_the_user(value: object, user: str) -> None:
    expected = Expected.of(Token(user_id_claim="user_id"))
    assert connection(expected, sub="someone else", user_id=value).user == user
    with pytest.raises(TokenInvalid):
        connection(expected, user_id=True)


NAMES = (
    "sub exp nbf aud iss channel client channels subs info b64info data b64data meta override presence value "
    "join_leave expire_at"
).split()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6))
def test_whatever_stands_in_a_token_is_read_or_refused(payload: dict[str, Any]) -> None:
    for read in (claims.connection, claims.subscription):
        with suppress(TokenInvalid, TokenExpired):
            read(orjson.dumps(payload), ANYBODY, NOW)
