"""Nobody is on both sides of a split."""

import itertools
from pathlib import Path

import msgspec
import pytest

from training import catalogue, corpora, recipe, splits
from training.catalogue import Voice
from training.corpora import Clip, CorpusError
from training.splits import Fold, Split

LABELS = ("ANG", "HAP", "NEU")
BLOCKS = (1, 2, 3, 4)
"""Of CREMA-D, and the quarters of a leaky split."""


def parts(split: Split) -> tuple[list[Clip], ...]:
    """Return the clips to train and to score on."""
    return split.train, split.test


def assert_disjoint(clips: list[Clip], test_block: int) -> None:
    """Check that a split loses no clip and shares neither a speaker nor identical audio."""
    split = splits.by_speaker(clips, test_block)
    assert sum(len(part) for part in parts(split)) == len(clips)
    for one, other in itertools.combinations(parts(split), 2):
        assert not {clip.speaker for clip in one} & {clip.speaker for clip in other}
        assert not {clip.sha256 for clip in one} & {clip.sha256 for clip in other}
    assert {clip.speaker for clip in split.test} <= set(splits.blocks_of(clips)[test_block])


@pytest.mark.parametrize("test_block", BLOCKS)
def test_split_shares_no_speaker(recordings_dir: Path, test_block: int) -> None:
    """Train and test of the miniature corpus share no speaker and no audio."""
    assert_disjoint(corpora.read_clips(recordings_dir, LABELS), test_block)


@pytest.mark.parametrize("test_block", BLOCKS)
def test_split_of_the_real_corpus_shares_no_speaker(real_data_dir: Path, test_block: int) -> None:
    """Train and test of CREMA-D share no speaker and no audio."""
    assert_disjoint(corpora.read_clips(real_data_dir, LABELS), test_block)


def test_whoever_is_not_held_out_teaches(recordings_dir: Path) -> None:
    """All speakers of the other blocks are trained on."""
    split = splits.by_speaker(corpora.read_clips(recordings_dir, LABELS), 4)

    assert splits.speakers(split.test) == [1055, 1056]
    assert splits.speakers(split.train) == [1001, 1002, 1019, 1020, 1037, 1038]


def test_clips_whose_labels_are_assumed_train_and_are_not_scored(recordings_dir: Path) -> None:
    """Whatever is held out, speakers of the prompts are among those who teach, and never among those of the score."""
    clips = corpora.read_clips(recordings_dir, LABELS)
    reader = catalogue.number(Voice("prompts", 2))
    clips += [
        msgspec.structs.replace(clip, speaker=reader, sha256=f"of {place}") for place, clip in enumerate(clips[:4])
    ]
    plan = recipe.load("six")

    for split in ("speakers", "leaky"):
        for block in BLOCKS:
            found = splits.of(clips, Fold(block, 1, split), plan)
            assert sum(clip.speaker == reader for clip in found.train) == 4
            assert found.test
            assert reader not in splits.speakers(found.test)
    assert reader in splits.speakers(splits.of(clips, Fold(0, 1, splits.RELEASE), plan).train)


def test_missing_block_is_refused(recordings_dir: Path) -> None:
    """A corpus without speakers of the block that is held out is refused."""
    clips = [clip for clip in corpora.read_clips(recordings_dir, LABELS) if clip.speaker < 1055]

    with pytest.raises(CorpusError, match="no clips to test on when block 4 of 4 is held out"):
        splits.by_speaker(clips, 4)


def test_sentences_held_out_are_said_by_nobody_else(real_data_dir: Path) -> None:
    """Speakers and sentences of the test are on no other side, and the four folds hold each sentence out once."""
    clips = corpora.read_clips(real_data_dir, LABELS)
    held_out: list[str] = []
    for block in BLOCKS:
        split = splits.by_sentence(clips, block)
        sentences = {clip.sentence for clip in split.test}
        held_out += sentences
        assert not {clip.speaker for clip in split.train} & {clip.speaker for clip in split.test}
        assert not {clip.sentence for clip in split.train} & sentences

    assert sorted(held_out) == sorted({clip.sentence for clip in clips})


def test_too_few_sentences_are_refused(recordings_dir: Path) -> None:
    """A corpus of one sentence has none to hold out."""
    with pytest.raises(CorpusError, match="no sentences can be held out"):
        splits.by_sentence(corpora.read_clips(recordings_dir, LABELS), 2)


def test_a_leaky_split_shares_speakers_but_no_clip(recordings_dir: Path) -> None:
    """Each clip is in one part, is scored once over the four folds, and speakers are on both sides."""
    clips = corpora.read_clips(recordings_dir, LABELS)
    folds = [splits.by_file(clips, quarter) for quarter in BLOCKS]

    for split in folds:
        assert len({clip.path for part in parts(split) for clip in part}) == sum(map(len, parts(split))) == len(clips)
        assert {clip.speaker for clip in split.train} & {clip.speaker for clip in split.test}
    assert sorted(clip.path for split in folds for clip in split.test) == sorted(clip.path for clip in clips)


def test_few_clips_cannot_be_split_at_random(recordings_dir: Path) -> None:
    """Two clips are refused in a sentence."""
    with pytest.raises(CorpusError, match="2 clips are too few to be split at random: give at least some dozens"):
        splits.by_file(corpora.read_clips(recordings_dir, LABELS)[:2], 1)


def test_a_file_is_in_the_same_quarter_whichever_others_are_there(recordings_dir: Path) -> None:
    """Who teaches with clips of fewer labels has heard no clip that is scored."""
    some = splits.by_file(corpora.read_clips(recordings_dir, LABELS), 1)
    all_ = splits.by_file(corpora.read_clips(recordings_dir, (*LABELS, "SAD")), 1)

    for few, many in zip(parts(some), parts(all_), strict=True):
        assert {clip.path for clip in few} < {clip.path for clip in many}


def test_balanced_classes_are_alike(recordings_dir: Path) -> None:
    """A peer that asks for it trains on as many clips of each label as the rarest has; nothing else is left out."""
    clips = corpora.read_clips(recordings_dir, LABELS)
    few = [clip for clip in clips if clip.label != "HAP" or clip.speaker != 1020]
    plan = recipe.load("published-256x5")

    split = splits.of(few, Fold(4, 1), plan)

    assert [clip.label for clip in split.train].count("ANG") == [clip.label for clip in split.train].count("HAP") == 5
    assert split.test == splits.by_speaker(few, 4).test
