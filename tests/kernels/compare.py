"""One comparison for all kernels: bit for bit NumPy's answer, or NotImplemented."""

import warnings

import numpy as np


def bits(a):
    return np.ascontiguousarray(a).tobytes()


def layout(a):
    """The strides that matter."""
    return [stride for stride, length in zip(a.strides, a.shape, strict=True) if length > 1 and a.size]


def assert_same(ours, numpys):
    """Type, dtype, shape, strides and every bit."""
    if isinstance(numpys, tuple):
        assert isinstance(ours, tuple)
        assert len(ours) == len(numpys)
        for one, other in zip(ours, numpys, strict=True):
            assert_same(one, other)
        return
    assert type(ours) is type(numpys)
    if isinstance(numpys, np.ndarray):
        assert ours.dtype == numpys.dtype
        assert ours.shape == numpys.shape
        assert layout(ours) == layout(numpys)
        assert bits(ours) == bits(numpys)
    else:
        assert ours == numpys or (ours != ours and numpys != numpys)


def check(kernel, reference, *args, taken=None, **kwargs):
    """Compare; `taken` says whether the kernel has to take the case (None: it may). Where NumPy raises, the kernel
    must not answer."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = reference(*args, **kwargs)
    except Exception:
        assert kernel(*args, **kwargs) is NotImplemented
        return NotImplemented
    ours = kernel(*args, **kwargs)
    if ours is NotImplemented:
        assert not taken, f"not taken: {args}, {kwargs}"
    else:
        assert taken is not False
        assert_same(ours, expected)
    return ours
