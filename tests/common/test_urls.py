"""URLs as people may read them, and URLs that cannot be used."""

import pytest

from common import urls


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:1883"),
        ("mqtts://[::1]:8883", "mqtts://[::1]:8883"),
        ("unix:///run/redis/redis.sock", "unix:///run/redis/redis.sock"),
        ("cluster+redis://one.example:7000", "cluster+redis://one.example:7000"),
        ("https://example.org/models/six.moodwire", "https://example.org/models/six.moodwire"),
        ("mqtt://b\u00fccher.example", "mqtt://b\u00fccher.example"),
        ("broker:1883", "broker:1883"),
        ("mqtt://broker:1883\n", "mqtt://broker:1883\n"),
        ("mqtt://broker:99999", "mqtt://broker:99999"),
        ("", ""),
    ],
)
def test_what_is_not_secret_is_shown(url: str, shown: str) -> None:
    """Scheme, host, port and path of a URL are what people need to find a fault."""
    assert urls.readable(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:word@host:6379/0", "redis://***@host:6379/0"),
        ("redis://user:word@[::1]:6379/0", "redis://***@[::1]:6379/0"),
        ("user:word@host:6379", "***@host:6379"),
        ("redis://user:wo/rd@host/0", "redis://***@host/0"),
        ("redis://user:wo@rd@host/0", "redis://***@host/0"),
        ("redis://user:wo#rd@host/0", "redis://***"),
        ("redis://user:wo?rd@host/0", "redis://***"),
        ("redis://user:word@[::1", "redis://***"),
        ("redis://user:word", "redis://user:***"),
        ("user:word", "user:***"),
        ("user:wo://rd", "***://rd"),
        ("https://host/path?token=word", "https://host/path?***"),
        ("https://host/path#word", "https://host/path#***"),
    ],
)
def test_what_may_be_secret_is_hidden(url: str, shown: str) -> None:
    """Login, query and fragment are replaced, and in a malformed URL whatever could be a part of them."""
    assert urls.readable(url) == shown


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://host name/", "a space or a control character"),
        ("http://host/\n", "a space or a control character"),
        ("http://host:word/", "port is no number"),
        ("http://host:99999/", "port is no number"),
        ("http://[::1/", "host is malformed"),
        ("http:///path", "host is malformed"),
        ("http://host:0/", "host is malformed"),
        ("ftp://host/", "begin it with http:// or https://"),
        ("host/path", "begin it with http:// or https://"),
        ("http://user:word@host/", "a user name or password"),
    ],
)
def test_what_cannot_be_asked_is_refused_without_repeating_it(url: str, why: str) -> None:
    """The reason is told in words that hold no part of the URL."""
    with pytest.raises(ValueError, match=why) as caught:
        urls.check_http(url)

    assert "word" not in str(caught.value).replace("password", "")
