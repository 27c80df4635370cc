"""A server that asks for a token: calls that do not show it end here, whatever they are for.

It protects a port from others on the host. It does not protect the server from its own environment, which runs as the
same user, and can read what processes were started with (`/proc/PID/environ`; in a container that of the first one).
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

import grpc

from openenv_grpc.errors import Unauthenticated, to_status
from openenv_grpc.server.servicer import abort
from openenv_grpc.session.token import VARIABLE, credentials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

REFUSAL = Unauthenticated(
    "the server asks for a token, and this call shows none or another; "
    f"give connect(…, token=…), or set {VARIABLE} for the commands"
)


class TokenGuard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Stands before all methods: ours, health, reflection, and those that there are not.

    Args:
        token: What calls must show.
    """

    def __init__(self, token: str) -> None:
        """Keep it.

        Raises:
            InvalidArgument: It could not be sent.
        """
        self._key, value = credentials(token)
        self._value = value.encode()

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler of a call that shows the token; for any other, one that ends it."""
        for key, value in details.invocation_metadata:
            if key == self._key and hmac.compare_digest(str(value).encode(), self._value):
                return await continuation(details)
        return _REFUSING


async def _refuse(_: Any, context: Any) -> None:
    await abort(context, to_status(REFUSAL))


_REFUSING = grpc.stream_stream_rpc_method_handler(_refuse)
"""On the wire all kinds of methods are alike, and this one does not wait for a request."""
