"""NumPy, on every core: change `import numpy as np` to `import cunumeric as np`.

Every public name of the installed NumPy is here, over arrays whose large operations are recorded, fused and run on
all cores. Beyond NumPy there are `synchronize()`, which runs what is recorded, and `eager()`, a context in which
nothing is recorded.
"""

from __future__ import annotations

import importlib as _importlib

import numpy as _numpy

from .api import creation as _creation
from .api import indexing_tricks as _indexing_tricks
from .api import kernels as _kernels
from .api import recorded as _recorded
from .api.build import fill as _fill
from .arrays import deferred as _deferred  # noqa: F401  (attaches to the class)
from .arrays import indexing as _indexing  # noqa: F401  (attaches to the class)
from .arrays import operators as _operators  # noqa: F401  (attaches to the class)
from .arrays import protocols as _protocols  # noqa: F401  (attaches to the class)
from .arrays import warning_lines as _warning_lines
from .arrays.base import ndarray  # noqa: F401
from .arrays.methods import flatiter  # noqa: F401
from .arrays.ufunc import ufunc  # noqa: F401
from .control import eager, synchronize
from .runtime import ranks as _ranks
from .runtime.version import VERSION as _version

from .arrays import recording as _recording  # noqa: F401  # isort: skip  (last: see there)
from .arrays import acceleration as _acceleration  # noqa: F401  # isort: skip  (last: see there)

_SUBMODULES = frozenset(
    "char core ctypeslib dtypes emath exceptions f2py fft lib linalg ma matlib polynomial random rec strings testing "
    "typing version".split()
)

__all__ = _fill(globals(), _numpy, (_creation, _indexing_tricks, _kernels, _recorded))
__all__ += ["eager", "synchronize"]
__version__ = _version
_warning_lines.install()
_ranks.say_if_alone()


def __getattr__(name):
    if name in _SUBMODULES:
        return _importlib.import_module("." + name, __name__)
    return getattr(_numpy, name)  # private names, and NumPy's own word for what it no longer has


def __dir__():
    return sorted({*globals(), *__all__, *_SUBMODULES})
