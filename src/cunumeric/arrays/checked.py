"""Functions whose arguments NumPy checks: the check is a call of its own and waits; where it fails NumPy does the call,
and raises in its own words (or gives its own result)."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ..ops.lowering import comparisons, linalg, movement, polynomials, products, statistics
from ..runtime.settings import settings
from . import picked
from .base import Deferred, array_of, host
from .lowered import WAYS, Elsewhere, concerns, ndarray, one, recorded, way
from .sized import _device, axis_of, read, taken

nd = np.ndarray


def demand(condition: Any) -> None:
    """Go elsewhere unless the one element of `condition` is true: this waits."""
    if not read(condition)[0]:
        raise Elsewhere


def demand_finite(*arrays: Any) -> None:
    """Go elsewhere if there is a NaN or an infinity in an array of floats."""
    floats = [a for a in arrays if type(a) is ndarray and a.dtype.kind in "fc" and a.size]
    if floats:
        demand(one(comparisons.sound, floats))


def _finite_result(*functions: Any) -> None:
    """NumPy has the last word on calls of these whose result is not finite."""
    for function in functions:

        def call(*args, _f=function, **kwargs):
            if "out" in kwargs:
                raise Elsewhere
            r = recorded(_f, args, kwargs)
            if r is NotImplemented:
                return r
            results = r if type(r) is tuple else (r,)
            demand_finite(*[v._x if type(v) is Deferred else v for v in results])
            return r

        way(function)(call)


_L = np.linalg
_finite_result(
    _L.solve, _L.inv, _L.cholesky, _L.tensorsolve, _L.tensorinv, _L.matrix_power, _L.svd, _L.svdvals, _L.eigh,
    _L.eigvalsh, _L.pinv, _L.cond, np.average,
)  # fmt: skip


def _finite_argument(*functions: Any) -> None:
    """NumPy has the last word on calls of these whose first argument is not finite."""
    for function in functions:

        def call(a, *args, _f=function, **kwargs):
            _device(a)
            demand_finite(a)
            return recorded(_f, (a, *args), kwargs)

        way(function)(call)


_finite_argument(_L.matrix_rank)


@way(_L.norm, direct=lambda x, ord=None, axis=None, keepdims=False: ord in (None, "fro", 1, np.inf))
def norm(x, ord=None, axis=None, keepdims=False):
    r = recorded(_L.norm, (x, ord, axis, keepdims), {})
    if r is not NotImplemented and (ord in ("nuc",) or (type(ord) is int and abs(ord) == 2)):
        demand_finite(taken(r))  # the decomposition may not converge
    return r


def _named_results(*functions: Any) -> None:
    """NumPy gives a named tuple."""
    for function in functions:
        kind = type(function(np.eye(2)))
        inner = WAYS.get(function)

        def call(*args, _f=function, _inner=inner, _kind=kind, **kwargs):
            r = recorded(_f, args, kwargs) if _inner is None else _inner(*args, **kwargs)
            return _kind(*r) if type(r) is tuple else r

        way(function)(call)


_named_results(_L.slogdet, _L.svd, _L.eigh, _L.qr)
_EIG = type(_L.eig(np.eye(2)))
# NumPy narrows eigenvalues that all are real, before 2.5.
_NARROWS = _L.eigvals(np.eye(2)).dtype.kind == "f"


def _eig(a: Any) -> tuple[Any, Any]:
    _device(a)
    demand_finite(a)
    values, vectors = one(linalg.complex_eig, a)
    demand_finite(values)
    if _NARROWS and a.dtype.kind != "c" and not read(one(np.any, values.imag.reshape(1, -1), axis=1))[0]:
        values, vectors = values.real.copy(), vectors.real.copy()
    return values, vectors


@way(_L.eig)
def eig(a):
    return _EIG(*_eig(a))


@way(_L.eigvals)
def eigvals(a):
    return _eig(a)[0]


@way(_L.lstsq)
def lstsq(a, b, rcond=None):
    a, b = taken(a), taken(b)
    _device(a, b)
    m, n = a.shape
    epsilon = np.finfo(np.float64).eps  # NumPy computes in double precision
    limit = epsilon * max(m, n) if rcond is None else float(rcond)
    # LAPACK takes half of it for what is no share of the largest singular value.
    x, residuals, rank, s = one(linalg.least_squares, a, b, limit if 0 < limit < 1 else epsilon / 2)
    demand_finite(x, s)
    rank = np.int32(int(rank))
    if rank < n or m <= n:
        residuals = ndarray((0,), residuals.dtype)
    elif type(residuals) is Deferred:
        residuals = residuals._x.reshape(1)
    return x, residuals, rank, s


@way(np.polyfit)
def polyfit(x, y, deg, rcond=None, full=False, w=None, cov=False):
    x, y = taken(x), taken(y)
    _device(x, y)
    if full or w is not None or cov:
        raise Elsewhere
    deg = operator.index(deg)
    kind = x.dtype if x.dtype.kind in "fc" else np.dtype(np.float64)
    c, rank = one(polynomials.fitted, x, y, deg, x.size * np.finfo(kind).eps if rcond is None else float(rcond))
    demand_finite(c)
    if int(rank) != deg + 1:
        raise Elsewhere  # NumPy warns of it
    return c


@way(np.polymul)
def polymul(a1, a2):
    a1, a2 = taken(a1), taken(a2)
    _device(a1, a2)
    if a1.ndim != 1 or a2.ndim != 1 or not a1.size or not a2.size or not a1[0] or not a2[0]:
        raise Elsewhere  # NumPy leaves out zeros in front
    return recorded(np.polymul, (a1, a2), {})


# -- indices -----------------------------------------------------------------------------------------------------------


def demand_within(indices: Any, n: int, lowest: int) -> None:
    """Go elsewhere if an index is below `lowest` or not below `n`: host arrays are looked at, device arrays wait."""
    if concerns(indices):
        low, high = read(one(comparisons.farthest, indices)).tolist()
    else:
        a = host(indices) if type(indices) is ndarray else np.asarray(indices)
        low, high = (int(a.min()), int(a.max())) if a.size else (0, -1)
    if low < lowest or high >= n:
        raise Elsewhere


def whole(indices: Any) -> Any:
    """Indices as an array of integers; goes elsewhere with anything else."""
    if type(indices) not in (ndarray, nd):
        try:
            indices = np.asarray(indices)
        except ValueError:  # arrays and slices: a key
            raise Elsewhere from None
    if indices.dtype.kind not in "iu" or indices.dtype == np.uint64:
        raise Elsewhere
    return indices


def promise_within(indices: Any, n: int) -> None:
    """`demand_within`, for results that can be made whatever the indices are: those on the device are looked at when a
    value is next read."""
    if concerns(indices) and indices.ndim:
        try:
            picked.watch([indices], [n])
        except picked._Plain:
            raise Elsewhere from None
    else:
        demand_within(indices, n, -n)


@way(np.take)
def take(a, indices, axis=None, out=None, mode="raise"):
    a, indices = taken(a), whole(indices)
    _device(a, indices)
    n = a.size if axis is None else a.shape[axis_of(a, axis)]
    if mode == "raise" and axis in (None, 0):  # what is looked at later says axis 0
        promise_within(indices, n)
    elif mode == "raise":
        demand_within(indices, n, -n)
    return recorded(np.take, (a, indices, axis, out, mode), {})


@way(np.take_along_axis)
def take_along_axis(arr, indices, axis=-1):
    arr, indices = taken(arr), whole(indices)
    _device(arr, indices)
    n = arr.size if axis is None else arr.shape[axis_of(arr, axis)]
    demand_within(indices, n, -n)
    return recorded(np.take_along_axis, (arr, indices, axis), {})


@way(np.choose)
def choose(a, choices, out=None, mode="raise"):
    if type(choices) is ndarray:
        choices = list(choices)
    a = taken(a)
    _device(a, *choices)
    if a.dtype.kind not in "biu" or a.dtype == np.uint64:
        raise Elsewhere
    if mode == "raise":
        demand_within(a, len(choices), 0)
    return recorded(np.choose, (a, _strong(choices), out, mode), {})


def _strong(values: Any) -> list[Any]:
    """Values of which Python's numbers have taken the dtype that NumPy gives them beside the others."""
    weak = [isinstance(v, (bool, int, float, complex)) and not isinstance(v, np.generic) for v in values]
    if not any(weak):
        return list(values)
    kind = np.result_type(*[v if w else taken(v).dtype for v, w in zip(values, weak, strict=True)])
    try:
        return [np.asarray(v, kind) if w else v for v, w in zip(values, weak, strict=True)]
    except OverflowError:
        raise Elsewhere from None


@way(np.select)
def select(condlist, choicelist, default=0):
    if not isinstance(choicelist, (list, tuple)) or not isinstance(condlist, (list, tuple)):
        raise Elsewhere
    *choices, default = _strong([*choicelist, default])
    r = recorded(np.select, (list(condlist), choices, default), {})
    return r._x if type(r) is Deferred else r


@way(np.searchsorted, direct=lambda a, v, side="left", sorter=None: sorter is None)
def searchsorted(a, v, side="left", sorter=None):
    a = taken(a)
    if sorter is not None:
        sorter = whole(sorter)
        demand_within(sorter, a.size, 0)
    return recorded(np.searchsorted, (a, v, side, sorter), {})


@way(np.digitize)
def digitize(x, bins, right=False):
    bins = taken(bins)
    _device(x, bins)
    if bins.ndim != 1 or bins.dtype.kind not in "biuf":
        raise Elsewhere
    if bins.size > 1:
        demand(one(comparisons.monotonic, bins, True) if concerns(bins) else comparisons.monotonic(host(bins), True))
    return recorded(np.digitize, (x, bins, right), {})


def _edges(a: Any, bins: Any, span: Any) -> np.ndarray:
    """The edges of bins, by NumPy, of the least and the greatest number alone: this waits for them."""
    if type(bins) is str or a.dtype.kind == "c":
        raise Elsewhere
    if np.ndim(bins) == 0 and span is None and a.size:
        ends = [one(f, a.reshape(1, -1), 1) for f in (np.min, np.max)]
        sample = np.concatenate([read(v) for v in ends])
    else:
        sample = np.zeros(0, a.dtype)
    return np.histogram_bin_edges(sample, read(bins) if type(bins) is ndarray else bins, span)


@way(np.histogram_bin_edges)
def histogram_bin_edges(a, bins=10, range=None, weights=None):
    _device(a)
    return array_of(_edges(a, bins, range))


@way(np.histogram)
def histogram(a, bins=10, range=None, density=None, weights=None):
    a = taken(a)
    _device(a, weights)
    edges = _edges(a, bins, range)
    r = recorded(np.histogram, (a, edges), {"density": bool(density), "weights": weights})
    return r if r is NotImplemented else (r[0], array_of(edges))


@way(np.histogram2d)
def histogram2d(x, y, bins=10, range=None, density=None, weights=None):
    x, y = taken(x), taken(y)
    _device(x, y)
    if x.ndim != 1 or x.shape != y.shape or (type(bins) in (ndarray, nd, list, tuple) and len(bins) != 2):
        raise Elsewhere
    each = bins if type(bins) in (ndarray, nd, list, tuple) else (bins, bins)
    spans = (None, None) if range is None else range
    kind = np.result_type(x.dtype, y.dtype)
    x, y = [v if v.dtype == kind else v.astype(kind) for v in (x, y)]
    edges = []
    for v, n, span in zip((x, y), each, spans, strict=True):
        # Where the range is given NumPy's edges do not depend on the dtype of the numbers.
        edges.append(_edges(v if span is None else array_of(np.zeros(1)), n, span))
    return one(statistics.table, x, y, edges, bool(density), weights), *map(array_of, edges)


def _no_empty_slice(function: Any) -> None:
    """`nanargmin` and `nanargmax` raise where there is nothing but NaN."""

    def call(a, axis=None, out=None, *, keepdims=np._NoValue):
        a = taken(a)
        _device(a)
        if a.dtype.kind in "fc":
            demand(one(comparisons.something_left, a, axis))
        return recorded(function, (a, axis, out), {"keepdims": keepdims})

    way(function)(call)


_no_empty_slice(np.nanargmin)
_no_empty_slice(np.nanargmax)


# -- arguments in other forms ------------------------------------------------------------------------------------------


def _truth(function: Any) -> None:
    """Functions that answer with a bool of Python's."""

    def call(*args, **kwargs):
        r = recorded(function, args, kwargs)
        return r if r is NotImplemented else bool(r)

    way(function)(call)


for _function in (np.array_equal, np.array_equiv):
    _truth(_function)


@way(np.isclose, direct=lambda *args, **kwargs: True)
def isclose(a, b, *args, **kwargs):
    return recorded(np.isclose, (*_strong([a, b]), *args), kwargs)


@way(np.allclose)
def allclose(a, b, *args, **kwargs):
    r = recorded(np.allclose, (*_strong([a, b]), *args), kwargs)
    return r if r is NotImplemented else bool(r)


def _stays_array(*functions: Any) -> None:
    """Functions whose results without dimensions are arrays, not scalars."""
    for function in functions:

        def call(*args, _f=function, **kwargs):
            r = recorded(_f, args, kwargs)
            return r._x if type(r) is Deferred else r

        way(function, direct=lambda *args, **kwargs: True)(call)


_stays_array(np.tensordot, np.linalg.tensordot, np.cov, np.isin, np.i0, np.roll)


def _places(obj: Any, n: int, most: int) -> Any:
    """What a slice stands for; integers as they are, unless they are out of bounds."""
    if isinstance(obj, slice):
        return list(range(*obj.indices(n)))
    if isinstance(obj, int) and not -n <= obj <= most:
        raise Elsewhere
    return obj if isinstance(obj, int) or (type(obj) is list and obj) else whole(obj)


@way(np.delete)
def delete(arr, obj, axis=None):
    arr = taken(arr)
    n = arr.size if axis is None else arr.shape[axis_of(arr, axis)]
    return recorded(np.delete, (arr, _places(obj, n, n - 1), axis), {})


@way(np.insert)
def insert(arr, obj, values, axis=None):
    arr = taken(arr)
    n = arr.size if axis is None else arr.shape[axis_of(arr, axis)]
    return recorded(np.insert, (arr, _places(obj, n, n), values, axis), {})


@way(np.lexsort)
def lexsort(keys, axis=-1):
    return recorded(np.lexsort, (list(keys) if type(keys) is ndarray else keys, axis), {})


@way(np.gradient)
def gradient(f, *varargs, axis=None, edge_order=1):
    f = taken(f)
    _device(f)
    axes = tuple(range(f.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple([axis_of(f, k) for k in axes])
    spacings = list(varargs) or [1.0]
    if len(spacings) == 1 and not getattr(spacings[0], "ndim", 0) and not isinstance(spacings[0], (list, tuple)):
        spacings *= len(axes)
    if len(spacings) != len(axes):
        raise Elsewhere
    return one(statistics.slopes, f, spacings, axes, edge_order)


@way(np.diag)
def diag(v, k=0):
    v = taken(v)
    _device(v)
    if v.ndim == 1:
        return one(movement.diagonal_of, v, operator.index(k))
    if v.ndim != 2:
        raise Elsewhere
    return v.diagonal(k)


@way(np.einsum, direct=lambda *args, **kwargs: kwargs.get("out") is None)
def einsum(*operands, out=None, optimize=False, **kwargs):
    if kwargs or not operands or type(operands[0]) is not str or not any(map(concerns, operands)):
        raise Elsewhere
    subscripts = operands[0].replace(" ", "")
    arrays = [taken(a) for a in operands[1:]]
    if len(arrays) == 1:
        source, arrow, to = subscripts.partition("->")
        if (arrow and set(source) == set(to)) or (not arrow and len(set(source)) == len(source)):
            raise Elsewhere  # a view
    if isinstance(optimize, (list, tuple)):
        optimize = True
    r = one(products.contracted, subscripts, arrays, optimize)
    if out is None:
        return r
    out[...] = r
    return out


@way(np.meshgrid)
def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    if not copy or indexing not in ("xy", "ij"):
        raise Elsewhere
    if not any(map(concerns, xi)) and (sparse or math.prod(map(np.size, xi)) < settings.record_min):
        raise Elsewhere
    arrays = [taken(x).reshape(-1) for x in xi]
    n = len(arrays)
    places = list(range(n))
    if indexing == "xy" and n > 1:
        places[:2] = 1, 0
    shape = [0] * n
    for k, x in zip(places, arrays, strict=True):
        shape[k] = x.size
    found = []
    for k, x in zip(places, arrays, strict=True):
        thin = x.reshape([-1 if j == k else 1 for j in range(n)])
        found.append(one(movement.broadcast, thin, thin.shape if sparse else tuple(shape)))
    return tuple(found)


@way(np.block)
def block(arrays):
    depth = _depth(arrays)
    if not depth:
        raise Elsewhere
    most = max(depth, _dimensions(arrays))
    return _block(arrays, depth, most)


def _depth(arrays: Any) -> int:
    """How deep the lists are nested, all equally; tuples and empty lists are errors of NumPy's."""
    if not isinstance(arrays, list):
        if isinstance(arrays, tuple):
            raise Elsewhere
        return 0
    depths = {_depth(v) for v in arrays}
    if len(depths) != 1:
        raise Elsewhere
    return 1 + depths.pop()


def _dimensions(arrays: Any) -> int:
    return (
        max(map(_dimensions, arrays))
        if isinstance(arrays, list)
        else np.ndim(arrays._a if type(arrays) is ndarray else arrays)
    )


def _block(arrays: Any, depth: int, most: int) -> Any:
    if not depth:
        x = taken(arrays)
        return x.reshape((1,) * (most - x.ndim) + x.shape)
    if not isinstance(arrays, list):
        raise Elsewhere
    return one(np.concatenate, [_block(a, depth - 1, most) for a in arrays], -depth)
