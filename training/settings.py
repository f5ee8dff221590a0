"""What the person who starts a training decides; everything about the model itself stands in the recipe."""

from pathlib import Path

import typed_settings as ts


@ts.settings(frozen=True)
class TrainSettings:
    """Settings of `moodwire train`."""

    recipe: str = ts.option(default="ang-hap-neu", help="Name of a recipe in training/recipes, or path of a TOML file.")
    data_dir: Path = ts.option(default=Path("../shared/data"), help="Folder that holds crema-d/.")
    runs_dir: Path = ts.option(
        default=Path("runs"), help="Where each trained fold is kept; a fold already there is not trained again."
    )
    bundle_dir: Path | None = ts.option(default=None, help="Where the finished bundle goes; by default into runs_dir.")
    cross_validate: bool = ts.option(
        default=False, help="Also score the recipe with each other block of speakers held out."
    )
