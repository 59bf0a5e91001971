"""Looks at the GPUs from time to time, and at how the daemon itself fares. It reports, and decides nothing."""

from .pulse import feel_pulse
from .sampler import Sampler
from .timing import CountedInventory, TimedJournal, TimedLeases

__all__ = ["CountedInventory", "Sampler", "TimedJournal", "TimedLeases", "feel_pulse"]
