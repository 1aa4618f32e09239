"""What HUB_CONFIG configures: clients, tokens, channels, transports and the server API, by the keys of Centrifugo v6.

A key that is left out has Centrifugo's default. Without a file, what holds is WITHOUT_FILE.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from hub import namespaces, origins, pem, unsupported
from hub.namespaces import Channel, check_regex
from hub.options import Positive, Reader, Seconds, Text
from settings import Settings, SettingsError


class ConfigurationError(SettingsError):
    """The configuration file has something that cannot be used."""


def _check_hmac(key: str) -> None:
    if key.lstrip().startswith(pem.BEGINNING):
        raise ValueError("a secret text and no PEM key")


def _check_jwks(source: str) -> None:
    if "{{" in source:
        raise ValueError("one address; a template is not supported")
    if not re.match(r"(https?|file)://[^/\s]*/|/", source):
        raise ValueError("an http://, https:// or file:// address, or the absolute path of a file")


def _check_claim(name: str) -> None:
    if not re.fullmatch("[a-zA-Z_]+", name):
        raise ValueError("the name of a claim, of a-z A-Z _")


Hmac = Annotated[str, Text(check=_check_hmac, secret=True)]
Regex = Annotated[str, Text(check=check_regex)]


@dataclass(frozen=True, kw_only=True)
class Token:
    """Whose tokens are accepted. With a JWKS address the keys written here are not used."""

    hmac_secret_key: Hmac = field(default="", repr=False)
    #: Accepted as well while keys are changed, until that Unix time; 0 is for ever.
    hmac_previous_secret_key: Hmac = field(default="", repr=False)
    hmac_previous_secret_key_valid_until: int = 0
    rsa_public_key: Annotated[str, Text(check=pem.rsa)] = ""
    ecdsa_public_key: Annotated[str, Text(check=pem.ecdsa)] = ""
    jwks_public_endpoint: Annotated[str, Text(check=_check_jwks)] = ""
    #: What the claims `aud` and `iss` must be, or what must be found in them.
    audience: str = ""
    audience_regex: Regex = ""
    issuer: str = ""
    issuer_regex: Regex = ""
    #: The claim with the user's id; empty is `sub`.
    user_id_claim: Annotated[str, Text(check=_check_claim)] = ""


@dataclass(frozen=True, kw_only=True)
class SubscriptionToken(Token):
    """The same for subscription tokens, if enabled; otherwise what holds for connection tokens holds for them."""

    enabled: bool = False


@dataclass(frozen=True, kw_only=True)
class PersonalChannel:
    """Subscribing a user's clients to the user's personal channel as they connect."""

    enabled: bool = False
    personal_channel_namespace: str = ""
    #: Whether a new connection of a user ends the others.
    single_connection: bool = False


@dataclass(frozen=True, kw_only=True)
class Client:
    """Everything about clients and their connections. Limits of 0 are no limits."""

    #: Patterns for the Origin header of browsers (hub/origins.py); none lets no browser in.
    allowed_origins: tuple[Annotated[str, Text(check=origins.check)], ...] = ()
    token: Token = Token()
    subscription_token: SubscriptionToken = SubscriptionToken()
    #: Clients without token are let in as nobody; tokens without user are not.
    allow_anonymous_connect_without_token: bool = False
    disallow_anonymous_connection_tokens: bool = False
    subscribe_to_user_personal_channel: PersonalChannel = PersonalChannel()
    ping_interval: Seconds = 25.0
    pong_timeout: Seconds = 8.0
    #: From connecting on, for the connect command; and from the end of a token on, for the next one.
    stale_close_delay: Seconds = 10.0
    expired_close_delay: Seconds = 25.0
    expired_sub_close_delay: Seconds = 25.0
    #: Channels of one client.
    channel_limit: Positive = 128
    #: Bytes that wait for a slow client beside the publications, which it reads from history.
    queue_max_size: Positive = 1_048_576
    #: Most commands of one client that may run at the same time. They are done one after the other, within any limit.
    concurrency: int = 0
    #: Connections of a node, of a user on it, and new ones in a second.
    connection_limit: int = 0
    user_connection_limit: int = 0
    connection_rate_limit: int = 0
    connect_include_server_time: bool = False
    history_max_publication_limit: int = 300
    recovery_max_publication_limit: int = 300
    #: For development: everybody is let in and may do everything; signatures of tokens are not looked at.
    insecure: bool = False
    insecure_skip_token_signature_verify: bool = False


@dataclass(frozen=True, kw_only=True)
class HttpApi:
    """The server API under /api/. Without a key nobody may use it, unless it is insecure."""

    disabled: bool = False
    key: Annotated[str, Text(secret=True)] = field(default="", repr=False)
    #: `transport` answers errors with HTTP status codes.
    error_mode: Literal["", "transport"] = ""
    insecure: bool = False


@dataclass(frozen=True, kw_only=True)
class WebSocket:
    """/connection/websocket; sizes are in bytes."""

    disabled: bool = False
    message_size_limit: Positive = 65_536


@dataclass(frozen=True, kw_only=True)
class Stream:
    """/connection/sse and /connection/http_stream, and the same for clients that only listen."""

    enabled: bool = False
    max_request_body_size: Positive = 65_536


@dataclass(frozen=True, kw_only=True)
class UniWebSocket:
    """/connection/uni_websocket."""

    enabled: bool = False
    message_size_limit: Positive = 65_536
    #: Why it ends is in the close frame alone.
    disable_disconnect_push: bool = False


@dataclass(frozen=True, kw_only=True)
class Emulation:
    """/emulation, for the clients of both streams."""

    max_request_body_size: Positive = 65_536


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A whole configuration file."""

    client: Client = Client()
    channel: Channel = field(default_factory=Channel)
    http_api: HttpApi = HttpApi()
    websocket: WebSocket = WebSocket()
    sse: Stream = Stream()
    http_stream: Stream = Stream()
    uni_websocket: UniWebSocket = UniWebSocket()
    uni_sse: Stream = Stream()
    uni_http_stream: Stream = Stream()
    emulation: Emulation = Emulation()


#: What holds when HUB_CONFIG is not set: channels without namespace keep history and recover, and every transport is
#: there. Nobody but a signed-in user connects, and the server API waits for a key.
WITHOUT_FILE = Configuration(
    channel=namespaces.without_file(),
    sse=Stream(enabled=True),
    http_stream=Stream(enabled=True),
    uni_websocket=UniWebSocket(enabled=True),
    uni_sse=Stream(enabled=True),
    uni_http_stream=Stream(enabled=True),
)


def load(settings: Settings) -> Configuration:
    """The configuration of this process. Raises ConfigurationError with all that is wrong, a line each."""
    configuration = _read(settings.config) if settings.config else WITHOUT_FILE
    _check_exposure(configuration, settings)
    for path, token in _tokens(configuration.client):
        if settings.secret and settings.secret in (token.hmac_secret_key, token.hmac_previous_secret_key):
            raise ConfigurationError(f"{path}.hmac_secret_key must not be HUB_SECRET: they sign different tokens.")
    return configuration


def parse(text: str | bytes) -> Configuration:
    """The configuration in the text of a file. Raises ConfigurationError."""
    try:
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"It is not valid JSON: {error}") from None
    reader = Reader(Configuration, unsupported.KEYS)
    configuration = reader.record(Configuration, document, "")
    mistakes = reader.mistakes or list(_mistakes(configuration or WITHOUT_FILE))
    if mistakes or configuration is None:
        raise ConfigurationError("\n".join(mistakes))
    return configuration


def _read(path: str) -> Configuration:
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"HUB_CONFIG is {path}, which cannot be read: {error.strerror}.") from None
    try:
        return parse(text)
    except ConfigurationError as error:
        raise ConfigurationError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, each of whose keys is there once: of two the reader would see one and believe the other."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} is given twice in one object.")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number in JSON.")


def _tokens(client: Client) -> Iterator[tuple[str, Token]]:
    yield "client.token", client.token
    yield "client.subscription_token", client.subscription_token


def _mistakes(configuration: Configuration) -> Iterator[str]:
    """What does not go together, a sentence each."""
    client = configuration.client
    for path, token in _tokens(client):
        for name in ("audience", "issuer"):
            if getattr(token, name) and getattr(token, f"{name}_regex"):
                yield f"{path}.{name} and {path}.{name}_regex exclude each other."
    if client.ping_interval <= client.pong_timeout:
        yield "client.ping_interval must be longer than client.pong_timeout."
    yield from namespaces.mistakes(configuration.channel)
    personal = client.subscribe_to_user_personal_channel
    if personal.enabled:
        yield from _personal_mistakes(personal, configuration.channel)
    elif personal.single_connection:
        yield "client.subscribe_to_user_personal_channel.single_connection needs enabled."


def _personal_mistakes(personal: PersonalChannel, channel: Channel) -> Iterator[str]:
    path, name = "client.subscribe_to_user_personal_channel", personal.personal_channel_namespace
    if name and name not in {one.name for one in channel.namespaces}:
        yield f"{path}.personal_channel_namespace is {name}, which is not in channel.namespaces."
    if not channel.user_boundary:
        yield f"{path}.enabled needs a channel.user_boundary."


def _check_exposure(configuration: Configuration, settings: Settings) -> None:
    """Refuse to let the whole network in by mistake."""
    client = configuration.client
    modes = {
        "client.insecure": client.insecure,
        "client.insecure_skip_token_signature_verify": client.insecure_skip_token_signature_verify,
        "http_api.insecure": configuration.http_api.insecure and not configuration.http_api.disabled,
    }
    names = [name for name, on in modes.items() if on]
    if names and not settings.insecure_confirmed and not _loopback(settings.host):
        raise ConfigurationError(
            f"{' and '.join(names)} would let everybody in who reaches {settings.host or 'any address'}: "
            "listen on a loopback address (HUB_HOST), or set HUB_INSECURE_CONFIRMED=1 if that is meant."
        )


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
