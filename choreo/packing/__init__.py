"""Packs: agents made ready to be given to others, with what is known of them."""

from choreo.packing.card import Health
from choreo.packing.write import Measure, pack_run

__all__ = ["Health", "Measure", "pack_run"]
