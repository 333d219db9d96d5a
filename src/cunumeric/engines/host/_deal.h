/* Dealing the elements of a vector to buckets between pivots, as a sample sort does first: by comparisons alone, without
 * a branch that the data decide (Sanders and Winkel, "Super Scalar Sample Sort", 2004). */
#ifndef CUNUMERIC_DEAL_H
#define CUNUMERIC_DEAL_H

#include <Python.h>
#include <numpy/arrayobject.h>
#include <stdint.h>

#define BUCKETS_MOST 256
#define ABREAST 8 /* elements that go down the tree side by side */

/* Sorted pivots as a tree: the children of `at` are 2 at and 2 at + 1. */
#define GROW(T)                                                                       \
    static int grow_##T(const T *pivots, T *tree, int buckets, int at, int next)      \
    {                                                                                 \
        if (at < buckets) {                                                           \
            next = grow_##T(pivots, tree, buckets, 2 * at, next);                     \
            tree[at] = pivots[next++];                                                \
            next = grow_##T(pivots, tree, buckets, 2 * at + 1, next);                 \
        }                                                                             \
        return next;                                                                  \
    }

/* The bucket of each element, and how many are in each. What is not less than a pivot is behind it: NaN is last. */
#define CLASSIFY(T)                                                                                          \
    static void classify_##T(const T *x, npy_intp n, const T *pivots, int buckets, npy_uint8 *ids, npy_intp *counts) \
    {                                                                                                        \
        T tree[BUCKETS_MOST];                                                                                \
        grow_##T(pivots, tree, buckets, 1, 0);                                                               \
        npy_intp i = 0;                                                                                      \
        for (; i + ABREAST <= n; i += ABREAST) {                                                             \
            unsigned at[ABREAST];                                                                            \
            for (int k = 0; k < ABREAST; k++) {                                                              \
                at[k] = 1;                                                                                   \
            }                                                                                                \
            for (int reach = 1; reach < buckets; reach *= 2) {                                               \
                for (int k = 0; k < ABREAST; k++) {                                                          \
                    at[k] = 2 * at[k] + !(x[i + k] < tree[at[k]]);                                           \
                }                                                                                            \
            }                                                                                                \
            for (int k = 0; k < ABREAST; k++) {                                                              \
                ids[i + k] = (npy_uint8)(at[k] - buckets);                                                   \
                counts[at[k] - buckets]++;                                                                   \
            }                                                                                                \
        }                                                                                                    \
        for (; i < n; i++) {                                                                                 \
            unsigned at = 1;                                                                                 \
            while (at < (unsigned)buckets) {                                                                 \
                at = 2 * at + !(x[i] < tree[at]);                                                            \
            }                                                                                                \
            ids[i] = (npy_uint8)(at - buckets);                                                              \
            counts[at - buckets]++;                                                                          \
        }                                                                                                    \
    }

#define BOTH(T) GROW(T) CLASSIFY(T)
BOTH(double)
BOTH(float)
BOTH(int64_t)
BOTH(int32_t)
BOTH(uint64_t)
BOTH(uint32_t)
#undef BOTH

/* Whether `a` is a vector without gaps, of so many elements of the type (`long` and `longlong` are one), or of any. */
static int vector_of(PyArrayObject *a, int type, npy_intp n)
{
    return PyArray_NDIM(a) == 1 && PyArray_ISCARRAY_RO(a) && (type < 0 || PyArray_EquivTypenums(PyArray_TYPE(a), type)) &&
           (n < 0 || PyArray_DIM(a, 0) == n);
}

/* Whether elements like those of `a` are dealt: real numbers of four or eight bytes. */
static int dealable(PyArrayObject *a)
{
    char kind = PyArray_DESCR(a)->kind;
    return (kind == 'f' || kind == 'i' || kind == 'u') && (PyArray_ITEMSIZE(a) == 4 || PyArray_ITEMSIZE(a) == 8);
}

/* classify(x, pivots, ids, counts): of one dtype; so many pivots that the buckets are a power of two. */
static PyObject *classify(PyObject *self, PyObject *args)
{
    PyArrayObject *x, *pivots, *ids, *counts;
    if (!PyArg_ParseTuple(args, "O!O!O!O!", &PyArray_Type, &x, &PyArray_Type, &pivots, &PyArray_Type, &ids, &PyArray_Type,
                          &counts)) {
        return NULL;
    }
    npy_intp n = PyArray_SIZE(x), buckets = PyArray_SIZE(pivots) + 1;
    char kind = PyArray_DESCR(x)->kind;
    int size = (int)PyArray_ITEMSIZE(x);
    if (!vector_of(x, -1, -1) || !vector_of(pivots, PyArray_TYPE(x), -1) || !vector_of(ids, NPY_UINT8, n) ||
        !vector_of(counts, NPY_INTP, buckets) || !PyArray_ISWRITEABLE(ids) || !PyArray_ISWRITEABLE(counts) ||
        buckets > BUCKETS_MOST || buckets & (buckets - 1) || !dealable(x)) {
        PyErr_SetString(PyExc_ValueError, "vectors of one dtype are classified");
        return NULL;
    }
#define ONE(T) \
    classify_##T(PyArray_DATA(x), n, PyArray_DATA(pivots), (int)buckets, PyArray_DATA(ids), PyArray_DATA(counts));
    Py_BEGIN_ALLOW_THREADS
    if (size == 8) {
        if (kind == 'f') { ONE(double) } else if (kind == 'i') { ONE(int64_t) } else { ONE(uint64_t) }
    }
    else {
        if (kind == 'f') { ONE(float) } else if (kind == 'i') { ONE(int32_t) } else { ONE(uint32_t) }
    }
    Py_END_ALLOW_THREADS
#undef ONE
    Py_RETURN_NONE;
}

/* deal(x, ids, places, out): each element to the next place of its bucket. */
static PyObject *deal(PyObject *self, PyObject *args)
{
    PyArrayObject *x, *ids, *places, *out;
    if (!PyArg_ParseTuple(args, "O!O!O!O!", &PyArray_Type, &x, &PyArray_Type, &ids, &PyArray_Type, &places, &PyArray_Type,
                          &out)) {
        return NULL;
    }
    npy_intp n = PyArray_SIZE(x), at[BUCKETS_MOST], buckets = PyArray_SIZE(places);
    int size = (int)PyArray_ITEMSIZE(x);
    if (!vector_of(x, -1, -1) || !vector_of(ids, NPY_UINT8, n) || !vector_of(places, NPY_INTP, -1) ||
        !vector_of(out, PyArray_TYPE(x), -1) || !PyArray_ISWRITEABLE(out) || buckets > BUCKETS_MOST ||
        (size != 4 && size != 8)) {
        PyErr_SetString(PyExc_ValueError, "vectors of one dtype are dealt");
        return NULL;
    }
    memcpy(at, PyArray_DATA(places), buckets * sizeof *at);
    const npy_uint8 *to = PyArray_DATA(ids);
#define ONE(T)                                                    \
    {                                                             \
        const T *from = PyArray_DATA(x);                          \
        T *there = PyArray_DATA(out);                             \
        for (npy_intp k = 0; k < n; k++) {                        \
            there[at[to[k]]++] = from[k];                         \
        }                                                         \
    }
    Py_BEGIN_ALLOW_THREADS
    if (size == 8) ONE(uint64_t) else ONE(uint32_t)
    Py_END_ALLOW_THREADS
#undef ONE
    Py_RETURN_NONE;
}

#endif
