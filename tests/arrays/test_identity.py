"""Where NumPy gives back the very object that it was given, so do we."""

import cunumeric as np


def test_arrays_as_elements():
    x = np.arange(3)
    held = np.array([x, None], dtype=object)
    assert held[0] is x
    box = np.empty(1, object)
    box[0] = x
    assert box[0] is x
    assert box.item() is x


def test_memory_that_was_handed_out():
    x = np.arange(3.0)
    assert np.asarray(x.__array__()) is x


def test_positional_out():
    x, out = np.arange(3.0), np.empty(3)
    assert np.sin(x, out) is out
    assert np.sin(x, out=out) is out
    row = np.empty((2, 3))[0]
    assert np.add(row, 1.0, out=row) is row


def test_recorded_work_is_done_before_an_element_is_read():
    x = np.ones(200000)
    held = np.array([x, None], dtype=object)
    x += 1
    assert (held[:1] + 1)[0][0] == 3


def test_resize_to_the_same_size_works_on_views():
    x = np.zeros((10, 0), int)
    view = x[...]
    view.resize((0, 10))
    assert view.shape == (0, 10)


def test_buffer_lives_through_a_resize():
    x = np.arange(3.0)
    shown = memoryview(x)
    x.resize(1000, refcheck=False)
    assert shown.tolist() == [0, 1, 2]


def test_flat():
    x = np.arange(6.0).reshape(2, 3)
    assert x.flat.base is x
    assert isinstance(x.flat, np.flatiter)
    assert type(x.flat[1:3]) is np.ndarray
    assert x.flat[x.flat[:] > 2].tolist() == [3, 4, 5]
    x.flat[x.flat[:] > 2] = 0
    x.flat = x.flat[:] + 1
    assert x.tolist() == [[1, 2, 3], [1, 1, 1]]
    assert np.array(x.flat).tolist() == list(x.flat)
