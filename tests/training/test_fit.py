"""The loss of the training loop."""

import msgspec
import numpy as np
import tensorflow as tf

from training import fit, recipe


def test_clips_without_votes_do_not_move_the_outputs_for_votes() -> None:
    """Where nobody was asked, the outputs for votes have no gradient; where people were, they have one."""
    plan = msgspec.structs.replace(recipe.load("tiny"), votes=1.0)
    learned = len(plan.learned)
    targets = np.zeros((2, plan.outputs), np.float32)
    targets[:, 0] = 1
    targets[0, learned] = 1
    logits = tf.Variable(np.ones_like(targets))
    with tf.GradientTape() as tape:
        loss = fit._loss(plan)(targets, np.empty((2, 0), np.float32), logits)

    gradient = tape.gradient(loss, logits).numpy()[:, learned:]

    assert np.abs(gradient[0]).max() > 0.1
    np.testing.assert_array_equal(gradient[1], 0)
