"""Attributes and methods of arrays that are not operators, indexing or protocols.

Most are NumPy's method on the inner array. The ones above the table at the end do more: they answer from a recorded
node without running it, are recorded themselves, or have a parallel kernel.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engines.host import kernels
from ..graph import record, window
from ..graph.node import Node, owner_of
from ..runtime import memory as shelf
from ..runtime import residence, weak
from ..runtime.settings import settings
from . import lowered, writing
from .base import array_of, host, memory, nd, ndarray, strip, strip_keywords, wrap, wrap_from
from .calls import again
from .extension import Quick, kernel_rule, quick

if residence.accelerated:
    from . import checked, creating, inplace, sized, views  # noqa: F401  (functions that take several calls)


def method(f: Callable) -> Callable:
    """Attach `f` to the class under its name, with NumPy's docstring where it has none, and NumPy's signature."""
    numpys = getattr(nd, f.__name__)
    if residence.accelerated:
        name = f.__name__
        f = lowered.offer(f, lowered.METHODS.get(name, numpys))
        f.__name__ = name
    f.__doc__ = f.__doc__ or numpys.__doc__
    f.__wrapped__ = numpys  # type: ignore[attr-defined]  # inspect.signature follows it
    f.__qualname__ = f"ndarray.{f.__name__}"
    setattr(ndarray, f.__name__, f)
    return f


def _attribute(name: str, *, known: bool, settable: bool = False) -> None:
    """A property of the inner array. `known`: a recorded node answers too."""

    def get(self):
        return getattr(self._a, name) if known else wrap(getattr(host(self), name))

    def put(self, value):
        setattr(host(self), name, strip(value))

    setattr(ndarray, name, property(get, put if settable else None, doc=getattr(nd, name).__doc__))


for _name in ("dtype", "ndim", "size", "itemsize", "nbytes"):
    _attribute(_name, known=True, settable=_name == "dtype")
_attribute("shape", known=True, settable=True)
_attribute("device", known=False, settable=True)  # NumPy says that it is not writable


def _get_strides(self):
    return memory(self).strides


def _set_strides(self, value):
    host(self).strides = value


ndarray.strides = property(_get_strides, _set_strides, doc=nd.strides.__doc__)  # type: ignore[attr-defined]


def _view_attribute(name: str, settable: bool = False) -> None:
    """A property that shows part of the same memory: no recorded work needs to run."""

    def get(self):
        return wrap_from(getattr(memory(self), name), (self,))

    def put(self, value):
        setattr(host(self), name, strip(value))

    setattr(ndarray, name, property(get, put if settable else None, doc=getattr(nd, name).__doc__))


for _name in ("T", "mT"):
    _view_attribute(_name)
for _name in ("real", "imag"):
    _view_attribute(_name, settable=True)


def _exposed_attribute(name: str, settable: bool = False) -> None:
    """A property through which the memory can be read and written past us."""

    def get(self):
        a = host(self)
        window.expose(a)
        return getattr(a, name)

    def put(self, value):
        setattr(host(self), name, strip(value))

    setattr(ndarray, name, property(get, put if settable else None, doc=getattr(nd, name).__doc__))


_exposed_attribute("data")


def _ctypes(self):
    a = host(self)
    window.expose(a)
    return type(a.ctypes)(self, a.ctypes.data)  # keeps the user's array alive, and with it the memory


ndarray.ctypes = property(_ctypes, doc=nd.ctypes.__doc__)  # type: ignore[attr-defined]


class _FlatType(type):
    """Metaclass: NumPy's flat iterators (those of its subclasses) are instances too."""

    def __instancecheck__(cls, x: Any) -> bool:
        return type(x) is cls or isinstance(x, np.flatiter)


class flatiter(metaclass=_FlatType):
    """NumPy's flat iterator over one of our arrays."""

    __module__ = "cunumeric"
    __slots__ = ("_array", "_flat")

    def __init__(self, x: Any) -> None:
        a = host(x)
        window.expose(a)  # later operations on this memory run at once
        self._array = x
        self._flat = a.flat

    base = property(lambda self: self._array, doc=np.flatiter.base.__doc__)
    coords = property(lambda self: self._flat.coords, doc=np.flatiter.coords.__doc__)
    index = property(lambda self: self._flat.index, doc=np.flatiter.index.__doc__)

    def copy(self):
        return wrap(self._flat.copy())

    copy.__wrapped__ = np.flatiter.copy  # type: ignore[attr-defined]

    def __array__(self, dtype=None, /, *, copy=None):
        return self._flat.__array__(*(() if dtype is None else (dtype,)))

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._flat)

    def __len__(self) -> int:
        return len(self._flat)

    def __getitem__(self, key):
        return wrap(self._flat[strip(key)])

    def __setitem__(self, key, value):
        self._flat[strip(key)] = strip(value)

    def __delitem__(self, key):
        raise TypeError("Cannot delete iterator elements")

    __hash__ = None  # type: ignore[assignment]
    __array__.__wrapped__ = np.flatiter.__array__  # type: ignore[attr-defined]


def _comparison(name: str) -> None:
    def compare(self, other):
        other = other._flat if type(other) is flatiter else strip(other)
        return wrap(getattr(self._flat, name)(other))

    setattr(flatiter, name, compare)


for _name in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
    _comparison(_name)


def _set_flat(self, value):
    host(self).flat = strip(value)  # type: ignore[misc]


setattr(ndarray, "flat", property(flatiter, _set_flat, doc=nd.flat.__doc__))  # noqa: B010  (mypy: no such attribute)


def _base(self):
    a = memory(self)
    b = a.base
    if b is None or isinstance(b, residence.OURS):
        return None
    owner = self._b
    if owner is not None and owner._a is b:
        return owner
    return wrap(b)


ndarray.base = property(_base, doc=nd.base.__doc__)  # type: ignore[attr-defined]


def _set_writeable(a: np.ndarray, value: Any) -> None:
    """Let `a` be written, or not: what was recorded until then writes it still."""
    if window.pending and window.touched(a):
        window.flush()
    if value and type(a.base) is shelf.Lease:
        shelf.allow_writes(a)
    else:
        a.flags.writeable = value


class flagsobj:
    """NumPy's flags; memory on the engine's shelf counts as the array's own."""

    __slots__ = ("_array", "_flags")

    def __init__(self, a: np.ndarray) -> None:
        object.__setattr__(self, "_array", a)
        object.__setattr__(self, "_flags", a.flags)

    def __getattr__(self, name: str) -> Any:
        if name == "owndata":
            return self._flags.owndata or isinstance(self._array.base, residence.OURS)
        return getattr(self._flags, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "writeable":
            _set_writeable(self._array, value)
        else:
            setattr(self._flags, name, value)

    def __getitem__(self, key: str) -> bool:
        if key in ("O", "OWNDATA"):
            return self.owndata
        return self._flags[key]

    def __setitem__(self, key: str, value: bool) -> None:
        if key in ("W", "WRITEABLE"):
            _set_writeable(self._array, value)
        else:
            self._flags[key] = value

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other)

    def __hash__(self) -> int:
        raise TypeError("unhashable type: 'flagsobj'")

    def __repr__(self) -> str:
        text = repr(self._flags)
        return text.replace("OWNDATA : False", f"OWNDATA : {self.owndata}")

    __str__ = __repr__


def _flags(self):
    a = memory(self)
    plain = a.size < settings.record_min and not isinstance(a.base, residence.OURS) and not window.touched(a)
    return a.flags if plain else flagsobj(a)


ndarray.flags = property(_flags, doc=nd.flags.__doc__)  # type: ignore[attr-defined]


# -- views: no recorded work needs to run ----------------------------------------------------------------------------


def _view_method(name: str) -> None:
    numpys = getattr(nd, name)

    def call(self, *args, **kwargs):
        a = memory(self) if type(self) is ndarray else self
        if not _always_view(name) and not (a.flags.c_contiguous and _only_shape(args, kwargs)):
            if (
                type(self) is ndarray
                and lowered.concerns(self)
                and _only_shape(args, kwargs)
                and not _viewable(a, args)
            ):
                return call(self.copy("C"), *args)  # type: ignore[attr-defined]
            if window.pending or residence.on_device(a):
                a = host(self)
        return wrap_from(numpys(a, *[strip(v) for v in args], **strip_keywords(kwargs)), (self, *args), kwargs)

    call.__name__ = name
    quick[method(call)] = Quick(numpys, "ALWAYS")


def _viewable(a: np.ndarray, args: tuple) -> bool:
    """Whether `a` has a view of the shape that `args` says; `ravel` has none of what is not contiguous."""
    try:
        view = np.lib.stride_tricks.as_strided(np.empty(0, a.dtype), a.shape, a.strides, writeable=False)
        view.reshape(*[strip(v) for v in args] or [-1], copy=False)
    except (ValueError, TypeError):
        return False
    return True


def _always_view(name: str) -> bool:
    """Whether the method gives a view whatever the layout and its arguments are."""
    return name not in ("reshape", "ravel")


def _only_shape(args: tuple, kwargs: dict[str, Any]) -> bool:
    """Whether `reshape` or `ravel` was given no order and no wish to copy."""
    return not kwargs and not any(isinstance(v, str) for v in args)


for _name in ("reshape", "ravel", "transpose", "swapaxes", "squeeze", "diagonal"):
    _view_method(_name)


# -- recorded, or with a kernel of our own ---------------------------------------------------------------------------


def _reduction(name: str) -> None:
    numpys = getattr(nd, name)

    def call(self, *args, **kwargs):
        if lowered.worth_recording(self):
            r = record.method_reduction(name, self, args, kwargs)
            if r is not NotImplemented:
                return r
        return wrap_from(numpys(host(self), *[strip(v) for v in args], **strip_keywords(kwargs)), (self, *args), kwargs)

    call.__name__ = name
    quick[method(call)] = Quick(numpys, "BELOW_MOMENT" if name in ("mean", "std", "var") else "BELOW_REDUCED")


for _name in ("sum", "prod", "min", "max", "mean", "any", "all", "std", "var"):
    _reduction(_name)


@method
def astype(self, dtype, order="K", casting="unsafe", subok=True, copy=True):
    if order == "K" and copy is True and lowered.worth_recording(self):
        known = lowered.again and lowered.again(nd.astype, (self, dtype, casting), {})
        if known is not None:
            return known
        r = record.cast(self, dtype, casting)
        if r is not NotImplemented:
            lowered.remember(nd.astype, (self, dtype, casting), {}, r)
            return r
    r = nd.astype(host(self), strip(dtype), order, casting, subok, copy)
    return self if type(self) is ndarray and r is self._a else wrap_from(r, (self,))


@method
def copy(self, order="C"):
    if lowered.worth_recording(self):
        r = record.copy(self, order)
        if r is not NotImplemented:
            return r
    return wrap(nd.copy(host(self), order))


@method
def fill(self, value):
    if lowered.worth_recording(self) and record.fill(self, value):
        return
    nd.fill(host(self), strip(value))


@method
def sort(self, axis=-1, kind=None, order=None, *, stable=None):
    a = host(self)
    if order is None and type(a) is nd and kernels.sort_into(a, axis, kind, stable=stable) is not NotImplemented:
        return
    nd.sort(a, axis, kind, order, stable=stable)


quick[astype] = Quick(nd.astype, "BELOW_RECORD")
quick[copy] = Quick(nd.copy, "BELOW_RECORD")
quick[fill] = Quick(nd.fill, "ALWAYS")  # with nothing waiting, NumPy fills at the speed of memory
quick[sort] = Quick(nd.sort, "BELOW_KERNEL")


@method
def resize(self, *args, refcheck=True, **kwargs):
    a = host(self)
    if type(self) is not ndarray:
        nd.resize(a, *args, refcheck=refcheck)
        return
    if kwargs:
        raise TypeError(f"resize() got an unexpected keyword argument {next(iter(kwargs))!r}")
    if not isinstance(refcheck, (int, np.bool_)):
        raise TypeError(f"an integer is required, not {type(refcheck).__name__}")
    target = np.empty(0, np.uint8)
    target.resize(*args, refcheck=False)  # raises for what is no shape
    if target.size == a.size and a.flags.c_contiguous and a.flags.writeable:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            a.shape = target.shape
        return
    # The inner array has references that are ours, not the user's, and shelved memory cannot grow in place:
    # resize a copy that owns its memory, then take it.
    if refcheck and a.size and window.shared(self):
        raise ValueError(
            "cannot resize an array that references or is referenced\nby another array in this way.\n"
            "Use the np.resize function or refcheck=False"
        )
    if a.base is not None and not isinstance(a.base, residence.OURS):
        raise ValueError("cannot resize this array: it does not own its data")
    if not (a.flags.c_contiguous or a.flags.f_contiguous):
        raise ValueError("resize only works on single-segment arrays")
    own = np.array(a, order="K", copy=True)
    own.resize(*args, refcheck=False)
    if window.is_exposed(owner_of(a)):
        key = id(self)
        kept = _resized.setdefault(key, (weak.entry(self, _resized, key), []))
        kept[1].append(a)
    self._a = own


# Memory that was exposed before its array was resized lives as long as the array: a buffer may show it.
_resized: dict[int, tuple[weakref.ref, list]] = {}


def _private_setter(name: str) -> None:
    """NumPy 2.5's method for what was assigning to an attribute."""
    numpys = getattr(nd, name, None)
    if numpys is None:
        return

    def call(self, value):
        return numpys(host(self), strip(value))

    call.__name__ = name
    method(call)


_private_setter("_set_dtype")
_private_setter("_set_shape")


@method
def to_device(self, device, /, *, stream=None):
    nd.to_device(host(self), device, stream=stream)
    return self


@method
def setflags(self, write=None, align=None, uic=None):
    a = host(self)
    if write and type(a.base) is shelf.Lease:
        shelf.allow_writes(a)
        write = None
    nd.setflags(a, write, align, uic)  # type: ignore[call-arg]


def _worth(a: np.ndarray, args: list) -> bool:
    """Whether a parallel kernel is worth asking."""
    least = settings.kernel_min
    return a.size >= least or any(type(v) is nd and v.size >= least for v in args)


def _kernel_method(name: str, kernel: Callable) -> None:
    """A method with a parallel kernel, which answers NotImplemented where NumPy's own is as good."""
    numpys = getattr(nd, name)

    waits = name in ("argmax", "argmin")

    def call(self, *args, **kwargs):
        if waits:
            r = record.extreme(name, self, args, kwargs)
            if r is not NotImplemented:
                return r
        a = host(self)
        given = [strip(v) for v in args]
        named = strip_keywords(kwargs)
        r = kernel(a, *given, **named) if type(a) is nd and _worth(a, given) else NotImplemented
        if r is NotImplemented:
            try:
                r = numpys(a, *given, **named)
            except ValueError as error:
                r = again(error, numpys, (self, *args), kwargs)
        return wrap_from(r, (self, *args), kwargs)

    call.__name__ = name
    quick[method(call)] = Quick(
        numpys, kernel_rule(name), least=kernels.LEAST.get(name, 0), lanes=kernels.LANES.get(name)
    )


# Methods that only read the array, and whose results never show its memory: an accelerator keeps its copy.
_READING = frozenset(
    """argmax argmin argpartition argsort choose clip compress cumprod cumsum dot dump dumps flatten item nonzero repeat
    round searchsorted take tobytes tofile tolist trace __contains__ __bool__ __int__ __float__ __complex__ __index__
    __format__ __str__ __repr__""".split()
)


def _plain_method(name: str) -> None:
    numpys = writing.of(getattr(nd, name))
    writes = name not in _READING

    def call(self, *args, **kwargs):
        try:
            r = numpys(host(self, writes=writes), *[strip(v) for v in args], **strip_keywords(kwargs))
        except ValueError as error:
            r = again(error, numpys, (self, *args), kwargs)
        return wrap_from(r, (self, *args), kwargs)

    call.__name__ = name
    method(call)
    if not name.startswith("__"):
        quick[call] = Quick(numpys, "ALWAYS")


for _name in (
    "argmax", "argmin", "argpartition", "byteswap", "choose", "clip", "conj", "conjugate", "dot", "dump", "dumps",
    "flatten", "getfield", "item", "partition", "put", "repeat", "round", "setfield", "tobytes", "tofile", "tolist",
    "trace", "view", "argsort", "compress", "cumprod", "cumsum", "nonzero", "searchsorted", "take",
    "__array_wrap__", "__setstate__", "__contains__", "__bool__", "__int__", "__float__", "__complex__",
    "__index__", "__format__", "__delitem__", "__str__", "__repr__",
):  # fmt: skip
    _kernel = vars(kernels).get(_name)
    if _kernel is not None:
        _kernel_method(_name, _kernel)
    else:
        _plain_method(_name)


_HEAD = nd.__sizeof__(np.empty((), np.bool_)) - 1


@method
def __sizeof__(self):
    """As NumPy counts: with the memory that is the array's own. No value has to be known for that."""
    if type(self) is not ndarray:
        return nd.__sizeof__(self)
    a = self._a
    own = type(a) is Node or a.base is None or isinstance(a.base, residence.OURS)
    return _HEAD + 16 * a.ndim + (a.size * a.dtype.itemsize if own else 0)


@method
def __len__(self):
    shape = self._a.shape if type(self) is ndarray else nd.shape.__get__(self)
    if not shape:
        raise TypeError("len() of unsized object")
    return shape[0]


# So many elements of what is on the device are read one by one, rather than all of its memory at once.
_FEW = 64


@method
def __iter__(self):
    if self.ndim == 0:
        raise TypeError("iteration over a 0-d array")
    if not residence.accelerated or (self.ndim == 1 and self.size > _FEW):
        host(self, writes=False)  # its elements will be read one by one
    return (self[i] for i in range(len(self)))


@method
def __copy__(self):
    return array_of(host(self, writes=False).__copy__())


@method
def __deepcopy__(self, memo):
    return array_of(host(self, writes=False).__deepcopy__(memo))


@method
def __reduce_ex__(self, protocol):
    """The inner array, pickled by NumPy (out of band with protocol 5)."""
    return array_of, (host(self),)


@method
def __reduce__(self):
    return array_of, (host(self),)


@method
def __dir__(self):
    return dir(nd)
