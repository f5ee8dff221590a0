"""HTTP as downloads need it: `requests`, which tries again what fails on the way."""

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

TIMEOUT_S = 30
"""For a connection, and between two pieces of an answer."""
RETRIES = Retry(total=2, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504))
"""At once, then after 1 s; after as long as the server asks for, if it does."""


def session() -> requests.Session:
    """Return a session for downloads; threads may share it."""
    made = requests.Session()
    made.headers["Accept-Encoding"] = "identity"  # hashes and ranges count the bytes of the file itself
    for scheme in ("http://", "https://"):
        made.mount(scheme, HTTPAdapter(max_retries=RETRIES))
    return made
