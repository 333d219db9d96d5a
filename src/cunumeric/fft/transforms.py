"""Transforms with a parallel kernel on the host."""

import numpy as np

from ..api.kernels import with_kernel
from ..engines.host import kernels

__all__ = ["fft", "fft2", "fftn", "ifft", "ifft2", "ifftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftn"]

for _name in __all__:
    globals()[_name] = with_kernel(getattr(kernels, _name), getattr(np.fft, _name))
