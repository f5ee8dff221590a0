"""Recipes: the shipped ones are valid, and a mistake is named."""

from pathlib import Path

import msgspec
import pytest

import moodwire
from training import recipe
from training.recipe import RecipeError
from training.settings import FetchSettings, TrainSettings

TINY = recipe.SHIPPED / "tiny.toml"


@pytest.mark.parametrize("path", sorted(recipe.SHIPPED.rglob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipe_is_valid(path: Path) -> None:
    """Each shipped recipe is found by its name, and its hop is a whole number of frames."""
    loaded = recipe.load(str(path.relative_to(recipe.SHIPPED).with_suffix("")))

    assert loaded.hop_ms * loaded.front_end.sample_rate_hz // 1000 % loaded.front_end.hop_length == 0


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("epochs", "epoch", "unknown field `epoch`"),
        ("mixup", "mix_up", r"unknown field `mix_up` - at `\$.augment`"),
        ("epochs = 2", 'epochs = "two"', r"Expected `int`, got `str` - at `\$.epochs`"),
        ("sparsity = 0.5", "sparsity = 1.5", r"Expected `float` < 1.* - at `\$.pruning.sparsity`"),
        ("sparsity = 0.5", "sparsity = 0.5\nbegin = 0.8", "pruning ends at 0.7 before it begins at 0.8; a later end"),
        ("filters = [8, 8,", "filters = [8,", r"4 filters and 5 strides: each layer needs both - at `\$.network`"),
        ("votes = 0.5", "front_end.hop_length = 512", "hop_ms 1000 is 16000 samples; a multiple of hop_length 512"),
        ("epochs = 2", "epochs =", "Invalid value"),
    ],
)
def test_mistake_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    """A misspelt key, a wrong type, a value out of range or broken TOML is told in one sentence with the file."""
    path = tmp_path / "wrong.toml"
    path.write_text(TINY.read_text().replace(old, new))

    with pytest.raises(RecipeError, match=rf"wrong.toml is not a valid recipe: .*{reason}"):
        recipe.load(str(path))


def test_unknown_recipe_is_answered_with_the_names() -> None:
    """A recipe that is neither shipped nor a file is answered with those that are shipped."""
    with pytest.raises(RecipeError, match=r"no recipe 'nope': give .* one of ang-hap-neu, .*, tiny"):
        recipe.load("nope")


def test_recipe_and_corpus_are_named_without_a_flag() -> None:
    """`moodwire train NAME` and `moodwire data fetch NAME` take the name as it is; without one there is the default."""
    named = moodwire.read_settings("train", "train", TrainSettings, ["tiny", "--split", "leaky"])
    assert (named.recipe, named.split) == ("tiny", "leaky")
    assert moodwire.read_settings("train", "train", TrainSettings, []).recipe == "ang-hap-neu"
    assert moodwire.read_settings("data fetch", "train", FetchSettings, ["ravdess"]).corpus == "ravdess"


def test_a_recipe_may_say_only_what_differs(tmp_path: Path) -> None:
    """What a recipe with a base does not say is as in its base; a misspelt key in it is still an error."""
    one, two, circle, wrong = (tmp_path / f"{name}.toml" for name in ("one", "two", "circle", "wrong"))
    one.write_text('base = "tiny"\nname = "one"\n[augment]\nmixup = 0.0\n')
    two.write_text(f'base = "{one}"\nepochs = 9\n')
    circle.write_text(f'base = "{circle}"\n')
    wrong.write_text('base = "tiny"\n[augment]\nmix_up = 0.0\n')
    tiny, changed = recipe.load("tiny"), recipe.load(str(one))

    assert tiny.augment.mixup > 0
    silent = msgspec.structs.replace(tiny.augment, mixup=0.0)
    assert changed == msgspec.structs.replace(tiny, name="one", augment=silent)
    assert recipe.load(str(two)) == msgspec.structs.replace(changed, epochs=9)
    with pytest.raises(RecipeError, match=r"circle.toml is not a valid recipe: it is its own base, by way of .*circle"):
        recipe.load(str(circle))
    with pytest.raises(RecipeError, match=r"wrong.toml is not a valid recipe: .*unknown field `mix_up`"):
        recipe.load(str(wrong))
    wrong.write_text('base = "nope"\n')
    with pytest.raises(RecipeError, match="no recipe 'nope'"):
        recipe.load(str(wrong))


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ('recipe = "nope"', "no recipe 'nope'"),
        ('recipe = "light-sernet"', "light-sernet cannot teach pupil: their front_end must be the same"),
        ('recipe = "PUPIL"', "pupil cannot teach pupil: it has teachers itself"),
        ('recipe = "TAUGHT"', "taught cannot teach pupil: it also hears clips of SAD"),
        ('recipe = "UNTAUGHT"', "untaught cannot teach pupil: it has not learned NEU"),
        (
            'recipe = "NARROW"\nstarts = true',
            "pupil cannot start as narrow: their network, labels and votes must be the same",
        ),
    ],
)
def test_who_cannot_teach_is_named(tmp_path: Path, told: str, reason: str) -> None:
    """Teachers hear as their student does, the same clips or fewer, and have no teachers themselves."""
    taught, untaught, narrow, pupil = (tmp_path / f"{name}.toml" for name in ("taught", "untaught", "narrow", "pupil"))
    taught.write_text('base = "tiny"\nname = "taught"\ntaught = ["SAD"]\n')
    untaught.write_text('base = "tiny"\nname = "untaught"\nlabels = ["ANG", "HAP"]\n')
    narrow.write_text('base = "tiny"\nname = "narrow"\n[network]\ndropout = 0.5\n')
    teaching = told.replace("PUPIL", str(pupil)).replace("NARROW", str(narrow))
    teaching = teaching.replace("UNTAUGHT", str(untaught)).replace("TAUGHT", str(taught))
    pupil.write_text(f'base = "tiny"\nname = "pupil"\n[teaching]\n{teaching}\n')

    with pytest.raises(RecipeError, match=reason):
        recipe.load(str(pupil))
    assert recipe.teacher(recipe.load("tiny")) is None


def test_other_teachers_make_another_recipe(tmp_path: Path) -> None:
    """A student's hash changes with the recipe of its teachers."""
    master, pupil = tmp_path / "master.toml", tmp_path / "pupil.toml"
    pupil.write_text(f'base = "tiny"\nname = "pupil"\n[teaching]\nrecipe = "{master}"\n')
    hashes = set()
    for epochs in (2, 3):
        master.write_text(f'base = "tiny"\nepochs = {epochs}\n')
        hashes.add(recipe.load(str(pupil)).sha256)

    assert len(hashes) == 2


def test_a_peers_network_names_its_architecture(tmp_path: Path) -> None:
    """A peer's recipe stays float32; a network of an unknown architecture is answered with those that are known."""
    assert not recipe.load("light-sernet").integer
    assert recipe.load("tiny").integer
    path = tmp_path / "wrong.toml"
    path.write_text(TINY.read_text().replace("[network]", '[network]\narchitecture = "transformer"'))

    with pytest.raises(RecipeError, match=r"Invalid value 'transformer' - at `\$.network.architecture`"):
        recipe.load(str(path))


def test_hash_is_of_the_meaning(tmp_path: Path) -> None:
    """A comment does not change a recipe's hash, a value does."""
    commented, changed = tmp_path / "commented.toml", tmp_path / "changed.toml"
    commented.write_text("# More words.\n" + TINY.read_text())
    changed.write_text(TINY.read_text().replace("epochs = 2", "epochs = 3"))

    assert recipe.load(str(commented)).sha256 == recipe.load("tiny").sha256
    assert recipe.load(str(changed)).sha256 != recipe.load("tiny").sha256


def test_who_asks_for_other_labels_trains_the_same_network() -> None:
    """A network has an output for each label once, in one order, whichever of them a recipe asks for."""
    three = msgspec.structs.replace(recipe.load("tiny"), taught=("SAD", "ANG", "DIS"))
    two = msgspec.structs.replace(three, name="two", labels=("SAD", "DIS"), taught=("HAP", "NEU", "ANG"))

    assert two.learned == three.learned == ("ANG", "DIS", "HAP", "NEU", "SAD")
    assert two.training == three.training
    assert msgspec.structs.replace(two, epochs=9).training != three.training
    assert msgspec.structs.replace(two, taught=("HAP", "NEU")).training != three.training
