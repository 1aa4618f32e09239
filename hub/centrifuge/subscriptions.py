"""A client's subscriptions: how each begins, recovers, is renewed and ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from aiokafka.errors import KafkaError

from actors.closes import INSUFFICIENT_STATE
from actors.kernel import ActorError
from actors.log import Position
from actors.messages import Subscribed
from hub import channel_history, recoveries
from hub.centrifuge import codes, deltas, permissions
from hub.centrifuge.claims import SubscriptionOptions
from hub.centrifuge.client_info import fit
from hub.centrifuge.codec import Content, publication_content
from hub.centrifuge.codes import Ended, Refused, Unsubscribe
from hub.centrifuge.moments import moment
from hub.centrifuge.permissions import Grant
from hub.crm_channels import crm
from hub.namespaces import ChannelOptions
from hub.scan import ScanError

if TYPE_CHECKING:
    from hub.centrifuge.client import Client

log = structlog.get_logger()

#: A flag of the subscribe command: an error, rather than an answer that says that it has not recovered.
ERROR_UNLESS_RECOVERED = 2

#: What a subscribe command may say of deltas; which of them it gets is for the namespace.
DELTA_TYPES = ("", "fossil")

#: Makes the frame of an answer to a subscription.
Answer = Callable[[Content], bytes]


@dataclass(kw_only=True, slots=True)
class Subscription:
    """One channel a client listens to."""

    channel: str
    #: Begun by the server: its end is the connection's.
    of_server: bool
    #: Whether its positions are told, and whether it may recover by them.
    positioned: bool
    recoverable: bool
    #: Only the latest publication counts.
    cache: bool
    #: Whether publications may be told as deltas to the one before.
    deltas: bool
    #: Unix seconds.
    expires_at: int | None
    options: SubscriptionOptions
    #: Whether others are told that the client is there.
    shown: bool
    #: Whether the client is told who joins and leaves.
    told: bool
    #: Whether it was answered: nothing of the channel may be pushed before.
    begun: bool = False
    expiry: asyncio.TimerHandle | None = None


class Subscriptions:
    """All of one client's."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._of: dict[str, Subscription] = {}

    def __contains__(self, channel: str) -> bool:
        return channel in self._of

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._of))

    def __getitem__(self, channel: str) -> Subscription:
        return self._of[channel]

    def get(self, channel: str) -> Subscription | None:
        """The subscription to a channel, if there is one."""
        return self._of.get(channel)

    async def begin(self, request: Content, answer: Answer, *, refuse: Answer) -> None:
        """What a subscribe command asks for. `refuse` makes the frame of an error. Raises Refused or Ended."""
        channel: str = request["channel"]
        if request["delta"] not in DELTA_TYPES:
            raise Ended(codes.BAD_REQUEST)
        if channel in self._of:
            raise Refused(codes.ALREADY_SUBSCRIBED)
        if len(self._of) >= self._client.node.configuration.client.channel_limit:
            raise Refused(codes.LIMIT_EXCEEDED)
        grant = await permissions.subscribe(self._client, channel, request["token"])
        if grant.expires_at is not None and grant.expires_at <= time.time():
            raise Refused(codes.CONNECTION_EXPIRED)
        subscription = self._made(channel, grant, request, of_server=False)
        from_time = None if request["recover"] else _since(request["data"])
        if from_time is not None and not subscription.recoverable:
            raise Refused(codes.NOT_AVAILABLE)

        def greet(subscribed: Subscribed) -> bytes:
            if request["recover"] and not subscribed.recovered and request["flag"] & ERROR_UNLESS_RECOVERED:
                return refuse(codes.UNRECOVERABLE_POSITION._asdict())
            was_recovering = request["recover"] or from_time is not None
            return answer(self._result(subscription, subscribed, was_recovering=was_recovering))

        subscribed = await self._listen(subscription, request, greet, from_time=from_time)
        if request["recover"] and not subscribed.recovered and request["flag"] & ERROR_UNLESS_RECOVERED:
            await self.end(channel)

    async def begin_by_server(
        self, wanted: Mapping[str, SubscriptionOptions], positions: Mapping[str, Content]
    ) -> dict[str, Content]:
        """Server-side subscriptions of a connection, from where the client left; their results. Raises Ended."""
        results: dict[str, Content] = {}
        if len(wanted) > self._client.node.configuration.client.channel_limit:
            raise Ended(codes.CHANNEL_LIMIT)
        for channel, options in wanted.items():
            request = positions.get(channel) or NOTHING_ASKED
            results[channel] = await self.begin_one_by_server(channel, Grant(options=options), request)
        return results

    async def begin_one_by_server(self, channel: str, grant: Grant, request: Content) -> Content:
        """A server-side subscription; its result. Raises Refused."""
        if (about := crm(channel)) is not None:
            await permissions.check_crm(self._client, about)
        subscription = self._made(channel, grant, request, of_server=True)
        results: list[Content] = []

        def greet(subscribed: Subscribed) -> bytes:
            results.append(self._result(subscription, subscribed, was_recovering=request["recover"]))
            return b""

        await self._listen(subscription, request, greet)
        return results[0]

    async def end(self, channel: str, why: Unsubscribe | None = None) -> None:
        """End a subscription, if there is one; `why` is told to the client."""
        if self._forget(channel) is None:
            return
        await self._client.session.unsubscribe(channel)
        if why is not None:
            self._client.push(channel, "unsubscribe", why._asdict())

    def lost(self, channel: str) -> None:
        """A channel began anew; nothing of it is delivered any more. Clients subscribe again by themselves."""
        subscription = self._forget(channel)
        if subscription is None:
            return
        if subscription.of_server:
            self._client.end(INSUFFICIENT_STATE)
        else:
            self._client.push(channel, "unsubscribe", codes.LOST._asdict())

    async def renew(self, request: Content) -> Content:
        """What a sub_refresh command asks for: a later end, by a new token. Raises Refused or Ended."""
        channel: str = request["channel"]
        token: str = request["token"]
        if channel not in self._of or not token:
            raise Refused(codes.BAD_ARGUMENTS)
        claims = await permissions.claimed(self._client, channel, token)
        subscription = self._of.get(channel)
        if subscription is None:
            raise Refused(codes.BAD_ARGUMENTS)
        subscription.expires_at = claims.expires_at
        self._time(subscription)
        return expiry_of(claims.expires_at)

    def leave(self) -> None:
        """The connection is gone; its session forgets the channels by itself."""
        for channel in self:
            self._forget(channel)

    def _made(self, channel: str, grant: Grant, request: Content, *, of_server: bool) -> Subscription:
        options = permissions.options_of(self._client, channel)
        recoverable = _set(grant.options.override.force_recovery, options.force_recovery)
        positioned = _set(grant.options.override.force_positioning, options.force_positioning)
        recoverable = recoverable or (request["recoverable"] and _may(options.allow_recovery, options))
        positioned = positioned or (request["positioned"] and options.allow_positioning)
        presence = _set(grant.options.override.presence, options.presence)
        moves = _set(grant.options.override.join_leave, options.join_leave)
        forced = _set(grant.options.override.force_push_join_leave, options.force_push_join_leave)
        return Subscription(
            channel=channel,
            of_server=of_server,
            positioned=positioned or recoverable,
            recoverable=recoverable,
            cache=options.force_recovery_mode == "cache",
            deltas=request["delta"] in options.allowed_delta_types,
            expires_at=grant.expires_at,
            options=grant.options,
            shown=presence or moves,
            told=moves and (forced or request["join_leave"]),
        )

    async def _listen(
        self,
        subscription: Subscription,
        request: Content,
        greet: Callable[[Subscribed], bytes],
        *,
        from_time: int | None = None,
    ) -> Subscribed:
        """Begin: where the client left, with all that followed in the answer; from a time on (Unix milliseconds), with
        what followed pushed after it, however much; or from now on. Raises Refused.
        """
        client, channel = self._client, subscription.channel
        codec = deltas.codec(client.format) if subscription.deltas else None
        self._of[channel] = subscription
        client.node.clients.subscribed(channel, client)
        self._time(subscription)

        def begin(subscribed: Subscribed) -> bytes:
            subscription.begun = True
            return greet(subscribed)

        try:
            if subscription.recoverable and request["recover"]:
                since = Position(request["epoch"], request["offset"])
                await client.node.fold.await_place(channel, since)
                limit = client.node.configuration.client.recovery_max_publication_limit
                subscribed = await client.session.recover(
                    channel, since=since, limit=limit, latest=subscription.cache, greet=begin, codec=codec
                )
                recoveries.count(subscribed.recovered)
                if subscribed.recovered:
                    recoveries.PUBLICATIONS.observe(len(subscribed.publications))
            else:
                place = None if from_time is None else await self._place(channel, from_time)
                subscribed = await client.session.subscribe(channel, since=place, greet=begin, codec=codec)
        except (ActorError, ScanError, KafkaError) as error:
            self._forget(channel)
            log.warning("subscribe_failed", channel=channel, error=repr(error))
            raise Refused(codes.INTERNAL_ERROR) from error
        # Not if the channel began anew at once and the subscription is lost already: nobody would end that presence.
        if subscription.shown and self._of.get(channel) is subscription:
            client.node.presence.enter(channel, client.info(subscription.options.info))
        return subscribed

    async def _place(self, channel: str, time: int) -> Position | None:
        """The place before what was said from a time on; None if the log does not reach back so far."""
        try:
            return await channel_history.place_at(self._client.node.fold, channel, time)
        except channel_history.Unrecoverable:
            return None

    def _result(self, subscription: Subscription, subscribed: Subscribed, *, was_recovering: bool) -> Content:
        given = subscribed.publications
        contents = (
            deltas.contents(self._client.format, given) if subscription.deltas else map(publication_content, given)
        )
        result: dict[str, Any] = {
            "recoverable": subscription.recoverable,
            "positioned": subscription.positioned,
            "was_recovering": was_recovering and subscription.recoverable,
            "recovered": subscribed.recovered,
            "publications": list(contents),
            "delta": subscription.deltas,
            "data": fit(self._client.format, subscription.options.data),
        }
        if subscription.positioned:
            result |= {"epoch": subscribed.epoch, "offset": subscribed.offset}
        return result | expiry_of(subscription.expires_at)

    def _time(self, subscription: Subscription) -> None:
        """Let a subscription end some time after its token, unless it is renewed before."""
        if subscription.expiry is not None:
            subscription.expiry.cancel()
            subscription.expiry = None
        if subscription.expires_at is not None:
            delay = subscription.expires_at - time.time()
            delay += self._client.node.configuration.client.expired_sub_close_delay
            act = partial(self._expired, subscription)
            subscription.expiry = asyncio.get_running_loop().call_later(max(0.0, delay), act)

    def _expired(self, subscription: Subscription) -> None:
        if subscription.of_server:
            self._client.end(codes.SUBSCRIPTION_EXPIRED)
        else:
            self._client.order(partial(self.end, subscription.channel, codes.OUTDATED))

    def _forget(self, channel: str) -> Subscription | None:
        subscription = self._of.pop(channel, None)
        if subscription is not None:
            self._client.node.clients.unsubscribed(channel, self._client)
            if subscription.shown:
                self._client.node.presence.leave(channel, self._client.id)
            if subscription.expiry is not None:
                subscription.expiry.cancel()
        return subscription


#: A server-side subscription about which the client said nothing.
NOTHING_ASKED: Content = {
    "recover": False,
    "recoverable": False,
    "positioned": False,
    "join_leave": False,
    "delta": "",
    "epoch": "",
    "offset": 0,
}


def _since(data: bytes) -> int | None:
    """The time in `{"since": {"time": ...}}`, Unix milliseconds, if a subscribe command carries one; its other data is
    between applications. Raises Refused.
    """
    try:
        given = orjson.loads(data) if data else None
    except orjson.JSONDecodeError:
        return None
    since = given.get("since") if isinstance(given, dict) else None
    if not isinstance(since, dict) or "time" not in since:
        return None
    try:
        return moment(since["time"])
    except ValueError:
        raise Refused(codes.BAD_ARGUMENTS) from None


def expiry_of(expires_at: int | None) -> dict[str, Any]:
    """When something ends, as results tell it."""
    return {} if expires_at is None else {"expires": True, "ttl": max(1, int(expires_at - time.time()))}


def _set(by_token: bool | None, configured: bool) -> bool:
    return configured if by_token is None else by_token


def _may(allowed: bool, options: ChannelOptions) -> bool:
    return allowed and options.history_size > 0
