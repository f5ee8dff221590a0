"""Recipes: one TOML file holds everything that decides how a model comes out."""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from models import bundle
from models.bundle import LABEL, BundleError
from models.frontend import FrontEnd
from training.architectures import Architecture, Classical
from training.corpora import EMOTIONS
from training.heard import Features, Rendering

SHIPPED = Path(__file__).parent / "recipes"
INT8_LEVELS = 127
"""Values of an int8 weight on either side of 0."""

Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[int, Meta(ge=1)]


class RecipeError(Exception):
    """A recipe is missing or not valid; the text names the file, what is wrong and what to do."""


class Network(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A DS-CNN: one full convolution, then depthwise separable ones."""

    filters: Annotated[tuple[Positive, ...], Meta(min_length=2)]
    strides: Annotated[tuple[Positive, ...], Meta(min_length=2)]
    """In time and frequency alike. A layer that keeps its size gets a residual connection."""
    dropout: Share = 0.0
    peaks: bool = False
    """Whether the head also gets the maximum of each filter over time, beside its mean."""

    def __post_init__(self) -> None:
        """Refuse filters without strides, and strides without filters."""
        if len(self.filters) != len(self.strides):
            raise ValueError(f"{len(self.filters)} filters and {len(self.strides)} strides: each layer needs both")

    @property
    def title(self) -> str:
        """What it is, for a model card."""
        return f"depthwise-separable CNN of one convolution and {len(self.filters) - 1} depthwise separable ones"


class Augment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Augmentation: of training windows only, anew in each epoch."""

    speeds: tuple[float, ...] = (1.0,)
    """Each clip is played at one of these, pitch included."""
    background_share: Share = 0.0
    """Share of windows with steady noise before and after the clip; in the others there is digital silence."""
    under_share: Share = 0.0
    """Share of these in which the noise goes on under the clip."""
    snr_db: tuple[float, float] = (10.0, 60.0)
    """Range of the signal-to-noise ratio."""
    slope_db: tuple[float, float] = (-30.0, 10.0)
    """Range of the noise's colour: level of its highest mel band, relative to its lowest."""
    shaped_share: Share = 0.0
    """Share of the noises that have another colour: half of them the mean spectrum of another clip, half rumble."""
    floor_share: Share = 0.0
    """Share of windows whose own background is taken away before noise is added: a studio's tells how loud a voice
    was."""
    cut_share: Share = 0.0
    """Share of windows heard through a microphone or a line that passes only a band."""
    tilt_db: float = 0.0
    """Largest slope of a simulated microphone's response, from the lowest band to the highest, up or down."""
    style_share: Share = 0.0
    """Share of windows that get some of the style of another clip: mean and deviation of each mel band (MixStyle)."""
    time_masks: int = 0
    """Stripes of silence in time (Park et al. 2019, SpecAugment)."""
    time_mask_frames: int = 0
    """Largest width of one."""
    mel_masks: int = 0
    """Stripes of silence in frequency."""
    mel_mask_bands: int = 0
    """Largest width of one."""
    mixup: float = 0.0
    """Parameter of the beta distribution (Zhang et al. 2018, mixup); 0 is off."""


class Pruning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Magnitude pruning on a polynomial schedule (Zhu and Gupta 2017, To prune, or not to prune)."""

    sparsity: Annotated[float, Meta(ge=0, lt=1)]
    """Share of the weights of pointwise convolutions that become zero."""
    begin: Share = 0.3
    """When the first weights become zero, as a share of the training."""
    end: Share = 0.7
    """When the last ones do; the other weights adapt in the rest of the training."""

    def __post_init__(self) -> None:
        """Refuse to end before the beginning."""
        if self.end <= self.begin:
            raise ValueError(f"pruning begins at {self.begin:g} and ends at {self.end:g}: give a later end")


class Rounding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Quantisation-aware training of pointwise convolutions: few values for a weight, so that the file is smaller.

    The forward pass uses rounded weights, the gradients change the exact ones (Courbariaux et al. 2015, BinaryConnect;
    Jacob et al. 2018).
    """

    levels: Annotated[int, Meta(ge=1, le=127)]
    """Values of a weight on either side of 0; up to 7 are stored in four bits."""
    begin: Share = 0.5
    """When rounding begins, as a share of the training."""


WHISPER = "Whisper tiny.en (Radford et al. 2023, MIT licence)"
"""What teaches with `whisper = true`, for cards."""


class Teaching(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Distillation: networks whose probabilities another one learns (Hinton et al. 2015).

    The teachers classify each clip once, whole and as it was recorded, at each of the student's speeds. The student
    gets it augmented (Li et al. 2017, Large-scale domain adaptation via teacher-student learning).
    """

    recipe: str = ""
    """Name of the teachers' recipe. They are trained on the same speakers as their student, and on no others."""
    whisper: bool = False
    """Whether Whisper teaches, through a regression on its encoder (`training/whisper_teacher.py`): alone, or with the
    weight of all networks together."""
    sha256: str = ""
    """Hash of their recipe, filled in when a recipe is loaded: other teachers make another student."""
    seeds: Positive = 3
    """How many teachers there are; their probabilities are averaged."""
    temperature: Annotated[float, Meta(gt=0)] = 1.5
    """Divides the logits of teachers and student before their probabilities are compared."""
    share: Share = 0.8
    """Weight of the teachers in the loss; the rest is that of the labels."""
    unlabelled: tuple[str, ...] = ()
    """Clips with these labels are trained on too, with the teachers' probabilities alone."""
    starts: bool = False
    """Whether the student starts with the weights of a teacher, of another one for each seed; else with random ones."""

    def __post_init__(self) -> None:
        """Refuse teaching without a teacher."""
        if not (self.recipe or self.whisper):
            raise ValueError("teaching names no teacher: give the recipe of networks, whisper = true, or both")
        if self.starts and not self.recipe:
            raise ValueError("starts needs a network to start as: give the recipe of one")


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides how a model comes out; each field is a key of the TOML file."""

    integer: ClassVar[bool] = True
    """Whether the file is quantised to int8."""

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9.-]{0,63}$")]
    """The model's name with its version, as readings will carry it."""
    labels: Annotated[tuple[str, ...], Meta(min_length=2, max_length=16)]
    """What the model tells apart."""
    taught: tuple[str, ...] = ()
    """Further labels that the network is trained on; the finished model has no outputs for them."""
    corpora: Annotated[tuple[str, ...], Meta(min_length=1)] = ("crema-d",)
    """What it learns from: keys of `catalogue.CORPORA`, folders or tables of one's own; several together."""
    repeats: dict[str, Positive] = {}
    """How often an epoch has each clip of a corpus, once unless it is named here: a small corpus counts for more."""
    merged: dict[str, str] = {}
    """Labels of the corpora that count as another one: CAL = "NEU"."""
    by_sex: bool = False
    """Whether labels also tell the speaker's sex: F_ANG and M_ANG."""
    start: str = ""
    """Name or folder of a bundle whose layers this network begins with, all but the head; else random ones."""
    start_sha256: str = ""
    """Hash of its model, filled in when a recipe is loaded: another start makes another network."""
    front_end: FrontEnd = FrontEnd()
    window_ms: int = 3_000
    hop_ms: int = 1_000
    test_block: Annotated[int, Meta(ge=1)] = 4
    """Speakers held out, unless the command line says otherwise; a corpus of fewer blocks has its last one held out."""
    seed: int = 1
    epochs: Positive
    batch: Positive = 32
    learning_rate: Annotated[float, Meta(gt=0)] = 2e-3
    """At its peak, after a warm-up of 5 % of the steps; a cosine brings it down to 0."""
    weight_decay: Annotated[float, Meta(ge=0)] = 0.0
    label_smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    votes: Annotated[float, Meta(ge=0)] = 0.0
    """Weight in the loss of what people heard in a clip; the label's is 1. The network has outputs of its own for the
    votes, which the finished model leaves out."""
    uncertain_share: Share = 0.2
    """Share of windows of unheard speakers that become `uncertain`; it sets the manifest's `uncertain_below`."""
    network: Network
    augment: Augment = Augment()
    pruning: Pruning
    rounding: Rounding | None = None
    teaching: Teaching | None = None

    def __post_init__(self) -> None:
        """Refuse a hop or labels that no device could run, before hours of training.

        Raises:
            ValueError: the text says what to change.
        """
        if wrong := [label for label in (*self.labels, *self.taught) if not LABEL.fullmatch(label)]:
            raise ValueError(f"label {wrong[0]!r} is not allowed; use 1 to 16 of A-Z, 0-9 and _, a letter first")
        samples, step = self.hop_ms * self.front_end.sample_rate_hz // 1000, self.front_end.hop_length
        if samples % step:
            raise ValueError(f"hop_ms {self.hop_ms} is {samples} samples: make it a multiple of hop_length {step}")
        if unknown := sorted(set(self.repeats) - set(self.corpora)):
            raise ValueError(f"repeats names {unknown[0]!r}, which is none of corpora: {', '.join(self.corpora)}")
        if self.start and self.teaching and self.teaching.starts:
            raise ValueError("start and teaching.starts both give the first weights: leave one of them out")

    @property
    def on_device(self) -> bool:
        """Whether a device can compute what the model hears, and run it."""
        return True

    @property
    def learned(self) -> tuple[str, ...]:
        """All labels that the network is trained to tell apart, in the order of its outputs."""
        return tuple(sorted({*self.labels, *self.taught}))

    @property
    def outputs(self) -> int:
        """Number of outputs in training: one for each learned label, then one for each emotion if votes are learned."""
        return len(self.learned) + (len(EMOTIONS) if self.votes else 0)

    @property
    def clip_labels(self) -> tuple[str, ...]:
        """The labels of all clips that the network is trained on."""
        unlabelled = self.teaching.unlabelled if self.teaching else ()
        return self.learned + tuple(label for label in unlabelled if label not in self.learned)

    @property
    def levels(self) -> int:
        """Values of a pointwise weight on either side of 0."""
        return self.rounding.levels if self.rounding else INT8_LEVELS

    @property
    def training(self) -> dict[str, Any]:
        """What decides the network's weights: equal for recipes that differ only in which labels the model gives."""
        document = msgspec.to_builtins(self)
        unrelated = ("name", "labels", "taught", "uncertain_share")
        return {key: value for key, value in document.items() if key not in unrelated} | {"learned": self.learned}

    @property
    def folder(self) -> str:
        """Name of its folder in `runs_dir`."""
        return f"{self.name}-{self.sha256[:8]}"

    @property
    def sha256(self) -> str:
        """Hash of the recipe's values; comments and layout of the file do not count."""
        document = msgspec.to_builtins(self)
        # Keys that came later count only where they are used, so that older models still name their recipe's hash.
        for table, key in (
            (document, "taught"),
            (document, "teaching"),
            (document, "rounding"),
            (document, "votes"),
            (document["network"], "peaks"),
            (document["teaching"] or {}, "starts"),
            (document["teaching"] or {}, "whisper"),
            (document["augment"], "shaped_share"),
            (document["augment"], "style_share"),
            (document["augment"], "floor_share"),
            (document["augment"], "cut_share"),
            (document, "repeats"),
            (document, "merged"),
            (document, "by_sex"),
            (document, "start"),
            (document, "start_sha256"),
            (document, "features"),
            (document, "renderings"),
        ):
            if not table.get(key, True):
                del table[key]
        for key, usual in (("corpora", ["crema-d"]), ("keep", "last")):
            if document.get(key) in (usual, tuple(usual)):
                del document[key]
        return hashlib.sha256(msgspec.json.encode(document)).hexdigest()

    @property
    def window_samples(self) -> int:
        """Samples in one window."""
        return self.window_ms * self.front_end.sample_rate_hz // 1000

    @property
    def window_frames(self) -> int:
        """Log-mel frames in one window."""
        return self.front_end.frames_in(self.window_samples)


class PeerRecipe(Recipe, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published system, rebuilt to be measured as ours are; its file stays float32, as published."""

    integer: ClassVar[bool] = False

    network: Architecture  # type: ignore[assignment]  # instead of ours
    epochs: Annotated[int, Meta(ge=0)] = 0
    """None for a model that is not trained in epochs."""
    pruning: Pruning = Pruning(sparsity=0.0)
    balanced: bool = False
    """Whether each class is cut down to as many training clips as the smallest has."""
    features: Features | None = None
    """What the system hears instead of log-mel frames. No device computes it: such a system is measured alone."""
    renderings: tuple[Rendering, ...] = ()
    """Altered copies of each training recording, beside itself."""
    keep: Literal["last", "best"] = "last"
    """Which epoch's weights are used: the last one's, or those of the lowest loss on a tenth of the training clips, or
    on another block of speakers where speakers are held out."""

    def __post_init__(self) -> None:
        """Refuse a network without what it needs, and what has no effect.

        Raises:
            ValueError: the text says what to change.
        """
        super().__post_init__()
        classical = isinstance(self.network, Classical)
        if classical == (self.epochs > 0):
            raise ValueError(f"epochs is {self.epochs}: {'leave it out' if classical else 'give at least 1'}")
        if self.features is None:
            if classical or self.renderings or self.keep == "best":
                raise ValueError("features is missing: this network, renderings and keep need features of their own")
        elif self.augment != Augment() or self.pruning.sparsity or self.rounding or self.teaching or self.votes:
            raise ValueError("features of their own have no augment, pruning, rounding, teaching and votes: leave out")

    @property
    def on_device(self) -> bool:
        """Whether a device can compute what the model hears, and run it."""
        return self.features is None


def load(name: str) -> Recipe:
    """Return a shipped recipe by name, or any recipe by path.

    Raises:
        RecipeError: it is missing or not valid, or its teachers cannot teach it.
    """
    plan = _started(_parsed(name))
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


def _started(plan: Recipe) -> Recipe:
    """Return a recipe with the hash of the model that it begins with.

    Raises:
        RecipeError: there is no such bundle, or it hears in another way.
    """
    if not plan.start:
        return plan
    if isinstance(plan, PeerRecipe):
        raise RecipeError(f"{plan.name} cannot start as {plan.start}: only our own networks can")
    try:
        found = bundle.load(bundle.find(plan.start)).manifest
    except BundleError as error:
        raise RecipeError(f"{plan.name} cannot start as {plan.start}: {error}") from error
    for what in ("front_end", "window_ms"):
        if getattr(found, what) != getattr(plan, what):
            raise RecipeError(f"{plan.name} cannot start as {plan.start}: their {what} must be the same")
    return msgspec.structs.replace(plan, start_sha256=found.model_sha256)


def teacher(plan: Recipe) -> Recipe | None:
    """Return the recipe of a recipe's teachers; None where it has none.

    Raises:
        RecipeError: there is no recipe of that name, or its networks cannot teach this one.
    """
    if plan.teaching is None or not plan.teaching.recipe:
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
    if found.teaching and found.teaching.recipe:  # Whisper alone may have taught it
        raise RecipeError(f"{found.name} cannot teach {plan.name}: networks have taught it")
    if unknown := set(found.clip_labels) - set(plan.clip_labels):
        labels = ", ".join(sorted(unknown))
        raise RecipeError(f"{found.name} cannot teach {plan.name}: it is also trained on clips of {labels}")
    return found


def convert(document: dict[str, Any]) -> Recipe:
    """Return the recipe in a TOML or JSON document; a network that names its architecture is a peer's.

    Raises:
        msgspec.ValidationError: a key is unknown, or a value is not valid.
    """
    network = document.get("network")
    kind = PeerRecipe if isinstance(network, dict) and "architecture" in network else Recipe
    return msgspec.convert(document, kind)
