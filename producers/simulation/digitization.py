"""Readout of the generic detector, written in ACTS' digitisation format.

Pitches and thicknesses are those of the TrackML detector, which ACTS'
``GenericDetector`` is; source: acts-project/acts,
``Examples/Configs/generic-digi-geometric-config.json``. Charge is shared by the
channels crossed, neighbours form a cluster, its charge-weighted centre is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Readout:
    """Segmentation of one kind of module, in mm."""

    volumes: tuple[int, ...]
    pitch_mm: tuple[float, float]
    thickness_mm: float


PIXEL = Readout(volumes=(7, 8, 9), pitch_mm=(0.05, 0.05), thickness_mm=0.15)
SHORT_STRIP = Readout(volumes=(12, 13, 14), pitch_mm=(0.08, 1.2), thickness_mm=0.25)
LONG_STRIP = Readout(volumes=(16, 17, 18), pitch_mm=(0.12, 10.8), thickness_mm=0.25)
READOUTS = (PIXEL, SHORT_STRIP, LONG_STRIP)

# Larger than every module: the module's own bounds limit where particles cross it.
HALF_LENGTH_MM = 108.0
CHARGE_SMEARING = 0.01  # relative spread of the charge per channel, as in ACTS' file


def digitization_config() -> dict[str, Any]:
    """The JSON document that ACTS' ``readDigiConfigFromJson`` takes."""
    entries = [
        {"volume": volume, "value": {"geometric": _geometric(readout)}}
        for readout in READOUTS
        for volume in readout.volumes
    ]
    return {
        "acts-geometry-hierarchy-map": {
            "format-version": 0,
            "value-identifier": "digitization-configuration",
        },
        "entries": entries,
    }


def _geometric(readout: Readout) -> dict[str, Any]:
    axes = zip(("binX", "binY"), readout.pitch_mm, strict=True)
    return {
        "indices": [0, 1],
        "digital": False,
        "thickness": readout.thickness_mm,
        "threshold": 0.0,
        "charge-smearing": {"type": "Gauss", "mean": 0.0, "stddev": CHARGE_SMEARING},
        "segmentation": {
            "binningdata": [
                {
                    "value": axis,
                    "type": "equidistant",
                    "option": "open",
                    "bins": 2 * round(HALF_LENGTH_MM / pitch),
                    "min": -pitch * round(HALF_LENGTH_MM / pitch),
                    "max": pitch * round(HALF_LENGTH_MM / pitch),
                }
                for axis, pitch in axes
            ]
        },
    }
