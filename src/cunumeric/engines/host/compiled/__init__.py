"""The second tier: instructions of a recurring sweep compiled to loops, in the background."""
