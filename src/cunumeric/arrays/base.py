"""The array class's frame, and the three ways across its border: `host`, `strip`, `wrap`.

An array holds either host memory (a real `numpy.ndarray`, so that views, strides, flags and overlap are NumPy's own)
or a node: an operation recorded and not yet run. Every other file of this package goes through the functions here:

- `host(x)`: NumPy's array for one of ours, with everything recorded on that memory done;
- `strip(value)`: an argument as NumPy may have it (our arrays inside lists and tuples too);
- `wrap(result)`: a result as our user may have it.
"""

from __future__ import annotations

import functools
import math
import types
import weakref
from itertools import zip_longest
from operator import is_
from typing import Any

import numpy as np

from ..engines import host as _host  # noqa: F401  (sets the engine)
from ..engines import xla as _xla  # noqa: F401  (takes its place where the settings say so)
from ..graph import record, window
from ..graph.node import Node
from ..runtime import residence, weak
from ..runtime.settings import settings
from . import writing

nd = np.ndarray
new = object.__new__


class ArrayType(type):
    """Metaclass: NumPy's own arrays and their subclasses (matrix, memmap, MaskedArray …) are instances of `ndarray`
    too, and a class that derives from `ndarray` derives from NumPy's: subclasses live on the host, with NumPy's rules
    for views, `__array_finalize__` and the rest."""

    def __new__(mcs, name, bases, namespace, **keywords):
        if not bases:
            return super().__new__(mcs, name, bases, namespace)
        host = Overriding if "__array_ufunc__" in namespace else Hosted
        real = tuple(host if type(base) is ArrayType else base for base in bases)
        return types.new_class(name, real, keywords, lambda body: body.update(namespace))

    def __instancecheck__(cls, x: Any) -> bool:
        return type(x) is cls or isinstance(x, nd)

    def __subclasscheck__(cls, c: type) -> bool:
        return c is cls or issubclass(c, nd)


class ndarray(metaclass=ArrayType):  # the frame; methods are attached by the other files of this folder
    __slots__ = ("__weakref__", "_a", "_b")
    __module__ = "cunumeric"

    _a: Any  # numpy.ndarray, or Node while recorded
    _b: ndarray | None  # for a view: the array whose memory it shows

    def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
        given, named = [strip(a) for a in args], strip_keywords(kwargs)
        if cls is not ndarray:
            return nd.__new__(cls, *given, **named)
        return wrap_from(nd.__new__(nd, *given, **named), args, kwargs)


record.ndarray = ndarray


class Deferred:
    """A scalar that an accelerator computes: see `deferred`. `_x` is the recorded array without dimensions."""

    __slots__ = ("__weakref__", "_x")

    _x: Any

    def __init__(self, x: Any) -> None:
        self._x = x

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # type: ignore[override]
        return self._x._a.dtype.type

    @property
    def dtype(self) -> np.dtype:
        return self._x._a.dtype

    @property
    def _a(self) -> Any:
        return self._x._a

    def value(self) -> Any:
        """NumPy's scalar; waits for it."""
        return host(self._x, writes=False)[()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.value(), name)


record.Deferred = Deferred


class Hosted(nd):
    """What a subclass of `ndarray` derives from: NumPy's class, whose C methods do not know our arrays as such."""

    __module__ = "cunumeric"

    def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
        return nd.__new__(cls, *[strip(a) for a in args], **strip_keywords(kwargs))

    def view(self, *args, **kwargs):
        return wrap(nd.view(self, *[strip(a) for a in args], **strip_keywords(kwargs)))

    def __array_wrap__(self, *args):
        return nd.__array_wrap__(self, *[strip(a) for a in args])

    def nonzero(self):
        return wrap(nd.nonzero(self))

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        if cls.__module__ == "cunumeric":
            return
        for special in ("__array_ufunc__", "__array_wrap__") if issubclass(cls, Overriding) else ("__array_wrap__",):
            if isinstance(vars(cls).get(special), types.FunctionType):
                setattr(cls, special, _given_ours(vars(cls)[special]))

    view.__doc__ = nd.view.__doc__
    nonzero.__doc__ = nd.nonzero.__doc__
    __array_wrap__.__doc__ = nd.__array_wrap__.__doc__


for _name, _method in writing.methods(nd).items():
    setattr(Hosted, _name, _method)


class TwinType(type):
    """Metaclass of our twins of NumPy's own subclasses: what NumPy makes counts as an instance too."""

    def __instancecheck__(cls, x: Any) -> bool:
        return type.__instancecheck__(vars(cls).get("_numpys", cls), x)

    def __subclasscheck__(cls, c: type) -> bool:
        return type.__subclasscheck__(vars(cls).get("_numpys", cls), c)


# NumPy's subclass (matrix, MaskedArray, ...) -> ours, which differs in that it knows our class of arrays.
_twin_classes: dict[type, type] = {}


def twin_class(base: type, module: str) -> type:
    """Our twin of `base`, one of NumPy's own subclasses of its array class."""

    def view(self, *args, **kwargs):
        r = base.view(self, *[strip(a) for a in args], **strip_keywords(kwargs))  # type: ignore[attr-defined]
        ours = any(type(a) is ArrayType for a in (*args, *kwargs.values()))
        return wrap(r) if ours else r

    view.__doc__ = base.view.__doc__  # type: ignore[attr-defined]
    body = {"view": view, "__doc__": base.__doc__, "__module__": module, "_numpys": base, **writing.methods(base)}
    if base is np.memmap:
        body |= {"__array_wrap__": _memmap_wrap, "__getitem__": _memmap_item}
    _twin_classes[base] = twin = TwinType(base.__name__, (base,), body)
    return twin


def _memmap_wrap(self, array, context=None, return_scalar=False):
    """A result that shows no part of the file is an array like any other."""
    if self is array or type(self) is not _twin_classes[np.memmap]:
        return nd.__array_wrap__(self, array, context)
    return array[()] if return_scalar else array.view(nd)


def _memmap_item(self, key):
    r = nd.__getitem__(self, strip(key))
    return wrap(r.view(nd)) if type(r) is _twin_classes[np.memmap] and r._mmap is None else r  # type: ignore[attr-defined]


class Overriding(Hosted):
    """The base of subclasses with an `__array_ufunc__`: theirs gets our arrays, and hands them up to this one."""

    __module__ = "cunumeric"

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        kernel = getattr(ufunc, "_kernel", ufunc)
        return wrap(nd.__array_ufunc__(self, kernel, method, *[strip(v) for v in inputs], **strip_keywords(kwargs)))


def _given_ours(special: Any) -> Any:
    """The `__array_ufunc__` or `__array_wrap__` of a subclass, whose writer expects arrays of ours among the
    arguments."""

    @functools.wraps(special)
    def call(self, *args, **kwargs):
        return special(self, *[wrap(a) for a in args], **{k: wrap(v) for k, v in kwargs.items()})

    return call


def grow(a: Any, b: Any) -> bool:
    """Whether small operands have a result that is not small: a column and a row do."""
    if type(a) is not nd or type(b) is not nd or a.size * b.size < settings.record_min or a.shape == b.shape:
        return False
    lengths = zip_longest(reversed(a.shape), reversed(b.shape), fillvalue=1)
    return math.prod([max(pair) for pair in lengths]) >= settings.record_min


def array_of(a: np.ndarray) -> ndarray:
    """Our array over NumPy's."""
    x = new(ndarray)
    x._a = _kept(a) if residence.accelerated else a
    x._b = None
    return x


def view_of(parent: ndarray, a: np.ndarray) -> ndarray:
    """Our array over a view of the memory of `parent`."""
    x = new(ndarray)
    x._a = a
    b = parent._b
    x._b = parent if b is None else b
    return x


def memory(x: ndarray) -> np.ndarray:
    """The NumPy array of `x`, made if it was only recorded; work recorded on its memory may still wait."""
    a = x._a
    if type(a) is Node:
        a = window.place(x)
    return a


def host(x: Any, *, writes: bool = True) -> np.ndarray:
    """The NumPy array of `x`, with everything recorded on its memory done. NumPy's own arrays pass through. `writes`:
    whoever gets it may write to it; where that is known not to be, an accelerator keeps its copy."""
    try:
        a = x._a
    except AttributeError:
        return x
    if type(a) is nd:
        if window.pending and window.touched(a):
            window.flush()
    elif type(a) is Node:
        window.flush()
        a = x._a
        if type(a) is Node:
            raise RuntimeError("the value of this array was lost: what was recorded to compute it has failed")
    else:
        return a
    if residence.accelerated:
        residence.fetch(a, writes=writes)
    return a


# A view of less than this share of its memory is brought home by itself.
_APART = 8


def peek(x: Any) -> np.ndarray:
    """`host(x)`, to be read at once and not kept: of a small part of what is on the device only that part moves."""
    if not residence.accelerated or type(x) is not ndarray:
        return host(x, writes=False)
    a = memory(x)
    if window.pending and window.touched(a):
        window.flush()
    remote = residence.remote_of(a)
    if remote is not None and not remote.home and a.size * _APART <= remote.value.size:
        if residence.look is not None:
            residence.look()
        return residence.show(a, remote)
    return host(x, writes=False)


# Beyond this, a list of plain numbers is not searched for arrays of ours: NumPy finds them by protocol.
_SEARCHED = 32
_NESTED = frozenset({list, tuple})
_OURS = frozenset({ndarray, Deferred})
# NumPy's limit of dimensions: what is nested deeper (a list that holds itself) is an error, in NumPy's words.
_DEEPEST = 64


def strip(v: Any, depth: int = 0) -> Any:
    """`v` as NumPy may have it: our arrays replaced by NumPy's, in lists, tuples and slices too. What holds none of
    ours comes back as the same object: NumPy may write into it."""
    t = type(v)
    if t is ndarray:
        return host(v)
    if t is Deferred:
        return v.value()
    if t in _NESTED:
        if not v or (len(v) > _SEARCHED and type(v[0]) is not ndarray and type(v[0]) not in _NESTED):
            return v
        for e in v:
            te = type(e)
            if te is ndarray or te in _NESTED or te is slice or te is ArrayType or te is Deferred:
                if depth > _DEEPEST:
                    return v
                inner = [strip(e, depth + 1) for e in v]
                return v if all(map(is_, inner, v)) else t(inner)
        return v
    if t is slice:
        if type(v.start) in _OURS or type(v.stop) in _OURS or type(v.step) in _OURS:
            return slice(strip(v.start), strip(v.stop), strip(v.step))
        return v
    if t is ArrayType:
        return nd
    return v


def strip_keywords(kwargs: dict[str, Any]) -> dict[str, Any]:
    for v in kwargs.values():
        if type(v) is ndarray or type(v) in _NESTED or type(v) is ArrayType or type(v) is Deferred:
            return {k: strip(v) for k, v in kwargs.items()}
    return kwargs


def wrap(r: Any) -> Any:
    """`r` as our user may have it: NumPy's exact arrays become ours, in tuples, lists and named results too."""
    t = type(r)
    if t is nd:
        x = new(ndarray)
        x._a = _kept(r) if residence.accelerated else r
        x._b = None
        return x
    if t is tuple:
        return tuple([wrap(e) for e in r])
    if t is list:
        return [wrap(e) for e in r] if r and type(r[0]) in (nd, tuple, list) else r
    if isinstance(r, tuple) and hasattr(t, "_fields"):
        return t(*[wrap(e) for e in r])
    if t in _twin_classes:
        object.__setattr__(r, "__class__", _twin_classes[t])
    return r


def _kept(a: np.ndarray) -> np.ndarray:
    """A result of NumPy's, as memory that the accelerator can hold where it is large enough."""
    return residence.adopt(a) if a.size >= settings.record_min and not window.was_handed_out(a) else a


_OBJECT = np.dtype(object)
# Results of these types hold no memory of an argument.
_DETACHED = frozenset(
    {type(None), type(NotImplemented), bool, int, float, complex, str, bytes, tuple, list, np.dtype}
) | {t for t in np.sctypeDict.values() if isinstance(t, type) and t is not np.void}


def _outs(kwargs: dict[str, Any]) -> tuple:
    out = kwargs.get("out")
    return out if type(out) is tuple else (out,)


def _shown_by(inner: np.ndarray, base: Any) -> bool:
    """Whether a view with this base shows the memory of `inner`."""
    return base is inner or (base is inner.base and type(base) is nd)


def _writes_out(kwargs: dict[str, Any] | None) -> bool:
    """Whether a call has an output that may be the user's own NumPy array."""
    return bool(kwargs and "out" in kwargs)


def wrap_from(r: Any, args: tuple, kwargs: dict[str, Any] | None = None) -> Any:
    """`wrap`, where `r` came of a call with `args`: an argument that NumPy handed back is the same object again, a
    view knows whose memory it shows, and memory that now lives in a foreign object too counts as exposed."""
    t = type(r)
    if t is nd:
        base = r.base
        parent = None
        for a in args if not kwargs else (*args, *kwargs.values()):
            ta = type(a)
            if ta is ndarray:
                inner = a._a
                if inner is r:
                    return a
                if parent is None and type(inner) is nd and base is not None and _shown_by(inner, base):
                    parent = a
            elif ta is nd:
                if r is a or (base is not None and (base is a or base is a.base)):
                    if residence.accelerated and r.size >= settings.record_min and not _writes_out(kwargs):
                        r = r.copy(order="K")  # an input: the device works on memory of its own
                        break
                    window.expose(r)
            elif ta is tuple and len(a) == 1 and (a[0] is r or (type(a[0]) is ndarray and a[0]._a is r)):
                return a[0]  # out=(x,)
        if kwargs and kwargs.get("out") is r:
            return r  # the user's own NumPy array
        if parent is not None:
            return view_of(parent, r)
        if r.dtype is _OBJECT:
            hand_out_elements(args)
        if _handed:
            x = taken_back(r)
            if x is not None:
                return x
        if residence.accelerated:
            base = None  # a reference less: only memory that nobody else holds is adopted
            r = _kept(r)
        x = new(ndarray)
        x._a = r
        x._b = None
        return x
    if t is tuple:
        outs = kwargs.get("out") if kwargs else None
        if type(outs) is tuple and len(outs) == len(r):
            return tuple([o if type(o) is ndarray and o._a is e else wrap(e) for e, o in zip(r, outs, strict=True)])
        return tuple([wrap_from(e, args, kwargs) for e in r])
    if t is ndarray:  # what an override returned
        for a in args if not kwargs else (*args, *_outs(kwargs)):
            if type(a) is ndarray and a._a is r._a:
                return a
        return r
    if t not in _DETACHED:
        for a in args if not kwargs else (*args, *kwargs.values()):
            if type(a) is ndarray:
                window.expose(a._a)
            elif a is r:
                return r
    return wrap(r)


# Our arrays by the identity of NumPy's, for memory that was handed out and may come back as a result.
_handed: dict[int, weakref.ref] = {}


def hand_out(x: ndarray, a: np.ndarray) -> None:
    """`a`, which is the inner array of `x`, goes out of our hands; should it come back, it is `x` again."""
    window.expose(a)
    key = id(a)
    _handed[key] = weak.entry(x, _handed, key)


def taken_back(a: np.ndarray) -> ndarray | None:
    """The array of ours that was handed out as `a`, if it is still there."""
    reference = _handed.get(id(a))
    x = None if reference is None else reference()
    return x if x is not None and x._a is a else None


def hand_out_elements(values: Any, depth: int = 0) -> None:
    """Arrays of ours in a list that became elements of an object array."""
    if depth > _DEEPEST:
        return
    for v in values:
        if type(v) is ndarray:
            hand_out(v, host(v))
        elif type(v) in _NESTED and (len(v) <= _SEARCHED or type(v[0]) is ndarray or type(v[0]) in _NESTED):
            hand_out_elements(v, depth + 1)
