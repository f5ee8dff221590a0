"""HTTP as downloads need it: `requests`, which tries again what fails on the way."""

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

TIMEOUT_S = 30
"""For a connection, and between two pieces of an answer."""
RETRIES = Retry(total=2, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504))
"""At once, then after 1 s; after as long as the server asks for, if it does."""


ERRORS = (requests.RequestException, UnicodeError)
"""What a download raises that fails; UnicodeError: the URL's password has letters that no header can carry."""


def reason(error: Exception) -> str:
    """Return why a download failed; the error's own text repeats the URL, in which a token may stand."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answers {response.status_code}"
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    return str(cause) if isinstance(error, requests.ConnectionError) and cause else type(error).__name__


def session() -> requests.Session:
    """Return a session for downloads; threads may share it."""
    made = requests.Session()
    made.headers["Accept-Encoding"] = "identity"  # hashes and ranges count the bytes of the file itself
    for scheme in ("http://", "https://"):
        made.mount(scheme, HTTPAdapter(max_retries=RETRIES))
    return made
