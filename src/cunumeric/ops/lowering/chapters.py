"""All chapters: importing this fills the table."""

from . import (  # noqa: F401
    comparisons,
    indexing,
    selection,
    linalg,
    movement,
    polynomials,
    products,
    quantiles,
    reductions,
    scans,
    sorting,
    statistics,
    transforms,
)
