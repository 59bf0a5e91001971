"""The main job in one minute: real workers compete for simulated GPUs, and are killed, and so is the daemon."""
