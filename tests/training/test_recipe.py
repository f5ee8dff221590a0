"""Recipes: the shipped ones are valid, and a mistake is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from training import recipe
from training.recipe import RecipeError

TINY = recipe.SHIPPED / "tiny.toml"


@pytest.mark.parametrize("path", sorted(recipe.SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipe_is_valid(path: Path) -> None:
    """Each shipped recipe is found by its name, and its hop is a whole number of frames."""
    loaded = recipe.load(path.stem)

    assert loaded.hop_ms * loaded.front_end.sample_rate_hz // 1000 % loaded.front_end.hop_length == 0


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("epochs", "epoch", "unknown field `epoch`"),
        ("mixup", "mix_up", r"unknown field `mix_up` - at `\$.augment`"),
        ("epochs = 2", 'epochs = "two"', r"Expected `int`, got `str` - at `\$.epochs`"),
        ("sparsity = 0.5", "sparsity = 1.5", r"Expected `float` < 1.* - at `\$.pruning.sparsity`"),
        ("sparsity = 0.5", "sparsity = 0.5\nbegin = 0.8", "pruning begins at 0.8 and ends at 0.7: give a later end"),
        ("filters = [8, 8,", "filters = [8,", r"4 filters and 5 strides: each layer needs both - at `\$.network`"),
        (
            "votes = 0.5",
            "front_end.hop_length = 512",
            "hop_ms 1000 is 16000 samples: make it a multiple",
        ),
        (
            "epochs = 2",
            "epochs = 2\nrepeats = { emodb = 3 }",
            "repeats names 'emodb', which is none of corpora: crema-d",
        ),
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


@pytest.mark.parametrize(
    ("teacher", "changes", "reason"),
    [
        ("nope", None, "no recipe 'nope'"),
        ("light-sernet", None, "light-sernet cannot teach pupil: their front_end must be the same"),
        ("taught", {"taught": ["SAD"]}, "taught cannot teach pupil: it is also trained on clips of SAD"),
        ("untaught", {"labels": ["ANG", "HAP"]}, "untaught cannot teach pupil: it has not learned NEU"),
        ("student", {"teaching": {"recipe": "tiny"}}, "student cannot teach pupil: networks have taught it"),
        (
            "narrow",
            {"network": {"dropout": 0.5}},
            "pupil cannot start as narrow: their network, labels and votes must be the same",
        ),
    ],
)
def test_who_cannot_teach_is_named(
    write_recipe: Callable[..., str], teacher: str, changes: dict[str, Any] | None, reason: str
) -> None:
    """Teachers hear as their student does, the same clips or fewer, and have no teachers themselves."""
    name = teacher if changes is None else write_recipe(teacher, **changes)
    pupil = write_recipe("pupil", teaching={"recipe": name, "starts": teacher == "narrow"})

    with pytest.raises(RecipeError, match=reason):
        recipe.load(pupil)
    assert recipe.teacher(recipe.load("tiny")) is None


def test_other_teachers_make_another_recipe(write_recipe: Callable[..., str]) -> None:
    """A student's hash changes with the recipe of its teachers."""
    hashes = set()
    for epochs in (2, 3):
        pupil = write_recipe("pupil", teaching={"recipe": write_recipe("teacher", epochs=epochs)})
        hashes.add(recipe.load(pupil).sha256)

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
