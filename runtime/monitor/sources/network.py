"""What may be reached over the network, and why it cannot be."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from dpiqa.errors import InputError

PROTOCOLS = "rtsp,rtsps,rtp,srtp,rtmp,rtmps,rtmpt,http,https,httpproxy,hls,crypto,tcp,tls,udp,srt,mmsh,mmst"


def check_host(address: str) -> None:
    """Raise InputError if the host of an address has no entry in the name service."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InputError("not an address that can be read") from None
    if not host:
        return
    try:
        socket.getaddrinfo(host, port)
    except (socket.gaierror, UnicodeError):
        raise InputError(f"no such host: {host}") from None
