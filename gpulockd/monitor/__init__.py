"""Looks at the GPUs from time to time and reports what it saw. It decides nothing."""

from .sampler import Sampler

__all__ = ["Sampler"]
