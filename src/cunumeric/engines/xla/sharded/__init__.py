"""Kernels for several devices, where XLA's partitioner would bring whole operands to every device."""

from .choosing import chosen, filled
from .picking import along, rows_at, rows_put, tallied
from .scans import accumulated, running
from .searching import counted, ranked
from .sorting import in_order
from .spread import beside, is_cut, rested

__all__ = [
    "accumulated",
    "along",
    "beside",
    "chosen",
    "counted",
    "filled",
    "in_order",
    "is_cut",
    "ranked",
    "rested",
    "rows_at",
    "rows_put",
    "running",
    "tallied",
]
