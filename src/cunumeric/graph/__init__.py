"""Recorded work: what an operation is while it waits, which memory it reads and writes, when it runs."""
