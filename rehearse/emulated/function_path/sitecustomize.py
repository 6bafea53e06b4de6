"""Names within the deployed network, for functions and containers: the resolver of the VPC, as far as this machine needs one.

Python imports this by itself in every process that has this folder on ``PYTHONPATH``. Names of balancers lead to the emulator, which
tells by the Host header whom a request is for. Everything else is resolved as always.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

_INSIDE = (".elb.amazonaws.com", ".propensity.internal")
_GATEWAY = os.environ.get("REHEARSAL_GATEWAY_PORT", "")
# Every balancer's address. Nothing listens there: whoever connects to it, at whatever port, is taken to the emulator.
_BALANCER = "127.1.255.254"
_resolve = socket.getaddrinfo


def _getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    inside = isinstance(name, str) and name.endswith(_INSIDE)
    return _resolve(_BALANCER if inside else host, *args, **kwargs)


def _redirected(connect: Callable[..., Any]) -> Any:
    def to_gateway(self: socket.socket, address: Any) -> Any:
        inside = isinstance(address, tuple) and address[0] == _BALANCER
        return connect(self, ("127.0.0.1", int(_GATEWAY)) if inside else address)

    return to_gateway


if _GATEWAY:
    socket.getaddrinfo = _getaddrinfo
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, _redirected(getattr(socket.socket, name)))
