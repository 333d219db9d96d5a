"""`Generator` and `RandomState`: NumPy's, giving our arrays."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..arrays import warning_lines
from ..arrays.base import array_of, strip, strip_keywords, wrap_from
from ..arrays.calls import again
from ..arrays.extension import Quick, in_c, quick
from ..engines.host.kernels import random as kernel
from ..runtime import memory
from ..runtime.settings import settings

warning_lines.forget(globals())


class Kin(type):
    """Metaclass: what NumPy itself makes (`numpy.random.default_rng()`, old pickles) counts as an instance too."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, vars(cls).get("_numpys", ())) or type.__instancecheck__(cls, x)


def _giving_ours(base: type, names: list[str] | None = None) -> dict[str, Any]:
    """Methods of `base` (by default all public ones), with arguments stripped and results wrapped."""

    def one(name: str) -> Any:
        numpys = getattr(base, name)

        def call(self, *args, **kwargs):
            try:
                r = numpys(self, *[strip(a) for a in args], **strip_keywords(kwargs))
            except ValueError as error:
                r = again(error, functools.partial(numpys, self), args, kwargs)
            return wrap_from(r, args, kwargs)

        call.__name__, call.__doc__, call.__wrapped__ = name, numpys.__doc__, numpys  # type: ignore[attr-defined]
        quick[call] = Quick(numpys, "ALWAYS")
        return in_c(call)

    def shuffle(self, x, *args, **kwargs):
        # A list is shuffled itself, whatever it holds.
        return base.shuffle(self, x if type(x) is list else strip(x), *args, **kwargs)  # type: ignore[attr-defined]

    if names is None:
        names = [n for n in dir(base) if not n.startswith("_") and callable(getattr(base, n)) and n != "spawn"]
    own = {name: one(name) for name in names}
    if "shuffle" in own:
        shuffle.__doc__, shuffle.__wrapped__ = own["shuffle"].__doc__, base.shuffle  # type: ignore[attr-defined]
        own["shuffle"] = shuffle
    return own


def _seeded(name: str) -> type:
    """NumPy's class `name`, taking seeds that are arrays of ours."""
    base = getattr(np.random, name)

    def __init__(self, *args, **kwargs):
        base.__init__(self, *[strip(a) for a in args], **strip_keywords(kwargs))

    giving = [n for n in ("random_raw", "generate_state") if hasattr(base, n)]
    body = {"__init__": __init__, "__doc__": base.__doc__, "__module__": "cunumeric.random", "_numpys": base}
    return Kin(name, (base,), body | _giving_ours(base, giving))


MT19937, PCG64, PCG64DXSM, Philox, SFC64, SeedSequence = map(
    _seeded, ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64", "SeedSequence")
)
_BY_NAME = {c.__name__: c for c in (MT19937, PCG64, PCG64DXSM, Philox, SFC64)}

_Generator = Kin(
    "_Generator", (np.random.Generator,), _giving_ours(np.random.Generator) | {"_numpys": np.random.Generator}
)
_RandomState = Kin(
    "_RandomState", (np.random.RandomState,), _giving_ours(np.random.RandomState) | {"_numpys": np.random.RandomState}
)


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
        return _generator, (self.bit_generator,), None


class RandomState(_RandomState):  # type: ignore[valid-type,misc]
    __doc__ = np.random.RandomState.__doc__

    def __init__(self, seed=None):
        super().__init__(strip(seed))

    def __reduce__(self):
        _, args, state = super().__reduce__()
        return _random_state, args, state


for _name in ("random", "uniform"):
    _method = vars(Generator)[_name]
    quick[_method] = Quick(getattr(np.random.Generator, _name), "SIZED")
    setattr(Generator, _name, in_c(_method))

for _class in (Generator, RandomState):
    _class._numpys = _class.__mro__[2]  # type: ignore[attr-defined]


def _generator(bits: Any = "MT19937") -> Generator:
    """For pickles; old ones have the name of the bit generator only."""
    return Generator(_BY_NAME[bits]() if isinstance(bits, str) else bits)


def _random_state(bits: Any = "MT19937") -> RandomState:
    return RandomState(_BY_NAME[bits]() if isinstance(bits, str) else bits)


def default_rng(seed=None):
    if type(seed) is Generator:
        return seed
    if isinstance(seed, np.random.Generator):
        return Generator(seed.bit_generator)
    if isinstance(seed, np.random.RandomState):
        return Generator(seed._bit_generator)
    return Generator(seed if isinstance(seed, np.random.BitGenerator) else PCG64(seed))


def shuffle(x):
    np.random.shuffle(x if type(x) is list else strip(x))


shuffle.__doc__ = np.random.shuffle.__doc__
default_rng.__doc__ = np.random.default_rng.__doc__
