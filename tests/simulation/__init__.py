"""The real core and the real engine in a simulated world: one seed decides everything that happens in it."""
