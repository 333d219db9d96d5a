"""The package's version, apart so that building a wheel imports nothing else."""

VERSION = "0.1.0"
