"""A value is made once, however many ask."""

import threading
from concurrent.futures import ThreadPoolExecutor

from patience import REPLY_S

from server.web.cached import Cached


def test_many_who_ask_at_once_share_one_value() -> None:
    """It is made once in a while, by one of them, while the others wait."""
    now_s = [0.0]
    begun, finish = threading.Event(), threading.Event()
    made: list[int] = []

    def make() -> int:
        begun.set()
        assert finish.wait(REPLY_S)
        made.append(len(made))
        return made[-1]

    value = Cached(make, 1.0, lambda: now_s[0])
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(value) for _ in range(8)]
        assert begun.wait(REPLY_S)
        finish.set()
        assert [one.result() for one in asked] == [0] * 8
    now_s[0] = 1.0
    assert (value(), value(), made) == (1, 1, [0, 1])
