"""Notices that a thread has died: a device whose sender is gone looks well and sends nothing."""

import threading
import traceback
from collections.abc import Callable


def watch(on_death: Callable[[str], None]) -> None:
    """Call `on_death` with a sentence when any thread of this process dies of an error, whoever has started it.

    It is called once for each, in a thread of its own, so that it may wait for other threads.
    """

    def hook(died: threading.ExceptHookArgs) -> None:
        if died.exc_type is not SystemExit:
            threading.Thread(target=on_death, args=(_sentence(died),), name="thread watch").start()

    threading.excepthook = hook


def _sentence(died: threading.ExceptHookArgs) -> str:
    name = died.thread.name if died.thread else "without a name"
    frames = traceback.extract_tb(died.exc_traceback)
    place = f" in {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""
    error = " ".join(str(died.exc_value).split())
    return (
        f"thread {name} has died of {died.exc_type.__name__} ({error}){place}: start the device again, and report this"
    )
