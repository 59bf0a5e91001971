"""`gpulockctl bench`: settings side by side, with real processes that compete for simulated GPUs."""
