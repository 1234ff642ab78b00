"""How each subject looks: what paints it, and how it stands, floats or swims."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Final

from training.draw_animals import paint_bird, paint_butterfly, paint_cat, paint_fish, paint_snowman
from training.draw_buildings import (
    paint_castle,
    paint_house,
    paint_lighthouse,
    paint_tent,
    paint_windmill,
)
from training.draw_nature import (
    paint_apple,
    paint_cactus,
    paint_flower,
    paint_mushroom,
    paint_pine,
    paint_tree,
)
from training.draw_objects import paint_robot, paint_teapot, paint_umbrella
from training.draw_vehicles import paint_balloon, paint_bicycle, paint_car, paint_rocket, paint_sailboat
from training.pen import Color, Pen


@dataclass(frozen=True, slots=True)
class Look:
    """How a subject is drawn and where it stands; lengths are in units of its box."""

    paint: Callable[[Pen, Color], None]
    _: KW_ONLY
    hover: float = 0.0  # how far above the ground it may float
    swims: bool = False  # lies in water
    turn: float = 0.0  # how far it may lean either way, degrees
    width: float = 0.8  # of the shadow


LOOKS: Final[Mapping[str, Look]] = {
    "house": Look(paint_house, width=0.95),
    "tree": Look(paint_tree, turn=3, width=0.7),
    "sailboat": Look(paint_sailboat, turn=5, swims=True, width=1.3),
    "hot-air balloon": Look(paint_balloon, hover=0.16, turn=4, width=0.4),
    "mushroom": Look(paint_mushroom, turn=5, width=0.5),
    "lighthouse": Look(paint_lighthouse, width=0.5),
    "car": Look(paint_car, width=1.05),
    "fish": Look(paint_fish, hover=0.1, turn=12, swims=True, width=1.15),
    "flower": Look(paint_flower, turn=6, width=0.3),
    "castle": Look(paint_castle, width=0.98),
    "windmill": Look(paint_windmill, width=0.6),
    "tent": Look(paint_tent, width=1.1),
    "umbrella": Look(paint_umbrella, hover=0.08, turn=14, width=0.4),
    "bicycle": Look(paint_bicycle, turn=2, width=1.0),
    "teapot": Look(paint_teapot, width=0.7),
    "robot": Look(paint_robot, turn=3, width=0.55),
    "cat": Look(paint_cat, turn=2, width=0.72),
    "bird": Look(paint_bird, hover=0.06, turn=10, width=0.5),
    "butterfly": Look(paint_butterfly, hover=0.1, turn=18, width=0.5),
    "snowman": Look(paint_snowman, turn=2, width=0.6),
    "pine tree": Look(paint_pine, turn=2, width=0.6),
    "apple": Look(paint_apple, turn=8, width=0.62),
    "cactus": Look(paint_cactus, turn=2, width=0.5),
    "rocket": Look(paint_rocket, hover=0.1, turn=12, width=0.35),
}
