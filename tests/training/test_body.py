"""A network begins as another one's file, whose layers come apart again."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tf_keras

from models import bundle
from models.bundle import Bundle
from training import body, fit, network, quantise, recipe
from training.recipe import RecipeError

pytestmark = pytest.mark.slow


def test_layers_give_what_they_gave(tmp_path: Path) -> None:
    """After normalisations with any mean and deviation, each layer of the new network gives the same on its windows."""
    plan = recipe.load("tiny").network
    rng = np.random.default_rng(1)
    windows = rng.random((12, 30, 20, 1), np.float32)
    told = network.build(plan, windows.shape[1:], 3)
    for layer in told.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, weights.shape) for weights in layer.get_weights()])
    made = Bundle(tmp_path, bundle.load(bundle.find("six")).manifest, quantise.to_float32(told))
    begun = network.build(plan, windows.shape[1:], 5)

    body.begin(begun, made, windows)

    last = max(place for place, layer in enumerate(told.layers) if isinstance(layer, tf_keras.layers.ReLU))
    for trained in (False, True):  # with the averages, and with the means of these very windows
        outputs = [tf_keras.Model(model.input, model.layers[last].output) for model in (told, begun)]
        expected, found = outputs[0](windows, training=False), outputs[1](windows, training=trained)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_the_shipped_four_bit_file_can_be_begun_with() -> None:
    """The kernels of `six` come out of its four bits, and fit the recipes that begin with it."""
    for name in ("own", "ravdess-eight", "ravdess-sixteen"):
        plan = recipe.load(name)
        model = fit.untrained(plan, len(plan.labels))
        windows = np.random.default_rng(1).random((4, *model.input_shape[1:]), np.float32)

        body.begin(model, bundle.load(bundle.find(plan.start)), windows)

        assert np.isfinite(model(windows)).all()
        assert len(np.unique(model.layers[-20].weights[0])) > 1 if model.layers[-20].weights else True


def test_another_network_is_told(write_recipe: Callable[..., str]) -> None:
    """A recipe whose front end or layers are others than its start's is a sentence."""
    with pytest.raises(RecipeError, match="odd cannot start as six: their front_end must be the same"):
        recipe.load(write_recipe("odd", start="six"))
    with pytest.raises(RecipeError, match="odd cannot start as nope: no bundle 'nope'"):
        recipe.load(write_recipe("odd", start="nope"))
    plan = recipe.load("own")
    other = msgspec.structs.replace(plan, network=msgspec.structs.replace(plan.network, filters=(8,) * 7))
    model = fit.untrained(other, 2)
    with pytest.raises(RecipeError, match="the network cannot begin as six-6: its layers are others"):
        body.begin(model, bundle.load(bundle.find("six")), np.zeros((1, *model.input_shape[1:]), np.float32))
