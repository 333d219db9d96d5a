/* Ufuncs over small arrays, by NumPy's loops without what NumPy asks first, which takes as long as the loop over 1,000
 * elements. Where rows do not follow one another, as inside a grid, or are repeated, NumPy (as of 2.4) copies them through
 * buffers; here the loop runs on each row. Part of `_fast.c`, which includes it. */
#ifndef CUNUMERIC_ROWS_H
#define CUNUMERIC_ROWS_H

#include <float.h>

#include "_fast.h"
#include "_floats.h"

/* What gives the same bits on rows of any length (`fmax` and `fmin` on one row of several), by NumPy's names. */
#define ROWWISE(ONE)                                                                                                   \
    ONE(add) ONE(subtract) ONE(multiply) ONE(true_divide) ONE(floor_divide) ONE(remainder) ONE(negative) ONE(absolute) \
    ONE(square) ONE(sqrt) ONE(maximum) ONE(minimum) ONE(less) ONE(less_equal) ONE(equal) ONE(not_equal) ONE(greater)   \
    ONE(greater_equal) ONE(bitwise_and) ONE(bitwise_or) ONE(bitwise_xor) ONE(invert) ONE(logical_and) ONE(logical_or)  \
    ONE(logical_xor) ONE(logical_not) ONE(isnan) ONE(isinf) ONE(isfinite) ONE(signbit) ONE(copysign) ONE(sign)         \
    ONE(positive) ONE(conjugate) ONE(fabs) ONE(floor) ONE(ceil) ONE(trunc) ONE(rint) ONE(fmax) ONE(fmin)               \
    ONE(reciprocal) ONE(left_shift) ONE(right_shift)
#define ONE(NAME) ROWS_##NAME,
enum { ROWWISE(ONE) ROWWISE_COUNT };
#undef ONE
static PyUFuncObject *rowwise[ROWWISE_COUNT];

static int find_rowwise(PyObject *numpy)
{
#define ONE(NAME) #NAME,
    static const char *const names[] = {ROWWISE(ONE)};
#undef ONE
    for (int k = 0; k < ROWWISE_COUNT; k++) {
        PyObject *f = PyObject_GetAttrString(numpy, names[k]);
        if (f == NULL || Py_TYPE(f) != &PyUFunc_Type) {
            Py_XDECREF(f);
            return -1;
        }
        rowwise[k] = (PyUFuncObject *)f;
    }
    return 0;
}

#define AXES_MOST 8
/* Times 500 elements: from so many on other threads may run meanwhile, whom letting in costs 0.2 us. */
#define UNLOCKED 64
/* More rows than so many, of fewer elements: buffers cost less than calls. */
#define ROWS_MOST 64
#define ROW_LEAST 12

/* One operand, or the result: where it lies, and its steps along the axes of the result. */
typedef struct {
    char *data;
    npy_intp strides[AXES_MOST];
} Rows;

/* The steps of `a` along `ndim` axes of these lengths; 0 where they are not NumPy's plainest: descending, one element
 * after the other within its memory, broadcast or whole. */
static int rows_of(Rows *r, PyArrayObject *a, int ndim, const npy_intp *dims)
{
    int skip = ndim - PyArray_NDIM(a);
    npy_intp last = NPY_MAX_INTP;
    if (skip < 0 || !PyArray_ISBEHAVED_RO(a)) {
        return 0;
    }
    r->data = PyArray_BYTES(a);
    for (int k = 0; k < ndim; k++) {
        npy_intp n = k < skip ? 1 : PyArray_DIM(a, k - skip), s = n == 1 ? 0 : PyArray_STRIDE(a, k - skip);
        if (n != 1 && (n != dims[k] || s <= 0 || s > last)) {
            return 0;
        }
        last = s ? s : last;
        r->strides[k] = s;
    }
    return 1;
}

/* Whether writing `to` changes elements of `from` that are read elsewhere: their bytes meet, and they are not the same. */
static int rows_meet(const Rows *to, npy_intp width, const Rows *from, npy_intp size, int ndim, const npy_intp *dims)
{
    npy_intp end = width, until = size;
    int same = to->data == from->data && width == size;
    for (int k = 0; k < ndim; k++) {
        end += (dims[k] - 1) * to->strides[k];
        until += (dims[k] - 1) * from->strides[k];
        same &= to->strides[k] == from->strides[k] || dims[k] == 1;
    }
    return !same && to->data < from->data + until && from->data < to->data + end;
}

/* Whether the elements of `to` lie apart from each other. */
static int rows_apart(const Rows *to, npy_intp width, int ndim, const npy_intp *dims)
{
    for (int k = ndim - 1; k >= 0; k--) {
        if (dims[k] > 1) {
            if (to->strides[k] < width) {
                return 0;
            }
            width += (dims[k] - 1) * to->strides[k];
        }
    }
    return 1;
}

/* A number beside arrays of this type, as one of them; 0 where NumPy has to say what it is. */
static int number_as(PyObject *v, int type, char *to)
{
    double x;
    if (PyFloat_CheckExact(v)) {
        x = PyFloat_AS_DOUBLE(v);
    }
    else if (type == NPY_DOUBLE && Py_TYPE(v) == &PyDoubleArrType_Type) {
        x = PyFloat_AS_DOUBLE(v);
    }
    else {
        int over = 1;
        long n = PyLong_CheckExact(v) ? PyLong_AsLongAndOverflow(v, &over) : 0;
        switch (over ? NPY_VOID : type) {
            case NPY_LONG:
                *(long *)to = n;
                return 1;
            case NPY_INT:
                *(int *)to = (int)n;
                return n == (int)n;
            case NPY_UBYTE:
                *(unsigned char *)to = (unsigned char)n;
                return n == (unsigned char)n;
            case NPY_DOUBLE:
            case NPY_FLOAT:
            case NPY_CDOUBLE:
                x = (double)n;
                break;
            default:
                return 0;
        }
        if (n > 1L << 24 || n < -(1L << 24)) {
            return 0;
        }
    }
    switch (type) {
        case NPY_DOUBLE:
            *(double *)to = x;
            return 1;
        case NPY_CDOUBLE:
            ((double *)to)[0] = x;
            ((double *)to)[1] = 0;
            return 1;
        case NPY_FLOAT:
            *(float *)to = (float)x;
            return !(x > FLT_MAX || x < -FLT_MAX); /* of an overflow NumPy warns */
    }
    return 0;
}

/* The types of operands that are met here. */
static inline int is_met(int type)
{
    return type == NPY_DOUBLE || type == NPY_FLOAT || type == NPY_LONG || type == NPY_INT || type == NPY_BOOL ||
           type == NPY_UBYTE || type == NPY_CDOUBLE;
}

/* The number of the ufunc's loop over so many operands of one type; -1: there is none. */
static int loop_of(PyUFuncObject *f, int count, int type)
{
    for (int k = 0; k < f->ntypes; k++) {
        if (f->types[k * f->nargs] == type && f->types[k * f->nargs + count - 1] == type) {
            return f->functions[k] == NULL ? -1 : k;
        }
    }
    return -1;
}

/* Our loop for rows of this type; NULL: there is none. */
static RowLoop *own_loop(PyUFuncObject *f, int type)
{
#define OWN(NAME, LOOP)                                                                          \
    if (f == rowwise[ROWS_##NAME]) {                                                             \
        return type == NPY_DOUBLE ? LOOP##_double : type == NPY_FLOAT ? LOOP##_float : NULL;     \
    }
    OWN(add, row_add) OWN(subtract, row_subtract) OWN(multiply, row_multiply) OWN(true_divide, row_divide)
#undef OWN
    return NULL;
}

/* NumPy's ufunc on one or two operands, arrays or numbers, into the array `out` where that is not NULL. A new reference to
 * the result; NULL without an error: NumPy has to do it. */
static PyObject *by_rows(PyUFuncObject *f, PyObject *a, PyObject *b, PyArrayObject *out)
{
    PyObject *given[2] = {a, b};
    Rows r[3] = {{NULL}};
    npy_intp dims[AXES_MOST], at[AXES_MOST] = {0}, sizes[3];
    char numbers[2][16];
    int count = b == NULL ? 1 : 2, ndim = 0, type = -1;
    for (int k = 0; k < count; k++) {
        if (!PyArray_CheckExact(given[k])) {
            continue;
        }
        PyArrayObject *v = (PyArrayObject *)given[k];
        int n = PyArray_NDIM(v), t = PyArray_TYPE(v);
        if (n > AXES_MOST || (type >= 0 && t != type) || !is_met(t) || PyDataType_METADATA(PyArray_DESCR(v)) != NULL) {
            return NULL; /* as for metadata, which NumPy hands on */
        }
        type = t;
        for (int j = 0; j < (n > ndim ? n : ndim); j++) { /* from the last axis on */
            npy_intp mine = j < n ? PyArray_DIM(v, n - 1 - j) : 1, so_far = j < ndim ? at[j] : 1;
            at[j] = so_far == 1 ? mine : so_far;
        }
        ndim = n > ndim ? n : ndim;
    }
    npy_intp size = 1;
    for (int k = 0; k < ndim; k++) {
        dims[k] = at[ndim - 1 - k];
        size *= dims[k];
    }
    if (ndim == 0 || size == 0 || f->nin != count) {
        return NULL;
    }
    int found = loop_of(f, count, type);
    PyArray_Descr *dtype = found < 0 ? NULL : PyArray_DescrFromType(f->types[found * f->nargs + count]);
    if (dtype == NULL || !(PyTypeNum_ISNUMBER(dtype->type_num) || PyTypeNum_ISBOOL(dtype->type_num))) {
        PyErr_Clear();
        Py_XDECREF(dtype);
        return NULL;
    }
    int fine = 1;
    for (int k = 0; fine && k < count; k++) {
        if (PyArray_CheckExact(given[k])) {
            fine = rows_of(&r[k], (PyArrayObject *)given[k], ndim, dims);
            sizes[k] = PyArray_ITEMSIZE((PyArrayObject *)given[k]);
        }
        else {
            fine = number_as(given[k], type, numbers[k]);
            r[k] = (Rows){.data = numbers[k]};
            sizes[k] = 0;
        }
    }
    sizes[count] = PyDataType_ELSIZE(dtype);
    if (fine && out != NULL) {
        fine = PyArray_DESCR(out) == dtype && PyArray_NDIM(out) == ndim && PyArray_ISBEHAVED(out) &&
               !((unsigned)PyArray_FLAGS(out) & WARN_ON_WRITE) && PyArray_CompareLists(PyArray_DIMS(out), dims, ndim) &&
               rows_of(&r[count], out, ndim, dims) && rows_apart(&r[count], sizes[count], ndim, dims);
        for (int k = 0; fine && k < count; k++) {
            fine = sizes[k] == 0 || !rows_meet(&r[count], sizes[count], &r[k], sizes[k], ndim, dims);
        }
    }
    /* Axes along which every operand goes on in even steps are one. */
    int axes = ndim;
    npy_intp step = sizes[count];
    for (int k = ndim - 1; fine && out == NULL && k >= 0; k--) { /* of a new array in C order */
        r[count].strides[k] = dims[k] == 1 ? 0 : step;
        step *= dims[k];
    }
    while (fine && axes > 1) {
        npy_intp m = dims[axes - 2], n = dims[axes - 1];
        int even = 1;
        for (int k = 0; k <= count; k++) {
            even &= m == 1 || n == 1 || r[k].strides[axes - 2] == n * r[k].strides[axes - 1];
        }
        if (!even) {
            break;
        }
        for (int k = 0; k <= count && n != 1; k++) {
            r[k].strides[axes - 2] = r[k].strides[axes - 1];
        }
        dims[--axes - 1] *= n;
    }
    for (int k = 0; k <= count && dims[axes - 1] != 1; k++) { /* NumPy has other loops for elements that lie apart */
        fine &= r[k].strides[axes - 1] == sizes[k] || (k < count && r[k].strides[axes - 1] == 0);
    }
    /* Complex products, and the signs of these functions' zeros, depend on where a row ends; those of one element on
     * its step, which is 0 here. */
    if (axes > 1 || dims[0] == 1) {
        fine &= type != NPY_CDOUBLE && f != rowwise[ROWS_fmax] && f != rowwise[ROWS_fmin];
    }
    if (!fine || (dims[axes - 1] < ROW_LEAST && size > ROWS_MOST * dims[axes - 1])) {
        Py_DECREF(dtype);
        return NULL;
    }
    PyObject *result = Py_XNewRef((PyObject *)out);
    if (out == NULL) {
        npy_intp shape[AXES_MOST];
        for (int k = 0; k < ndim; k++) {
            shape[k] = at[ndim - 1 - k];
        }
        result = plain_array(ndim, shape, dtype);
        if (result == NULL) {
            return NULL;
        }
        r[count].data = PyArray_BYTES((PyArrayObject *)result);
    }
    else {
        Py_DECREF(dtype);
    }
    npy_intp steps[3], apart[3] = {0}, index[AXES_MOST] = {0}, n = dims[axes - 1], rows = axes > 1 ? dims[axes - 2] : 1;
    for (int k = 0; k <= count; k++) {
        steps[k] = r[k].strides[axes - 1];
        apart[k] = axes > 1 ? r[k].strides[axes - 2] : 0;
    }
    RowLoop *own = axes > 1 ? own_loop(f, type) : NULL;
    PyUFunc_clearfperr();
    NPY_BEGIN_THREADS_DEF;
    NPY_BEGIN_THREADS_THRESHOLDED(size / UNLOCKED);
    for (int k = 0; k >= 0;) {
        char *data[3] = {r[0].data, r[1].data, r[2].data};
        if (own != NULL) {
            own(data, apart, rows, steps, n);
        }
        for (npy_intp row = 0; own == NULL && row < rows; row++) {
            char *at[3] = {data[0] + row * apart[0], data[1] + row * apart[1], data[2] + row * apart[2]};
            f->functions[found](at, &n, steps, f->data == NULL ? NULL : f->data[found]);
        }
        for (k = axes - 3; k >= 0; k--) { /* the next rows */
            int more = ++index[k] < dims[k];
            for (int j = 0; j <= count; j++) {
                r[j].data += more ? r[j].strides[k] : -(dims[k] - 1) * r[j].strides[k];
            }
            if (more) {
                break;
            }
            index[k] = 0;
        }
    }
    int flags = PyUFunc_getfperr();
    NPY_END_THREADS;
    if (PyErr_Occurred() || (flags && PyUFunc_GiveFloatingpointErrors(f->name, flags) < 0)) {
        Py_CLEAR(result);
    }
    return result;
}

/* `by_rows` of any ufunc, where it may be. */
static PyObject *sooner(PyObject *kernel, PyObject *a, PyObject *b, PyObject *out)
{
    for (int k = 0; k < ROWWISE_COUNT; k++) {
        if (kernel == (PyObject *)rowwise[k]) {
            return by_rows(rowwise[k], a, b, (PyArrayObject *)out);
        }
    }
    return NULL;
}

#endif
