"""NumPy's `emath`, the same functions as `lib.scimath`."""

from .lib.scimath import *  # noqa: F403
from .lib.scimath import __all__  # noqa: F401
