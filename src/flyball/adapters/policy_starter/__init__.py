"""The policy where a project brings none: `flyball/starter`. Every surface says so where it is in force."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from flyball.core.policy import Layer, Source

NAME: Final = "flyball/starter"
FILE: Final = "starter.cedar"


def starter(layer: Layer = "project") -> Source:
    """The starter policy: reads are allowed, effects ask the owner, what moves money or leaves the house is denied."""
    return Source(
        layer=layer, name=NAME, files={FILE: files(__package__ or __name__).joinpath(FILE).read_text("utf-8")}
    )
