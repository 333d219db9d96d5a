"""Random programs of views, in-place writes, `out=`, `where=` and reductions.

`run(np, seed, side)` makes the same decisions for any NumPy-like module `np` and returns what a user would see: the
final arrays, the scalars read on the way, and the exceptions raised. Values stay small integers, also in the floating
dtypes, so that sums are exact in any order and the two sides must agree bit for bit.
"""

from __future__ import annotations

import random
from typing import Any

DTYPES = ["float64", "float64", "int64", "float32", "int32", "bool", "complex128", "uint8"]
BINARY = ["add", "subtract", "multiply", "maximum", "minimum", "equal", "less", "not_equal", "logical_and"]
UNARY = ["negative", "absolute", "square", "sign", "logical_not", "positive"]
REDUCTIONS = ["sum", "max", "min", "any", "all", "mean", "argmax", "argmin"]


class Program:
    def __init__(self, np: Any, seed: int, side: int) -> None:
        self.np = np
        self.r = random.Random(seed)
        self.side = side
        self.seen: list[Any] = []
        ndim = self.r.choice([1, 1, 2, 2, 2, 3])
        self.shape = tuple(self.r.randint(1, side) for _ in range(ndim))
        if self.r.random() < 0.6:
            self.shape = (max(self.shape[0], 4),) + tuple(max(n, 3) for n in self.shape[1:])
        if side > 100:
            self.shape = (self.r.randint(side // 2, side), self.r.randint(side, side + 200))
        self.arrays = [self.fresh() for _ in range(self.r.randint(2, 4))]

    def fresh(self) -> Any:
        np, r = self.np, self.r
        size = 1
        for n in self.shape:
            size *= n
        dtype = r.choice(DTYPES)
        a = (np.arange(size) * r.randint(1, 7) % r.randint(2, 9)).astype(dtype).reshape(self.shape)
        return a.copy(order=r.choice("CCCF")) if r.random() < 0.3 else a

    def one_slice(self, n: int) -> slice:
        r = self.r
        kind = r.random()
        if kind < 0.3:
            return slice(None)
        if kind < 0.75 and n > 2:
            lo = r.randint(0, 2)
            return slice(lo, n - r.randint(0, 2))
        if kind < 0.85:
            return slice(r.randint(0, 1), None, 2)
        if kind < 0.93:
            return slice(None, None, -1)
        return slice(None, r.randint(1, n))

    def index(self, shape: tuple[int, ...]) -> tuple:
        return tuple(self.one_slice(n) for n in shape)

    def shifted(self, a: Any) -> tuple[Any, Any]:
        """Two views of equal shape, shifted against each other: a stencil's operands."""
        r = self.r
        first, second = [], []
        for n in a.shape:
            k = r.randint(0, min(2, n - 1))
            lo = r.randint(0, k)
            other = r.randint(0, k)
            first.append(slice(lo, n - k + lo))
            second.append(slice(other, n - k + other))
        return tuple(first), tuple(second)

    def operand(self, like: Any) -> Any:
        """An array that fits `like`, or a scalar."""
        r = self.r
        fitting = [a for a in self.arrays if a.shape == like.shape]
        kind = r.random()
        if fitting and kind < 0.6:
            return r.choice(fitting)
        if kind < 0.75 and like.ndim:
            return like[..., :1] if r.random() < 0.5 else like[:1]
        return r.choice([2, 3, 1, -1, 2.0, True, self.np.float64(3), self.np.int32(2)])

    def bounded(self, a: Any) -> Any:
        """Values small again, so that products stay exact."""
        return a if a.dtype == bool else (self.np.minimum(a.real, 5) if a.dtype.kind == "c" else self.np.minimum(a, 5))

    def expression(self, a: Any, depth: int = 0) -> Any:
        np, r = self.np, self.r
        kind = r.random()
        if depth > 2 or kind < 0.25:
            return a
        if kind < 0.45:
            return getattr(np, r.choice(UNARY))(self.expression(a, depth + 1))
        if kind < 0.52:
            return np.where(self.expression(a, depth + 1), self.operand(a), a)
        if kind < 0.58:
            return self.expression(a, depth + 1).astype(r.choice(DTYPES))
        left, right = self.expression(a, depth + 1), self.operand(a)
        if r.random() < 0.5:
            left, right = right, left
        return getattr(np, r.choice(BINARY))(left, right)

    def reduction(self, x: Any) -> Any:
        r = self.r
        name = r.choice(REDUCTIONS)
        if name in ("argmax", "argmin"):
            return getattr(x, name)(axis=r.choice([None, *range(-1, x.ndim)]), keepdims=r.random() < 0.3)
        axes = r.sample(range(x.ndim), r.randint(0, x.ndim))
        axis = r.choice([None, 0, -1, tuple(axes), tuple(k - x.ndim for k in axes)])
        return getattr(x, name)(axis=axis, keepdims=r.random() < 0.3)

    def step(self) -> None:
        np, r = self.np, self.r
        a = r.choice(self.arrays)
        kind = r.random()
        if kind < 0.2:
            first, second = self.shifted(a)
            a[first] = self.bounded(self.expression(a[second]))
        elif kind < 0.3:
            first, second = self.shifted(a)
            third, _ = self.shifted(a)
            if a[third].shape == a[second].shape == a[first].shape:
                a[first] = np.minimum(a[second], a[third]) if a.dtype.kind != "c" else a[second] - a[third]
            else:
                a[first] += a[second]
        elif kind < 0.4:
            v = a[self.index(a.shape)]
            v[...] = self.operand(v)
        elif kind < 0.48:
            v = a[self.index(a.shape)]
            v *= r.choice([0, 1, -1, 2])
        elif kind < 0.56:
            b = r.choice(self.arrays)
            np.maximum(a, self.operand(a), out=b)
        elif kind < 0.62:
            np.negative(a, out=a, where=a > 1)
        elif kind < 0.72:
            self.arrays.append(self.bounded(self.expression(a)))
        elif kind < 0.78:
            self.arrays.append(a[self.index(a.shape)])
        elif kind < 0.83:
            c = a.copy()
            first, second = self.shifted(a)
            a[first] = c[second]
            if r.random() < 0.5:
                a[:1] = c[-1:]
        elif kind < 0.87:
            self.arrays.append(r.choice([a.T, a.reshape(-1), a.ravel(), a.real, a[None], a[::-1]]))
        elif kind < 0.95:
            self.seen.append(np.array(self.reduction(self.expression(a))))
        elif kind < 0.98:
            self.seen.append(np.array(a[tuple(r.randrange(n) for n in a.shape)]))
        else:
            m = a > r.randint(0, 3)
            if r.random() < 0.5:
                a[m] = 1
            else:
                self.seen.append(a[m])
        if len(self.arrays) > 6:
            del self.arrays[r.randrange(len(self.arrays))]

    def run(self, steps: int) -> list[Any]:
        for _ in range(steps):
            state = self.r.getstate()
            try:
                self.step()
            except Exception as error:
                # Both sides must refuse alike, and decide alike afterwards.
                self.seen.append(type(error).__name__ + ": " + str(error))
            self.r.setstate(state)
            self.r.random()
            self.r.seed(self.r.getrandbits(32))
        return [*self.seen, *self.arrays]


def run(np: Any, seed: int, side: int = 9, steps: int = 14) -> list[Any]:
    with np.errstate(all="ignore"):
        return Program(np, seed, side).run(steps)
