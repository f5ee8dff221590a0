"""Errors that end a command of the device with one sentence and exit code 2: fix a setting or a file."""

from device.audio.source import SourceError
from device.delivery.outbox import OutboxError
from models.bundle import BundleError

UNUSABLE = (BundleError, SourceError, OutboxError, ValueError)
