"""Kernels for several devices, where XLA's partitioner would bring whole operands to every device."""

from .choosing import chosen, filled
from .frames import held, put, repeated, shifted, spanned
from .movement import joined, picked, reshaped, rolled, window
from .picking import along, rows_at, rows_put, tallied
from .products import applied, product
from .reading import element
from .regions import cuts, few, read, write
from .scans import accumulated, running
from .searching import counted, ranked
from .sorting import in_order
from .spread import beside, is_cut, rested
from .transforms import transformed

__all__ = [
    "accumulated",
    "along",
    "applied",
    "beside",
    "chosen",
    "counted",
    "cuts",
    "element",
    "few",
    "filled",
    "held",
    "in_order",
    "is_cut",
    "joined",
    "picked",
    "product",
    "put",
    "ranked",
    "read",
    "repeated",
    "reshaped",
    "rested",
    "rolled",
    "rows_at",
    "rows_put",
    "running",
    "shifted",
    "spanned",
    "tallied",
    "transformed",
    "window",
    "write",
]
