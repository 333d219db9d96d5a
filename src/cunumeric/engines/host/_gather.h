/* Elements of a vector at given positions, which are checked as they are read. */
#ifndef CUNUMERIC_GATHER_H
#define CUNUMERIC_GATHER_H

#include <Python.h>
#include <numpy/arrayobject.h>

typedef struct {
    npy_uint64 half[2];
} Sixteen;

#define AHEAD 24 /* elements: so far ahead memory is asked for */

/* 0 where a position is out of bounds; what comes after it is not written. */
#define GATHER(T)                                                                                            \
    static int gather_##T(const T *from, npy_intp size, const npy_intp *at, npy_intp n, T *out)              \
    {                                                                                                        \
        for (npy_intp k = 0; k < n; k++) {                                                                   \
            if (k + AHEAD < n) {                                                                             \
                __builtin_prefetch(from + at[k + AHEAD]);                                                    \
            }                                                                                                \
            npy_intp i = at[k];                                                                              \
            i += i < 0 ? size : 0;                                                                           \
            if ((npy_uintp)i >= (npy_uintp)size) {                                                           \
                return 0;                                                                                    \
            }                                                                                                \
            out[k] = from[i];                                                                                \
        }                                                                                                    \
        return 1;                                                                                            \
    }
GATHER(npy_uint8)
GATHER(npy_uint16)
GATHER(npy_uint32)
GATHER(npy_uint64)
GATHER(Sixteen)
#undef GATHER

/* gather(x, positions, out): whether all are within bounds. */
static PyObject *gather(PyObject *self, PyObject *args)
{
    PyArrayObject *x, *at, *out;
    if (!PyArg_ParseTuple(args, "O!O!O!", &PyArray_Type, &x, &PyArray_Type, &at, &PyArray_Type, &out)) {
        return NULL;
    }
    npy_intp n = PyArray_SIZE(at);
    int good = -1;
    if (vector_of(x, -1, -1) && vector_of(at, NPY_INTP, n) && vector_of(out, PyArray_TYPE(x), n) &&
        PyArray_ISWRITEABLE(out) && PyArray_ITEMSIZE(x) == PyArray_ITEMSIZE(out)) {
#define ONE(T) good = gather_##T(PyArray_DATA(x), PyArray_SIZE(x), PyArray_DATA(at), n, PyArray_DATA(out));
        Py_BEGIN_ALLOW_THREADS
        switch (PyArray_ITEMSIZE(x)) {
            case 1: ONE(npy_uint8) break;
            case 2: ONE(npy_uint16) break;
            case 4: ONE(npy_uint32) break;
            case 8: ONE(npy_uint64) break;
            case 16: ONE(Sixteen) break;
        }
        Py_END_ALLOW_THREADS
#undef ONE
    }
    if (good < 0) {
        PyErr_SetString(PyExc_ValueError, "elements of a vector are gathered to another of its dtype");
        return NULL;
    }
    return PyBool_FromLong(good);
}

#endif
