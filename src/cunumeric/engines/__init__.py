"""Engines: how recorded work is run."""
