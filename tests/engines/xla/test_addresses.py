"""Addresses of memory that lives on a device: kept when an array dies, without the pages it was given."""

import sys

import numpy
import pytest

from cunumeric.runtime import addresses, residence

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory without a promise of pages is Linux's")
SHAPE, KIND = (1 << 23,), numpy.dtype(float)


def test_a_range_is_handed_on_without_its_pages():
    a = residence.reserve(SHAPE, KIND)
    a[:1000] = 7
    start = residence.remote_of(a).start
    assert start == a.__array_interface__["data"][0]
    b = residence.reserve(SHAPE, KIND)
    assert residence.remote_of(b).start != start
    view = a[5:]
    del a
    assert residence.remote_of(residence.reserve(SHAPE, KIND)).start != start  # it is still shown
    del view
    c = residence.reserve(SHAPE, KIND)
    assert residence.remote_of(c).start == start
    assert not c[:1000].any()


def test_few_are_kept():
    arrays = [residence.reserve(SHAPE, KIND) for _ in range(40)]
    del arrays
    assert sum(map(len, addresses._spare.values())) <= addresses._KEPT
