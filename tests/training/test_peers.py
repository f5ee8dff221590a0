"""The networks of published systems are those that were published."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from training import peers, quantise, recipe, size
from training.architectures import Architecture, BiLstmConv, Conv1d, Conv2d, DenseNet, Recurrent

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        ("published-256x5", 76_291, 106_944_384),
        ("published-mixed", 52_131, 71_856_384),
        ("light-sernet", 462_147, None),
    ],
)
def test_size_is_that_of_the_published_network(name: str, parameters: int, multiply_adds: int | None) -> None:
    """Parameters are as counted from the publication, and the work as worked out by hand."""
    plan = recipe.load(name)
    model = peers.build(plan.network, (plan.window_frames, plan.front_end.n_mels, 1), 3)

    content = quantise.to_float32(model)

    assert model.count_params() == parameters
    if multiply_adds is not None:
        positions = 75 * 20
        assert multiply_adds in (
            positions * (9 * 128 + 4 * (9 * 128 + 128 * 128)) + 128 * 3,
            positions * (9 * 128 + (9 + 128) * 128 + (9 + 64) * 128 + (9 * 64 + 64 * 96) + (9 * 96 + 96 * 128))
            + 128 * 3,
        )
        assert size.multiply_adds(content) == multiply_adds


@pytest.mark.parametrize(
    ("network", "shape", "labels", "parameters", "trainable"),
    [
        (Conv1d(), (162,), 7, 1_283_591, 1_282_823),
        (Conv2d(), (512, 90, 3), 8, 16_036_872, None),
        (BiLstmConv(), (128, 40), 8, 732_704, 732_704),
        (DenseNet(), (224, 224, 3), 8, None, 7_482_760),
    ],
)
def test_parameters_are_those_of_the_published_systems(
    network: Architecture, shape: tuple[int, ...], labels: int, parameters: int | None, trainable: int | None
) -> None:
    """The networks of the demo, of the university project and of the edge app have as many weights as published."""
    model = peers.build(network, shape, labels)

    assert parameters in {None, model.count_params()}
    assert trainable in {None, sum(weight.shape.num_elements() for weight in model.trainable_weights)}


@pytest.mark.parametrize("shape", [(162,), (128, 40), (147, 64, 1)])
@pytest.mark.parametrize("network", [Conv1d(pool=2), Recurrent(cell="gru", units=8), Recurrent(cell="lstm", units=8)])
def test_a_sequence_is_one_of_values_of_frames_or_of_bands(network: Architecture, shape: tuple[int, ...]) -> None:
    """Networks of sequences take averages, MFCC and the device's log-mel frames alike."""
    assert peers.build(network, shape, 4).output_shape == (None, 4)


def test_float32_file_is_the_keras_model() -> None:
    """The file gives what the model gives, with a batch of 1 and weights that were not rounded."""
    plan = recipe.load("published-mixed")
    model = peers.build(plan.network, (21, 40, 1), 3)
    window = np.random.default_rng(1).random((1, 21, 40, 1), np.float32)

    interpreter = Interpreter(model_content=quantise.to_float32(model))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], window)
    interpreter.invoke()

    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert found == pytest.approx(model(window, training=False).numpy(), abs=1e-6)
