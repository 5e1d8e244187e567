"""No models: while a test runs, no real model is asked and nothing leaves this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

from flyball.app.plugs import adapter
from flyball.core.errors import FlyballError
from flyball.core.model import ModelReply, ModelRequest

_DEPTH = [0]
_KEPT: dict[str, Any] = {}


@contextmanager
def no_models() -> Iterator[None]:
    """Inside this block a real model and a connection that leaves this machine raise FlyballError `no_models`.

    The name of another machine is not even looked up. Connections to this machine itself (127.0.0.0/8, ::1, Unix
    sockets) stay possible: a test may run its own servers.
    """
    _DEPTH[0] += 1
    if _DEPTH[0] == 1:
        _shut()
    try:
        yield
    finally:
        _DEPTH[0] -= 1
        if _DEPTH[0] == 0:
            _open()


def _shut() -> None:
    model = adapter("model.http")
    _KEPT["complete"] = model.complete
    model.complete = _no_model
    setattr(socket.socket, "connect", _connect)  # noqa: B010 - typed as another signature
    setattr(socket.socket, "connect_ex", _connect_ex)  # noqa: B010
    setattr(socket.socket, "sendto", _sendto)  # noqa: B010
    _KEPT["getaddrinfo"] = socket.getaddrinfo
    setattr(socket, "getaddrinfo", _getaddrinfo)  # noqa: B010


def _open() -> None:
    adapter("model.http").complete = _KEPT.pop("complete")
    # All three are inherited: without ours, the socket's own are there again.
    del socket.socket.connect, socket.socket.connect_ex, socket.socket.sendto
    setattr(socket, "getaddrinfo", _KEPT.pop("getaddrinfo"))  # noqa: B010


async def _no_model(_: Any, request: ModelRequest) -> ModelReply:
    raise _refused(f"a test asked the real model {request.model}", 'script it: Lab(models={"agent": [...]})')


def _connect(self: socket.socket, address: Any, /) -> None:
    _check(address)
    super(socket.socket, self).connect(address)


def _connect_ex(self: socket.socket, address: Any, /) -> int:
    _check(address)
    return super(socket.socket, self).connect_ex(address)


def _sendto(self: socket.socket, data: Any, /, *more: Any) -> int:
    _check(more[-1] if more else None)
    return super(socket.socket, self).sendto(data, *more)


def _getaddrinfo(host: Any, *more: Any, **named: Any) -> Any:
    name = host.decode(errors="replace") if isinstance(host, bytes) else host
    if isinstance(name, str) and not _is_address(name):  # an address is asked of nobody; a name leaves this machine
        _check((name,))
    return _KEPT["getaddrinfo"](host, *more, **named)


def _check(address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else ""
    if host in ("", "localhost") or _loops(str(host)):
        return
    raise _refused(f"a test connects to {host}", "replace it: Lab(resources=[thing.use(fake)])")


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host.partition("%")[0]))
    except ValueError:
        return False


def _loops(host: str) -> bool:
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refused(what: str, fix: str) -> FlyballError:
    return FlyballError("no_models", what, "tests reach no model and no network", fix)
