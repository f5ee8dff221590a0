"""A recipe: everything that decides what a model becomes, in one TOML file."""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from models.frontend import FrontEnd
from training.corpora import EMOTIONS

SHIPPED = Path(__file__).parent / "recipes"
INT8_LEVELS = 127
"""How many values an int8 weight has on either side of 0."""

Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[int, Meta(ge=1)]


class RecipeError(Exception):
    """A recipe is missing or not valid; the text names the file, what is wrong and what would be right."""


class Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A DS-CNN: one full convolution, then depthwise separable ones."""

    filters: Annotated[tuple[Positive, ...], Meta(min_length=2)]
    strides: Annotated[tuple[Positive, ...], Meta(min_length=2)]
    """In time and frequency alike. A layer that keeps its size gets a residual connection."""
    dropout: Share = 0.0
    peaks: bool = False
    """Whether the head also sees the largest value of each filter over time, beside its mean."""

    def __post_init__(self) -> None:
        """Refuse layers of which half is missing."""
        if len(self.filters) != len(self.strides):
            raise ValueError(f"{len(self.filters)} filters and {len(self.strides)} strides: each layer needs both")

    @property
    def title(self) -> str:
        """What it is, for a model card."""
        return f"depthwise-separable CNN of one convolution and {len(self.filters) - 1} depthwise separable ones"


class Augment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done to training windows, and to no others."""

    speeds: tuple[float, ...] = (1.0,)
    """Each clip is also heard faster and slower, pitch included."""
    background_share: Share = 0.0
    """Share of windows with steady noise beside the clip; the others have digital silence there."""
    under_share: Share = 0.0
    """Share of those in which the noise lies under the clip too."""
    snr_db: tuple[float, float] = (10.0, 60.0)
    """How far the noise is below the clip."""
    slope_db: tuple[float, float] = (-30.0, 10.0)
    """The noise's colour: how much louder its highest mel band is than its lowest."""
    shaped_share: Share = 0.0
    """Share of the noises that have no slope but, half of them each, the average spectrum of another clip or rumble."""
    tilt_db: float = 0.0
    """Largest slope of an imagined microphone's response, from the lowest band to the highest."""
    style_share: Share = 0.0
    """Share of windows whose clip gets some of the average spectrum of another, as if another voice had said it."""
    time_masks: int = 0
    time_mask_frames: int = 0
    mel_masks: int = 0
    mel_mask_bands: int = 0
    mixup: float = 0.0
    """Parameter of the beta distribution (Zhang et al. 2018, mixup); 0 is off."""


class Pruning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Magnitude pruning on a polynomial schedule (Zhu and Gupta 2017, To prune, or not to prune)."""

    sparsity: Annotated[float, Meta(ge=0, lt=1)]
    begin: Share = 0.3
    """Where in the training the first weights go."""
    end: Share = 0.7
    """Where the last ones go; the rest of the training heals."""

    def __post_init__(self) -> None:
        """Refuse to end before the beginning."""
        if self.end <= self.begin:
            raise ValueError(f"pruning begins at {self.begin:g} and ends at {self.end:g}: give a later end")


class Rounding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Few values for the weights of pointwise convolutions, so that they take less room.

    The network is heard with rounded weights while it learns, and the gradients go to those behind them (Courbariaux et
    al. 2015, BinaryConnect; Jacob et al. 2018, quantisation-aware training).
    """

    levels: Annotated[int, Meta(ge=1, le=127)]
    """How many values a weight can have on either side of 0; 7 fit into four bits, and are stored so."""
    begin: Share = 0.5
    """Where in the training it begins."""


class Teaching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Networks that teach another one by what they say of the clips that it hears (Hinton et al. 2015, distillation).

    They hear each clip once, whole and as it was recorded, at each of the student's speeds; the student hears it amid
    noise and through other microphones (Li et al. 2017, Large-scale domain adaptation via teacher-student learning).
    """

    recipe: str
    """Name of their recipe. They have heard the same speakers as their student, and no others."""
    sha256: str = ""
    """Hash of their recipe, filled in when a recipe is loaded: other teachers make another student."""
    seeds: Positive = 3
    """How many of them there are; their probabilities are averaged."""
    temperature: Annotated[float, Meta(gt=0)] = 1.5
    """By which outputs are divided before the student's probabilities are compared with theirs."""
    share: Share = 0.8
    """Of the loss; the rest of it is what the actors were told to portray."""
    unlabelled: tuple[str, ...] = ()
    """Clips with these labels are heard too, and only the teachers say what they sound like."""
    starts: bool = False
    """Whether the student begins as one of its teachers, another one for each seed, instead of with random weights."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model is made of."""

    integer: ClassVar[bool] = True
    """Whether the file is quantised to int8."""

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9.-]{0,63}$")]
    """The model's name with its version, as readings will carry it."""
    labels: Annotated[tuple[str, ...], Meta(min_length=2, max_length=16)]
    taught: tuple[str, ...] = ()
    """Further labels that the network learns to tell apart, on their clips; the finished model does not give them."""
    front_end: FrontEnd = FrontEnd()
    window_ms: int = 3_000
    hop_ms: int = 1_000
    test_block: Annotated[int, Meta(ge=1, le=4)] = 4
    """The shipped model never hears these speakers."""
    seed: int = 1
    epochs: Positive
    batch: Positive = 32
    learning_rate: Annotated[float, Meta(gt=0)] = 2e-3
    """At its peak; a cosine brings it down to 0."""
    weight_decay: Annotated[float, Meta(ge=0)] = 0.0
    label_smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    votes: Annotated[float, Meta(ge=0)] = 0.0
    """How much it counts in the loss what people heard in a clip; what the actor was told to portray counts 1. The
    network has outputs of their own for it, which the finished model does not give."""
    uncertain_share: Share = 0.2
    """Share of the windows of speakers that no model has heard that `uncertain_below` sets aside."""
    network: Network
    augment: Augment = Augment()
    pruning: Pruning
    rounding: Rounding | None = None
    teaching: Teaching | None = None

    def __post_init__(self) -> None:
        """Refuse what no device could run, before hours of training."""
        samples, step = self.hop_ms * self.front_end.sample_rate_hz // 1000, self.front_end.hop_length
        if samples % step:
            raise ValueError(f"hop_ms {self.hop_ms} is {samples} samples; a multiple of hop_length {step} is right")

    @property
    def learned(self) -> tuple[str, ...]:
        """All labels of the network in training, in the order of its outputs."""
        return tuple(sorted({*self.labels, *self.taught}))

    @property
    def outputs(self) -> int:
        """How many outputs the network has in training: one for each label and, after these, each emotion voted for."""
        return len(self.learned) + (len(EMOTIONS) if self.votes else 0)

    @property
    def heard(self) -> tuple[str, ...]:
        """The labels of all clips that the network hears in training."""
        unlabelled = self.teaching.unlabelled if self.teaching else ()
        return self.learned + tuple(label for label in unlabelled if label not in self.learned)

    @property
    def levels(self) -> int:
        """How many values a pointwise weight has on either side of 0."""
        return self.rounding.levels if self.rounding else INT8_LEVELS

    @property
    def training(self) -> dict[str, Any]:
        """What decides how its networks are trained: the same for recipes that only ask them for other labels."""
        said = msgspec.to_builtins(self)
        asked = ("name", "labels", "taught", "uncertain_share")
        return {name: value for name, value in said.items() if name not in asked} | {"learned": self.learned}

    @property
    def folder(self) -> str:
        """Name of the folder with its trainings."""
        return f"{self.name}-{self.sha256[:8]}"

    @property
    def sha256(self) -> str:
        """Hash of what the recipe says, comments and layout of its file aside."""
        said = msgspec.to_builtins(self)
        # These came later: a recipe that does not use them keeps the hash that its models name.
        for part, name in (
            (said, "taught"),
            (said, "teaching"),
            (said, "rounding"),
            (said, "votes"),
            (said["network"], "peaks"),
            (said["teaching"] or {}, "starts"),
            (said["augment"], "shaped_share"),
            (said["augment"], "style_share"),
        ):
            if not part.get(name, True):
                del part[name]
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return self.window_ms * self.front_end.sample_rate_hz // 1000

    @property
    def window_frames(self) -> int:
        """Log-mel frames in one window."""
        return self.front_end.frames_in(self.window_samples)


class PlainDsCnn(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="architecture",
    tag="plain-ds-cnn",
):
    """A DS-CNN as it was published: the first layer halves the input, the others keep its size, none is residual."""

    filters: Annotated[tuple[Positive, ...], Meta(min_length=2)]
    alpha: Annotated[float, Meta(gt=0)] = 1.0
    """Width multiplier: each layer has so many times its filters."""

    @property
    def title(self) -> str:
        """What it is, for a model card."""
        return f"plain depthwise-separable CNN of {len(self.filters)} layers, as it was published"


class LightSerNet(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="architecture",
    tag="light-sernet",
):
    """Three parallel convolutions, along time, along frequency and both, then plain ones (Aftab et al. 2022)."""

    dropout: Share = 0.3

    @property
    def title(self) -> str:
        """What it is, for a model card."""
        return "CNN with three parallel first layers, LIGHT-SERNET, as it was published"


class PeerRecipe(Recipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published system, rebuilt to be measured as ours is; its file stays float32, as it was published."""

    integer: ClassVar[bool] = False

    network: PlainDsCnn | LightSerNet  # type: ignore[assignment]  # instead of ours
    balanced: bool = False
    """Whether each class is cut down to as many training clips as the smallest has."""


def load(name: str) -> Recipe:
    """Read a shipped recipe by name, or any recipe by path.

    Raises:
        RecipeError: there is none, it says something that a recipe cannot say, or its teachers cannot teach.
    """
    plan = _parsed(name)
    found = teacher(plan)
    if plan.teaching is None or found is None:
        return plan
    return msgspec.structs.replace(plan, teaching=msgspec.structs.replace(plan.teaching, sha256=found.sha256))


def _parsed(name: str) -> Recipe:
    shipped = SHIPPED / f"{name}.toml"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.toml")))
        raise RecipeError(f"no recipe {name!r}: give the path of a TOML file, or one of {names}")
    try:
        return convert(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:  # msgspec.ValidationError is one too
        raise RecipeError(f"{path} is not a valid recipe: {error}") from error


def teacher(plan: Recipe) -> Recipe | None:
    """Return the recipe of those who teach this one's network; None where nobody does.

    Raises:
        RecipeError: there is none of that name, or its networks cannot teach this one.
    """
    if plan.teaching is None:
        return None
    found = _parsed(plan.teaching.recipe)
    for what in ("front_end", "window_ms"):
        if getattr(found, what) != getattr(plan, what):
            raise RecipeError(f"{found.name} cannot teach {plan.name}: their {what} must be the same")
    if unknown := set(plan.learned) - set(found.learned):
        raise RecipeError(f"{found.name} cannot teach {plan.name}: it has not learned {', '.join(sorted(unknown))}")
    if plan.teaching.starts and (found.network, found.learned, found.outputs) != (
        plan.network,
        plan.learned,
        plan.outputs,
    ):
        raise RecipeError(f"{plan.name} cannot start as {found.name}: their network, labels and votes must be the same")
    if found.teaching:
        raise RecipeError(f"{found.name} cannot teach {plan.name}: it has teachers itself")
    if unknown := set(found.heard) - set(plan.heard):
        raise RecipeError(f"{found.name} cannot teach {plan.name}: it also hears clips of {', '.join(sorted(unknown))}")
    return found


def convert(told: dict[str, Any]) -> Recipe:
    """Return the recipe that a TOML or JSON document tells; a network that names its architecture is a peer's.

    Raises:
        msgspec.ValidationError: it is none.
    """
    network = told.get("network")
    kind = PeerRecipe if isinstance(network, dict) and "architecture" in network else Recipe
    return msgspec.convert(told, kind)
