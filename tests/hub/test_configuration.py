"""Configuration files: what is read from them, and what is said of those that cannot be used."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub import configuration
from hub.configuration import WITHOUT_FILE, Configuration, ConfigurationError
from hub.namespaces import CRM_OPTIONS, ChannelOptions, Namespace
from hub.options import known, shown_default
from hub.unsupported import KEYS
from settings import Settings, SettingsError
from tests.hub.centrifuge.signing import EC_384, RSA

ROOT = Path(__file__).parents[2]
SECRET = "a secret for tests, long enough for HS256"

#: As an operator has it who moves over from Centrifugo, after what is refused by name was taken out.
REAL: dict[str, Any] = {
    "client": {
        "allowed_origins": ["https://app.example.com", "https://*.example.org"],
        "token": {
            "hmac_secret_key": "bbe7d157-a253-4094-9759-06a8236543f9",
            "rsa_public_key": RSA.public_pem,
            "ecdsa_public_key": EC_384.public_pem,
            "audience": "centrifugo",
            "issuer_regex": "^https://auth\\.",
            "user_id_claim": "user_id",
        },
        "subscription_token": {"enabled": True, "hmac_secret_key": "0a8236543f9-bbe7d157-a253-4094-9759-06"},
        "allow_anonymous_connect_without_token": True,
        "subscribe_to_user_personal_channel": {"enabled": True, "personal_channel_namespace": "personal"},
        "ping_interval": "12s",
        "pong_timeout": "5s",
        "stale_close_delay": "1m30s",
        "channel_limit": 256,
        "concurrency": 8,
        "user_connection_limit": 10,
    },
    "http_api": {"key": "d7627bb6-2292-4911-82e1-615c0ed3eebb", "error_mode": "transport"},
    "channel": {
        "history_meta_ttl": "168h",
        "without_namespace": {"presence": True},
        "namespaces": [
            {
                "name": "chat",
                "history_size": 100,
                "history_ttl": "10m",
                "force_recovery": True,
                "join_leave": True,
                "presence": True,
                "allow_subscribe_for_client": True,
                "allow_publish_for_subscriber": True,
                "channel_regex": "^[a-z]+$",
            },
            {
                "name": "prices",
                "history_size": 1,
                "history_ttl": "1h",
                "force_recovery": True,
                "force_recovery_mode": "cache",
                "allowed_delta_types": ["fossil"],
                "delta_publish": True,
            },
            {"name": "personal"},
        ],
    },
    "websocket": {"message_size_limit": 131072},
    "sse": {"enabled": True},
    "http_stream": {"enabled": True},
}


def mistakes(document: object) -> list[str]:
    """What is wrong with a document, a sentence each."""
    with pytest.raises(ConfigurationError) as refused:
        configuration.parse(document if isinstance(document, str) else json.dumps(document))
    return str(refused.value).splitlines()


def test_a_real_file() -> None:
    read = configuration.parse(json.dumps(REAL))
    client = read.client
    assert client.allowed_origins == ("https://app.example.com", "https://*.example.org")
    assert client.token.hmac_secret_key == REAL["client"]["token"]["hmac_secret_key"]
    assert client.token.user_id_claim == "user_id"
    assert client.subscription_token.enabled
    assert (client.ping_interval, client.pong_timeout, client.stale_close_delay) == (12, 5, 90)
    assert (client.channel_limit, client.concurrency, client.expired_close_delay) == (256, 8, 25)
    assert read.channel.without_namespace == ChannelOptions(presence=True)
    chat, prices, personal = read.channel.namespaces
    assert chat == Namespace(
        name="chat",
        history_size=100,
        history_ttl=600,
        force_recovery=True,
        join_leave=True,
        presence=True,
        allow_subscribe_for_client=True,
        allow_publish_for_subscriber=True,
        channel_regex="^[a-z]+$",
    )
    assert prices.force_recovery_mode == "cache"
    assert (prices.allowed_delta_types, prices.delta_publish) == (("fossil",), True)
    assert personal == Namespace(name="personal")
    assert read.http_api.key == REAL["http_api"]["key"]
    assert read.websocket.message_size_limit == 131072
    assert (read.sse.enabled, read.http_stream.enabled) == (True, True)


def test_an_empty_file_has_the_defaults_of_centrifugo() -> None:
    read = configuration.parse("{}")
    assert read == Configuration()
    assert read.channel.without_namespace == ChannelOptions()
    assert not read.sse.enabled


def test_no_file_keeps_history_and_lets_in_who_is_signed_in() -> None:
    assert configuration.load(Settings()) is WITHOUT_FILE
    assert WITHOUT_FILE.channel.without_namespace == CRM_OPTIONS
    assert WITHOUT_FILE.sse.enabled
    assert WITHOUT_FILE.http_stream.enabled
    assert WITHOUT_FILE.uni_websocket.enabled
    assert WITHOUT_FILE.uni_sse.enabled
    assert WITHOUT_FILE.uni_http_stream.enabled
    assert not WITHOUT_FILE.client.insecure
    assert not WITHOUT_FILE.client.allow_anonymous_connect_without_token
    assert WITHOUT_FILE.http_api.key == ""


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"client": {"concurency": 8}}, "client.concurency is not a key; did you mean client.concurrency?"),
        (
            {"channel": {"namespaces": [{"name": "chat", "history_sise": 8}]}},
            "channel.namespaces[chat].history_sise is not a key; did you mean channel.namespaces[].history_size?",
        ),
        (
            {"token_hmac_secret_key": "x"},
            "token_hmac_secret_key is not a key; did you mean client.token.hmac_secret_key?",
        ),
        ({"namespaces": []}, "namespaces is not a key; did you mean channel.namespaces?"),
        ({"allowed_origins": []}, "allowed_origins is not a key; did you mean client.allowed_origins?"),
        ({"api_key": ""}, "api_key is not a key; did you mean http_api.key?"),
        ({"nonsense": 1}, "nonsense is not a key."),
        ({"a\nb": 1}, "'a\\nb' is not a key."),
        ({"engine": {"type": "redis"}}, "engine is not supported: the log takes its place."),
        ({"admin": {"password": "x"}}, "admin is not supported: admins sign in as users."),
        ({"map_broker": {}}, "map_broker is not supported."),
        ({"client": {"proxy": {}}}, "client.proxy is not supported: clients are let in by tokens and access rules."),
        (
            {"channel": {"namespaces": [{"name": "ns", "subscribe_proxy_enabled": False}]}},
            "channel.namespaces[ns].subscribe_proxy_enabled is not supported: "
            "clients are let in by tokens and access rules.",
        ),
        (
            {"uni_websocket": {"join_push_messages": True}},
            "uni_websocket.join_push_messages is not supported: messages due together are written together.",
        ),
        (
            {"uni_sse": {"connect_code_to_http_response": {"enabled": True}}},
            "uni_sse.connect_code_to_http_response is not supported: "
            "a refused connection ends with one of the codes in docs/operating.md.",
        ),
        ({"websocket": {"handler_prefix": "/x"}}, "websocket.handler_prefix is not supported: paths are fixed."),
    ],
)
def test_keys_we_do_not_have(document: Any, said: str) -> None:
    assert mistakes(document) == [said]


DURATION = 'must be a duration such as "25s"'


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "It must be an object, not []."),
        ({"client": 5}, "client must be an object, not 5."),
        ({"client": None}, "client must be an object, not null."),
        ({"client": {"insecure": 1}}, "client.insecure must be true or false, not 1."),
        ({"client": {"concurrency": True}}, "client.concurrency must be a whole number from 0, not true."),
        ({"client": {"concurrency": 1.5}}, "client.concurrency must be a whole number from 0, not 1.5."),
        ({"client": {"concurrency": "8"}}, 'client.concurrency must be a whole number from 0, not "8".'),
        ({"client": {"concurrency": -1}}, "client.concurrency must be a whole number from 0, not -1."),
        (
            {"channel": {"without_namespace": {"allowed_delta_types": ["fossil", "xdelta"]}}},
            'channel.without_namespace.allowed_delta_types[1] must be one of "fossil", not "xdelta".',
        ),
        ({"client": {"channel_limit": 0}}, "client.channel_limit must be a whole number from 1, not 0."),
        ({"client": {"ping_interval": 25}}, f"client.ping_interval {DURATION}, not 25."),
        ({"client": {"ping_interval": "25"}}, f'client.ping_interval {DURATION}, not "25".'),
        ({"client": {"ping_interval": []}}, f"client.ping_interval {DURATION}, not []."),
        (
            {"channel": {"history_meta_ttl": "1500ms"}},
            'channel.history_meta_ttl must be a duration in whole seconds such as "90s" or "1h30m", not "1500ms".',
        ),
        ({"client": {"allowed_origins": "*"}}, 'client.allowed_origins must be a list, not "*".'),
        ({"client": {"allowed_origins": ["*", 5]}}, "client.allowed_origins[1] must be text, not 5."),
        (
            {"client": {"allowed_origins": ["app.example.com"]}},
            'client.allowed_origins[0] must be an origin such as "https://app.example.com", without a path; '
            '* stands for any text, not "app.example.com".',
        ),
        ({"channel": {"namespaces": [{}]}}, "channel.namespaces[0].name is required."),
        (
            {"channel": {"namespaces": [{"name": "a"}]}},
            'channel.namespaces[a].name must be at least two of a-z A-Z 0-9 - _ ., not "a".',
        ),
        (
            {"channel": {"without_namespace": {"force_recovery_mode": "stram"}}},
            'channel.without_namespace.force_recovery_mode must be one of "", "stream", "cache", not "stram".',
        ),
        (
            {"channel": {"without_namespace": {"channel_regex": "("}}},
            "channel.without_namespace.channel_regex must be a regular expression "
            '(missing ), unterminated subpattern at position 0), not "(".',
        ),
        (
            {"client": {"token": {"user_id_claim": "a.b"}}},
            'client.token.user_id_claim must be the name of a claim, of a-z A-Z _, not "a.b".',
        ),
        (
            {"client": {"token": {"jwks_public_endpoint": "https://{{tenant}}/keys"}}},
            "client.token.jwks_public_endpoint must be one address; a template is not supported, "
            'not "https://{{tenant}}/keys".',
        ),
        (
            {"client": {"token": {"jwks_public_endpoint": "ftp://x/keys"}}},
            "client.token.jwks_public_endpoint must be an http://, https:// or file:// address, "
            'or the absolute path of a file, not "ftp://x/keys".',
        ),
        (
            {"client": {"token": {"rsa_public_key": EC_384.public_pem}}},
            "client.token.rsa_public_key must be an RSA public key or certificate in PEM form, not that text.",
        ),
        (
            {"client": {"token": {"ecdsa_public_key": "x"}}},
            "client.token.ecdsa_public_key must be a public key or certificate in PEM form on the curve "
            'P-256, P-384 or P-521, not "x".',
        ),
        (
            {"client": {"token": {"audience": "a", "audience_regex": "b"}}},
            "client.token.audience and client.token.audience_regex exclude each other.",
        ),
        (
            {"client": {"ping_interval": "8s"}},
            "client.ping_interval must be longer than client.pong_timeout.",
        ),
        (
            {"client": {"subscribe_to_user_personal_channel": {"enabled": True, "personal_channel_namespace": "me"}}},
            "client.subscribe_to_user_personal_channel.personal_channel_namespace is me, "
            "which is not in channel.namespaces.",
        ),
        (
            {"channel": {"namespaces": [{"name": "lead"}]}},
            "channel.namespaces[lead] cannot be configured: lead is the name of built-in channels.",
        ),
        ("{", "It is not valid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ('{"client": {}, "client": {}}', "It is not valid JSON: client is given twice in one object."),
        ('{"client": {"concurrency": NaN}}', "It is not valid JSON: NaN is not a number in JSON."),
    ],
)
def test_values_that_cannot_be_used(document: Any, said: str) -> None:
    assert mistakes(document) == [said]


def test_secrets_are_never_shown() -> None:
    for document, said in [
        ({"client": {"token": {"hmac_secret_key": 12345}}}, "client.token.hmac_secret_key must be text, not a number."),
        ({"http_api": {"key": ["12345"]}}, "http_api.key must be text, not a list."),
        (
            {"client": {"token": {"hmac_secret_key": "-----BEGIN 12345"}}},
            "client.token.hmac_secret_key must be a secret text and no PEM key, not that text.",
        ),
    ]:
        assert mistakes(document) == [said]
    read = configuration.parse(json.dumps(REAL))
    for secret in ("bbe7d157", "0a8236543f9", "d7627bb6"):
        assert secret not in repr(read)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    said = mistakes({"engine": {}, "client": {"concurrency": "x", "foo": 1}, "channel": {"namespaces": [{}, 5]}})
    assert [sentence.partition(" ")[0] for sentence in said] == [
        "engine",
        "client.concurrency",
        "client.foo",
        "channel.namespaces[0].name",
        "channel.namespaces[1]",
    ]


def test_the_file_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "hub.json"
    settings = Settings(config=str(file), secret=SECRET)
    with pytest.raises(SettingsError, match=f"HUB_CONFIG is {file}, which cannot be read: No such file or directory."):
        configuration.load(settings)
    file.write_text('{"channel": {"max_length": 100}}')
    assert configuration.load(settings).channel.max_length == 100
    file.write_text('{"foo": 1, "client": 5}')
    with pytest.raises(SettingsError, match=f"{file}: foo is not a key.\n{file}: client must be an object, not 5."):
        configuration.load(settings)
    file.write_bytes(b'{"\xff": 1}')
    with pytest.raises(SettingsError, match="It is not valid JSON"):
        configuration.load(settings)


@pytest.mark.parametrize("kind", ["hmac_secret_key", "hmac_previous_secret_key"])
def test_the_secret_of_access_tokens_signs_nothing_else(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "hub.json"
    file.write_text(json.dumps({"client": {"token": {kind: SECRET}}}))
    with pytest.raises(ConfigurationError, match="must not be HUB_SECRET") as refused:
        configuration.load(Settings(config=str(file), secret=SECRET))
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_insecure_modes_on_a_loopback_address(tmp_path: Path, host: str) -> None:
    file = tmp_path / "hub.json"
    file.write_text('{"client": {"insecure": true}, "http_api": {"insecure": true}}')
    assert configuration.load(Settings(config=str(file), host=host)).client.insecure


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "hub.example.com", "127.0.0.1.example.com"])
@pytest.mark.parametrize(
    ("document", "modes"),
    [
        ('{"client": {"insecure": true}}', "client.insecure would"),
        (
            '{"client": {"insecure_skip_token_signature_verify": true}, "http_api": {"insecure": true}}',
            "client.insecure_skip_token_signature_verify and http_api.insecure would",
        ),
    ],
)
def test_insecure_modes_elsewhere_must_be_confirmed(tmp_path: Path, host: str, document: str, modes: str) -> None:
    file = tmp_path / "hub.json"
    file.write_text(document)
    settings = Settings(config=str(file), host=host)
    with pytest.raises(ConfigurationError, match=modes):
        configuration.load(settings)
    configuration.load(replace(settings, insecure_confirmed=1))


def test_a_disabled_server_api_lets_nobody_in(tmp_path: Path) -> None:
    file = tmp_path / "hub.json"
    file.write_text('{"http_api": {"insecure": true, "disabled": true}}')
    assert configuration.load(Settings(config=str(file), host="0.0.0.0")).http_api.disabled


def documented() -> dict[str, str]:
    """Keys and defaults that stand in the tables of docs/operating.md; those of options without what they are in."""
    text = (ROOT / "docs" / "operating.md").read_text()
    section = text.partition("## The configuration file")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (?:`([^`]*)`|required) \| \S.* \|$", section, re.MULTILINE)
    assert len(rows) == len(dict(rows)) == len(re.findall(r"^\| `", section, re.MULTILINE))
    return dict(rows)


def test_every_key_and_default_is_documented() -> None:
    defaults = {}
    for name, kind, default in known(Configuration):
        place, _, option = name.rpartition(".")
        if place == "channel.without_namespace":
            name = option
        elif (place == "channel.namespaces[]" and option != "name") or name.startswith("client.subscription_token."):
            same = name.replace("namespaces[]", "without_namespace").replace("subscription_token", "token")
            assert option == "enabled" or (same, default) in {(one, value) for one, _, value in known(Configuration)}
            if option != "enabled":
                continue
        defaults[name] = shown_default(kind, default)
    assert documented() == defaults


def test_no_key_is_both_known_and_refused() -> None:
    names = {name for name, *_ in known(Configuration)}
    assert not names & set(KEYS)
    assert not {name for name in KEYS if any(one.startswith(f"{name}.") for one in names)}
    assert all(".".join(name.split(".")[:-1]) in {"", *_places(names)} for name in KEYS)


def _places(names: set[str]) -> set[str]:
    """What the keys are in, on every level."""
    return {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
