"""Buffers and interfaces say all of a dtype, or refuse, so that others ask `__array__`."""

import inspect

import numpy
import pytest

import cunumeric as np

PADDED = numpy.dtype({"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [1, 16], "itemsize": 24})


@pytest.mark.parametrize(
    "dtype", ["M8[D]", "m8[ns]", "S3", "U2", "O", "f4,i8", "V5", PADDED, numpy.dtype([("x", "i2", (2, 3))])], ids=str
)
def test_numpy_reads_every_dtype(dtype):
    x = np.zeros(3, dtype)
    there = numpy.asarray(x)
    assert there.dtype == x.dtype
    assert numpy.shares_memory(there, x.__array__())


def test_numpy_reads_strings_of_any_length():
    x = np.array(["a", "much longer"], dtype=numpy.dtypes.StringDType())
    assert numpy.asarray(x).dtype == x.dtype


def test_signatures():
    assert inspect.signature(np.arange) == inspect.signature(numpy.arange)
    assert inspect.signature(np.bincount) == inspect.signature(numpy.bincount)
    assert inspect.signature(np.ndarray.sum) == inspect.signature(numpy.ndarray.sum)
    assert "self" not in inspect.signature(np.ones(3).reshape).parameters
    assert inspect.signature(np.add) == inspect.signature(numpy.add)
    assert inspect.signature(np.nditer) == inspect.signature(numpy.nditer)
    assert np.add.__doc__ == numpy.add.__doc__
    assert np.ufunc.__doc__ == numpy.ufunc.__doc__


def test_device_is_not_writable():
    with pytest.raises(AttributeError, match="not writable"):
        np.ones(2).device = "gpu"
