"""Kernels for several devices, where XLA's partitioner would bring whole operands to every device."""

from .movement import joined, picked, reshaped, rolled, window
from .products import applied, product
from .reading import element
from .regions import cuts, few, read, write
from .scans import accumulated, running
from .spread import beside, is_cut
from .transforms import transformed

__all__ = [
    "accumulated",
    "applied",
    "beside",
    "cuts",
    "element",
    "few",
    "is_cut",
    "joined",
    "picked",
    "product",
    "read",
    "reshaped",
    "rolled",
    "running",
    "transformed",
    "window",
    "write",
]
