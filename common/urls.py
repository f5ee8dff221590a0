"""URLs in settings and commands: split without repeating a password in the error, and shown without what is secret."""

import re
from urllib.parse import SplitResult, urlsplit

_HIDDEN = "***"
_UNUSABLE = re.compile(r"[\x00-\x20\x7f]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[\w.-]*)(?P<port>:[^/]*)?(?P<path>/.*)?", re.DOTALL)
_PORT = re.compile(r":\d{0,5}\s*")


def readable(url: str) -> str:
    """Return a URL as people may read it, in errors, logs, reports and help: `***` stands for what is secret.

    These are user and password, query and fragment, and of a malformed URL everything that could be a part of them.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    elif not _SCHEME.fullmatch(scheme):
        scheme = _HIDDEN
    front = re.split(r"[?#]", rest, maxsplit=1)[0]
    tail = rest[len(front) :]
    _, at, place = front.rpartition("@")
    found = _PLACE.fullmatch(place)
    if "@" in tail or not found:  # the password has a ?, # or other character that must be percent-encoded in a URL
        return f"{scheme}{separator}{_HIDDEN}"
    host, port, path = (found[name] or "" for name in ("host", "port", "path"))
    if port and not _PORT.fullmatch(port):  # perhaps user:password without a host
        port, path = f":{_HIDDEN}", ""
    login = f"{_HIDDEN}@" if at else ""
    query = f"{tail[0]}{_HIDDEN}" if tail else ""
    return f"{scheme}{separator}{login}{host}{port}{path}{query}"


def split(url: str) -> SplitResult:
    """Split a URL into its parts, of which `port` is a number or None.

    Raises:
        ValueError: it is malformed. Unlike that of `urlsplit`, the message says why without repeating a part of it.
    """
    if _UNUSABLE.search(url):
        raise ValueError("it has a space or a control character in it")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("its host is malformed") from None
    try:
        parts.port  # noqa: B018 - it is checked when it is read
    except ValueError:
        raise ValueError("its port is no number up to 65535") from None
    return parts


def check_http(url: str) -> None:
    """Check that a URL can be asked with `urllib`, which knows no user and password in it.

    Raises:
        ValueError: it cannot; the message repeats no part of it.
    """
    parts = split(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("begin it with http:// or https://")
    if not parts.hostname or parts.port == 0:
        raise ValueError("its host is malformed")
    if "@" in parts.netloc:
        raise ValueError("it has a user name or password in it; use one without")
