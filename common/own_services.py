"""Requests to services of ours: with our token, and without what the environment has for others."""

from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from common.addresses import is_loopback

_NO_PROXIES = {"http": "", "https": ""}


class _Bearer(AuthBase):
    """Shows a token. As a header alone, a login in ~/.netrc would replace it."""

    def __init__(self, token: str) -> None:
        # As bytes, because http.client takes text of Latin-1 only; a service refuses a wrong token with a sentence.
        self._header = f"Bearer {token.strip()}".encode()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header  # type: ignore[assignment] # it takes bytes as well
        return request


def get(url: str, token: str = "", **options: Any) -> requests.Response:
    """Return the response to a GET request.

    A proxy of the environment (HTTP_PROXY) is not asked for what is on this machine, which it could not reach.

    Args:
        url: Where.
        token: A bearer token; empty for none.
        options: More arguments of `requests.get`; a timeout among them.

    Raises:
        requests.RequestException: there is no response.
    """
    proxies = _NO_PROXIES if is_loopback(urlsplit(url).hostname or "") else None
    return requests.get(url, auth=_Bearer(token), proxies=proxies, **options)  # noqa: S113 - the caller has one
