"""Network addresses as people read them, and where they lead."""


def join(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its name or address."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def check_host(host: str) -> None:
    """Check that a host can be looked up; whether it exists, only a try tells.

    `socket.getaddrinfo` raises UnicodeError, which is no OSError, for a name that cannot be written in the DNS. In a
    thread of its own that would end all tries in silence.

    Raises:
        ValueError: a part of the name, between two dots, is empty or longer than 63 characters.
    """
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise ValueError(f"host {host!r} is no name: each part between two dots needs 1 to 63 characters") from error
