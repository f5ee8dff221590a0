"""Outages in the log: one line when something is lost, one when it is back, none for the tries in between."""

import logging


class Outage:
    """Whether something is lost; logs each change once.

    Args:
        log: The logger of the module that notices.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self.is_on = False
        """Whether something is lost."""

    def begin(self, message: str, *args: object) -> None:
        """Log a warning, unless the outage has begun already."""
        if not self.is_on:
            self.is_on = True
            self._log.warning(message, *args)

    def end(self, message: str, *args: object) -> None:
        """Log that it is over, if it had begun."""
        if self.is_on:
            self.is_on = False
            self._log.info(message, *args)
