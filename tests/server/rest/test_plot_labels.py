"""However many emotions a device names, a plot draws as many as one model has, and says so."""

import re

import pytest
from clients import URL, Client
from matplotlib.figure import Figure
from records import DEVICE, reading

from server.rest import plot_labels

MODELS = 20


@pytest.mark.slow
@pytest.mark.parametrize("plot", ["timeline", "histogram", "mean"])
def test_of_hundreds_of_emotions_a_plot_draws_those_with_most_readings(client: Client, now: int, plot: str) -> None:
    """A stolen device account cannot keep the painter busy with 320 lines, panels or bars."""
    for model in range(MODELS):
        scores = {f"M{model}L{place}": 0.06 for place in range(16)}
        at = now - 1000 * (MODELS - model)
        client.store.write([(DEVICE, reading(100 + model, at, model=f"m{model}", scores=scores))])

    svg = client.ask(f"{URL}/plots/{plot}.svg").text
    words = re.findall(r">([^<]+)<", svg)
    assert f"16 of {16 * MODELS + 3} emotions: those with most readings" in words
    drawn = set(re.findall(r"\b(M\d+L\d+|Anger|Happiness|Neutral)\b", " ".join(words)))
    assert len(drawn) == 16
    assert drawn >= {"Anger", "Happiness", "Neutral"}


def test_as_many_emotions_as_a_model_has_are_all_drawn() -> None:
    """Nothing is said where nothing is left out."""
    figure = Figure()
    labels = {f"L{place:02}": 1 for place in range(plot_labels.MOST)}
    assert plot_labels.shown(figure, labels) == sorted(labels)
    assert figure.texts == []
