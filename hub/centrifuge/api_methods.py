"""The methods of the server API: one table for `POST /api/<method>`, for batches, and for the topic `hub.api`.

A method first reads its command, and so refuses what is malformed before anything is done; then it gives a Call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import Counter

from hub.centrifuge import api_orders, api_publishing, api_reading
from hub.centrifuge.api_parts import Api, Call, Result, in_parallel
from hub.centrifuge.api_request import ApiError, Given
from hub.centrifuge.codes import METHOD_NOT_FOUND

COMMANDS = Counter("hub_api_commands_total", "Commands of the server API; code 0 is no error", ["method", "code"])

#: Raises Malformed, or ApiError.
Method = Callable[[Given], Call]

#: By name. A command of a batch that has several is the first one here.
METHODS: Mapping[str, Method] = {
    "publish": api_publishing.publish,
    "broadcast": api_publishing.broadcast,
    "subscribe": api_orders.subscribe,
    "unsubscribe": api_orders.unsubscribe,
    "disconnect": api_orders.disconnect,
    "refresh": api_orders.refresh,
    "history": api_reading.history,
    "history_remove": api_reading.history_remove,
    "presence": api_reading.presence,
    "presence_stats": api_reading.presence_stats,
    "channels": api_reading.channels,
    "users": api_reading.users,
    "info": api_reading.info,
    "rpc": api_reading.rpc,
}


def read(method: str, given: Given) -> Call:
    """The command of a method. One that makes no sense, or has no such method, says so when it is called.

    Raises Malformed.
    """
    try:
        if method not in METHODS:
            raise ApiError(METHOD_NOT_FOUND)
        command = METHODS[method](given)
    except ApiError as error:
        command = _refused(error)
    return _counted(method if method in METHODS else "unknown", command)


def read_batch(given: Given) -> Call:
    """The commands of a batch, each with an answer of its own. Raises Malformed, for all if one is malformed."""
    parallel = given.flag("parallel")
    commands = [_of_batch(one) for one in given.objects("commands")]

    async def call(api: Api) -> Result:
        async def one(command: tuple[str, Call]) -> Result:
            method, call = command
            try:
                return {method: await call(api)}
            except ApiError as error:
                return error.answer

        return await in_parallel(one, commands) if parallel else [await one(command) for command in commands]

    return call


def _of_batch(given: Given) -> tuple[str, Call]:
    for method in METHODS:
        if (request := given.object(method)) is not None:
            return method, read(method, request)
    return "", read("", given)


def _refused(error: ApiError) -> Call:
    async def call(_api: Api) -> Result:
        raise error

    return call


def _counted(method: str, command: Call) -> Call:
    async def call(api: Api) -> Result:
        try:
            result = await command(api)
        except ApiError as error:
            COMMANDS.labels(method, error.error.code).inc()
            raise
        COMMANDS.labels(method, 0).inc()
        return result

    return call
