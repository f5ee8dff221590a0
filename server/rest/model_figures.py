"""What the shipped models were measured to be, as `model_figures.json` has it.

`python tests/support/model_figures.py` writes that file from the bundles and the results of training; a test compares.
"""

import functools
import json
from pathlib import Path

from server.rest import more_responses

_FILE = Path(__file__).with_suffix(".json")


@functools.cache
def load() -> list[more_responses.Model]:
    """Return the models that come with moodwire."""
    return [more_responses.Model.model_validate(model) for model in json.loads(_FILE.read_text())]
