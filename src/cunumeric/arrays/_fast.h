/* What the parts of the extension share: the array class, the one look whether NumPy may run on an array at once, and
 * the ways across the border (`strip`, `wrap`, `wrap_from` of base.py). Part of `_fast.c`, which includes it. */
#ifndef CUNUMERIC_FAST_H
#define CUNUMERIC_FAST_H

#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <Python.h>
#include <structmember.h>
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#include <numpy/ufuncobject.h>
#include "../runtime/_slots.h"
#include "_recorded.h"

static PyTypeObject *array_type;   /* the array class */
static PyTypeObject *array_meta;   /* its metaclass */
static PyTypeObject *remote_type;  /* of memory that an accelerator may hold; NULL where there is none */
static PyTypeObject *deferred_type; /* of scalars that an accelerator has yet to compute; NULL where there is none */
static PyTypeObject *ufunc_type;   /* the ufunc class */
static Py_ssize_t at_kernel, at_row; /* offsets of its slots _kernel and _row */
static Py_ssize_t at_a, at_b;      /* offsets of its slots _a and _b */
static PyObject *pending;          /* the list of recorded work */
static PyObject *handed;           /* memory that was handed out, and may come back as a result: base._handed */
static npy_intp limit;             /* results of this many elements are not small */
static npy_intp alone_limit;       /* nor of this many, where recording has found no company lately */
static Lone *lone;                 /* whether it has not; NULL where recording is not in C, or not the host's */
static npy_intp function_limit;    /* from this many elements on functions other than ufuncs ask to be recorded */
static npy_intp reduced_limit;     /* from this many elements on threads reduce an array faster than NumPy */
static npy_intp kernel_limit;      /* from this many elements on a parallel kernel is asked */
static PyObject *python_wrap_from, *python_again;


static inline int waiting(void)
{
    return PyList_GET_SIZE(pending) != 0;
}

/* The inner array of one of ours where NumPy may run on its data at once: nothing is recorded, and it is NumPy's exact
 * array, and not of objects, which may be arrays of ours themselves. NULL without an error otherwise: the Python
 * version decides. Every way from here to the data of an array begins with this function. Borrowed. */
static inline PyObject *plain(PyObject *x)
{
    PyObject *a = FIELD(x, at_a);
    if (waiting() || a == NULL || !PyArray_CheckExact(a) || PyArray_TYPE((PyArrayObject *)a) == NPY_OBJECT) {
        return NULL;
    }
    if (remote_type != NULL) { /* an accelerator may hold the bytes */
        PyObject *b = PyArray_BASE((PyArrayObject *)a);
        while (b != NULL && PyArray_CheckExact(b)) {
            b = PyArray_BASE((PyArrayObject *)b);
        }
        if (b != NULL && Py_TYPE(b) == remote_type) {
            return NULL;
        }
    }
    return a;
}

/* Whether so many elements of this type are small. */
static inline int is_small(npy_intp size, int type)
{
    return size < limit || (size < alone_limit && lone != NULL && (type != NPY_DOUBLE || lone(size)));
}

/* `plain`, and small. Borrowed. */
static inline PyObject *small(PyObject *x)
{
    PyObject *a = plain(x);
    return a == NULL || !is_small(PyArray_SIZE((PyArrayObject *)a), PyArray_TYPE((PyArrayObject *)a)) ? NULL : a;
}

/* The inner array of one of ours, for what reads no data; NULL without an error where there is only a node. Borrowed. */
static inline PyObject *form(PyObject *x)
{
    PyObject *a = FIELD(x, at_a);
    return a != NULL && PyArray_CheckExact(a) ? a : NULL;
}

static inline int is_scalar(PyObject *x)
{
    PyTypeObject *t = Py_TYPE(x);
    return t == &PyFloat_Type || t == &PyLong_Type || t == &PyBool_Type || t == &PyComplex_Type ||
           t == &PyDoubleArrType_Type || t == &PyFloatArrType_Type || t == &PyLongArrType_Type ||
           t == &PyIntArrType_Type || t == &PyBoolArrType_Type || t == &PyCDoubleArrType_Type;
}

/* An operand as NumPy may have it: the inner array of a small one of ours, or a scalar. Borrowed; NULL: neither. */
static inline PyObject *operand(PyObject *x)
{
    if (Py_TYPE(x) == array_type) {
        return small(x);
    }
    return is_scalar(x) ? x : NULL;
}

/* Whether two small operands, of which one may be a scalar, have a result that is not small: a column and a row. */
static inline int grow(PyObject *l, PyObject *r)
{
    if (!PyArray_CheckExact(l) || !PyArray_CheckExact(r)) {
        return 0;
    }
    PyArrayObject *a = (PyArrayObject *)l, *b = (PyArrayObject *)r;
    int m = PyArray_NDIM(a), n = PyArray_NDIM(b), most = m > n ? m : n;
    if (PyArray_SIZE(a) * PyArray_SIZE(b) < limit || (m == n && PyArray_CompareLists(PyArray_DIMS(a), PyArray_DIMS(b), n))) {
        return 0;
    }
    npy_intp size = 1;
    for (int k = 1; k <= most; k++) {
        npy_intp i = k <= m ? PyArray_DIM(a, m - k) : 1, j = k <= n ? PyArray_DIM(b, n - k) : 1;
        size *= i > j ? i : j;
    }
    return !is_small(size, PyArray_TYPE(a));
}

/* Our array over `r`, whose reference is taken, if it is NumPy's exact array; `r` itself otherwise. */
static inline PyObject *wrap(PyObject *r, PyObject *owner)
{
    if (r == NULL || !PyArray_CheckExact(r)) {
        return r;
    }
    PyObject *x = array_type->tp_alloc(array_type, 0);
    if (x == NULL) {
        Py_DECREF(r);
        return NULL;
    }
    FIELD(x, at_a) = r;
    FIELD(x, at_b) = Py_NewRef(owner);
    return x;
}

/* Our array over the view `r` of the memory of `parent`. */
static inline PyObject *wrap_view(PyObject *r, PyObject *parent)
{
    PyObject *owner = FIELD(parent, at_b);
    return wrap(r, owner == NULL || owner == Py_None ? parent : owner);
}

/* -- memory of the small objects ---------------------------------------------------------------------------------- */

/* Arrays that died, for reuse: without this, making one costs as much as a small view. They are not tracked by the
 * cyclic collector, as NumPy's own arrays are not: what they hold is one of those, or a node, which holds no array of
 * ours. */
#define KEPT 64
static PyObject *kept[KEPT];
static int n_kept;

static PyObject *array_alloc(PyTypeObject *type, Py_ssize_t n)
{
#ifndef Py_GIL_DISABLED
    if (n_kept > 0 && type == array_type) {
        return PyObject_Init(kept[--n_kept], type);
    }
#endif
    PyObject *x = PyType_GenericAlloc(type, n);
    if (x != NULL) {
        PyObject_GC_UnTrack(x);
    }
    return x;
}

static inline void array_end(PyObject *x)
{
    PyTypeObject *type = Py_TYPE(x);
    if (*(PyObject **)((char *)x + type->tp_weaklistoffset) != NULL) {
        PyObject_ClearWeakRefs(x);
    }
    Py_CLEAR(FIELD(x, at_a));
    Py_CLEAR(FIELD(x, at_b));
#ifndef Py_GIL_DISABLED
    if (n_kept < KEPT) {
        kept[n_kept++] = x;
    }
    else
#endif
    {
        PyObject_GC_Del(x);
    }
    Py_DECREF(type);
}

static void array_dealloc(PyObject *x)
{
    PyObject *a = FIELD(x, at_a);
    if (a != NULL && PyArray_CheckExact(a) && PyArray_TYPE((PyArrayObject *)a) != NPY_OBJECT) {
        array_end(x);  /* numbers hold no other arrays, whose end could nest without end */
        return;
    }
    PyObject_GC_UnTrack(x);
    Py_TRASHCAN_BEGIN(x, array_dealloc)
    array_end(x);
    Py_TRASHCAN_END
}

/* -- warm memory: the engine's shelf, where it is in C ------------------------------------------------------------- */

enum { PLAIN, FORTRAN, ZEROS };
typedef PyObject *(*NewArray)(int ndim, npy_intp const *dims, PyArray_Descr *dtype, int how);
typedef void (*NoteMemory)(npy_intp nbytes);
static NewArray new_array;
static NoteMemory note_memory;
#define NOTED (1 << 20) /* bytes of results in NumPy's own memory of which the shelf hears */

/* A new array in C order of this shape, on memory of ours where that is to be had. Takes the reference of `dtype`. */
static inline PyObject *plain_array(int ndim, const npy_intp *dims, PyArray_Descr *dtype)
{
    return new_array != NULL ? new_array(ndim, dims, dtype, PLAIN)
                             : PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, dims, NULL, NULL, 0, NULL);
}

/* -- recording, where that is in C and the host's: otherwise NULL --------------------------------------------------- */

static Recorded *recorded;
static Into *into;
static Warm *warm;
static NewResult *new_result;
static Reduced *reduced;
static PyObject **copy_row; /* the operation that copies */
static PyObject **choosing_row; /* the same of `where` */

/* -- arguments ---------------------------------------------------------------------------------------------------- */

#define SEARCHED 32 /* as in base.py */
#define DEEPEST 8   /* lists nested deeper are left to Python */

static inline int is_nested(PyObject *v)
{
    return PyList_CheckExact(v) || PyTuple_CheckExact(v);
}

static PyObject *given_sequence(PyObject *v, int depth);

/* `strip(v)` of base.py as a new reference; NULL without an error where Python has to do it, NULL with an error where
 * there was no memory. */
static inline PyObject *given(PyObject *v, int depth)
{
    PyTypeObject *t = Py_TYPE(v);
    if (t == array_type) {
        return Py_XNewRef(plain(v));
    }
    if (t == &PyList_Type || t == &PyTuple_Type) {
        return given_sequence(v, depth);
    }
    if (t == &PySlice_Type) {
        PySliceObject *s = (PySliceObject *)v;
        if (Py_TYPE(s->start) == array_type || Py_TYPE(s->stop) == array_type || Py_TYPE(s->step) == array_type) {
            return NULL;
        }
    }
    else if (t == array_meta) {
        return Py_NewRef((PyObject *)&PyArray_Type);
    }
    return Py_NewRef(v);
}

static PyObject *given_sequence(PyObject *v, int depth)
{
    Py_ssize_t n = PySequence_Fast_GET_SIZE(v), k = 0;
    if (n == 0) {
        return Py_NewRef(v);
    }
    PyObject *first = PySequence_Fast_GET_ITEM(v, 0);
    if (n > SEARCHED && Py_TYPE(first) != array_type && !is_nested(first)) {
        return Py_NewRef(v);
    }
    for (; k < n; k++) {
        PyObject *e = PySequence_Fast_GET_ITEM(v, k);
        PyTypeObject *t = Py_TYPE(e);
        if (t == array_type || is_nested(e) || t == &PySlice_Type || t == array_meta) {
            break;
        }
    }
    if (k == n) {
        return Py_NewRef(v);
    }
    if (depth >= DEEPEST) {
        return NULL;
    }
    int list = PyList_CheckExact(v), changed = 0;
    PyObject *all = list ? PyList_New(n) : PyTuple_New(n);
    if (all == NULL) {
        return NULL;
    }
    for (k = 0; k < n; k++) {
        PyObject *e = PySequence_Fast_GET_ITEM(v, k), *inner = given(e, depth + 1);
        if (inner == NULL) {
            Py_DECREF(all);
            return NULL;
        }
        changed |= inner != e;
        if (list) {
            PyList_SET_ITEM(all, k, inner);
        }
        else {
            PyTuple_SET_ITEM(all, k, inner);
        }
    }
    if (!changed) {
        Py_DECREF(all);
        return Py_NewRef(v);
    }
    return all;
}

/* -- results ------------------------------------------------------------------------------------------------------ */

static PyObject *tuple_of(PyObject *const *args, Py_ssize_t n)
{
    PyObject *t = PyTuple_New(n);
    for (Py_ssize_t k = 0; t != NULL && k < n; k++) {
        PyTuple_SET_ITEM(t, k, Py_NewRef(args[k]));
    }
    return t;
}

static PyObject *dict_of(PyObject *const *values, PyObject *names)
{
    PyObject *d = PyDict_New();
    for (Py_ssize_t k = 0; d != NULL && names != NULL && k < PyTuple_GET_SIZE(names); k++) {
        if (PyDict_SetItem(d, PyTuple_GET_ITEM(names, k), values[k]) < 0) {
            Py_CLEAR(d);
        }
    }
    return d;
}

/* `wrap_from(r, args, kwargs)` in Python; takes the reference of `r`. */
static PyObject *finish_in_python(PyObject *r, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
    PyObject *given_args = tuple_of(args, n), *named = given_args ? dict_of(args + n, names) : NULL, *x = NULL;
    if (named != NULL) {
        x = PyObject_CallFunctionObjArgs(python_wrap_from, r, given_args, named, NULL);
    }
    Py_XDECREF(given_args);
    Py_XDECREF(named);
    Py_DECREF(r);
    return x;
}

static PyObject *finish_sequence(PyObject *r, PyObject *const *args, Py_ssize_t n, PyObject *names);

/* `wrap_from(r, args, kwargs)` of base.py, where `r` came of a call with `n` arguments and one for each of `names`.
 * Takes the reference of `r`. */
static PyObject *finish(PyObject *r, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
    PyTypeObject *t = Py_TYPE(r);
    if (t == &PyArray_Type) {
        PyObject *base = PyArray_BASE((PyArrayObject *)r), *parent = NULL;
        Py_ssize_t all = n + (names == NULL ? 0 : PyTuple_GET_SIZE(names));
        for (Py_ssize_t k = 0; k < all; k++) {
            PyObject *v = args[k];
            if (Py_TYPE(v) == array_type) {
                PyObject *a = FIELD(v, at_a);
                if (a == r) {
                    Py_DECREF(r);
                    return Py_NewRef(v);
                }
                if (base != NULL && parent == NULL && a != NULL &&
                    (base == a || (PyArray_CheckExact(base) && PyArray_CheckExact(a) &&
                                   base == PyArray_BASE((PyArrayObject *)a)))) {
                    parent = v;
                }
            }
            else if (Py_TYPE(v) == &PyArray_Type) {
                if (r == v || (base != NULL && (base == v || base == PyArray_BASE((PyArrayObject *)v)))) {
                    return finish_in_python(r, args, n, names);
                }
            }
            else if (PyTuple_CheckExact(v) && PyTuple_GET_SIZE(v) == 1) {
                PyObject *out = PyTuple_GET_ITEM(v, 0);
                if (out == r || (Py_TYPE(out) == array_type && FIELD(out, at_a) == r)) {
                    Py_INCREF(out);
                    Py_DECREF(r);
                    return out;
                }
            }
        }
        if (parent != NULL) {
            return wrap_view(r, parent);
        }
        if (PyArray_TYPE((PyArrayObject *)r) == NPY_OBJECT || PyDict_GET_SIZE(handed) != 0 ||
            (remote_type != NULL && PyArray_SIZE((PyArrayObject *)r) >= limit)) {
            return finish_in_python(r, args, n, names);
        }
        if (base == NULL && note_memory != NULL && PyArray_NBYTES((PyArrayObject *)r) >= NOTED) {
            note_memory(PyArray_NBYTES((PyArrayObject *)r));
        }
        return wrap(r, Py_None);
    }
    /* What holds no memory of an argument. */
    if (r == Py_None || is_scalar(r) || t == &PyUnicode_Type || t == &PyBytes_Type ||
        (PyArray_IsScalar(r, Generic) && !PyArray_IsScalar(r, Void) && !PyType_HasFeature(t, Py_TPFLAGS_HEAPTYPE))) {
        return r;
    }
    if (t == &PyList_Type || (t == &PyTuple_Type && names == NULL)) {
        return finish_sequence(r, args, n, names);
    }
    return finish_in_python(r, args, n, names);
}

static PyObject *finish_sequence(PyObject *r, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
    Py_ssize_t size = PySequence_Fast_GET_SIZE(r);
    int list = PyList_CheckExact(r);
    if (list && (size == 0 || (!PyArray_CheckExact(PyList_GET_ITEM(r, 0)) && !is_nested(PyList_GET_ITEM(r, 0))))) {
        return r;
    }
    for (Py_ssize_t k = 0; list && k < size; k++) {
        if (!PyArray_CheckExact(PyList_GET_ITEM(r, k)) || remote_type != NULL) {
            return finish_in_python(r, args, n, names);
        }
    }
    PyObject *all = list ? PyList_New(size) : PyTuple_New(size);
    for (Py_ssize_t k = 0; all != NULL && k < size; k++) {
        PyObject *e = Py_NewRef(PySequence_Fast_GET_ITEM(r, k));
        e = list ? wrap(e, Py_None) : finish(e, args, n, names);
        if (e == NULL) {
            Py_CLEAR(all);
            break;
        }
        if (list) {
            PyList_SET_ITEM(all, k, e);
        }
        else {
            PyTuple_SET_ITEM(all, k, e);
        }
    }
    Py_DECREF(r);
    return all;
}

/* After a TypeError or ValueError of `f`: `again(error, f, args, kwargs)` of calls.py. NULL with the error otherwise. */
static PyObject *once_more(PyObject *f, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
    if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_ValueError)) {
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030C0000
    PyObject *error = PyErr_GetRaisedException();
#else
    PyObject *kind, *error, *trace;
    PyErr_Fetch(&kind, &error, &trace);
    PyErr_NormalizeException(&kind, &error, &trace);
    if (trace != NULL) {
        PyException_SetTraceback(error, trace);
    }
    Py_XDECREF(kind);
    Py_XDECREF(trace);
#endif
    PyObject *given_args = tuple_of(args, n), *named = given_args ? dict_of(args + n, names) : NULL, *r = NULL;
    if (named != NULL) {
        r = PyObject_CallFunctionObjArgs(python_again, error, f, given_args, named, NULL);
    }
    Py_XDECREF(given_args);
    Py_XDECREF(named);
    Py_DECREF(error);
    return r;
}

#endif
