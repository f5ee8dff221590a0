"""Colours as people see them: contrast, and how far two are apart, also for colour-blind people."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIGHTS = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB."""
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(colour: str) -> Floats:
    """Return linear RGB of `#rrggbb`, each 0 to 1."""
    given = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(given <= 0.04045, given / 12.92, ((given + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2), 1 to 21."""
    dark, light = sorted(float(np.array([0.2126, 0.7152, 0.0722]) @ linear(colour)) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def difference(one: str, other: str, sight: str = "usual") -> float:
    """Return the CIEDE2000 difference of two colours as somebody with a sight sees them."""
    return ciede2000(*(_lab(np.clip(SIGHTS[sight] @ linear(colour), 0, 1)) for colour in (one, other)))


def _lab(rgb: Floats) -> Floats:
    xyz = _TO_XYZ @ rgb / _WHITE
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def ciede2000(one: Sequence[float] | Floats, other: Sequence[float] | Floats) -> float:
    """Return the difference of two colours in CIELAB, after Sharma, Wu and Dalal (2005), with all weights 1."""
    chroma = (math.hypot(*one[1:]) + math.hypot(*other[1:])) / 2
    stretch = 1 + 0.5 * (1 - math.sqrt(chroma**7 / (chroma**7 + 25**7)))
    chroma1, chroma2 = (math.hypot(lab[1] * stretch, lab[2]) for lab in (one, other))
    hue1, hue2 = (math.degrees(math.atan2(lab[2], lab[1] * stretch)) % 360 for lab in (one, other))
    turn = (hue2 - hue1 + 180) % 360 - 180 if chroma1 * chroma2 else 0.0
    apart = 2 * math.sqrt(chroma1 * chroma2) * math.sin(math.radians(turn) / 2)
    hue = (hue1 + turn / 2) % 360 if chroma1 * chroma2 else hue1 + hue2
    light, chroma = (one[0] + other[0]) / 2, (chroma1 + chroma2) / 2
    weight = 1 + sum(
        factor * math.cos(math.radians(times * hue - shift))
        for factor, times, shift in ((-0.17, 1, 30), (0.24, 2, 0), (0.32, 3, -6), (-0.20, 4, 63))
    )
    by_light = 1 + 0.015 * (light - 50) ** 2 / math.sqrt(20 + (light - 50) ** 2)
    by_chroma, by_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * weight
    rotation = (
        -math.sin(math.radians(60 * math.exp(-(((hue - 275) / 25) ** 2))))
        * 2
        * math.sqrt(chroma**7 / (chroma**7 + 25**7))
    )
    parts = ((other[0] - one[0]) / by_light, (chroma2 - chroma1) / by_chroma, apart / by_hue)
    return math.sqrt(sum(part**2 for part in parts) + rotation * parts[1] * parts[2])
