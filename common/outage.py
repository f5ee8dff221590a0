"""Outages in the log: one line when something is lost, one when it is back, none for the tries between."""

import logging


class Outage:
    """Whether something is lost, logged once each way.

    Args:
        log: The logger of the module that notices.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self.is_on = False
        """Whether it has been said that something is lost."""

    def begin(self, message: str, *args: object) -> None:
        """Log a warning, unless the outage is on already."""
        if not self.is_on:
            self.is_on = True
            self._log.warning(message, *args)

    def end(self, message: str, *args: object) -> None:
        """Log that it is back, if the outage was on."""
        if self.is_on:
            self.is_on = False
            self._log.info(message, *args)
