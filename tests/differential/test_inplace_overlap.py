"""Reads and writes of the same memory: stencils, shifted, reversed and transposed views, assignment to oneself."""

import itertools
import operator

import numpy
import pytest

import cunumeric

from .compare import attempt, compared, for_sizes

PAIRS_1D = [
    "[1:], [:-1]", "[:-1], [1:]", "[2:-2], [:-4]", "[2:-2], [4:]", "[:], [::-1]", "[::2], [1::2]", "[1::2], [::2]",
    "[1:7], [6:0:-1]", "[:12], [11:23]", "[11:23], [:12]", "[::3], [:8]", "[:8], [::3]", "[:], [:]", "[5:], [:1]",
]  # fmt: skip
PAIRS_2D = [
    "[1:], [:-1]", "[:-1], [1:]", "[:, 1:], [:, :-1]", "[:, :-1], [:, 1:]", "[1:, 1:], [:-1, :-1]", "[:], [::-1]",
    "[:], [:, ::-1]", "[:], .T", "[1:-1, 1:-1], [2:, :-2]", "[::2], [1::2]", "[:, ::2], [:, 1::2]", "[0], [:, 0]",
    "[:], [:1]", "[:], [:, :1]", "[1:], [:1]", "[:, :4], [:, 4:]", "[:4], [4:]", "[:], [0]",
]  # fmt: skip


def pair(x, text):
    first, second = text.split("], ")
    return eval(f"x{first}]"), eval(f"x{second}")


def fresh(np, ndim, dtype="float64"):
    x = (np.arange(24 if ndim == 1 else 64) * 7 % 11).astype(dtype)
    return x * 1 if ndim == 1 else x.reshape(8, 8) * 1


def forms(np):
    """Ways to write `a` from `b`."""
    return [
        lambda a, b: operator.setitem(a, ..., b),
        lambda a, b: operator.setitem(a, ..., b + 1),
        lambda a, b: operator.iadd(a, b),
        lambda a, b: operator.isub(a, b * 2),
        lambda a, b: np.add(a, b, out=a),
        lambda a, b: np.subtract(b, a, out=a),
        lambda a, b: np.negative(b, out=a),
        lambda a, b: np.copyto(a, b),
        lambda a, b: np.where(a > b, a, b).sum(),
        lambda a, b: np.add(b, 1, out=a, where=a > 3),
        lambda a, b: np.divmod(b, 3, out=(a, b)) if a.shape == b.shape else None,
        lambda a, b: operator.setitem(a, a > 3, 0),
        lambda a, b: np.maximum.accumulate(b, out=a) if a.shape == b.shape else None,
    ]


@pytest.mark.parametrize(("ndim", "text"), [(1, p) for p in PAIRS_1D] + [(2, p) for p in PAIRS_2D])
@compared
def test_pairs_of_views(np, ndim, text):
    results = []
    for k, dtype in itertools.product(range(len(forms(np))), ("float64", "int32")):
        if k == 0 and text == "[::3], [:8]":
            continue  # NumPy (2.4) reads elements that it has written already; the test below says what is right
        x = fresh(np, ndim, dtype)
        a, b = pair(x, text)
        r = attempt(forms(np)[k], a, b)
        results += [r if isinstance(r, type(None)) or not hasattr(r, "shape") else r + 0, x]
    return results


@pytest.mark.parametrize(("ndim", "text"), [(1, p) for p in PAIRS_1D] + [(2, p) for p in PAIRS_2D])
@compared
def test_chains_of_writes(np, ndim, text):
    """Several writes and temporaries wait together."""
    x, y = fresh(np, ndim), fresh(np, ndim) + 1
    a, b = pair(x, text)
    c, d = pair(y, text)
    t = attempt(operator.add, b, d)
    attempt(operator.setitem, a, ..., d)
    attempt(operator.iadd, c, a)
    attempt(operator.setitem, a, ..., t)
    x[...] = x - y
    attempt(operator.setitem, c, ..., b * 2)
    return [x, y, t, (x * y).sum()]


def test_assignment_with_other_strides(setup):
    """`x[::3] = x[:8]`: NumPy's copy of one-dimensional arrays is only right for equal strides."""
    x = fresh(cunumeric, 1)
    old = x.tolist()
    x = fresh(cunumeric, 1)
    x[::3] = x[:8]
    if setup == "default":
        expected = fresh(numpy, 1)  # small: NumPy's own
        expected[::3] = expected[:8]
    else:
        expected = numpy.array(old)
        expected[::3] = old[:8]
    assert x.tolist() == expected.tolist()


@for_sizes
@compared
def test_stencil_1d(np, n):
    x = np.arange(n) * 7.0 % 11
    for _ in range(3):
        x[1:-1] = (x[:-2] + x[1:-1] + x[2:]) / 4
        x[0], x[-1] = x[1], x[-2]
    return [x, x.max()]


@pytest.mark.parametrize("side", [5, 13, 300])
@compared
def test_stencil_2d(np, side):
    """Jacobi with a copy, without one, with boundaries by rows and columns."""
    p = np.arange(side * side).reshape(side, side) * 7.0 % 11
    b = p * 0.5 + 1
    for _ in range(2 if side > 100 else 4):
        pn = p.copy()
        p[1:-1, 1:-1] = (pn[1:-1, 2:] + pn[1:-1, :-2]) * 0.25 + (pn[2:, 1:-1] + pn[:-2, 1:-1]) * 0.25 - b[1:-1, 1:-1]
        p[:, -1] = 0
        p[:, 0] = p[:, 1]
        p[0, :] = p[1, :]
        p[-1] = pn[0]
        p[1:-1, 1:-1] += p[2:, 1:-1] - p[:-2, 1:-1]
    return [p, pn, p[1:-1].sum(0)]


@compared
def test_operator_with_shifts(np):
    v = fresh(np, 2)
    w = 4 * v
    w[1:] -= v[:-1]
    w[:-1] -= v[1:]
    w[:, 1:] -= v[:, :-1]
    w[:, :-1] -= v[:, 1:]
    return [w, (v * w).sum(), v]


@compared
def test_three_dimensions(np):
    x = np.arange(6 * 7 * 8.0).reshape(6, 7, 8) % 13
    y = x.copy()
    x[1:, 1:, 1:] += x[:-1, :-1, :-1]
    x[:, 2] = x[:, 3] + y[:, 1]
    x[..., 0] -= x[..., -1]
    x[::-1] = x.copy()
    x[1:-1] = x[2:] - x[:-2]
    x.transpose(2, 1, 0)[1:] += 1
    return [x, y, x.sum((1, 2))]


@compared
def test_old_values_survive_in_temporaries(np):
    x = fresh(np, 1)
    old, twice, view = x + 0, x * 2, x[::2]
    kept = view * 1
    x[...] = 0
    x += 1
    return [old, twice, kept, view, x, x - old]


@compared
def test_swaps(np):
    x, y = fresh(np, 1), fresh(np, 1) + 5
    x[:], y[:] = y.copy(), x.copy()
    x[:3], x[3:6] = x[3:6].copy(), x[:3].copy()
    t = x[:5]
    x[:5], x[5:10] = x[5:10], t  # the textbook's mistake, in NumPy as here
    x[::-1], y[1:] = x, y[:-1]
    return [x, y]


@compared
def test_self_assignment_and_self_operation(np):
    x = fresh(np, 2)
    x[...] = x
    x += x
    x -= x * 0
    x[:] = x.T
    x *= x.T
    x.T[...] = x
    x.T[1:] = x[1:]
    x /= x.max()
    return [x]


@compared
def test_strange_strides(np):
    base = np.arange(40.0) + 0
    windows = np.lib.stride_tricks.sliding_window_view(base, 5)
    trick = np.lib.stride_tricks.as_strided(base, (10, 5), (24, 8))
    base[10:20] *= 2
    s = windows.sum(1)
    trick += 1
    return [s, base, trick + 0, attempt(windows.__setitem__, 0, 1)]


@compared
def test_writes_through_real_imag_and_views(np):
    z = np.arange(12) * (1 + 2j)
    z = z + 1
    z.real[2:] = z.imag[:-2]
    z.imag *= -1
    z.view("f8")[::3] = 7
    x = z.view("f8").reshape(4, 6) * 1
    x.view("i8")[0] = 0
    return [z, x, z.real + z.imag]


@compared
def test_transposed_and_fortran_targets(np):
    x = np.asfortranarray(np.arange(20.0).reshape(4, 5))
    y = np.ones((5, 4))
    x += 1
    x[1:] = x[:-1] * 2
    y += x.T
    y.T[...] = x
    x.T[:, 0] -= y[:, 1]
    return [x, y, x + y.T, x.copy(), x.copy("K"), np.negative(x)]


@compared
def test_random_walk_of_slices(np):
    rng = numpy.random.default_rng(5)
    x = np.arange(50.0) % 7
    for _ in range(120):
        n = int(rng.integers(1, 20))
        i, j = (int(k) for k in rng.integers(0, 30, 2))
        x[i : i + n] = np.minimum(x[j : j + n] + x[i : i + n], 9)
        if n % 5 == 0:
            x[i : i + n] = x[j : j + n][::-1]
    return [x, x.sum()]
