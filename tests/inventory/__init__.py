"""Tests of the inventory, through the real NVML binding."""
