/* What `_fast` asks of `_recording`, through a capsule. */
#ifndef CUNUMERIC_RECORDED_H
#define CUNUMERIC_RECORDED_H

#include <Python.h>

/* A flag of arrays that NumPy keeps to itself: writing to one warns. */
#define WARN_ON_WRITE (1u << 31)

/* Bytes from which on memory comes from the shelf (runtime/memory.py): glibc gives such back to the system. */
#define SHELVED_FROM (128 * 1024)

/* Other arrays than those of doubles are worth recording from so many times as many elements on. */
#define OTHERS 4

/* Of an operation that was not recorded: whether that was because it is not worth it, so that NumPy may run it at once;
 * and what is known of its result (record.signatures), or NULL. */
typedef struct {
    int at_once;
    PyObject *known;
} Verdict;

/* `row` on the arguments, recorded; NULL without an error: see the verdict. */
typedef PyObject *Recorded(PyObject *row, PyObject *const *args, int n, int scalars, Verdict *verdict);
/* The same, stored in the array `out`: 1; 0: see the verdict; -1: an error. */
typedef int Into(PyObject *row, PyObject *const *args, int n, PyObject *out, Verdict *verdict);
/* Whether a result that is `known` lives on warm memory; and that memory. */
typedef int Warm(PyObject *known);
typedef PyObject *NewResult(PyObject *known);

/* Whether a cheap function on so many elements is NumPy's at once. */
typedef int Lone(npy_intp size);

/* NumPy's operation on one or two operands (the second: NULL) where another way than NumPy's is quicker, into `out`
 * where that is not NULL; NULL without an error: it is NumPy's. Given by `_fast`, for what is not recorded. */
typedef PyObject *Sooner(PyObject *kernel, PyObject *a, PyObject *b, PyObject *out);

/* A reduction of all of a recorded array to one value; NULL without an error: not here. */
enum { REDUCING_SUM, REDUCING_MAX, REDUCING_MIN, REDUCING_ANY, REDUCING_ALL, N_REDUCING };
typedef PyObject *Reduced(PyObject *x, int which);

#endif
