"""What an operator can set, read once from the environment by main.py and passed down as values."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """A setting is missing or has a value that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One process's settings. Each field is the environment variable HUB_<FIELD>."""

    #: Address the hub listens on.
    host: str = "127.0.0.1"
    #: Port of the hub.
    port: int = 8000
    #: Port of the worker's health and metrics pages; 0 takes a free one.
    worker_port: int = 8001
    #: Postgres to use; empty means the embedded one (`up` only).
    database_url: str = ""
    #: Kafka bootstrap servers, host:port[,host:port]; empty means the embedded broker (`up` only).
    kafka: str = ""
    #: Put before every topic and consumer group, so that several hubs can share one Kafka.
    kafka_prefix: str = ""
    #: Copies of each partition, when `migrate` makes the topics.
    kafka_replication: int = 1
    #: Longest a broker may hold an agent's fetch, in milliseconds. The embedded broker answers a long poll late.
    agent_fetch_wait: int = 500
    #: The same for the hub's tail of publications.
    tail_fetch_wait: int = 500
    #: Where embedded engines keep their data and files are stored.
    data: Path = Path(".data")
    #: Largest file that can be uploaded, in megabytes.
    file_megabytes: int = 25
    #: What uploaded files may be, by their content: of pdf, png, jpeg, gif, webp, docx, xlsx, pptx, txt, csv.
    file_types: str = "pdf,png,jpeg,gif,webp,docx,xlsx,pptx,txt,csv"
    #: Signs tokens. Made on first run under `data` when the engines are embedded, required otherwise.
    secret: str = ""
    #: Life of an access token, in minutes.
    access_minutes: int = 15
    #: Life of a refresh token, in minutes.
    refresh_minutes: int = 7 * 24 * 60
    #: Seconds in which a refresh token that was just used gets its successor once more; 0 is never.
    refresh_grace: int = 10
    #: Role of whoever registers; empty lets nobody register. Not admin or manager.
    registration: str = ""
    #: 1 to let admins sign in only with a second factor.
    require_admin_2fa: int = 0
    #: Wrong passwords or codes for one account before each locks it for a while; 0 is no limit.
    account_tries: int = 5
    #: The same from one address.
    address_tries: int = 50
    #: Requests of one user in a second on one node, with five seconds' worth at once; 0 is no limit.
    user_rate: int = 50
    #: The same of one address.
    address_rate: int = 500
    #: Addresses or networks, with commas between, of proxies whose X-Forwarded-For is believed.
    trusted_proxies: str = ""
    #: Where the hub can be reached, for links in mails; empty is http://HUB_HOST:HUB_PORT.
    public_url: str = ""
    #: The page of a client that sets a new password, with {uid} and {token} in it; empty is the hub's own.
    reset_url: str = ""
    #: SMTP server that takes mails, host:port; empty leaves them in the database (`up` brings a mailbox).
    smtp: str = ""
    #: Empty signs in to it as nobody.
    smtp_user: str = ""
    smtp_password: str = ""
    #: `starttls`, `tls`, or `none`.
    smtp_security: str = "none"
    #: Who mails are from.
    mail_from: str = "Switchboard <switchboard@localhost>"
    #: Memory for retained publications on one hub node, in megabytes.
    history_megabytes: int = 256
    #: Largest file that may be uploaded to be imported, in megabytes.
    import_megabytes: int = 256
    #: File that configures clients, tokens, channels and the server API (docs/operating.md); empty is none.
    config: str = ""
    #: 1 to allow the file's insecure modes although the hub can be reached from other machines.
    insecure_confirmed: int = 0
    #: `console` for people, `json` for machines.
    log_format: str = "json"

    @property
    def embedded(self) -> bool:
        """Whether no engine of one's own was named, so that `up` brings its own."""
        return not self.database_url and not self.kafka

    @property
    def url(self) -> str:
        """Where the hub can be reached, without a slash at the end."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from HUB_* variables. Raises SettingsError for an unknown name or a bad value."""
    fields = Settings.__dataclass_fields__
    values: dict[str, object] = {}
    for name, text in environ.items():
        if not name.startswith("HUB_"):
            continue
        field = name.removeprefix("HUB_").lower()
        if field not in fields:
            known = ", ".join(f"HUB_{f.upper()}" for f in fields)
            raise SettingsError(f"{name} is not a setting. Settings are: {known}.")
        kind = fields[field].type
        try:
            values[field] = int(text) if kind == "int" else Path(text) if kind == "Path" else text
        except ValueError:
            raise SettingsError(f"{name} must be a whole number, not {text!r}.") from None
    settings = Settings(**values)  # type: ignore[arg-type]
    if settings.log_format not in ("console", "json"):
        raise SettingsError(f"HUB_LOG_FORMAT must be console or json, not {settings.log_format!r}.")
    if settings.smtp_security not in ("none", "starttls", "tls"):
        raise SettingsError(f"HUB_SMTP_SECURITY must be none, starttls or tls, not {settings.smtp_security!r}.")
    if settings.smtp and not settings.smtp.rpartition(":")[2].isdigit():
        raise SettingsError(f"HUB_SMTP must be host:port, not {settings.smtp!r}.")
    return settings


def secret(settings: Settings) -> str:
    """The signing secret: the one given, or with embedded engines the one kept under `data`, made on first use."""
    if settings.secret:
        return settings.secret
    if not settings.embedded:
        raise SettingsError("HUB_SECRET is required when HUB_DATABASE_URL or HUB_KAFKA is set.")
    file = settings.data / "secret"
    if not file.exists():
        settings.data.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32))
    return file.read_text()
