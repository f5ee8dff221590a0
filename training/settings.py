"""Settings of the training commands; everything about the model itself is in the recipe."""

from pathlib import Path

import typed_settings as ts

from training.catalogue import SCORED
from training.splits import SPLITS


@ts.settings(frozen=True)
class TrainSettings:
    """Settings of `moodwire train`."""

    recipe: str | None = ts.option(
        default=None,
        help="name of a recipe in training/recipes, or path of a TOML file; else ang-hap-neu, or own with --corpus",
        argparse={"param_decls": "recipe", "nargs": "?", "metavar": "RECIPE"},
    )
    recordings_dir: Path = ts.option(
        default=Path("../shared/data"), help="folder that holds crema-d/, ravdess/ or emodb/"
    )
    runs_dir: Path = ts.option(
        default=Path("runs"), help="where each trained fold is kept; one that is there is not trained again"
    )
    bundle_dir: Path | None = ts.option(
        default=None, help="where the finished bundle goes; else into the folder of its recipe in runs_dir"
    )
    seeds: int = ts.option(default=1, help="how many models to train for each fold; the first one makes the bundle")
    cross_validate: bool = ts.option(
        default=False, help="also score the recipe with each other block of speakers held out"
    )
    block: int | None = ts.option(
        default=None, help="which block of speakers to hold out, from 1; else the one that the recipe names"
    )
    release: bool = ts.option(
        default=False,
        help="after the cross-validation, train once more on all speakers: that model makes the bundle",
    )
    split: str = ts.option(
        default="speakers",
        help="what is held out: `speakers`; `sentences`: speakers, and what they say; or, to compare with numbers made "
        "so, `leaky`: files at random; `copies`: files and altered copies at random; `order`: the last fifth of the "
        "files",
    )

    corpus: str | None = ts.option(
        default=None,
        help="what to learn from: crema-d, ravdess, ravdess-song, emodb, a folder of your own with one folder for each "
        "label, or a CSV file with the columns file and label; else what the recipe names",
    )
    labels: str | None = ts.option(
        default=None, help="what to tell apart, with commas: calm,tense; else what the recipe names, or all of --corpus"
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an unknown split, a block before the first, and a release of what only measures.

        Raises:
            ValueError: the text says what to choose.
        """
        if self.split not in SPLITS:
            raise ValueError(f"split is {self.split!r}: choose one of {', '.join(SPLITS)}")
        is_own = (
            self.split == "leaky" and self.corpus is not None
        )  # recordings of one voice can be split in no other way
        if (self.release or (self.bundle_dir and not is_own)) and self.split != "speakers":
            raise ValueError(
                f"split {self.split} only measures a recipe and makes no bundle: leave out bundle_dir and release"
            )
        if self.block is not None and self.block < 1:
            raise ValueError(f"block is {self.block}: choose one from 1")


@ts.settings(frozen=True)
class EvaluateSettings:
    """Settings of `moodwire evaluate`."""

    bundle: str = ts.option(default="ang-hap-neu", help="name of a shipped bundle, or folder of any")
    recordings_dir: Path = ts.option(
        default=Path("../shared/data"), help="folder that holds crema-d/, ravdess/ or emodb/"
    )
    corpus: str | None = ts.option(
        default=None,
        help="what to measure on: `crema-d`, `ravdess` or `emodb` (of one that taught it, the speakers that it never "
        "heard), or a folder with one folder for each label; else each of the three that is there",
    )
    write: bool = ts.option(
        default=False,
        help="keep the figures in results_dir, and those of corpora that did not train it in the bundle's manifest and "
        "card",
    )
    results_dir: Path = ts.option(
        default=Path("training/results"), help="folder of the small files that keep what models are worth"
    )


FETCHED = ("crema-d", "ravdess", "emodb", "prompts")
"""What `moodwire data fetch` can download."""


@ts.settings(frozen=True)
class FetchSettings:
    """Settings of `moodwire data fetch`."""

    recordings_dir: Path = ts.option(
        default=Path("../shared/data"), help="folder that gets crema-d/, ravdess/, emodb/ or prompts/"
    )
    source: str | None = ts.option(
        default=None,
        help="address of a folder with the .wav files and tabulatedVotes.csv or an archive; else the authors' own",
    )
    corpus: str = ts.option(
        default="crema-d",
        help="what to fetch: `crema-d`, `emodb` or `prompts`, which teach the shipped models, or `ravdess`",
        argparse={"param_decls": "corpus", "nargs": "?", "metavar": "CORPUS"},
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an unknown corpus.

        Raises:
            ValueError: the text says what to choose.
        """
        if self.corpus not in FETCHED:
            raise ValueError(f"corpus is {self.corpus!r}: choose one of {', '.join(FETCHED)}")


@ts.settings(frozen=True)
class ReportSettings:
    """Settings of `moodwire report`."""

    runs_dir: Path = ts.option(default=Path("runs"), help="where the trainings are kept")
    results_dir: Path = ts.option(
        default=Path("training/results"), help="folder of the small files that keep what the trainings were worth"
    )
    out: Path = ts.option(default=Path("training/RESULTS.md"), help="page to write")
    published: Path = ts.option(
        default=Path("docs/published.md"), help="page of published systems, written if one of them is measured"
    )


@ts.settings(frozen=True)
class FiguresSettings:
    """Settings of `moodwire data figures`."""

    recordings_dir: Path = ts.option(
        default=Path("../shared/data"), help="folder that holds crema-d/, ravdess/ or emodb/"
    )
    out: Path = ts.option(default=Path("training/figures"), help="folder that gets the pictures")
    corpus: str = ts.option(default="crema-d", help="what to draw: crema-d, ravdess, ravdess-song or emodb")

    def __attrs_post_init__(self) -> None:
        """Refuse an unknown corpus.

        Raises:
            ValueError: the text says what to choose.
        """
        if self.corpus not in SCORED:
            raise ValueError(f"corpus is {self.corpus!r}: choose one of {', '.join(SCORED)}")
