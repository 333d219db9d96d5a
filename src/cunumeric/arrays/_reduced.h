/* Reductions of all of a recorded array to one value, and what lingers after them, without a Python frame: what
 * `record.reduce` and `window._drop_lingering` do. Part of `_recording.c`, which includes it. */
#ifndef CUNUMERIC_REDUCED_H
#define CUNUMERIC_REDUCED_H

static Pool *reductions_pool;
static PyObject *reducing[N_REDUCING], *no_axes, *reduction_counters, *no_bytes, *least_bytes, *window_names, *s_again;
static Py_ssize_t reduction_alone, reduction_axes, reduction_dtype, reduction_errors, reduction_moments,
    reduction_out_shape, reduction_places, reduction_seq, reduction_source, reduction_temporary, reduction_ufunc,
    reduction_value, counters_recorded;

/* Forget what lingers and nobody asks for, where nothing was recorded since (`window._drop_lingering`). */
static int drop(void)
{
    PyObject *node = Py_NewRef(FIELD(window, window_lingering));
    Py_ssize_t n = PyList_GET_SIZE(pending);
    int last = n > 0 && PyList_GET_ITEM(pending, n - 1) == node, failed = 0;
    set(window, window_lingering, Py_NewRef(Py_None));
    for (Py_ssize_t k = 0; last && k < n; k++) {
        PyObject *p = PyList_GET_ITEM(pending, k);
        last = Py_TYPE(p) != node_type || !alive(NODE(p, N_HANDLE));
    }
    if (last) { /* `window.forget` */
        set(reduction_counters, counters_recorded,
            PyLong_FromSsize_t(PyLong_AsSsize_t(FIELD(reduction_counters, counters_recorded)) + n));
        set(crowd, crowd_entered, Py_NewRef(no_bytes));
        set(crowd, crowd_checked, Py_NewRef(least_bytes));
        failed = PyList_SetSlice(pending, 0, n, NULL) < 0;
        PyDict_Clear(memory);
        PyDict_Clear(leaves);
    }
    Py_DECREF(node);
    return failed ? -1 : 0;
}

/* (0, 1, ...): all axes of an array. */
static PyObject *all_axes(Py_ssize_t n)
{
    static PyObject *known[8];
    if (n < 1 || n > 8) {
        return NULL;
    }
    if (known[n - 1] == NULL) {
        PyObject *found = PyTuple_New(n);
        for (Py_ssize_t k = 0; found != NULL && k < n; k++) {
            PyTuple_SET_ITEM(found, k, PyLong_FromSsize_t(k));
        }
        known[n - 1] = found;
    }
    return known[n - 1];
}

/* The sum, largest or smallest element of a recorded array of floats, or whether any or all of recorded truths hold: run,
 * with everything recorded before it. NULL without an error: not here. */
static PyObject *reduced(PyObject *x, int which)
{
    PyObject *node, *kinds = NULL, *axes, *r, *done, *value = NULL;
    int truths = which == REDUCING_ANY || which == REDUCING_ALL; /* which raise no flag */
    if (!host || Py_TYPE(x) != array_type || (node = FIELD(x, array_a)) == NULL || Py_TYPE(node) != node_type) {
        return NULL;
    }
    if (cut() < 0) {
        return NULL;
    }
    node = FIELD(x, array_a);
    if (Py_TYPE(node) != node_type || !open_gate() || NODE(node, N_STRIDES) != Py_None ||
        NODE(node, N_PLACE) != Py_None || FIELD(x, array_a) != node) {
        return NULL;
    }
    PyArray_Descr *d = (PyArray_Descr *)NODE(node, N_DTYPE);
    axes = all_axes(PyTuple_GET_SIZE(NODE(node, N_SHAPE)));
    int met = truths ? d->type_num == NPY_BOOL : d->type_num == NPY_DOUBLE || d->type_num == NPY_FLOAT;
    if (!met || !usual(d) || axes == NULL || (!truths && (kinds = may_flag()) == NULL) ||
        (r = pooled(reductions_pool, 0)) == NULL) {
        return NULL;
    }
    PyObject *errors = kinds != NULL && PySet_GET_SIZE(kinds) ? ear_of(kinds) : Py_NewRef(Py_None);
    if (errors == NULL) {
        Py_DECREF(r);
        return NULL;
    }
    set(r, reduction_ufunc, Py_NewRef(reducing[which]));
    set(r, reduction_source, Py_NewRef(node));
    set(r, reduction_axes, Py_NewRef(axes));
    set(r, reduction_dtype, Py_NewRef((PyObject *)d));
    set(r, reduction_out_shape, Py_NewRef(no_axes));
    set(r, reduction_places, Py_NewRef(Py_False));
    set(r, reduction_alone, Py_NewRef(Py_False));
    set(r, reduction_moments, Py_NewRef(Py_False));
    set(r, reduction_value, Py_NewRef(Py_None));
    set(r, reduction_errors, errors);
    set(r, reduction_temporary, PyLong_FromLong(Py_REFCNT(x) == 1)); /* the caller's stack has it, and nobody else */
    set(r, reduction_seq, next_sequence());
    PyObject *again = PyDict_GetItem(window_names, s_again);
    done = again == NULL || again == Py_None ? Py_NewRef(Py_False) : PyObject_CallOneArg(again, r);
    if (done == Py_False) {
        Py_SETREF(done, PyObject_CallOneArg(flush, r));
    }
    if (done != NULL) {
        value = Py_NewRef(FIELD(r, reduction_value));
        Py_DECREF(done);
    }
    Py_DECREF(r);
    return value;
}

static int reduced_of(PyObject *parts, PyObject *reduction)
{
    static const char *const names[] = {"add", "maximum", "minimum", "logical_or", "logical_and"};
    struct {
        Py_ssize_t *at;
        const char *name;
    } slots[] = {
        {&reduction_alone, "alone"}, {&reduction_axes, "axes"}, {&reduction_dtype, "dtype"},
        {&reduction_errors, "errors"}, {&reduction_moments, "moments"}, {&reduction_out_shape, "out_shape"},
        {&reduction_places, "places"}, {&reduction_seq, "seq"}, {&reduction_source, "source"},
        {&reduction_temporary, "temporary"}, {&reduction_ufunc, "ufunc"}, {&reduction_value, "value"},
    };
    for (size_t k = 0; k < sizeof slots / sizeof *slots; k++) {
        if ((*slots[k].at = offset_of(reduction, slots[k].name)) < 0) {
            return -1;
        }
    }
    for (int k = 0; k < N_REDUCING; k++) {
        if ((reducing[k] = Py_XNewRef(PyDict_GetItemString(parts, names[k]))) == NULL) {
            return -1;
        }
    }
    counters_recorded = offset_of((PyObject *)Py_TYPE(reduction_counters), "recorded");
    no_bytes = PyLong_FromLong(0);
    no_axes = PyTuple_New(0);
    s_again = PyUnicode_InternFromString("again");
    reductions_pool = make_pool((PyTypeObject *)reduction);
    return counters_recorded < 0 || s_again == NULL || reductions_pool == NULL ? -1 : 0;
}

#endif
