"""Memory that waits for reuse."""

import resource

import numpy
import pytest

from cunumeric.runtime import memory


@pytest.mark.skipif(memory.ways is None, reason="only the extension knows what was written to")
def test_memory_that_was_not_written_to_does_not_drive_other_memory_off_the_shelf():
    n, double = 1 << 20, numpy.dtype(float)
    memory.empty((n,), double).fill(1)
    untouched = memory.empty((3 * n,), double)
    memory.empty((n,), double).fill(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        memory.empty((n,), double).fill(1)  # 8 MiB: four faults at least, if the pages were fresh
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 100
    assert untouched.size == 3 * n
