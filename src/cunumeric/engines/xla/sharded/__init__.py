"""Kernels for several devices, where XLA's partitioner would bring whole operands to every device."""

from .scans import accumulated, running
from .spread import beside, is_cut
from .transforms import transformed

__all__ = ["accumulated", "beside", "is_cut", "running", "transformed"]
