"""The bearer token that a server may ask for with every call, as both sides write it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "OPENENV_TOKEN"
"""Environment variable with the token that a server asks for, and that the commands show: a command line could be read
by everybody on the host."""
_SENDABLE = re.compile(r"[!-~]{1,4096}")


def credentials(token: str, field: str = "token") -> tuple[str, str]:
    """The metadata that shows a token: its key and its value.

    Args:
        token: A secret.
        field: Where it comes from, for the error.

    Raises:
        InvalidArgument: It could not be sent. The message does not show it.
    """
    if not _SENDABLE.fullmatch(token):
        msg = "a token is 1 to 4096 printable ASCII characters, without spaces"
        raise InvalidArgument(msg, field=field)
    return "authorization", f"Bearer {token}"


def token_in(variables: Mapping[str, str]) -> str | None:
    """The token in environment variables; None where there is none, or an empty one.

    Raises:
        InvalidArgument: It could not be sent.
    """
    token = variables.get(VARIABLE)
    if not token:
        return None
    credentials(token, VARIABLE)
    return token
