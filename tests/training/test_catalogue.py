"""Who speaks in a recording stands in its name, for each corpus that moodwire knows."""

import pytest

from models import bundle
from training import catalogue
from training.catalogue import Voice
from training.corpora import UNKNOWN


@pytest.mark.parametrize(
    ("stem", "voice"),
    [
        ("1001_IEO_ANG_HI", Voice("crema-d", 1001)),
        ("03-01-05-01-02-01-12", Voice("ravdess", 12)),
        ("03-02-05-01-02-01-12", Voice("ravdess", 12)),
        ("16b10Wb", Voice("emodb", 16)),
        ("03a01F", Voice("emodb", 3)),
        ("prompt-2-fr-vm-goodbye", Voice("prompts", 2)),
        ("anna_1", None),
        ("._03a01Fa", None),
        ("1001", None),
    ],
)
def test_a_voice_is_known_by_the_name_of_its_file(stem: str, voice: Voice | None) -> None:
    """Each corpus' own names give the speaker; no other name does."""
    assert catalogue.voice(stem) == voice


def test_the_shipped_model_was_taught_by_all_of_crema_d() -> None:
    """The speakers of its manifest are those of its corpus."""
    manifest = bundle.load(bundle.find(bundle.DEFAULT)).manifest

    assert catalogue.taught_by(manifest) == {Voice("crema-d", speaker) for speaker in range(1001, 1073)}


def test_no_shipped_model_has_learned_from_what_allows_no_commercial_use() -> None:
    """Bundles of RAVDESS are for measuring: none is shipped, so none can be a default."""
    for folder in bundle.SHIPPED.iterdir():
        if folder.is_dir():
            taught = catalogue.taught(bundle.load(folder).manifest)
            assert all(catalogue.CORPORA[name].commercial for name in taught)


def test_a_number_is_one_speakers() -> None:
    """Blocks of different corpora share no number, and a number tells whose it is."""
    blocks = {name: set().union(*map(set, corpus.blocks)) for name, corpus in catalogue.CORPORA.items()}

    assert not blocks["ravdess"] & blocks["emodb"]
    assert not blocks["crema-d"] & (blocks["ravdess"] | blocks["emodb"])
    assert {catalogue.voice_of(speaker) for speaker in blocks["emodb"]} == {
        Voice("emodb", number) for number in (3, *range(8, 17))
    }
    assert catalogue.number(Voice("emodb", 3)) == 203
    assert catalogue.voice_of(10_001) is None
    assert catalogue.voice_of(UNKNOWN) is None
    assert catalogue.voice_of(catalogue.number(Voice("prompts", 4))) == Voice("prompts", 4)
    assert [catalogue.only_trains(speaker) for speaker in (1, 203, 1001, 10_001, 304)] == [False] * 4 + [True]
