"""Other people's types: subclasses, `__array__`, `__array_ufunc__`, `__array_function__`, `like=`."""

import numpy
import pytest

import cunumeric as np
from cunumeric.graph import window


class Halves:
    """Converts to an array of ours, and wraps results."""

    def __array__(self, dtype=None, copy=None):
        return np.array([0.5, 1.5])

    def __array_wrap__(self, array, context=None, return_scalar=False):
        return ("wrapped", type(array), array.tolist())


def test_object_whose_array_is_ours():
    assert np.asarray(Halves()).tolist() == [0.5, 1.5]
    assert np.concatenate([Halves(), np.ones(1)]).tolist() == [0.5, 1.5, 1.0]
    x = np.zeros(2)
    x[:] = Halves()
    assert x.tolist() == [0.5, 1.5]


class Holds:
    """Converts to the array of ours that it holds."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return self.x


@pytest.mark.parametrize("n", [50, 50_000])
def test_operands_and_indices_whose_array_is_ours(n):
    x, index = np.arange(n) * 2.0, np.arange(n)[::-1].copy()
    expected = numpy.arange(n) * 2.0
    for r in (x + Holds(x), Holds(x) + x, np.add(x, Holds(x))):
        assert type(r) is np.ndarray
        assert (r == expected * 2).all()
    assert (x == Holds(x)).all()
    assert x @ Holds(x) == x.dot(Holds(x)) == x @ x
    assert divmod(x + 1, Holds(x + 1))[0].tolist() == [1.0] * n
    assert (x[Holds(index)] == expected[::-1]).all()
    assert (x[:20][Holds(index % 20)] == expected[:20][numpy.arange(n)[::-1] % 20]).all()
    assert (x.searchsorted(Holds(x)) == numpy.arange(n)).all()
    assert (np.full(n, Holds(x)) == expected).all()
    assert (np.where(Holds(x > 8), Holds(x), 8) == numpy.maximum(expected, 8)).all()
    assert np.add.reduce(Holds(x)) == np.add.reduceat(Holds(x), [0])[0] == expected.sum()
    assert np.multiply.outer(Holds(x[:3]), x[:2]).tolist() == [[0, 0], [0, 4], [0, 8]]
    y = x.copy()
    y += Holds(x)
    y[Holds(index)] -= Holds(x)
    assert (y == expected * 2 - expected[::-1]).all()


def test_an_operand_that_refuses_has_not_got_the_memory():
    class Refuses:
        __array_ufunc__ = None

        def __rmul__(self, other):
            return "mine"

    x = np.zeros(100_000) + 1
    assert x * Refuses() == "mine"
    assert not window.is_exposed(x._a)


def test_wrap_of_such_an_object_is_given_ours():
    assert np.negative(Halves()) == ("wrapped", np.ndarray, [-0.5, -1.5])


class Plain(np.ndarray):
    """A subclass without anything of its own."""


class Loud(np.ndarray):
    """A subclass that looks at its arguments as ours."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        assert all(type(x) in (Loud, np.ndarray) for x in inputs if isinstance(x, np.ndarray))
        plain = [x.view(np.ndarray) if isinstance(x, np.ndarray) else x for x in inputs]
        return super().__array_ufunc__(ufunc, method, *plain, **kwargs).view(Loud)


@pytest.mark.parametrize("kind", [Plain, Loud])
def test_view_of_a_subclass_as_ndarray(kind):
    x = np.arange(3.0).view(kind)
    assert type(x) is kind
    assert type(x.view(np.ndarray)) is np.ndarray
    assert type(x.view(type=np.ndarray)) is np.ndarray
    x.view(np.ndarray)[0] = 7
    assert x[0] == 7


def test_subclass_with_ufunc_override():
    x, y = np.arange(3.0), np.arange(3.0).view(Loud)
    for r in (x + y, y + x, np.add(x, y), np.sqrt(y)):
        assert type(r) is Loud


class Reflected(np.ndarray):
    def __radd__(self, other):
        return "reflected"

    def __eq__(self, other):
        return "equal"

    __hash__ = None


def test_operator_of_a_subclass_goes_first():
    x = np.arange(3.0)
    assert x + x.view(Reflected) == "reflected"
    assert (x == x.view(Reflected)) == "equal"


class Duck:
    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return f"{ufunc.__name__} {method}"

    def __array_function__(self, function, types, args, kwargs):
        return HANDLED[function](*args, **kwargs) if function in HANDLED else NotImplemented


HANDLED = {np.sum: lambda x: "sum", np.concatenate: lambda x: "joined", np.arange: lambda n: n}


def test_array_function_is_given_our_functions():
    assert np.sum(Duck()) == "sum"
    assert np.concatenate([np.ones(1), Duck()]) == "joined"
    with pytest.raises(TypeError, match="no implementation found"):
        np.sort(Duck())


def test_like():
    assert np.arange(4, like=Duck()) == 4
    assert type(np.arange(4, like=np.ones(1))) is np.ndarray
    with pytest.raises(TypeError, match="no implementation found"):
        np.zeros(4, like=Duck())
    with pytest.raises(TypeError, match="like"):
        np.ones(4, like=1)


def test_inplace_operator_gives_what_the_override_gives():
    x = np.ones(2)
    x += Duck()
    assert x == "add __call__"
    assert np.add.at(Duck(), 0, 1) == "add at"


def test_functions_of_c_do_not_bind():
    class Maker:
        array = np.array
        zeros = np.zeros

    assert Maker().array([1, 2]).tolist() == [1, 2]
    assert Maker().zeros(2).tolist() == [0, 0]
    assert isinstance(numpy.array([1]), np.ndarray)
