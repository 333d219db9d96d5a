"""Seeds, bit generators and shuffling with our arrays, against NumPy's generators."""

import pickle

import numpy
import pytest

import cunumeric as np


@pytest.mark.parametrize("top", [np.random, np.random.RandomState(3), np.random.default_rng(3)])
def test_shuffle_of_a_list_of_tuples_moves_the_users_list(top):
    numbers = [(i, i) for i in range(20)]
    if top is np.random:
        np.random.seed(3)
    top.shuffle(numbers)
    assert numbers != [(i, i) for i in range(20)]
    assert sorted(numbers) == [(i, i) for i in range(20)]


@pytest.mark.parametrize("top", [np.random, np.random.RandomState(3), np.random.default_rng(3)])
def test_shuffle_of_a_list_of_arrays_moves_the_users_list(top):
    arrays = [np.full(2, i) for i in range(20)]
    moved = list(arrays)
    top.shuffle(moved)
    assert sorted(map(id, moved)) == sorted(map(id, arrays))
    assert any(a is not b for a, b in zip(moved, arrays, strict=True))


@pytest.mark.parametrize("name", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_bit_generators_take_seeds_of_ours(name):
    ours = getattr(np.random, name)(np.arange(3))
    theirs = getattr(numpy.random, name)(numpy.arange(3))
    assert np.array_equal(ours.random_raw(5), theirs.random_raw(5))
    assert type(ours.random_raw(5)) is np.ndarray
    assert type(ours).__name__ == name
    assert pickle.loads(pickle.dumps(ours)).state["bit_generator"] == name


def test_default_rng_takes_seeds_of_ours():
    assert np.random.default_rng(np.arange(3)).random() == numpy.random.default_rng([0, 1, 2]).random()
    assert np.random.RandomState(np.arange(3)).rand() == numpy.random.RandomState([0, 1, 2]).rand()
    assert list(np.random.SeedSequence(np.arange(3)).generate_state(2)) == list(
        numpy.random.SeedSequence([0, 1, 2]).generate_state(2)
    )


def test_default_rng_shares_what_it_is_given():
    state = np.random.RandomState(1)
    assert np.random.default_rng(state).bit_generator is state._bit_generator
    bits = np.random.PCG64(1)
    rng = np.random.default_rng(bits)
    assert rng.bit_generator is bits
    assert np.random.default_rng(rng) is rng


def test_numpys_generators_are_instances():
    assert isinstance(numpy.random.default_rng(1), np.random.Generator)
    assert isinstance(numpy.random.PCG64(1), np.random.PCG64)
    assert not isinstance(numpy.random.PCG64(1), np.random.Philox)
    assert isinstance(np.random.default_rng(1).bit_generator, numpy.random.PCG64)


def test_pickles_keep_bit_generator_and_state():
    rng = np.random.Generator(np.random.Philox(5))
    rng.standard_normal()
    again = pickle.loads(pickle.dumps(rng))
    assert type(again) is np.random.Generator
    assert again.standard_normal() == rng.standard_normal()
    old = np.random.RandomState(np.random.MT19937(4))
    assert pickle.loads(pickle.dumps(old)).rand() == old.rand()
