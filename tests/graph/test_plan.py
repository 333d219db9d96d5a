"""The plan: how often a program runs what it recorded, in how many sweeps, and what is given memory."""

import numpy
import pytest

import cunumeric as np
from tests.counting import assert_flushes, assert_sweeps, counted

SIDE = 600


def numbers():
    return numpy.random.default_rng(0).random((SIDE, SIDE))


@pytest.fixture
def field():
    """A large array of `numbers` that nothing waits for, and whose memory nobody else has seen: what is recorded on
    memory that `numpy.array(field)` was given would run at once."""
    a = np.array(numbers())
    np.synchronize()
    return a


def operator(v):
    """The five-point operator of a conjugate gradient without a matrix."""
    w = 4 * v
    w[1:] -= v[:-1]
    w[:-1] -= v[1:]
    w[:, 1:] -= v[:, :-1]
    w[:, :-1] -= v[:, 1:]
    return w


def mean_of_neighbours(p):
    return (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4


# -- flushes -----------------------------------------------------------------------------------------------------------


def test_recording_runs_nothing(field):
    with assert_flushes(0):
        y = np.sqrt(field) * 2 + field
        y[1:-1] = y[:-2] + y[2:]
        y *= 3
        z = np.where(y > 1, y, 0).astype("f4")
        assert z.shape == field.shape
        assert z.dtype == "f4"
        assert len(z) == SIDE
        assert z.T.shape == z.shape
        assert z[3:].nbytes == (SIDE - 3) * SIDE * 4


@pytest.mark.parametrize(
    "read",
    [
        repr,
        numpy.asarray,
        memoryview,
        lambda y: y[:1, :1].item(),
        lambda y: y[0, 0],
        lambda y: bool(y[:1, :1]),
        lambda y: y.tolist(),
        lambda y: y.tobytes(),
        lambda y: np.array_equal(y, y),
        lambda y: y[[0]],
        lambda y: y @ y,
    ],
    ids="repr asarray memoryview item element bool tolist tobytes array_equal fancy matmul".split(),
)
def test_reading_runs_once(field, read):
    with assert_flushes(1):
        y = field + 1
        read(y)


def test_a_reduction_runs_once(field):
    with assert_flushes(1):
        (field * 2 + 1).sum()


def test_reading_what_nothing_waits_for_runs_nothing(field):
    other = np.ones(3)
    y = field + 1
    with assert_flushes(0):
        other.tolist()
        other[0]
    assert y.shape == field.shape


def test_a_full_window_is_run(field, monkeypatch):
    monkeypatch.setattr("cunumeric.runtime.settings.settings.window", 10)
    with counted(synchronize=False) as count:
        y = field
        for _ in range(45):
            y = y + 1
    # A window ends where a loop comes round, between its size and twice as many operations.
    assert 2 <= count.flushes <= 4


def test_a_loop_without_reads_is_not_run(field):
    with assert_flushes(0):
        for _ in range(30):
            field += 1


def test_eager_records_nothing(field):
    with counted() as count, np.eager():
        (field + 1).sum()
    assert count.recorded == 0
    assert count.sweeps == 0


def test_synchronize_with_nothing_recorded_runs_nothing(field):
    with assert_flushes(0):
        np.synchronize()


# -- one sweep ---------------------------------------------------------------------------------------------------------


def test_a_chain_with_a_reduction_is_one_sweep_without_memory(field):
    with assert_sweeps(1, given=0):
        np.sqrt(field * 2 + 1).sum()


def test_a_named_chain_with_a_reduction(field):
    with assert_sweeps(1, given=0):
        total = (np.exp(-field) * np.sin(field)).max()
    assert total > 0


def test_the_operator_of_conjugate_gradient_is_one_sweep(field):
    with assert_sweeps(1):
        w = operator(field)
    assert w.shape == field.shape


def test_the_operator_and_its_product_are_one_sweep(field):
    with assert_sweeps(1):
        w = operator(field)
        (field * w).sum()


def test_updates_of_conjugate_gradient(field):
    x, r, w = field.copy(), field + 1, operator(field)
    np.synchronize()
    with assert_sweeps(1, given=0):
        x += 0.5 * field
        r -= 0.5 * w
        (r * r).sum()


def test_independent_results_share_a_sweep(field):
    with assert_sweeps(1, given=2):
        y, z = field + 1, field * 2
    assert y.shape == z.shape


def test_other_shapes_are_other_sweeps(field):
    with assert_sweeps(2):
        y, z = field + 1, field[: SIDE // 2].ravel() * 2
    assert y.size == 2 * z.size


def test_stores_into_rows_and_columns_share_a_sweep(field):
    with assert_sweeps(1, given=0):
        field += 1
        field[1:-1, 1:-1] *= 2


# -- memory ------------------------------------------------------------------------------------------------------------


def test_a_dead_copy_is_not_made(field):
    """pn = p.copy(); p[...] = f(pn), and pn is dead when it runs."""
    expected = numbers()
    expected[1:-1, 1:-1] = mean_of_neighbours(expected.copy())
    np.synchronize()
    with counted() as count:
        pn = field.copy()
        field[1:-1, 1:-1] = mean_of_neighbours(pn)
        del pn
    assert count.sweeps == 1
    # The copy's memory is asked for when its first view is taken; it is never written.
    assert len(count.given) <= 1
    assert numpy.array_equal(field, expected)


def test_a_live_copy_is_made(field):
    with counted() as count:
        pn = field.copy()
        field[1:-1, 1:-1] = mean_of_neighbours(pn)
    assert len(count.given) == 1
    assert numpy.array_equal(pn, numbers())


def test_an_in_place_stencil_is_one_delayed_sweep(field):
    expected = numbers()
    expected[1:-1, 1:-1] = mean_of_neighbours(expected)
    np.synchronize()
    with assert_sweeps(1, given=0):
        field[1:-1, 1:-1] = mean_of_neighbours(field)
    assert numpy.array_equal(field, expected)


def test_a_shifted_self_assignment_is_one_delayed_sweep(field):
    with assert_sweeps(1, given=0):
        field[1:] = field[:-1] + 0


def test_a_reversed_self_assignment_is_computed_aside(field):
    expected = numbers()
    expected += expected[::-1]
    np.synchronize()
    field += field[::-1]
    assert numpy.array_equal(field, expected)


def test_dead_temporaries_get_no_memory(field):
    with assert_sweeps(1, given=1):
        t = field + 1
        u = t * 2
        del t
    assert u.shape == field.shape


def test_a_live_temporary_gets_memory(field):
    with assert_sweeps(1, given=2):
        t = field + 1
        u = t * 2
    assert t.shape == u.shape


def test_what_nobody_holds_is_not_computed(field):
    with assert_sweeps(0, given=0):
        u = np.sqrt(field)
        del u


def test_rebinding_a_name_leaves_one_array(field):
    with assert_sweeps(1, given=1):
        y = field + 1
        y = y * 2
        y = np.sqrt(y)
        y -= 3
    assert y.shape == field.shape


def test_an_operator_in_place_on_a_recorded_array_gets_memory_once(field):
    with assert_sweeps(1, given=1):
        y = field * 2
        y += 1
        y *= field
    assert y.shape == field.shape


def test_a_node_beyond_its_hazard_is_given_memory(field):
    expected = numbers()
    y = expected + 1
    expected[...] = 0
    np.synchronize()
    z = field + 1
    field[...] = field * 0
    assert numpy.array_equal(z, y)
    assert numpy.array_equal(field, expected)


def test_results_of_large_programs_live_where_memory_was_given(field):
    with counted() as count:
        y = field + 1
    assert count.given == (field.nbytes,)
    with assert_sweeps(0, given=0):
        y.sum  # noqa: B018  (an attribute is no reading)


# -- small -------------------------------------------------------------------------------------------------------------


def test_small_operations_are_not_recorded():
    x = np.arange(100.0)
    with counted() as count:
        y = np.sqrt(x * 2 + 1)
        y[1:] += y[:-1]
        y.sum()
    assert (count.recorded, count.flushes, count.sweeps) == (0, 0, 0)


def test_small_operations_on_what_waits_are_joined(field):
    y = field * 2
    y[1:] += 1
    with assert_flushes(0):
        y[0] = y[1] + 1
    assert y[0, 0] == y[1, 0] + 1
