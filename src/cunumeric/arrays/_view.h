/* Views by integers, slices, None and `...`, and the transpose, made at once: NumPy reads every index into a general
 * form first, which takes as long as making the view does. Part of `_fast.c`, which includes it. */
#ifndef CUNUMERIC_VIEW_H
#define CUNUMERIC_VIEW_H

#include "_fast.h"

#define AXES 16 /* views with more axes are NumPy's */

typedef struct {
    int ndim;
    npy_intp dims[AXES], strides[AXES];
    char *data;
} Shown;

/* Whether an index names an element, a view, or is NumPy's: of another kind, or wrong, which NumPy says best. */
enum { NUMPYS, ELEMENT, VIEWED };

static inline int is_bound(PyObject *v)
{
    return v == Py_None || PyLong_CheckExact(v);
}

/* One more axis of what is shown: the part of axis `from` of `a` that a slice names. */
static inline int show_slice(Shown *s, PyArrayObject *a, int from, PyObject *key)
{
    PySliceObject *slice = (PySliceObject *)key;
    Py_ssize_t start, stop, step;
    if (!is_bound(slice->start) || !is_bound(slice->stop) || !is_bound(slice->step) ||
        PySlice_Unpack(key, &start, &stop, &step) < 0) {
        return 0;
    }
    npy_intp stride = PyArray_STRIDE(a, from), n = PySlice_AdjustIndices(PyArray_DIM(a, from), &start, &stop, step);
    if (n == 0) { /* as NumPy has it */
        start = 0;
        step = 1;
    }
    s->data += start * stride;
    s->dims[s->ndim] = n;
    s->strides[s->ndim++] = stride * step;
    return 1;
}

static inline int show_item(Shown *s, PyArrayObject *a, int from, PyObject *key)
{
    npy_intp n = PyArray_DIM(a, from), i = PyLong_AsSsize_t(key);
    if (i < -n || i >= n || (i == -1 && PyErr_Occurred())) {
        return 0;
    }
    s->data += (i < 0 ? i + n : i) * PyArray_STRIDE(a, from);
    return 1;
}

static inline void show_whole(Shown *s, PyArrayObject *a, int from, int count)
{
    for (; count > 0; count--, from++) {
        s->dims[s->ndim] = PyArray_DIM(a, from);
        s->strides[s->ndim++] = PyArray_STRIDE(a, from);
    }
}

/* What `a[keys]` shows. An error may be set with NUMPYS; it is NumPy's to raise again. */
static int show(Shown *s, PyArrayObject *a, PyObject *const *keys, Py_ssize_t n)
{
    int used = 0, ellipsis = 0, views = 0, axis = 0;
    for (Py_ssize_t k = 0; k < n; k++) {
        if (keys[k] == Py_Ellipsis) {
            ellipsis++;
        }
        else if (PyLong_CheckExact(keys[k]) || PySlice_Check(keys[k])) {
            used++;
        }
        else if (keys[k] != Py_None) {
            return NUMPYS;
        }
    }
    int rest = PyArray_NDIM(a) - used;
    if (n == 0 || ellipsis > 1 || rest < 0 || PyArray_NDIM(a) + n > AXES) {
        return NUMPYS;
    }
    s->ndim = 0;
    s->data = PyArray_BYTES(a);
    for (Py_ssize_t k = 0; k < n; k++) {
        int fine = 1;
        if (keys[k] == Py_Ellipsis) {
            show_whole(s, a, axis, rest);
            axis += rest;
            views = 1;
        }
        else if (keys[k] == Py_None) {
            s->dims[s->ndim] = 1;
            s->strides[s->ndim++] = 0;
            views = 1;
        }
        else if (PySlice_Check(keys[k])) {
            fine = show_slice(s, a, axis++, keys[k]);
            views = 1;
        }
        else {
            fine = show_item(s, a, axis++, keys[k]);
        }
        if (!fine) {
            return NUMPYS;
        }
    }
    if (!ellipsis && rest) {
        show_whole(s, a, axis, rest);
        views = 1;
    }
    return views ? VIEWED : ELEMENT;
}

/* NumPy's array of what is shown of `a`. */
static PyObject *shown(const Shown *s, PyArrayObject *a)
{
    PyArray_Descr *dtype = PyArray_DESCR(a);
    Py_INCREF(dtype);
    PyObject *r = PyArray_NewFromDescr(&PyArray_Type, dtype, s->ndim, s->dims, s->strides, s->data, PyArray_FLAGS(a), NULL);
    if (r != NULL && PyArray_SetBaseObject((PyArrayObject *)r, Py_NewRef((PyObject *)a)) < 0) {
        Py_CLEAR(r);
    }
    return r;
}

/* `x[key]` where that is a number or a view; NULL without an error where it is NumPy's, or Python's, to say. */
static PyObject *show_part(PyObject *x, PyObject *key)
{
    PyObject *a = form(x), *r = NULL;
    Shown s;
    if (a == NULL || PyArray_TYPE((PyArrayObject *)a) == NPY_OBJECT) {
        return NULL;
    }
    int tuple = PyTuple_CheckExact(key);
    int kind = show(&s, (PyArrayObject *)a, tuple ? ((PyTupleObject *)key)->ob_item : &key, tuple ? PyTuple_GET_SIZE(key) : 1);
    if (kind == VIEWED) {
        Py_INCREF(a);
        r = shown(&s, (PyArrayObject *)a);
        Py_DECREF(a);
        return r == NULL ? NULL : wrap_view(r, x);
    }
    PyErr_Clear();
    if (kind == ELEMENT && PyTypeNum_ISNUMBER(PyArray_TYPE((PyArrayObject *)a)) && plain(x) == a) {
        return PyArray_Scalar(s.data, PyArray_DESCR((PyArrayObject *)a), a);
    }
    return NULL;
}

/* Put a number of Python's, or a double, where the element lies; 0 where NumPy has to: another dtype, a number that does
 * not fit. */
static int put(PyArrayObject *a, char *to, PyObject *value)
{
    if (PyFloat_CheckExact(value) || Py_TYPE(value) == &PyDoubleArrType_Type) {
        if (PyArray_TYPE(a) == NPY_DOUBLE) {
            *(double *)to = PyFloat_AS_DOUBLE(value);
        }
        return PyArray_TYPE(a) == NPY_DOUBLE;
    }
    if (!PyLong_CheckExact(value) || !(PyArray_TYPE(a) == NPY_DOUBLE || PyArray_TYPE(a) == NPY_LONG)) {
        return 0;
    }
    int over;
    long number = PyLong_AsLongAndOverflow(value, &over);
    if (over || (PyArray_TYPE(a) == NPY_DOUBLE && (number > 1L << 53 || number < -(1L << 53)))) {
        return 0;
    }
    if (PyArray_TYPE(a) == NPY_LONG) {
        *(long *)to = number;
    }
    else {
        *(double *)to = (double)number;
    }
    return 1;
}

/* `x[key] = value` where the key names an element or a view: 1; 0: NumPy's, or Python's, to do; -1: an error. */
static int put_part(PyObject *x, PyObject *key, PyObject *value)
{
    PyArrayObject *a = (PyArrayObject *)plain(x);
    Shown s;
    if (a == NULL || !PyArray_ISBEHAVED(a) || PyArray_FLAGS(a) & WARN_ON_WRITE) {
        return 0;
    }
    int tuple = PyTuple_CheckExact(key);
    int kind = show(&s, a, tuple ? ((PyTupleObject *)key)->ob_item : &key, tuple ? PyTuple_GET_SIZE(key) : 1);
    PyErr_Clear();
    if (kind != VIEWED) {
        return kind == ELEMENT && put(a, s.data, value);
    }
    PyArrayObject *b = (PyArrayObject *)(Py_TYPE(value) == array_type ? plain(value) : operand(value));
    if (b == NULL) {
        return 0;
    }
    if (PyArray_CheckExact(b) && PyArray_BYTES(b) == s.data && PyArray_DESCR(b) == PyArray_DESCR(a) &&
        PyArray_NDIM(b) == s.ndim && PyArray_CompareLists(PyArray_DIMS(b), s.dims, s.ndim) &&
        PyArray_CompareLists(PyArray_STRIDES(b), s.strides, s.ndim)) {
        return 1; /* x[i] op= y ends with x[i] = x[i] */
    }
    if (operand(value) == NULL) { /* large: it may be worth recording */
        return 0;
    }
    Py_INCREF(b);
    PyObject *view = shown(&s, a);
    int done = view == NULL || PyArray_CopyObject((PyArrayObject *)view, (PyObject *)b) < 0 ? -1 : 1;
    Py_XDECREF(view);
    Py_DECREF(b);
    return done;
}

/* -- shortcuts of functions (`_functions.h`) ------------------------------------------------------------------------ */

static inline void whole(Shown *s, PyArrayObject *a)
{
    s->ndim = 0;
    s->data = PyArray_BYTES(a);
    show_whole(s, a, 0, PyArray_NDIM(a));
}

/* The inner array of `x`, for views that are made here; borrowed. */
static PyArrayObject *viewable(PyObject *x)
{
    PyObject *a = form(x);
    return a == NULL || PyArray_TYPE((PyArrayObject *)a) == NPY_OBJECT || PyArray_NDIM((PyArrayObject *)a) >= AXES
               ? NULL
               : (PyArrayObject *)a;
}

/* Our array over what is shown of the inner array of `x`. */
static PyObject *ours_shown(const Shown *s, PyObject *x)
{
    PyObject *a = Py_NewRef(FIELD(x, at_a)), *r = shown(s, (PyArrayObject *)a);
    Py_DECREF(a);
    return r == NULL ? NULL : wrap_view(r, x);
}

/* The axis that `v` names, of `ndim`; -1 where NumPy has to say. */
static int axis_of(PyObject *v, int ndim)
{
    Py_ssize_t axis = PyLong_CheckExact(v) ? PyLong_AsSsize_t(v) : -AXES;
    if (axis == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return -1;
    }
    axis += axis < 0 ? ndim : 0;
    return axis >= 0 && axis < ndim ? (int)axis : -1;
}

/* Axis `from` goes to where axis `to` is, past those between. */
static void move_axis(Shown *s, int from, int to)
{
    npy_intp n = s->dims[from], stride = s->strides[from];
    for (int step = from < to ? 1 : -1; from != to; from += step) {
        s->dims[from] = s->dims[from + step];
        s->strides[from] = s->strides[from + step];
    }
    s->dims[to] = n;
    s->strides[to] = stride;
}

/* The transpose of the inner array `a`. */
static PyObject *transposed(PyArrayObject *a)
{
    if (PyArray_NDIM(a) > AXES) {
        return PyArray_Transpose(a, NULL);
    }
    Shown s;
    whole(&s, a);
    for (int k = s.ndim - 1; k > 0; k--) {
        move_axis(&s, 0, k);
    }
    return shown(&s, a);
}

static PyObject *shortcut_transpose(PyObject *const *args, Py_ssize_t n)
{
    PyArrayObject *a = n == 1 ? viewable(args[0]) : NULL;
    PyObject *r = a == NULL ? NULL : transposed(a);
    return r == NULL ? NULL : wrap_view(r, args[0]);
}

static PyObject *flipped(PyObject *x, int first, int last)
{
    Shown s;
    whole(&s, (PyArrayObject *)FIELD(x, at_a));
    for (int k = first; k < last; k++) {
        if (s.dims[k] > 0) {
            s.data += (s.dims[k] - 1) * s.strides[k];
            s.strides[k] = -s.strides[k];
        }
    }
    return ours_shown(&s, x);
}

/* flip(x), flip(x, 0) */
static PyObject *shortcut_flip(PyObject *const *args, Py_ssize_t n)
{
    PyArrayObject *a = n == 1 || n == 2 ? viewable(args[0]) : NULL;
    int axis = a != NULL && n == 2 ? axis_of(args[1], PyArray_NDIM(a)) : 0;
    if (a == NULL || axis < 0 || PyArray_NDIM(a) == 0) { /* of no axes NumPy makes a number */
        return NULL;
    }
    return n == 2 ? flipped(args[0], axis, axis + 1) : flipped(args[0], 0, PyArray_NDIM(a));
}

static PyObject *shortcut_flipud(PyObject *const *args, Py_ssize_t n)
{
    PyArrayObject *a = n == 1 ? viewable(args[0]) : NULL;
    return a == NULL || PyArray_NDIM(a) < 1 ? NULL : flipped(args[0], 0, 1);
}

static PyObject *shortcut_fliplr(PyObject *const *args, Py_ssize_t n)
{
    PyArrayObject *a = n == 1 ? viewable(args[0]) : NULL;
    return a == NULL || PyArray_NDIM(a) < 2 ? NULL : flipped(args[0], 1, 2);
}

/* Of f(x, 0, 1): what all of `x` shows, and the two axes; 0 where it is NumPy's. */
static int two_axes(PyObject *const *args, Py_ssize_t n, Shown *s, int *i, int *j)
{
    PyArrayObject *a = n == 3 ? viewable(args[0]) : NULL;
    if (a == NULL) {
        return 0;
    }
    whole(s, a);
    *i = axis_of(args[1], s->ndim);
    *j = axis_of(args[2], s->ndim);
    return *i >= 0 && *j >= 0;
}

static PyObject *shortcut_swapaxes(PyObject *const *args, Py_ssize_t n)
{
    Shown s;
    int i, j;
    if (!two_axes(args, n, &s, &i, &j)) {
        return NULL;
    }
    int low = i < j ? i : j, high = i < j ? j : i;
    if (low < high) {
        move_axis(&s, low, high);
        move_axis(&s, high - 1, low);
    }
    return ours_shown(&s, args[0]);
}

static PyObject *shortcut_moveaxis(PyObject *const *args, Py_ssize_t n)
{
    Shown s;
    int from, to;
    if (!two_axes(args, n, &s, &from, &to)) {
        return NULL;
    }
    move_axis(&s, from, to);
    return ours_shown(&s, args[0]);
}

/* expand_dims(x, 0), by NumPy's reshape, whose strides of axes of one element are its own. */
static PyObject *shortcut_expand_dims(PyObject *const *args, Py_ssize_t n)
{
    PyArrayObject *a = n == 2 ? viewable(args[0]) : NULL;
    int axis = a ? axis_of(args[1], PyArray_NDIM(a) + 1) : -1;
    if (axis < 0) {
        return NULL;
    }
    Shown s;
    whole(&s, a);
    s.dims[s.ndim++] = 1;
    move_axis(&s, s.ndim - 1, axis);
    PyArray_Dims shape = {s.dims, s.ndim};
    Py_INCREF(a);
    PyObject *r = PyArray_Newshape(a, &shape, NPY_CORDER);
    Py_DECREF(a);
    return r == NULL ? NULL : wrap_view(r, args[0]);
}

/* split(x, 2) */
static PyObject *shortcut_split(PyObject *const *args, Py_ssize_t n)
{
    PyArrayObject *a = n == 2 && PyLong_CheckExact(args[1]) ? viewable(args[0]) : NULL;
    Py_ssize_t parts = a != NULL && PyArray_NDIM(a) > 0 ? PyLong_AsSsize_t(args[1]) : 0;
    if (parts <= 0 || PyArray_DIM(a, 0) % parts) {
        PyErr_Clear();
        return NULL;
    }
    PyObject *all = PyList_New(parts);
    Shown s;
    whole(&s, a);
    s.dims[0] /= parts;
    for (Py_ssize_t k = 0; all != NULL && k < parts; k++, s.data += s.dims[0] * s.strides[0]) {
        PyObject *part = ours_shown(&s, args[0]);
        if (part == NULL) {
            Py_CLEAR(all);
        }
        else {
            PyList_SET_ITEM(all, k, part);
        }
    }
    return all;
}

#endif
