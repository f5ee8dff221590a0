"""The networks and models of published systems, as recipes name them: each a table `[network]` with an `architecture`.

`peers.py` builds the networks, `classical.py` the models that are no networks.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[int, Meta(ge=1)]


class _Tagged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="architecture"):
    """One row of the registry; its tag is the name in a recipe."""


class PlainDsCnn(_Tagged, frozen=True, kw_only=True, tag="plain-ds-cnn"):
    """The published DS-CNN: the first layer halves the input, the others keep its size, none is residual."""

    filters: Annotated[tuple[Positive, ...], Meta(min_length=2)]
    alpha: Annotated[float, Meta(gt=0)] = 1.0
    """Width multiplier of all layers."""

    @property
    def title(self) -> str:
        """What it is, for a model card."""
        return f"plain depthwise-separable CNN of {len(self.filters)} layers, as it was published"


class LightSerNet(_Tagged, frozen=True, kw_only=True, tag="light-sernet"):
    """Three parallel convolutions, along time, along frequency and along both, then plain ones (Aftab et al. 2022)."""

    dropout: Share = 0.3

    @property
    def title(self) -> str:
        """What it is, for a model card."""
        return "CNN with three parallel first layers, LIGHT-SERNET, as it was published"


class Conv1d(_Tagged, frozen=True, kw_only=True, tag="conv-1d"):
    """Convolutions along the values of a vector, or along the frames of a sequence, then one dense layer.

    The default is the network of the embedded-compiler demo; at 162 values and seven labels it has 1,283,591
    parameters, as published.
    """

    groups: tuple[tuple[Positive, ...], ...] = ((256, 256), (128, 128, 128, 128), (64, 64))
    """Filters of the layers, in groups with a pool after each but the last."""
    kernel: Positive = 8
    pool: Positive = 8
    dropout: Share = 0.25

    @property
    def title(self) -> str:
        """What it is."""
        return f"1-D CNN of {sum(map(len, self.groups))} layers"


class Recurrent(_Tagged, frozen=True, kw_only=True, tag="recurrent"):
    """A recurrent layer over the frames of a sequence, then a dense one."""

    cell: Literal["gru", "lstm"]
    units: Positive = 128
    dropout: Share = 0.3

    @property
    def title(self) -> str:
        """What it is."""
        return f"{self.cell.upper()} of {self.units} units"


class Conv2d(_Tagged, frozen=True, kw_only=True, tag="conv-2d"):
    """The deep network of the university project: 16,036,872 parameters at (512, 90, 3) and eight labels."""

    first: Positive = 16
    filters: tuple[Positive, ...] = (32, 64, 128)
    dense: Positive = 1024
    l2: Annotated[float, Meta(ge=0)] = 0.05

    @property
    def title(self) -> str:
        """What it is."""
        return f"2-D CNN of {1 + 2 * len(self.filters)} convolutions"


class BiLstmConv(_Tagged, frozen=True, kw_only=True, tag="bilstm-conv"):
    """The baseline of the university project: 732,704 parameters at 40 coefficients of 128 frames and eight labels."""

    units: Positive = 40

    @property
    def title(self) -> str:
        """What it is."""
        return "bidirectional LSTM over the coefficients, then a 1-D CNN"


class DenseNet(_Tagged, frozen=True, kw_only=True, tag="densenet"):
    """DenseNet (Huang et al. 2017) with the head of the OpenVINO edge app; the default is DenseNet-121."""

    growth: Positive = 32
    blocks: tuple[Positive, ...] = (6, 12, 24, 16)
    dense: Positive = 512

    @property
    def title(self) -> str:
        """What it is."""
        return f"DenseNet of {2 * sum(self.blocks) + len(self.blocks) + 1} layers, growth {self.growth}, from scratch"


class Classical(_Tagged, frozen=True, kw_only=True, tag="scikit-learn"):
    """A model of scikit-learn with its own defaults but for what stands here; values are standardised first."""

    model: Literal["k-nearest", "tree", "mlp", "svm"]
    neighbours: Positive = 5
    penalty: Annotated[float, Meta(gt=0)] = 10.0
    """C of the support vector machine."""

    @property
    def title(self) -> str:
        """What it is."""
        return {
            "k-nearest": f"{self.neighbours} nearest neighbours",
            "tree": "decision tree",
            "mlp": "multi-layer perceptron of 100 units",
            "svm": f"support vector machine, RBF kernel, C {self.penalty:g}",
        }[self.model]


Architecture = PlainDsCnn | LightSerNet | Conv1d | Recurrent | Conv2d | BiLstmConv | DenseNet | Classical
