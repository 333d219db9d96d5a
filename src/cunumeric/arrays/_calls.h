/* Calls for an accelerator that are not elementwise (`x.sum(axis=0)`, `np.sort(x)`, `a @ b`), where the same was recorded
 * before: what `graph/call.py` does. Part of `_recording.c`, which includes it. */
#ifndef CUNUMERIC_CALLS_H
#define CUNUMERIC_CALLS_H

/* A result as the user has it (`lowered.told`): one without dimensions is a deferred scalar. Takes the reference, which
 * may be NULL. */
static PyObject *told(PyObject *x)
{
    PyObject *a = x == NULL ? NULL : FIELD(x, array_a);
    if (a == NULL || (Py_TYPE(a) == node_type ? PyTuple_GET_SIZE(NODE(a, N_SHAPE)) : PyArray_NDIM((PyArrayObject *)a))) {
        return x;
    }
    PyObject *scalar = deferred_type->tp_alloc(deferred_type, 0);
    if (scalar == NULL) {
        Py_DECREF(x);
        return NULL;
    }
    set(scalar, deferred_x, x);
    return scalar;
}

#define CALL_ARRAYS 8
#define CALL_PARTS 41

/* A call: what tells it from others, two words an argument, and its arrays in their order. */
typedef struct {
    PyObject *parts[CALL_PARTS]; /* references */
    PyObject *inner[CALL_ARRAYS];
    PyArrayObject *owners[CALL_ARRAYS]; /* NULL of a node, and of a number as NumPy's array */
    int filled, arrays, numbers, worth;
} Call;

static int part(Call *c, PyObject *first, PyObject *second) /* takes the reference of `first`, which may be NULL */
{
    if (first == NULL || c->filled > CALL_PARTS - 2) {
        Py_XDECREF(first);
        return 0;
    }
    c->parts[c->filled++] = first;
    c->parts[c->filled++] = Py_NewRef(second);
    return 1;
}

static int array_part(Call *c, PyObject *v)
{
    PyObject *a = FIELD(v, array_a);
    if (a == NULL || c->arrays == CALL_ARRAYS) {
        return 0;
    }
    PyArrayObject **owner = &c->owners[c->arrays];
    *owner = NULL;
    c->inner[c->arrays] = a;
    if (Py_TYPE(a) == node_type) {
        c->worth = 1;
        return NODE(a, N_STRIDES) == Py_None && part(c, Py_NewRef(NODE(a, N_SHAPE)), NODE(a, N_DTYPE)) && ++c->arrays;
    }
    PyArrayObject *view = (PyArrayObject *)a;
    if ((*owner = read_from(a)) == NULL || (!PyArray_NDIM(view) && !away(*owner))) {
        return 0;
    }
    c->worth |= PyArray_SIZE(view) >= limit || away(*owner);
    return part(c, dims(view), (PyObject *)PyArray_DESCR(view)) && ++c->arrays;
}

/* A number, as NumPy's array. */
static int number_part(Call *c, PyObject *v)
{
    PyArrayObject *a = (PyArrayObject *)v;
    if (PyArray_NDIM(a) || c->arrays == CALL_ARRAYS) {
        return 0;
    }
    c->numbers++;
    c->inner[c->arrays] = v;
    c->owners[c->arrays++] = NULL;
    return part(c, dims(a), (PyObject *)PyArray_DESCR(a));
}

/* Whether `v` can be part of a key: equal to no other argument but those that mean the same. */
static int is_plain(PyObject *v)
{
    PyTypeObject *t = Py_TYPE(v);
    if (t == &PyFloat_Type) {
        return PyFloat_AS_DOUBLE(v) != 0 || !signbit(PyFloat_AS_DOUBLE(v));
    }
    return v == Py_None || t == &PyBool_Type || t == &PyLong_Type || t == &PyUnicode_Type || PyType_Check(v) ||
           PyArray_DescrCheck(v);
}

static int argument_part(Call *c, PyObject *v)
{
    PyTypeObject *t = Py_TYPE(v);
    if (t == array_type) {
        return array_part(c, v);
    }
    if (t == deferred_type) {
        PyObject *x = FIELD(v, deferred_x);
        return x != NULL && Py_TYPE(x) == array_type && array_part(c, x);
    }
    if (t == &PyArray_Type) {
        return number_part(c, v);
    }
    if (t != &PyTuple_Type && t != &PyList_Type) {
        return is_plain(v) && part(c, Py_NewRef(v), (PyObject *)t);
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(v);
    if (!n || !part(c, PyLong_FromSsize_t(n), (PyObject *)t)) {
        return 0;
    }
    int sequence = Py_TYPE(PySequence_Fast_GET_ITEM(v, 0)) == array_type; /* of arrays; else of whole numbers */
    for (Py_ssize_t k = 0; k < n; k++) {
        PyObject *e = PySequence_Fast_GET_ITEM(v, k);
        int arrives = Py_TYPE(e) == array_type ? sequence && array_part(c, e)
                                               : !sequence && PyLong_CheckExact(e) && part(c, Py_NewRef(e), Py_None);
        if (!arrives) {
            return 0;
        }
    }
    return 1;
}

static void forget_parts(Call *c)
{
    for (int k = 0; k < c->filled; k++) {
        Py_DECREF(c->parts[k]);
    }
    c->filled = 0;
}

/* The call's key in `signatures`: the function and its arguments, of arrays their shapes and dtypes. NULL: it has none,
 * or is not one for the device. */
static PyObject *key_of_call(Call *c, PyObject *function, PyObject *args, PyObject *words)
{
    PyObject *name, *v, *key = NULL;
    Py_ssize_t at = 0;
    int arrives = 1;
    for (Py_ssize_t k = 0; arrives && k < PyTuple_GET_SIZE(args); k++) {
        arrives = argument_part(c, PyTuple_GET_ITEM(args, k));
    }
    while (arrives && words != NULL && PyDict_Next(words, &at, &name, &v)) {
        arrives = part(c, Py_NewRef(name), Py_None) && argument_part(c, v);
    }
    /* Where all arrays are numbers, the device is the place if it was before. */
    int worth = c->worth || (c->arrays && c->arrays == c->numbers);
    if (arrives && worth && (key = PyTuple_New(1 + c->filled)) != NULL) {
        PyTuple_SET_ITEM(key, 0, Py_NewRef(function));
        for (int k = 0; k < c->filled; k++) {
            PyTuple_SET_ITEM(key, 1 + k, Py_NewRef(c->parts[k]));
        }
    }
    forget_parts(c);
    return key;
}

/* The call recorded; NULL without an error: not here. What was recorded before stands in `signatures` under its key, with
 * the row after what is known of the result. */
static PyObject *called(PyObject *function, PyObject *args, PyObject *words)
{
    Call c = {.filled = 0};
    PyObject *kinds = NULL, *given = NULL, *r = NULL;
    if (host || cut() < 0 || !open_gate()) {
        return NULL;
    }
    PyObject *key = key_of_call(&c, function, args, words);
    PyObject *known = key == NULL ? NULL : PyDict_GetItemWithError(signatures, key);
    if (known != NULL && (PyTuple_GET_ITEM(known, 4) != Py_True || (kinds = may_flag()) != NULL)) {
        given = PyTuple_New(c.arrays);
    }
    for (int k = 0; given != NULL && k < c.arrays; k++) {
        PyObject *a = c.inner[k], *v = c.owners[k] != NULL          ? leaf_of(a, c.owners[k])
                                       : Py_TYPE(a) == &PyArray_Type ? PyArray_NewCopy((PyArrayObject *)a, NPY_ANYORDER)
                                                                     : Py_NewRef(a);
        if (v == NULL) {
            Py_CLEAR(given);
            break;
        }
        PyTuple_SET_ITEM(given, k, v);
    }
    if (given != NULL) {
        npy_intp nbytes = PyLong_AsSsize_t(PyTuple_GET_ITEM(known, 7));
        r = stands_for(filled(PyTuple_GET_ITEM(known, 8), given, known, nbytes, kinds));
    }
    Py_XDECREF(key);
    return r;
}

#endif
