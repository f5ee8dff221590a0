"""The networks of published systems are those that were published."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from training import peers, quantise, recipe, size

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
