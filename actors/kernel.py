"""What is an actor?

An actor has a name, a mailbox, private state and two verbs: `tell` leaves a message and goes on, `ask` waits for the
answer. It handles one message at a time, so its state needs no lock. It is a `mode.Service`: it is started and stopped
like any other, can depend on others, and can stand under a supervisor.

- The mailbox is bounded. A `tell` to a full one raises MailboxFull and changes nothing. An `ask` waits its turn; the
  caller that waits is its own bound.
- An exception that leaves `receive` is the actor's failure: the asker gets ActorFailed, what waits behind is answered
  with ActorStopped, and the supervisor restarts the actor with an empty mailbox. Without a supervisor the failure goes
  up, to the services that depend on it. A refusal that a caller should handle is therefore an answer, not an exception.
- Stop is a message: what was accepted before it is handled first, for at most `patience` seconds. Whoever still waits
  for an answer then is told ActorStopped; no caller hangs.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import structlog
from mode import Service

log = structlog.get_logger()

Answer = TypeVar("Answer", covariant=True)
Reply = TypeVar("Reply")

#: Messages handled before others on the loop get a turn.
TURN = 16


class ActorError(Exception):
    """An actor did not do what it was asked."""


class MailboxFull(ActorError):
    """The actor's mailbox is full; the message was not accepted."""


class ActorStopped(ActorError):
    """The actor has stopped; the message was not handled."""


class ActorFailed(ActorError):
    """The actor failed while it handled the message."""


class Message(Generic[Answer]):
    """What an actor can be sent. `Message[int]` is answered with an int."""

    __slots__ = ()


class _Envelope(NamedTuple):
    message: Message[Any]
    reply: asyncio.Future[Any] | None


class Actor(Service):
    """One actor. Subclasses implement `receive`."""

    abstract: ClassVar[bool] = True

    def __init__(self, name: str, *, mailbox: int = 1_000, patience: float = 10.0) -> None:
        """`mailbox` is how many messages may wait before `tell` is refused, `patience` seconds to finish at stop."""
        super().__init__()
        self.name = name
        self._bound = mailbox
        self._patience = patience
        self._mailbox: deque[_Envelope | None] = deque()
        self._arrived = asyncio.Event()
        self._accepts = True
        self._runner: asyncio.Future[Any] | None = None
        #: Asks that are being handled, or whose answer comes later.
        self._open: set[asyncio.Future[Any]] = set()

    @abstractmethod
    async def receive(self, message: Message[Any]) -> Any:
        """Handle one message and return its answer; a Future when the answer comes later, which must not fail."""

    @property
    def label(self) -> str:
        return self.name

    def tell(self, message: Message[Any]) -> None:
        """Leave a message. Raises MailboxFull or ActorStopped."""
        if self._accepts and len(self._mailbox) >= self._bound:
            raise MailboxFull(self.name)
        self._accept(_Envelope(message, None))

    async def ask(self, message: Message[Reply], timeout: float | None = None) -> Reply:
        """Send a message and wait for its answer, at most `timeout` seconds.

        Raises ActorStopped, ActorFailed or TimeoutError; a message whose asker has gone is not handled any more.
        """
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._accept(_Envelope(message, reply))
        if timeout is None:
            return await reply
        async with asyncio.timeout(timeout):
            return await reply

    def _accept(self, envelope: _Envelope) -> None:
        if not self._accepts:
            raise ActorStopped(self.name)
        self._mailbox.append(envelope)
        self._arrived.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def on_start(self) -> None:
        self._accepts = True
        self._runner = self.add_future(self._run())

    async def on_stop(self) -> None:
        self._accepts = False
        if self._runner is None:
            self._close()
        elif not self._runner.done():
            self._mailbox.append(None)
            self._arrived.set()
            await asyncio.wait({self._runner}, timeout=self._patience)

    async def _run(self) -> None:
        try:
            handled = 0
            while (envelope := await self._next()) is not None:
                await self._handle(envelope)
                handled += 1
                if handled % TURN == 0:
                    await asyncio.sleep(0)
        finally:
            self._close()

    async def _next(self) -> _Envelope | None:
        while not self._mailbox:
            self._arrived.clear()
            await self._arrived.wait()
        return self._mailbox.popleft()

    async def _handle(self, envelope: _Envelope) -> None:
        message, reply = envelope
        if reply is not None:
            if reply.done():
                return
            self._open.add(reply)
            reply.add_done_callback(self._open.discard)
        try:
            answer = await self.receive(message)
        except Exception as error:
            log.error("actor_failed", actor=self.name, message=type(message).__name__, error=repr(error))
            if reply is not None and not reply.done():
                failure = ActorFailed(self.name)
                failure.__cause__ = error
                reply.set_exception(failure)
            raise
        if reply is not None:
            _answer(reply, answer)

    def _close(self) -> None:
        """Accept nothing more and answer everybody who still waits."""
        self._accepts = False
        waiting = [envelope.reply for envelope in self._mailbox if envelope is not None]
        self._mailbox.clear()
        for reply in [*self._open, *waiting]:
            if reply is not None and not reply.done():
                reply.set_exception(ActorStopped(self.name))


def _answer(reply: asyncio.Future[Any], answer: Any) -> None:
    """Answer now, or when the Future that stands for the answer is done; that one is cancelled if nobody waits."""
    if not isinstance(answer, asyncio.Future):
        if not reply.done():
            reply.set_result(answer)
        return

    def done(answer: asyncio.Future[Any]) -> None:
        if not answer.cancelled():
            _answer(reply, answer.result())

    answer.add_done_callback(done)
    reply.add_done_callback(lambda _: answer.cancel())
