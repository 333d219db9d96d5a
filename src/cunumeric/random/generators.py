"""`Generator` and `RandomState`: NumPy's, giving our arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays.base import array_of, strip, strip_keywords, wrap_from
from ..engines.host.kernels import random as kernel
from ..runtime import memory
from ..runtime.settings import settings


def _giving_ours(base: type) -> dict[str, Any]:
    """The public methods of `base`, with arguments stripped and results wrapped."""

    def one(name: str) -> Any:
        numpys = getattr(base, name)

        def call(self, *args, **kwargs):
            return wrap_from(numpys(self, *[strip(a) for a in args], **strip_keywords(kwargs)), args, kwargs)

        call.__name__, call.__doc__, call.__wrapped__ = name, numpys.__doc__, numpys  # type: ignore[attr-defined]
        return call

    names = [n for n in dir(base) if not n.startswith("_") and callable(getattr(base, n)) and n != "spawn"]
    return {name: one(name) for name in names}


_Generator = type("_Generator", (np.random.Generator,), _giving_ours(np.random.Generator))
_RandomState = type("_RandomState", (np.random.RandomState,), _giving_ours(np.random.RandomState))


class Generator(_Generator):  # type: ignore[valid-type,misc]
    __doc__ = np.random.Generator.__doc__

    def random(self, size=None, dtype=np.float64, out=None):
        if out is None and dtype is np.float64 and size is not None:
            dims = (size,) if isinstance(size, (int, np.integer)) else tuple(size)
            if math.prod(dims) >= settings.kernel_min:
                found = kernel.random_into(np.random.Generator(self.bit_generator), memory.empty(dims, np.dtype(dtype)))
                if found is not NotImplemented:
                    return array_of(found)
        return super().random(size, dtype, out)

    def uniform(self, low=0.0, high=1.0, size=None):
        if size is not None:
            dims = (size,) if isinstance(size, (int, np.integer)) else tuple(size)
            if math.prod(dims) >= settings.kernel_min:
                found = kernel.uniform_into(
                    np.random.Generator(self.bit_generator), memory.empty(dims, np.dtype(np.float64)), low, high
                )
                if found is not NotImplemented:
                    return array_of(found)
        return super().uniform(low, high, size)

    def spawn(self, n_children):
        return [Generator(g.bit_generator) for g in super().spawn(n_children)]

    def __reduce__(self):
        return Generator, (self.bit_generator,)


class RandomState(_RandomState):  # type: ignore[valid-type,misc]
    __doc__ = np.random.RandomState.__doc__

    def __reduce__(self):
        _, _, state = super().__reduce__()
        return _random_state, (), state


def _random_state() -> RandomState:
    return RandomState()


def default_rng(seed=None):
    rng = np.random.default_rng(strip(seed))
    if isinstance(seed, (np.random.Generator, np.random.RandomState)) and isinstance(seed, (Generator, RandomState)):
        return seed
    return Generator(rng.bit_generator)


default_rng.__doc__ = np.random.default_rng.__doc__
