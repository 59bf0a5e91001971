"""Which GPUs this host has, and which processes are on them.

`nvidia.NvmlInventory` asks the driver, `simulated.SimulatedInventory` stands in where there is none. Nothing
is imported here: the process that talks to the driver starts through this package and is to stay small.
"""
