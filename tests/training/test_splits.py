"""Nobody is on both sides of a split."""

from pathlib import Path

import pytest

from training import corpora, splits
from training.corpora import Clip, CorpusError

LABELS = ("ANG", "HAP", "NEU")


def assert_disjoint(clips: list[Clip], test_block: int) -> None:
    """Check that a split loses no clip and shares neither a speaker nor identical audio."""
    split = splits.by_speaker(clips, test_block)
    parts = (split.train, split.dev, split.test)

    assert sum(len(part) for part in parts) == len(clips)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not {clip.speaker for clip in parts[one]} & {clip.speaker for clip in parts[other]}
        assert not {clip.sha256 for clip in parts[one]} & {clip.sha256 for clip in parts[other]}
    assert {clip.speaker for clip in split.test} <= set(splits.BLOCKS[test_block])


@pytest.mark.parametrize("test_block", splits.BLOCKS)
def test_split_shares_no_speaker(recordings_dir: Path, test_block: int) -> None:
    """Train, dev and test of the miniature corpus share no speaker and no audio."""
    assert_disjoint(corpora.read_clips(recordings_dir, LABELS), test_block)


@pytest.mark.parametrize("test_block", splits.BLOCKS)
def test_split_of_the_real_corpus_shares_no_speaker(real_data_dir: Path, test_block: int) -> None:
    """Train, dev and test of CREMA-D share no speaker and no audio."""
    assert_disjoint(corpora.read_clips(real_data_dir, LABELS), test_block)


def test_dev_is_a_sixth_of_each_other_block(recordings_dir: Path) -> None:
    """Calibration speakers come from every block but the one held out, at least one of each."""
    split = splits.by_speaker(corpora.read_clips(recordings_dir, LABELS), 4)

    assert splits.speakers(split.test) == [1055, 1056]
    assert splits.speakers(split.dev) == [1001, 1019, 1037]
    assert splits.speakers(split.train) == [1002, 1020, 1038]


@pytest.mark.parametrize("test_block", splits.BLOCKS)
def test_dev_of_the_real_corpus_is_of_both_sexes(real_data_dir: Path, test_block: int) -> None:
    """Three speakers of each other block calibrate, women and men among them."""
    dev = splits.by_speaker(corpora.read_clips(real_data_dir, LABELS), test_block).dev

    for number, block in splits.BLOCKS.items():
        of_block = [clip for clip in dev if clip.speaker in block]
        assert len(splits.speakers(of_block)) == (0 if number == test_block else 3)
        assert {clip.sex for clip in of_block} == (set() if number == test_block else {"Female", "Male"})


def test_missing_block_is_refused(recordings_dir: Path) -> None:
    """A corpus without speakers of the block that is held out is refused."""
    clips = [clip for clip in corpora.read_clips(recordings_dir, LABELS) if clip.speaker < 1055]

    with pytest.raises(CorpusError, match="no clips to test on when block 4 is held out"):
        splits.by_speaker(clips, 4)
