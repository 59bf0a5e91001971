"""One daemon per host that decides who has which GPU."""
