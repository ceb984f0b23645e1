"""How much parameters contribute, and what pruning them costs."""
