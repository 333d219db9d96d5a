/* Calls for an accelerator that are not elementwise, of one array and nothing else (`x.sum()`, `np.sort(x)`), where the
 * same was recorded before: what `graph/call.py` does. Part of `_recording.c`, which includes it. */
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

/* NumPy's `function` of the array `x`, recorded; NULL without an error: not here. What was recorded before stands in
 * `signatures` under (function, shape, dtype), with the row after what is known of the result. */
static PyObject *called(PyObject *function, PyObject *x)
{
    PyObject *a, *shape, *given = NULL, *kinds = NULL, *r = NULL;
    PyArrayObject *owner = NULL;
    if (host || Py_TYPE(x) != array_type || cut() < 0 || (a = FIELD(x, array_a)) == NULL || !open_gate()) {
        return NULL;
    }
    int waits = Py_TYPE(a) == node_type;
    if (waits) {
        if (NODE(a, N_STRIDES) != Py_None) {
            return NULL;
        }
        shape = Py_NewRef(NODE(a, N_SHAPE));
    }
    else {
        PyArrayObject *v = (PyArrayObject *)a;
        if ((owner = read_from(a)) == NULL || !PyArray_NDIM(v) || (PyArray_SIZE(v) < limit && !away(owner))) {
            return NULL;
        }
        shape = dims(v);
    }
    PyObject *dtype = waits ? NODE(a, N_DTYPE) : (PyObject *)PyArray_DESCR((PyArrayObject *)a);
    PyObject *key = shape == NULL ? NULL : PyTuple_Pack(3, function, shape, dtype);
    PyObject *known = key == NULL ? NULL : PyDict_GetItemWithError(signatures, key);
    if (known != NULL && (PyTuple_GET_ITEM(known, 4) != Py_True || (kinds = may_flag()) != NULL) &&
        (given = PyTuple_New(1)) != NULL) {
        PyObject *operand = waits ? Py_NewRef(a) : leaf_of(a, owner);
        if (operand != NULL) {
            PyTuple_SET_ITEM(given, 0, operand);
            npy_intp nbytes = PyLong_AsSsize_t(PyTuple_GET_ITEM(known, 7));
            r = stands_for(filled(PyTuple_GET_ITEM(known, 8), given, known, nbytes, kinds));
        }
        else {
            Py_DECREF(given);
        }
    }
    Py_XDECREF(key);
    Py_XDECREF(shape);
    return r;
}

#endif
