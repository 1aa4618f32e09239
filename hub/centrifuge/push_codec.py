"""The protocol as unidirectional clients speak it, in JSON: they send one connect request and are sent pushes."""

from __future__ import annotations

from hub.centrifuge.codec import Command, Content, Method
from hub.centrifuge.json_codec import JsonFormat, loads
from hub.centrifuge.schema import MESSAGES

CONNECT_REQUEST = MESSAGES["ConnectRequest"]


class PushFormat(JsonFormat):
    """Pushes without a reply around them; what answers the connect request is a push like the others."""

    def decode(self, frame: bytes | str) -> list[Command]:
        """The connect request, as the command it is; `null` is an empty one. Raises Malformed."""
        text = frame.encode(errors="surrogatepass") if isinstance(frame, str) else frame
        request = loads(CONNECT_REQUEST, b"{}" if text.strip() == b"null" else text)
        return [Command(id=1, method="connect", request=request)]

    def reply(self, id: int, method: Method, result: Content) -> bytes:
        if method != "connect":
            raise ValueError(f"nobody who is only pushed to asks for {method}")
        return self.push("", method, result)

    def around(self, push: bytes) -> bytes:
        return push
