"""Linear algebra: decompositions, systems of equations, norms.

XLA gives NaN or infinity where NumPy raises LinAlgError: the caller looks for them (`arrays.checked`) and lets NumPy
have the last word."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Refused, lowers, no
from .common import NV, axis_of, inexact
from .elementwise import cast
from .products import trace as of_two

_L = np.linalg


def _matrix(jx: Any, *operands: Any, square: bool = False) -> list[Any]:
    """Stacks of matrices in one dtype of LAPACK's."""
    kind = inexact(np.result_type(*[np.dtype(v.dtype) for v in operands]))
    if kind == np.float16:
        raise Refused
    for v in operands[:1]:
        if v.ndim < 2 or (square and v.shape[-1] != v.shape[-2]) or 0 in v.shape:
            raise Refused
    return [cast(jx, v, kind) for v in operands]


def _double(jx: Any, *operands: Any) -> list[Any]:
    """Operands in double precision: what is small enough to be left out is NumPy's to say, which computes in it."""
    return [cast(jx, v, np.complex128 if v.dtype.kind == "c" else np.float64) for v in operands]


def _plain(name: str, square: bool) -> Any:
    def lowering(jx, a):
        return getattr(jx.np.linalg, name)(*_matrix(jx, a, square=square))

    return lowering


lowers(_L.inv, "a")(_plain("inv", True))
lowers(_L.det, "a")(_plain("det", True))


@lowers(_L.slogdet, "a")
def slogdet(jx, a):
    return tuple(jx.np.linalg.slogdet(*_matrix(jx, a, square=True)))


@lowers(_L.solve, "a", "b")
def solve(jx, a, b):
    a, b = _matrix(jx, a, b, square=True)
    if b.ndim == 1:
        b = jx.np.broadcast_to(b, (*a.shape[:-2], b.shape[0]))[..., None]
        return jx.np.linalg.solve(a, b)[..., 0]
    if b.ndim < 2 or not b.shape[-1]:
        raise Refused
    return jx.np.linalg.solve(a, b)


@lowers(_L.tensorsolve, "a", "b")
def tensorsolve(jx, a, b, axes=None):
    no(axes)
    a, b = _matrix(jx, a, b)
    shape = a.shape[b.ndim :]
    return jx.np.linalg.solve(a.reshape(b.size, -1), b.reshape(-1)).reshape(shape)


@lowers(_L.tensorinv, "a")
def tensorinv(jx, a, ind=2):
    if ind <= 0:
        raise Refused
    (a,) = _matrix(jx, a)
    first, last = a.shape[:ind], a.shape[ind:]
    return jx.np.linalg.inv(a.reshape(int(np.prod(first)), -1)).reshape(*last, *first)


@lowers(_L.cholesky, "a")
def cholesky(jx, a, *, upper=False):
    (a,) = _matrix(jx, a, square=True)
    # NumPy reads one triangle alone.
    low = a if not upper else jx.np.swapaxes(a, -1, -2).conj()
    low = jx.np.tril(low)
    strict = jx.np.tril(low, -1)
    whole = low + jx.np.swapaxes(strict, -1, -2).conj()
    found = jx.lax.linalg.cholesky(whole, symmetrize_input=False)
    return jx.np.swapaxes(found, -1, -2).conj() if upper else found


@lowers(_L.qr, "a")
def qr(jx, a, mode="reduced"):
    (a,) = _matrix(jx, a)
    if mode not in ("reduced", "complete", "r"):
        raise Refused
    found = jx.np.linalg.qr(a, mode)
    return found if mode == "r" else tuple(found)


@lowers(_L.svd, "a")
def svd(jx, a, full_matrices=True, compute_uv=True, hermitian=False):
    (a,) = _matrix(jx, a)
    if hermitian:
        raise Refused
    found = jx.np.linalg.svd(a, full_matrices=bool(full_matrices), compute_uv=bool(compute_uv))
    return tuple(found) if compute_uv else found


@lowers(_L.svdvals, "x")
def svdvals(jx, x):
    return jx.np.linalg.svd(*_matrix(jx, x), compute_uv=False)


def _triangle(jx: Any, a: Any, UPLO: str) -> Any:
    """The hermitian matrix of which NumPy reads one triangle."""
    if UPLO.upper() not in ("L", "U"):
        raise Refused
    if UPLO.upper() == "L":
        half, strict = jx.np.tril(a), jx.np.tril(a, -1)
    else:
        half, strict = jx.np.triu(a), jx.np.triu(a, 1)
    whole = half + jx.np.swapaxes(strict, -1, -2).conj()
    if a.dtype.kind == "c":  # the imaginary part of the diagonal does not count
        eye = np.eye(a.shape[-1], dtype=bool)
        whole = jx.np.where(eye, whole.real.astype(a.dtype), whole)
    return whole


@lowers(_L.eigh, "a")
def eigh(jx, a, UPLO="L"):
    (a,) = _matrix(jx, a, square=True)
    return tuple(jx.np.linalg.eigh(_triangle(jx, a, UPLO), symmetrize_input=False))


@lowers(_L.eigvalsh, "a")
def eigvalsh(jx, a, UPLO="L"):
    (a,) = _matrix(jx, a, square=True)
    return jx.np.linalg.eigh(_triangle(jx, a, UPLO), symmetrize_input=False)[0]


def complex_eig(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`eig`, complex also where all eigenvalues are real."""
    values, vectors = np.linalg.eig(a)
    kind = np.result_type(values.dtype, np.complex64)
    return values.astype(kind), vectors.astype(kind)


@lowers(complex_eig, "a")
def _complex_eig(jx, a):
    if jx.jax.default_backend() != "cpu":
        raise Refused
    return tuple(jx.np.linalg.eig(*_matrix(jx, a, square=True)))


def least_squares(a: np.ndarray, b: np.ndarray, rcond: float) -> tuple[np.ndarray, ...]:
    """Solution, sums of squared residuals, rank and singular values."""
    x, residuals, rank, s = np.linalg.lstsq(a, b, rcond)
    if not residuals.size:
        residuals = np.zeros(b.shape[1:], s.dtype)
    return x, residuals, np.asarray(rank, np.int32), s


@lowers(least_squares, "a", "b")
def _least_squares(jx, a, b, rcond):
    a, b = _double(jx, *_matrix(jx, a, b))
    if a.ndim != 2 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise Refused
    u, s, vh = jx.np.linalg.svd(a, full_matrices=False)
    kept = s > rcond * s[0]
    inverse = jx.np.where(kept, 1 / jx.np.where(kept, s, jx.np.ones_like(s)), jx.np.zeros_like(s))
    ahead = u.conj().T @ b
    scaled = ahead * (inverse if b.ndim == 1 else inverse[:, None])
    x = vh.conj().T @ scaled
    rest = b - a @ x
    return x, jx.np.sum(rest.real**2 + rest.imag**2 if rest.dtype.kind == "c" else rest * rest, 0), kept.sum(), s


@lowers(_L.pinv, "a", "?rcond")
def pinv(jx, a, rcond=None, hermitian=False, *, rtol=NV):
    (a,) = _matrix(jx, a)
    if hermitian or (rcond is not None and rtol is not NV):
        raise Refused
    if rcond is None:
        rcond = 1e-15 if rtol is NV else max(a.shape[-2:]) * np.finfo(a.dtype).eps if rtol is None else rtol
    found = jx.np.linalg.svd(_double(jx, a.conj())[0], full_matrices=False)
    u, s, vh = (v.astype(a.real.dtype if v.dtype.kind == "f" else a.dtype) for v in found)
    limit = jx.np.asarray(rcond)[..., None] * s.max(-1, keepdims=True)
    large = s > limit
    s = jx.np.where(large, 1 / jx.np.where(large, s, jx.np.ones_like(s)), jx.np.zeros_like(s))
    return jx.np.matmul(jx.np.swapaxes(vh, -1, -2), s[..., None] * jx.np.swapaxes(u, -1, -2))


@lowers(_L.matrix_rank, "A", "?tol", "?rtol")
def matrix_rank(jx, A, tol=None, hermitian=False, *, rtol=None):
    if hermitian or (tol is not None and rtol is not None):
        raise Refused
    (a,) = _matrix(jx, A)
    s = jx.np.linalg.svd(a, compute_uv=False)
    if tol is None:
        by: Any = max(a.shape[-2:]) * np.finfo(s.dtype).eps if rtol is None else jx.np.asarray(rtol)[..., None]
        tol = s.max(-1, keepdims=True) * by
    else:
        tol = jx.np.asarray(tol)[..., None]
    return (s > tol).sum(-1)


@lowers(_L.cond, "x")
def cond(jx, x, p=None):
    (x,) = _matrix(jx, x)
    if p is None or p == 2 or p == -2:
        s = jx.np.linalg.svd(x, compute_uv=False)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    if x.shape[-1] != x.shape[-2]:
        raise Refused
    return _norm(jx, x, p, (-2, -1)) * _norm(jx, jx.np.linalg.inv(x), p, (-2, -1))


@lowers(_L.matrix_power, "a")
def matrix_power(jx, a, n):
    if type(n) is not int or a.ndim < 2 or a.shape[-1] != a.shape[-2] or a.dtype == np.float16:
        raise Refused
    if a.dtype.kind == "b" or (n < 0 and a.dtype.kind in "iu"):
        a = cast(jx, a, np.float64) if n < 0 else a
        if a.dtype.kind == "b":
            raise Refused
    if not n:
        return jx.np.broadcast_to(jx.np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    if n < 0:
        a, n = jx.np.linalg.inv(a), -n
    result: Any = None
    while n:
        n, bit = divmod(n, 2)
        if bit:
            result = a if result is None else jx.np.matmul(result, a)
        a = jx.np.matmul(a, a) if n else a
    return result


# -- norms -------------------------------------------------------------------------------------------------------------


def _size(x: Any) -> Any:
    return x.real**2 + x.imag**2 if x.dtype.kind == "c" else x * x


def _norm(jx: Any, x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool = False) -> Any:
    """The norm over one axis or two."""
    if len(axes) == 1:
        (k,) = axes
        if ord is None or ord == 2:
            return jx.np.sqrt(jx.np.sum(_size(x), k, keepdims=keepdims))
        if isinstance(ord, str):
            raise Refused
        size = abs(x)
        if ord in (np.inf, -np.inf):
            if not x.shape[k]:
                raise Refused
            return (size.max if ord > 0 else size.min)(k, keepdims=keepdims)
        if ord == 0:
            return jx.np.sum(x != 0, k, keepdims=keepdims).astype(size.dtype)
        if ord == 1:
            return jx.np.sum(size, k, keepdims=keepdims)
        return jx.np.sum(size**ord, k, keepdims=keepdims) ** (1 / ord)
    rows, columns = axes
    if rows == columns:
        raise Refused
    if ord is None or ord in ("fro", "f"):
        return jx.np.sqrt(jx.np.sum(_size(x), axes, keepdims=keepdims))
    if 0 in (x.shape[rows], x.shape[columns]):
        raise Refused
    if ord in (2, -2, "nuc"):
        s = jx.np.linalg.svd(jx.np.moveaxis(x, axes, (-2, -1)), compute_uv=False)
        r = s.sum(-1) if ord == "nuc" else s[..., 0] if ord == 2 else s[..., -1]
    elif ord in (1, -1, np.inf, -np.inf):
        over = rows if ord in (1, -1) else columns
        sums = jx.np.sum(abs(x), over, keepdims=True)
        r = (sums.max if ord > 0 else sums.min)(axes)
    else:
        raise Refused
    return jx.np.expand_dims(r, axes) if keepdims else r


def _norm_operand(jx: Any, x: Any) -> Any:
    if x.dtype == np.float16:
        return cast(jx, x, np.float32)
    return cast(jx, x, inexact(x.dtype))


@lowers(_L.norm, "x")
def norm(jx, x, ord=None, axis=None, keepdims=False):
    x = _norm_operand(jx, x)
    if axis is None:
        if ord is None or (ord in ("f", "fro") and x.ndim == 2) or (ord == 2 and x.ndim == 1):
            r = jx.np.sqrt(jx.np.sum(_size(x)))
            return r.reshape((1,) * x.ndim) if keepdims else r
        axis = tuple(range(x.ndim))
    axes = tuple([axis_of(k, x.ndim) for k in (axis if isinstance(axis, tuple) else (axis,))])
    if len(axes) not in (1, 2):
        raise Refused
    return _norm(jx, x, ord, axes, keepdims)


@lowers(_L.vector_norm, "x")
def vector_norm(jx, x, *, axis=None, keepdims=False, ord=2):
    x = _norm_operand(jx, x)
    shape = x.shape
    if axis is None:
        axes = tuple(range(x.ndim))
    else:
        axes = tuple([axis_of(k, x.ndim) for k in (axis if isinstance(axis, tuple) else (axis,))])
    if not axes:
        raise Refused
    moved = jx.np.moveaxis(x, axes, tuple(range(len(axes))))
    r = _norm(jx, moved.reshape(-1, *moved.shape[len(axes) :]), ord, (0,))
    return r.reshape([1 if k in axes else n for k, n in enumerate(shape)]) if keepdims else r


@lowers(_L.matrix_norm, "x")
def matrix_norm(jx, x, *, keepdims=False, ord="fro"):
    x = _norm_operand(jx, x)
    if x.ndim < 2:
        raise Refused
    return _norm(jx, x, ord, (x.ndim - 2, x.ndim - 1), keepdims)


@lowers(_L.trace, "x")
def trace(jx, x, *, offset=0, dtype=None):
    if x.ndim < 2:
        raise Refused
    return of_two(jx, x, offset, -2, -1, dtype)
