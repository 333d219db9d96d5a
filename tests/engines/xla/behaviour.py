"""What calls do besides giving values: errors, warnings, memory. `python -m tests.engines.xla.behaviour TOPIC`."""

from __future__ import annotations

import dataclasses
import datetime
import io
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy

import cunumeric
from cunumeric.arrays import lowered
from cunumeric.engines.xla import backend, execute, novelty
from cunumeric.graph import window
from cunumeric.ops import lowering
from cunumeric.runtime import residence
from cunumeric.runtime.settings import settings


def device(x: Any) -> Any:
    """`x` on the device alone."""
    y = cunumeric.array(numpy.asarray(x)).copy()
    cunumeric.synchronize()
    assert residence.on_device(y._a) or not y.size
    return y


def raised(f: Callable[[], Any]) -> tuple[type, str]:
    try:
        f()
    except Exception as error:
        return type(error), str(error)
    raise AssertionError("nothing was raised")


def errors() -> None:
    """NumPy's exceptions in NumPy's words."""
    a = numpy.arange(12.0).reshape(3, 4) + 1
    singular = numpy.ones((3, 3))
    indefinite = numpy.diag([1.0, -2.0, 3.0])
    nan = numpy.full((3, 3), numpy.nan)
    far = numpy.array([0, 1, 7])
    calls: list[Callable[[Any, Callable], Any]] = [
        lambda np, x: np.linalg.inv(x(singular)),
        lambda np, x: np.linalg.solve(x(singular), x(singular[0])),
        lambda np, x: np.linalg.cholesky(x(indefinite)),
        lambda np, x: np.linalg.matrix_power(x(singular), -1),
        lambda np, x: np.linalg.svd(x(nan)),
        lambda np, x: np.linalg.eigh(x(nan)),
        lambda np, x: np.linalg.eig(x(nan)),
        lambda np, x: np.linalg.eigvals(x(nan)),
        lambda np, x: np.linalg.pinv(x(nan)),
        lambda np, x: np.linalg.matrix_rank(x(nan)),
        lambda np, x: np.linalg.lstsq(x(nan), x(nan[0])),
        lambda np, x: np.linalg.pinv(x(a), rcond=0.5, rtol=0.5),
        lambda np, x: np.arange(numpy.timedelta64(3), numpy.timedelta64(9), datetime.timedelta(1), object),
        lambda np, x: np.frexp(x(a), subok=1, nonsense=2),
        lambda np, x: np.linalg.inv(x(a)),
        lambda np, x: np.linalg.solve(x(singular), x(a)),
        lambda np, x: np.linalg.det(x(singular.astype("f2"))),
        lambda np, x: np.take(x(a), x(far), 0),
        lambda np, x: x(a)[[0, 1], [0, 1, 2]],
        lambda np, x: np.take(x(a), [0, -4], 0),
        lambda np, x: np.take_along_axis(x(a), x(numpy.full((3, 1), 9)), 1),
        lambda np, x: np.choose(x(far), [x(a[0]), x(a[1])]),
        lambda np, x: np.put(x(a), x(far * 2), 1),
        lambda np, x: np.put_along_axis(x(a), x(numpy.full((3, 1), 9)), 1, 1),
        lambda np, x: np.add.at(x(a[0]), x(far), 1),
        lambda np, x: np.searchsorted(x(a[0]), x(a[1]), sorter=x(numpy.array([0, 1, 2, 9]))),
        lambda np, x: np.bincount(x(numpy.array([1, -2]))),
        lambda np, x: np.digitize(x(a), x(numpy.array([1.0, 3.0, 2.0]))),
        lambda np, x: np.histogram(x(nan)),
        lambda np, x: np.histogram(x(a), x(numpy.array([1.0, 3.0, 2.0]))),
        lambda np, x: np.nanargmax(x(nan), 1),
        lambda np, x: np.average(x(a), weights=x(a * 0)),
        lambda np, x: np.percentile(x(a), 101),
        lambda np, x: np.repeat(x(a[0]), x(numpy.array([1, -1, 2, 0]))),
        lambda np, x: np.cumsum(x(a), 5),
        lambda np, x: np.sort(x(a), 2),
        lambda np, x: np.sort(x(a), kind="fast"),
        lambda np, x: np.partition(x(a), 9),
        lambda np, x: x(a).partition(1, axis=None),
        lambda np, x: x(a).sort(axis=None),
        lambda np, x: np.putmask(a=x(a), mask=[1] * 12, values=1),
        lambda np, x: np.arange(start=4),
        lambda np, x: x(a).__setitem__(x(far % 3), x(numpy.ones((2, 3, 4)))),
        lambda np, x: np.concatenate([x(a), x(a[0])]),
        lambda np, x: np.concatenate([x(a), x(a[:, :2])]),
        lambda np, x: np.stack([x(a), x(a[0])]),
        lambda np, x: np.dot(x(a), x(a)),
        lambda np, x: x(a) @ x(a),
        lambda np, x: np.tensordot(x(a), x(a)[:2]),
        lambda np, x: np.cross(x(a), x(a)),
        lambda np, x: np.einsum("ij,jk", x(a), x(a)),
        lambda np, x: np.fft.fft(x(a), 0),
        lambda np, x: np.fft.fft(x(a), norm="odd"),
        lambda np, x: np.fft.rfft(x(a) * 1j),
        lambda np, x: np.argmax(x(a[:, :0]), 1),
        lambda np, x: np.max(x(a[:, :0]), 1),
        lambda np, x: np.pad(x(a), -1),
        lambda np, x: np.pad(x(a), 1, "odd"),
        lambda np, x: np.insert(x(a), 9, 1, axis=0),
        lambda np, x: np.delete(x(a), 9, axis=0),
        lambda np, x: np.gradient(x(a)[:1], axis=0),
        lambda np, x: np.copyto(x(a.astype("i4")), x(a)),
        lambda np, x: np.copyto(x(a.astype("u1")), 3, casting="equiv"),
        lambda np, x: np.copyto(x(a), "text", casting="unsafe"),
        lambda np, x: np.logical_and.accumulate(x(a), 3),
        lambda np, x: np.interp(x(a), x(a[0]), x(a[0, :2])),
        lambda np, x: np.polyfit(x(a[0]), x(a[0, :2]), 1),
    ]
    warnings.simplefilter("ignore")
    for k, f in enumerate(calls):
        theirs = raised(lambda f=f: f(numpy, lambda v: v))
        ours = raised(lambda f=f: numpy.asarray(f(cunumeric, device)))
        assert ours == theirs, f"{k}: {ours}, NumPy's {theirs}"
    # What has no elements, and what only NumPy has a way for, is no fault of ours.
    empty, a = numpy.empty((1, 0, 2)), numpy.arange(12.0).reshape(3, 4) + 1
    for np, x in ((numpy, numpy.asarray), (cunumeric, device)):
        assert np.median(x(empty), 0).shape == (0, 2)
        assert np.unpackbits(x(empty[0].astype("u1")), axis=1).shape == (0, 16)
        assert np.array_equiv(x(a), x(a[:2])) is False
        assert np.percentile(x(a), []).shape == (0,)
        assert np.add.accumulate(x(a[0]), axis=None)[-1] == 10
        assert np.mean(x(a), dtype="g") == 6.5
        v = x(a[0]).copy()
        np.put_along_axis(v, np.array([1, 3]), 0, axis=None)
        assert v.tolist() == [1, 0, 3, 0]
        assert np.arange(numpy.timedelta64(3), numpy.timedelta64(9), datetime.timedelta(microseconds=3)).size == 2
    # NumPy's own result where a value that is not finite is no error.
    odd = numpy.array([[1.0, numpy.inf], [0.0, 2.0]])
    with numpy.errstate(all="ignore"):
        assert numpy.array_equal(cunumeric.linalg.inv(device(odd)), numpy.linalg.inv(odd), equal_nan=True)


def fallback() -> None:
    """One warning for each line, with the bytes; silence where reading is what the function is for."""
    x = device(numpy.arange(1000.0))

    def heard(f: Callable[[], Any]) -> list[warnings.WarningMessage]:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            f()
        return [w for w in found if "falling back" in str(w.message)]

    def thrice() -> None:
        for _ in range(3):
            cunumeric.trim_zeros(x.copy())

    (warning,) = heard(thrice)
    assert warning.category is RuntimeWarning
    assert warning.filename == __file__
    assert str(warning.message) == (
        "cunumeric has not implemented trim_zeros and is falling back to canonical NumPy. You may notice significantly "
        "decreased performance for this function call. 8000 bytes were moved from the device."
    )
    assert len(heard(lambda: cunumeric.roots(x[1:4].copy()))) == 1
    assert len(heard(lambda: x.copy().byteswap())) == 1
    assert len(heard(lambda: cunumeric.hypot.at(x.copy(), [1], 2.0))) == 1
    assert len(heard(lambda: cunumeric.apply_along_axis(numpy.sum, 0, x.copy()))) == 1
    quiet: list[Callable[[], Any]] = [
        lambda: str(x.copy()),
        lambda: repr(x.copy()),
        lambda: x.copy().tolist(),
        lambda: x.copy().tobytes(),
        lambda: cunumeric.array2string(x.copy()),
        lambda: numpy.asarray(x.copy()),
        lambda: x[3:4].copy().item(),
        lambda: float(x.copy().sum()),
        lambda: list(x[:3].copy()),
        lambda: cunumeric.testing.assert_array_equal(x.copy(), x.copy()),
        lambda: cunumeric.allclose(x.copy(), x),
        lambda: cunumeric.random.default_rng(0).permutation(x.copy()),
        lambda: cunumeric.sort(x.copy()),
        lambda: cunumeric.array([cunumeric.arange(3), "a"], object),
    ]
    for k, f in enumerate(quiet):
        assert not heard(f), k


def views() -> None:
    """What shows memory moves nothing, and shows it; reshapes that copy read what is newest."""
    x = device(numpy.arange(24.0).reshape(4, 6))
    fetched = residence.counters.fetched
    shown = [cunumeric.transpose(x), cunumeric.flip(x, 0), cunumeric.split(x, 2)[1], cunumeric.rot90(x), x[::2].T]
    shown += [cunumeric.moveaxis(x, 0, 1), cunumeric.atleast_3d(x), cunumeric.broadcast_to(x, (2, 4, 6))]
    assert all(cunumeric.shares_memory(v, x) for v in shown)
    assert cunumeric.asarray(x) is x
    assert cunumeric.ascontiguousarray(x) is x
    kind = numpy.dtype("f8", metadata={"unit": "m"})
    again = cunumeric.asarray(x, dtype=kind)
    assert again.dtype is kind
    assert cunumeric.shares_memory(again, x)
    like = cunumeric.zeros_like(x)
    assert cunumeric.shape(like) == (4, 6)
    x += 1
    x[1:, 2] = 7
    expected = numpy.arange(24.0).reshape(4, 6) + 1
    expected[1:, 2] = 7
    flat = cunumeric.ravel(x.T)
    assert not cunumeric.shares_memory(flat, x)
    small = x[0, :3] * 2 + cunumeric.sin(x[0, :3]) - (-x[0, :3])
    cunumeric.synchronize()
    assert residence.counters.fetched == fetched
    assert numpy.array_equal(shown[0], expected.T)
    assert numpy.array_equal(shown[1], expected[::-1])
    assert numpy.array_equal(shown[2], expected[2:])
    assert numpy.array_equal(flat, expected.T.ravel())
    row = expected[0, :3]
    assert numpy.allclose(small, row * 2 + numpy.sin(row) + row)
    # Small operands of an array on the device, with the threshold that programs have.
    settings.record_min = 32768
    y = device(numpy.arange(100000.0))
    y += 1
    cunumeric.synchronize()
    s = y[:3]
    assert residence.on_device(y._a)
    for f in (lambda v: v * 2, lambda v: 2 - v, lambda v: -v, lambda v: v + v, lambda v: abs(v), numpy.sqrt):
        assert numpy.array_equal(f(s), f(numpy.array([1.0, 2.0, 3.0])))
    assert numpy.array_equal(cunumeric.sqrt(s), numpy.sqrt([1.0, 2.0, 3.0]))
    assert numpy.array_equal(y[::50000].reshape(2, 1), [[1.0], [50001.0]])
    assert numpy.array_equal(y.reshape(100, 1000)[:2, :2].T.ravel(), [1.0, 1001.0, 2.0, 1002.0])


def small_views() -> None:
    """A small view of large memory is written where that memory is, with nothing recorded before; only that moves."""
    settings.record_min = 1000

    def rows(x: Any) -> None:
        for k, row in enumerate(x[:3]):
            row[...] = row + k

    def within(x: Any) -> None:
        row = x[1]
        row *= 2
        row[::2] = row[1::2]

    def odd(x: Any) -> None:
        row = x[1]
        row[row > 120] = 5
        row[[1, 2]] = 7

    writes: dict[str, Callable[[Any], Any]] = {
        "number": lambda x: x[1].__setitem__(slice(None), 3),
        "dtype": lambda x: x[1].__setitem__(slice(None), numpy.arange(100, dtype="u1")),
        "fill": lambda x: x[1].fill(3),
        "in place": lambda x: x[1].__iadd__(3),
        "out": lambda x: numpy.add(x[1], 1, out=x[1]),
        "copyto": lambda x: numpy.copyto(x[1], 7),
        "sort": lambda x: x[1][::-1].sort(),
        "read": lambda x: (x[1].copy(), x[1].astype("f4"), x[1].sum()),
        "element": lambda x: x[3].__setitem__(4, 9),
        "corner": lambda x: x.__setitem__((0, -1), 9),
        "list": lambda x: x[3].__setitem__(slice(0, 3), [1, 2.5, 3]),
        "rows": rows, "within": within, "odd": odd,
    }  # fmt: skip
    for name, write in writes.items():
        expected = numpy.arange(4000.0).reshape(40, 100)
        x = device(expected)
        fetched = residence.counters.fetched
        write(x)
        cunumeric.synchronize()
        assert residence.counters.fetched == fetched, name
        write(expected)
        assert numpy.array_equal(x, expected), name
    # A loop over elements goes home, where an element costs nothing.
    expected = numpy.arange(4000.0)
    x = device(expected)
    ran, recorded = execute.counters.ran, window.counters.recorded
    for k in range(2000):
        x[k] = expected[k] = 2000 - k
    assert execute.counters.ran - ran <= 1
    assert window.counters.recorded - recorded < 100
    assert numpy.array_equal(x, expected)


def created() -> None:
    """Large arrays from numbers, or from small vectors, are made on the device: nothing is sent but vectors. Small ones
    never see it."""
    settings.record_min = 1000
    made: dict[str, Callable[[Any, int], Any]] = {
        "arange": lambda np, n: np.arange(n * n),
        "linspace": lambda np, n: np.linspace(0, 3, n * n),
        "full": lambda np, n: np.full((n, n), 3.0),
        "eye": lambda np, n: np.eye(n),
        "tri": lambda np, n: np.tri(n, k=1),
        "tril": lambda np, n: np.tril(np.ones((n, n))),
        "indices": lambda np, n: np.indices((n, n)),
        "mgrid": lambda np, n: np.mgrid[0 : 1 : n * 1j, -n:n],
        "line": lambda np, n: np.mgrid[0 : n * n : 0.5],
        "meshgrid": lambda np, n: np.meshgrid(np.linspace(0, 1, n), np.arange(n))[0],
        "fromfunction": lambda np, n: np.fromfunction(lambda i, j: i * 2 + j, (n, n)),
        "logspace": lambda np, n: np.logspace(0, 3, n * n),
        "geomspace": lambda np, n: np.geomspace(-1, -1000, n * n),
    }
    for name, make in made.items():
        for n in (3, 50):
            cunumeric.synchronize()
            sent = residence.counters.sent
            x = make(cunumeric, n)
            cunumeric.synchronize()
            assert residence.on_device(x._a) == (n == 50), name
            assert residence.counters.sent - sent <= (24 * n if n == 50 else 0), name
            expected = make(numpy, n)
            assert (x.dtype, x.strides) == (expected.dtype, expected.strides), name
            exact = name not in ("logspace", "geomspace")
            assert numpy.array_equal(x, expected) if exact else numpy.allclose(x, expected, 1e-14), name


def threads() -> None:
    """Threads write parts of one array while others run windows, and nothing is lost."""

    def fill(seed: int, row: Any) -> None:
        state = cunumeric.random.RandomState(seed)
        row[...] = state.exponential(scale=cunumeric.ones((50, 400)))
        row += 1
        row[0, 0] = seed

    warnings.simplefilter("ignore")
    for _ in range(25):
        together, alone = cunumeric.empty((4, 50, 400)), cunumeric.empty((4, 50, 400))
        workers = [threading.Thread(target=fill, args=pair) for pair in enumerate(together)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for seed, row in enumerate(alone):
            fill(seed, row)
        assert numpy.array_equal(together, alone)


def strict() -> None:
    """An error, before anything has moved."""
    x = device(numpy.arange(1000.0))
    settings.strict = True
    fetched = residence.counters.fetched
    for f in (lambda: cunumeric.trim_zeros(x), lambda: x.byteswap(), lambda: cunumeric.hypot.at(x, [1], 2.0)):
        kind, words = raised(f)
        assert kind is NotImplementedError
        assert words.endswith("CUNUMERIC_STRICT forbids it.")
    made = cunumeric.ones(1000)  # recorded as a write, and not run yet
    assert raised(lambda: made.byteswap())[0] is NotImplementedError
    assert residence.counters.fetched == fetched
    assert cunumeric.sort(x)[3] == 3
    assert str(x[:2]) == "[0. 1.]"
    assert cunumeric.char.upper(cunumeric.array(["a"]))[0] == "A"


def faults() -> None:
    """What a lowering or a way fails with is NumPy's call, and an error where faults are asked for."""
    x = device(numpy.arange(1000.0))

    def broken(*_: Any, **__: Any) -> Any:
        raise TypeError("broken")

    lowering.TABLE[numpy.sort] = dataclasses.replace(lowering.TABLE[numpy.sort], lowering=broken)
    lowered.WAYS[numpy.flip] = broken
    warnings.simplefilter("ignore")
    for faults in (True, False):
        settings.faults = faults
        for f in (lambda: cunumeric.sort(x), lambda: cunumeric.flip(x)):
            if faults:
                kind, words = raised(f)
                assert kind is lowering.Fault and "broken" in words
            else:
                assert f()[3] in (3, 996)
        for f in (lambda: cunumeric.sort(x, 7), lambda: cunumeric.flip(x, 7)):
            assert raised(f)[0] is numpy.exceptions.AxisError
    settings.faults = True


def plain() -> None:
    """What needs no value, or the caller's own names."""
    head = sys.getsizeof(cunumeric.empty(0))
    x = device(numpy.arange(1000.0))
    fetched = residence.counters.fetched
    assert sys.getsizeof(x) == sys.getsizeof(x + 1) == head + 8000
    assert sys.getsizeof(x[1:]) == head
    assert residence.counters.fetched == fetched
    matrix = device(numpy.eye(2))  # noqa: F841 - found by its name
    assert numpy.array_equal(cunumeric.bmat("matrix, matrix"), numpy.hstack([numpy.eye(2)] * 2))


def hosted() -> None:
    """Windows that the host runs, and booleans of any byte, which only NumPy makes."""
    ran = execute.counters.hosted
    bytes_ = device(numpy.arange(1, 9, dtype="i1"))
    odd = bytes_.view(bool)
    total = odd.sum()
    assert total.shape == () and int(total) == 8
    assert execute.counters.hosted > ran
    turned = device(numpy.ones((2, 3, 4), bool).astype("i1")).view(bool).transpose(1, 2, 0) & True
    assert turned.strides == (numpy.ones((2, 3, 4), bool).transpose(1, 2, 0) & True).strides
    turned.sum()
    assert turned.strides == (4, 1, 12)
    assert odd.copy().view("i1")[7] == 8
    strange = numpy.arange(9000, dtype="i2").astype("u1").view(bool)
    x = cunumeric.array(strange)
    expected = numpy.count_nonzero(strange)
    assert x.sum() == numpy.count_nonzero(x) == len(x[x]) == cunumeric.where(x, 1, 0).sum() == expected
    assert (x + 1).max() == 2 and int(x.astype("i8").sum()) == expected


def timer() -> None:
    """A timer's handler that raises while JAX is imported for the first call: the next call finds it whole."""

    class Late(Exception):
        pass

    def late(*_: object) -> None:
        raise Late

    assert "jax" not in sys.modules
    signal.signal(signal.SIGALRM, late)
    x = cunumeric.arange(1000.0)
    raised = 0
    for delay in (0.05, 0.02, 0.02):  # the import; calls that are new to us, and their traces
        signal.setitimer(signal.ITIMER_REAL, delay)
        try:
            for k in range(2, 200):
                cunumeric.cumsum(x[k:] + k).sum()
            time.sleep(5)
        except Late:
            raised += 1
    assert raised == 3
    assert float((x * 2).sum()) == 999000.0
    assert execute.counters.hosted == 0


def unusable() -> None:
    """The machine shows a GPU, and JAX's plugin for it fails: one line, and NumPy's kernels."""
    backend.gpu_ready = lambda: True
    os.environ.pop("JAX_PLATFORMS", None)
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder, "jax_plugins", "broken")
        plugin.mkdir(parents=True)
        (plugin / "__init__.py").write_text("def initialize():\n    raise RuntimeError('no driver')\n")
        sys.path.insert(0, folder)
        errors, sys.stderr = sys.stderr, io.StringIO()
        try:
            x = cunumeric.arange(100_000.0) + 1
            assert float(x.sum()) == 5_000_050_000.0
            said = sys.stderr.getvalue()
        finally:
            sys.stderr = errors
    assert said.count("RuntimeWarning") == 1, said
    assert "cannot be used" in said and "no driver" in said and "Traceback" not in said, said
    assert not residence.accelerated and not execute.counters.ran
    assert (cunumeric.sort(x[::-1]) == x).all() and (x * 2).sum() == 10_000_100_000.0


TOPICS = (errors, fallback, views, small_views, created, threads, strict, faults, plain, hosted, timer, unusable)


def main() -> None:
    assert settings.engine == "xla"
    novelty.PATIENCE = sys.maxsize  # all that is done here is new, and the device's
    {f.__name__: f for f in TOPICS}[sys.argv[1]]()
    print("passed")


if __name__ == "__main__":
    main()
