"""All chapters: importing this fills the table."""

from . import (  # noqa: F401
    comparisons,
    creation,
    indexing,
    linalg,
    movement,
    polynomials,
    products,
    quantiles,
    reductions,
    scans,
    selection,
    sorting,
    statistics,
    transforms,
)
