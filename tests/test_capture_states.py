"""People read what is wrong with a microphone in the log, on the page and in the docs."""

import re
from pathlib import Path
from typing import get_args

from broker.messages import CaptureState
from device.audio.microphone import FAULTS

ROOT = Path(__file__).parent.parent
STATES = set(get_args(CaptureState))
FAULT_STATES = STATES - {"ok", "paused"}


def test_the_log_and_the_page_explain_every_fault() -> None:
    """Neither shows a bare word of the wire, in any language of the page."""
    assert set(FAULTS) == FAULT_STATES
    for catalogue in sorted((ROOT / "dashboard" / "static" / "js" / "i18n").glob("??.js")):
        named = set(re.findall(r'"concern\.capture_(\w+)"', catalogue.read_text(encoding="utf-8")))
        assert named == FAULT_STATES, catalogue.name


def test_the_docs_name_every_state() -> None:
    """The contract lists them all; the device's page says what to do about each fault."""
    contract = (ROOT / "broker" / "README.md").read_text()
    device = (ROOT / "docs" / "device.md").read_text()

    assert [state for state in STATES if f"`{state}`" not in contract] == []
    assert [fault for fault in FAULT_STATES if f"`capture` is `{fault}`" not in device] == []
