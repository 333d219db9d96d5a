"""Arrays that other packages share with us on one device: `python -m tests.engines.xla.sharing PEER gpu|cpu`.

PEER is cupy, torch or jax; numpy stands in for CuPy on the processor, where our arrays are made to say that they live
on a GPU. Without that they would share the host's memory, and nothing of what is tested here would run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy

import cunumeric as np
from cunumeric.arrays import interop
from cunumeric.runtime import residence
from cunumeric.runtime.settings import settings

DTYPES = "bool int8 int32 int64 uint8 float16 float32 float64 complex64 complex128".split()
# What a peer does: makes an array of its own on the device; reads one back; says where its memory begins;
# adds one to it, in place.
make: Callable[[numpy.ndarray], Any]
read: Callable[[Any], numpy.ndarray]
address: Callable[[Any], int]
bump: Callable[[Any], Any]
# Ways by which the peer takes an array of ours without copying it.
ways: dict[str, Callable[[Any], Any]] = {}


def _pretend() -> None:
    """Let the processor's devices pass for GPUs."""
    residence.kind = lambda: "gpu"
    interop._CUDA = 1  # DLPack's number for the processor


def use_numpy(place: str) -> None:
    assert place == "cpu"
    global make, read, address, bump
    make, read = numpy.copy, numpy.asarray
    address, bump = lambda p: p.__array_interface__["data"][0], lambda p: numpy.add(p, 1, out=p)
    ways["from_dlpack"] = numpy.from_dlpack


def use_cupy(place: str) -> None:
    import cupy

    assert place == "gpu"
    global make, read, address, bump
    make, read = cupy.asarray, cupy.asnumpy
    address, bump = lambda p: p.data.ptr, lambda p: cupy.add(p, 1, out=p)
    ways["from_dlpack"] = cupy.from_dlpack
    ways["asarray"] = cupy.asarray  # __cuda_array_interface__


def use_torch(place: str) -> None:
    import torch

    global make, read, address, bump
    device = "cuda" if place == "gpu" else "cpu"
    make, read = lambda a: torch.tensor(a, device=device), lambda p: p.cpu().numpy()
    address, bump = lambda p: p.data_ptr(), lambda p: p.add_(1)
    ways["from_dlpack"] = torch.from_dlpack
    # PyTorch takes no `__cuda_array_interface__` of what may only be read, as ours, which says that.


def use_jax(place: str) -> None:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    assert jax.default_backend() == place
    global make, read, address, bump
    make, read = lambda a: jnp.array(a, copy=True), numpy.asarray
    address, bump = lambda p: p.unsafe_buffer_pointer(), None  # JAX's arrays do not change
    ways["from_dlpack"] = jax.dlpack.from_dlpack
    ways["asarray"] = jnp.asarray  # __jax_array__


def on_device(a: numpy.ndarray) -> Any:
    """An array of ours with these values, whose newest bytes are on the device alone."""
    x = np.array(a).copy()
    np.synchronize()
    assert residence.on_device(x._a)
    return x


def our_address(x: Any) -> int:
    """Where the device's value of `x` begins."""
    np.synchronize()
    return residence.remote_of(x._a).value.unsafe_buffer_pointer()


def some(dtype: str, shape: tuple[int, ...] = (40, 50)) -> numpy.ndarray:
    return (numpy.arange(numpy.prod(shape)).reshape(shape) % 7 - 3).astype(dtype)


def lent_without_a_copy() -> None:
    """Every way and dtype: the same address, the same values, and no byte over the host."""
    for dtype in DTYPES:
        a = some(dtype)
        for name, way in ways.items():
            x = on_device(a)
            before = residence.counters.fetched, residence.counters.sent
            p = way(x)
            assert (residence.counters.fetched, residence.counters.sent) == before, (name, dtype)
            assert address(p) == our_address(x), (name, dtype)
            found = read(p)
            assert found.dtype == a.dtype, (name, dtype)
            assert numpy.array_equal(found, a), (name, dtype)


def lent_views() -> None:
    """A view is handed out with its values."""
    a = some("float64")
    for name, way in ways.items():
        x = on_device(a)
        for view in (numpy.s_[::2, 3:], numpy.s_[::-1], numpy.s_[5], numpy.s_[:0], numpy.s_[None, 1:3]):
            assert numpy.array_equal(read(way(x[view])), a[view]), (name, view)
        assert numpy.array_equal(read(way(x.T)), a.T), name


def lent_once_and_for_all() -> None:
    """What was handed out stays as it is while ours goes on: memory that others may read is not given to a program."""
    a = some("float64", (300, 500))
    for name, way in ways.items():
        x = on_device(a)
        p = way(x)
        for k in range(4):
            x += 1
            x[0] = k
            np.synchronize()
        assert numpy.array_equal(read(p), a), name
        assert x[1, 1] == a[1, 1] + 4
        view = x[1:]
        p = way(x)
        del x
        view += 1
        np.synchronize()
        assert read(p)[1, 1] == a[1, 1] + 4, name
        assert view[0, 1] == a[1, 1] + 5


def lent_while_recorded() -> None:
    """What is only recorded is computed, and done, when a peer reads it."""
    a = some("float64", (300, 500))
    for name, way in ways.items():
        p = way(numpy.add(on_device(a), 1) * 2)
        assert numpy.array_equal(read(p), (a + 1) * 2), name


def taken_as_a_copy() -> None:
    """What comes in is copied on the device: neither side sees what the other writes."""
    for dtype in DTYPES:
        a = some(dtype)
        p = make(a)
        before = residence.counters.fetched, residence.counters.sent
        x = np.from_dlpack(p)
        np.synchronize()
        assert type(x) is np.ndarray
        assert (residence.counters.fetched, residence.counters.sent) == before, dtype
        assert residence.on_device(x._a), dtype
        assert our_address(x) != address(p), dtype
        assert x.dtype == a.dtype
        if dtype != "bool":
            x += 2
            np.synchronize()
            assert numpy.array_equal(read(p), a), dtype
            if bump is not None:
                bump(p)
            assert numpy.array_equal(x, a + a.dtype.type(2)), dtype
        else:
            assert numpy.array_equal(x, a)


def taken_in_every_layout() -> None:
    """Steps, transposes, no dimensions, no elements: NumPy's `from_dlpack` takes them all."""
    a = some("float32")
    p = make(a)
    for view in (numpy.s_[::2], numpy.s_[:, ::3], numpy.s_[3:, 4:], numpy.s_[7], numpy.s_[:0]):
        x = np.from_dlpack(p[view])
        assert x.shape == a[view].shape, view
        assert numpy.array_equal(x, a[view]), view
    scalar = np.from_dlpack(p[2, 3:4].reshape(()))
    assert scalar.shape == ()
    assert scalar == a[2, 3]
    assert numpy.array_equal(np.from_dlpack(p.T), a.T)
    assert numpy.array_equal(np.from_dlpack(p.T) * 2, a.T * 2)


def back_and_forth() -> None:
    """A program of both: each goes on with what the other made."""
    a = some("float64", (300, 500))
    for name, way in ways.items():
        x = on_device(a)
        for _ in range(5):
            x = np.from_dlpack(way(x)) + 1
        assert numpy.array_equal(x, a + 5), name


TOPICS = (
    lent_without_a_copy, lent_views, lent_once_and_for_all, lent_while_recorded, taken_as_a_copy,
    taken_in_every_layout, back_and_forth,
)  # fmt: skip
PEERS = {"cupy": use_cupy, "jax": use_jax, "numpy": use_numpy, "torch": use_torch}


def main() -> None:
    peer, place = sys.argv[1:]
    assert settings.engine == "xla"
    assert residence.kind() == place, f"JAX is on {residence.kind()}"
    if place == "cpu":
        _pretend()
    PEERS[peer](place)
    for topic in TOPICS:
        topic()
        print(topic.__name__, "passed", flush=True)


if __name__ == "__main__":
    main()
