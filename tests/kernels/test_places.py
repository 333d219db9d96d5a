"""Where arrays begin in their pages: see `runtime/_shelf.c`."""

import pytest

import cunumeric as np
from cunumeric.runtime import memory

PAGE, LINE = 4096, 64


def place(x):
    return x.__array_interface__["data"][0] % PAGE


@pytest.mark.skipif(memory.ways is None, reason="without the extension memory is malloc's")
@pytest.mark.parametrize(
    "nbytes", [40_000, 400_000, 5_000_000, 2 << 21], ids=["piece", "malloc", "mapped", "huge pages"]
)
def test_arrays_of_a_size_begin_apart(nbytes):
    """A copy to a place a few bytes further in the page takes twelve times as long, a loop a quarter longer."""
    held = [np.empty(nbytes, "u1") for _ in range(8)]
    places = sorted(map(place, held))
    assert all(p % LINE == 0 for p in places)
    assert all(b - a >= 256 for a, b in zip(places, [*places[1:], places[0] + PAGE], strict=True))
    for k, x in enumerate(held):
        x[...] = k
    assert all((x == k).all() for k, x in enumerate(held))
