"""Polynomials: evaluation by Horner and Clenshaw, sums, products, derivatives and integrals of coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import Refused, lowers
from .common import concatenated, inexact, joined
from .elementwise import LOWER, cast
from .linalg import _least_squares
from .movement import vander
from .statistics import _convolved

# More coefficients than this would make a program of as many steps.
_TERMS_MOST = 256


@lowers(np.polyval, "p", "x")
def polyval(jx, p, x):
    if p.ndim != 1 or p.shape[0] > _TERMS_MOST:
        raise Refused
    p, x = joined(jx, p, x)
    if x.dtype.kind == "b":
        raise Refused
    y = jx.np.zeros_like(x)
    for k in range(p.shape[0]):
        y = y * x + p[k]
    return y


def _sum(sign: str) -> Any:
    def added(jx, a1, a2):
        a1, a2 = joined(jx, *[v.reshape(-1) for v in (a1, a2)])
        n = max(a1.shape[0], a2.shape[0])
        return LOWER[sign](jx, *[jx.np.pad(v, (n - v.shape[0], 0)) for v in (a1, a2)])

    return added


lowers(np.polyadd, "a1", "a2")(_sum("add"))
lowers(np.polysub, "a1", "a2")(_sum("subtract"))


@lowers(np.polyder, "p")
def polyder(jx, p, m=1):
    if type(m) is not int or m < 0 or p.ndim != 1 or p.dtype.kind == "b":
        raise Refused
    for _ in range(m):
        n = p.shape[0]
        p = LOWER["multiply"](jx, *joined(jx, p[:-1], np.arange(n - 1, 0, -1)))
    return p


@lowers(np.polyint, "p")
def polyint(jx, p, m=1, k=None):
    if type(m) is not int or m < 0 or p.ndim != 1:
        raise Refused
    constants = [0.0] * m if k is None else [k] * m if not isinstance(k, tuple) else list(k)
    constants = constants * m if len(constants) == 1 and m > 1 else constants
    if len(constants) < m or any(isinstance(c, complex) for c in constants):
        raise Refused
    p = cast(jx, p, inexact(p.dtype))
    for c in constants[:m]:
        n = p.shape[0]
        p = concatenated(jx, [p / np.arange(n, 0, -1).astype(p.real.dtype), jx.np.asarray([c], p.dtype)])
    return p


def fitted(x: np.ndarray, y: np.ndarray, deg: int, rcond: float) -> tuple[np.ndarray, np.ndarray]:
    """`polyfit`, and the rank of the system."""
    found = np.polyfit(x, y, deg, rcond, full=True)
    return found[0], np.asarray(found[2], np.int64)


@lowers(fitted, "x", "y")
def _fitted(jx, x, y, deg, rcond):
    if x.ndim != 1 or not x.shape[0] or y.ndim not in (1, 2) or y.shape[0] != x.shape[0] or deg < 0:
        raise Refused
    x, y = [cast(jx, v, np.result_type(v.dtype, np.float64)) for v in (x, y)]
    columns = vander(jx, x, deg + 1)
    scale = jx.np.sqrt((columns * columns).sum(0))
    c, _, rank, _ = _least_squares(jx, columns / scale, y, rcond)
    return (c.T / scale).T, rank


@lowers(np.polymul, "a1", "a2")
def polymul(jx, a1, a2):
    """Of vectors whose first coefficients are not zero; the caller looks whether they are."""
    a, b = joined(jx, a1, a2)
    if a.ndim != 1 or b.ndim != 1 or not a.shape[0] or not b.shape[0]:
        raise Refused
    return _convolved(jx, *((b, a) if b.shape[0] > a.shape[0] else (a, b)), "full")


# -- the modules of numpy.polynomial -----------------------------------------------------------------------------------

_P = np.polynomial
# p[k + 1] = (a x + b) p[k] - c p[k - 1], with p[0] = 1: the module, its prefix, and (a, b, c) for each k.
_FAMILIES: list[tuple[Any, str, Any]] = [
    (_P.polynomial, "poly", lambda k: (1.0, 0.0, 0.0)),
    (_P.chebyshev, "cheb", lambda k: (1.0 if k == 0 else 2.0, 0.0, 1.0)),
    (_P.legendre, "leg", lambda k: ((2 * k + 1) / (k + 1), 0.0, k / (k + 1))),
    (_P.laguerre, "lag", lambda k: (-1 / (k + 1), (2 * k + 1) / (k + 1), k / (k + 1))),
    (_P.hermite, "herm", lambda k: (2.0, 0.0, 2.0 * k)),
    (_P.hermite_e, "herme", lambda k: (1.0, 0.0, float(k))),
]


def _evaluated(recurrence: Any) -> Any:
    def evaluate(jx, x, c, tensor=True):
        """By Clenshaw's recurrence, from the highest coefficient down."""
        if not c.ndim or not 0 < c.shape[0] <= _TERMS_MOST:
            raise Refused
        kind = inexact(np.result_type(inexact(c.dtype), x.dtype))
        c = cast(jx, c, kind)
        x = cast(jx, x, kind)
        if tensor:
            c = c.reshape(c.shape + (1,) * x.ndim)
        n = c.shape[0]
        above: Any = None  # b[k + 1], and b[k + 2] in `beyond`
        beyond: Any = None
        for k in range(n - 1, -1, -1):
            a, b, _ = recurrence(k)
            value = c[k] + jx.np.zeros_like(x)
            if above is not None:
                value = value + (a * x + b) * above if b else value + (a * x if a != 1.0 else x) * above
            if beyond is not None and recurrence(k + 1)[2]:
                value = value - recurrence(k + 1)[2] * beyond
            above, beyond = value, above
        return above

    return evaluate


def _columns(recurrence: Any) -> Any:
    def matrix(jx, x, deg):
        if type(deg) is not int or not 0 <= deg <= _TERMS_MOST:
            raise Refused
        x = cast(jx, x, inexact(x.dtype))
        found = [jx.np.ones_like(x)]
        for k in range(deg):
            a, b, c = recurrence(k)
            new = (a * x + b) * found[-1]
            found.append(new - c * found[-2] if k and c else new)
        return jx.np.stack(found, -1)

    return matrix


for _module, _prefix, _recurrence in _FAMILIES:
    lowers(getattr(_module, _prefix + "val"), "x", "c")(_evaluated(_recurrence))
    lowers(getattr(_module, _prefix + "vander"), "x")(_columns(_recurrence))
