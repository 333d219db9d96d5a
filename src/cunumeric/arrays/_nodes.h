/* Operations as nodes: what is worth recording, what is known of a result, the node itself. Part of `_recording.c`. */
#ifndef CUNUMERIC_NODES_H
#define CUNUMERIC_NODES_H

static int is_word(PyObject *v)
{
    PyTypeObject *t = Py_TYPE(v);
    return t == &PyFloat_Type || t == &PyLong_Type || t == &PyDoubleArrType_Type;
}

/* Elements from which arrays of this type are worth recording. Doubles are from the least number; of narrower ones NumPy
 * does several in the time of one (a byte's relaxation on 100^2, recorded, had half of NumPy's speed), and complex ones
 * are not compiled. */
static npy_intp least_of(int type)
{
    return !host || type == NPY_DOUBLE ? limit : OTHERS * limit;
}

static int has_been_alone(void)
{
    return PyLong_AsLong(FIELD(company, company_alone)) >= ALONE;
}

/* `window.company.expected`; `wait`: the one that is to show whether chains have come is not told, but left. */
static int expected(npy_intp size, int wait)
{
    if (!has_been_alone()) {
        return 1;
    }
    npy_intp weight = size >= STEP ? WEIGHT : 1;
    npy_intp passed = PyLong_AsSsize_t(FIELD(company, company_passed)) + weight;
    if (passed < PROBE || !wait) {
        npy_intp again = -(PyLong_AsLong(FIELD(company, company_alone)) % TURNS) * weight;
        set(company, company_passed, PyLong_FromSsize_t(passed < PROBE ? passed : again));
    }
    return passed >= PROBE;
}

/* Whether a cheap function on so many elements is NumPy's at once: nothing waits, and nothing has kept the last windows
 * company. The one that is to show whether chains have come is left to Python. */
static int lone(npy_intp size)
{
    return host && limit && size < MIDDLING && !PyList_GET_SIZE(pending) && !expected(size, 1);
}

/* Whether dtypes that are equal are the same: `long` and `longlong` are not. */
static int usual(PyArray_Descr *d)
{
    return d->type_num != NPY_LONGLONG && d->type_num != NPY_ULONGLONG && d->byteorder != '>' &&
           PyDataType_METADATA(d) == NULL;
}

/* What was asked for last of `signatures`, where the operands have the shape of the result: without a key to make. */
#define RECENT 128
static struct {
    PyObject *row, *kinds[3], *known; /* of each operand the dtype, or the type of a scalar */
} recent[RECENT];

/* Whether the array or node `a` has this shape. */
static int has_shape(PyObject *a, PyObject *shape)
{
    if (Py_TYPE(a) == node_type) {
        return NODE(a, N_SHAPE) == shape || PyObject_RichCompareBool(NODE(a, N_SHAPE), shape, Py_EQ) == 1;
    }
    PyArrayObject *v = (PyArrayObject *)a;
    int n = PyArray_NDIM(v), same = PyTuple_GET_SIZE(shape) == n;
    for (int k = 0; same && k < n; k++) {
        same = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, k)) == PyArray_DIM(v, k);
    }
    return same;
}

/* The entry of `signatures` for operands that are arrays, nodes and scalars, of these kinds: borrowed; NULL: none. */
static PyObject *known_of(PyObject *row, int n, PyObject *const *inner, PyObject *const *kinds)
{
    size_t at = (size_t)row >> 4;
    int shaped = -1;
    for (int k = 0; k < n; k++) {
        at = at * 31 + ((size_t)kinds[k] >> 4);
        if (shaped < 0 && !is_word(inner[k])) {
            shaped = k;
        }
    }
    if (shaped < 0) {
        return NULL;
    }
    if (Py_TYPE(inner[shaped]) == node_type) {
        PyObject *shape = NODE(inner[shaped], N_SHAPE);
        Py_ssize_t dims = PyTuple_GET_SIZE(shape);
        at = at * 31 + (dims ? PyLong_AsSize_t(PyTuple_GET_ITEM(shape, dims - 1)) : 0);
    }
    else {
        PyArrayObject *v = (PyArrayObject *)inner[shaped];
        at = at * 31 + (PyArray_NDIM(v) ? PyArray_DIM(v, PyArray_NDIM(v) - 1) : 0);
    }
    at = (at ^ at >> 7) % RECENT;
    int met = recent[at].row == row, alike;
    for (int k = 0; met && k < 3; k++) { /* no more operands, either */
        met = recent[at].kinds[k] == (k < n ? kinds[k] : NULL);
    }
    for (int k = 0; met && k < n; k++) {
        met = is_word(inner[k]) || has_shape(inner[k], PyTuple_GET_ITEM(recent[at].known, 0));
    }
    if (met) {
        return recent[at].known;
    }
    PyObject *key = PyTuple_New(1 + 2 * n), *known;
    if (key == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(key, 0, Py_NewRef(row));
    for (int k = 0; k < n; k++) {
        PyObject *shape = is_word(inner[k])                   ? Py_NewRef(Py_None)
                          : Py_TYPE(inner[k]) == node_type ? Py_NewRef(NODE(inner[k], N_SHAPE))
                                                           : dims((PyArrayObject *)inner[k]);
        if (shape == NULL) {
            Py_DECREF(key);
            return NULL;
        }
        PyTuple_SET_ITEM(key, 1 + 2 * k, shape);
        PyTuple_SET_ITEM(key, 2 + 2 * k, Py_NewRef(kinds[k]));
    }
    known = PyDict_GetItemWithError(signatures, key);
    Py_DECREF(key);
    alike = known != NULL;
    for (int k = 0; alike && k < n; k++) {
        alike = is_word(inner[k]) || has_shape(inner[k], PyTuple_GET_ITEM(known, 0));
    }
    if (alike) {
        Py_XSETREF(recent[at].row, Py_NewRef(row));
        Py_XSETREF(recent[at].known, Py_NewRef(known));
        for (int k = 0; k < 3; k++) {
            Py_XSETREF(recent[at].kinds[k], k < n ? Py_NewRef(kinds[k]) : NULL);
        }
    }
    return known;
}

/* The scalar `v` as an array of this dtype without dimensions; NULL with an error where it does not fit. */
static PyObject *constant(PyObject *v, PyArray_Descr *d)
{
    Py_INCREF(d);
    if (d->type_num != NPY_DOUBLE || !PyFloat_Check(v) || !PyArray_ISNBO(d->byteorder)) {
        return PyArray_FromAny(v, d, 0, 0, 0, NULL);
    }
    PyObject *a = PyArray_NewFromDescr(&PyArray_Type, d, 0, NULL, NULL, NULL, 0, NULL);
    if (a != NULL) {
        *(double *)PyArray_DATA((PyArrayObject *)a) = PyFloat_AS_DOUBLE(v);
    }
    return a;
}

/* Whether something recorded has to do with the memory of one of these owners, some of which may be NULL. */
static int touched(PyArrayObject **owners, int n)
{
    int found = 0;
    for (int k = 0; k < n && !found; k++) {
        found = owners[k] != NULL && traffic_on(owners[k]) != NULL;
    }
    return found;
}

/* A node of `row` on the operands `given`, whose result is `known`; takes the reference of `given`. */
static PyObject *filled(PyObject *row, PyObject *given, PyObject *known, npy_intp nbytes, PyObject *kinds)
{
    PyObject *node = make(nodes_pool);
    PyObject *errors = node == NULL ? NULL
                       : host && kinds != NULL && PySet_GET_SIZE(kinds) ? ear_of(kinds) : Py_NewRef(Py_None);
    if (errors == NULL) {
        Py_XDECREF(node);
        Py_DECREF(given);
        return NULL;
    }
    if (host) {
        PyObject_GC_UnTrack(given);
    }
    set(node, node_at[N_ROW], Py_NewRef(row));
    set(node, node_at[N_ARGS], given);
    set(node, node_at[N_SHAPE], Py_NewRef(PyTuple_GET_ITEM(known, 0)));
    set(node, node_at[N_DTYPE], Py_NewRef(PyTuple_GET_ITEM(known, 1)));
    set(node, node_at[N_SIZE], Py_NewRef(PyTuple_GET_ITEM(known, 2)));
    set(node, node_at[N_NDIM], Py_NewRef(PyTuple_GET_ITEM(known, 5)));
    set(node, node_at[N_ITEMSIZE], Py_NewRef(PyTuple_GET_ITEM(known, 6)));
    set(node, node_at[N_NBYTES], Py_NewRef(PyTuple_GET_ITEM(known, 7)));
    set(node, node_at[N_SEQ], next_sequence());
    set(node, node_at[N_ERRORS], errors);
    set(node, node_at[N_LINE], host || nbytes < kept_from ? Py_NewRef(Py_None) : here());
    set(node, node_at[N_PLACE], Py_NewRef(Py_None));
    set(node, node_at[N_STRIDES], Py_NewRef(Py_None));
    set(node, node_at[N_HANDLE], Py_NewRef(Py_None));
    set(node, node_at[N_HAZARD], PyLong_FromLong(0));
    set(node, node_at[N_NEEDED], Py_NewRef(Py_False));
    return node;
}

/* Whether NumPy may run on `a` at once, an array that others may write to as well: nothing waits for it. Its axes
 * descend, so that the result has C's order. */
static int at_hand(PyObject *a)
{
    PyArrayObject *v = (PyArrayObject *)a;
    return host && PyArray_CheckExact(a) && PyArray_TYPE(v) != NPY_OBJECT && PyArray_NDIM(v) && PyArray_ISALIGNED(v) &&
           descending(v) && !PyList_GET_SIZE(pending);
}

/* `row` on the arguments as a node that is not in the window yet; `scalars`: also where the result has no dimensions.
 * `verdict` is set where it is not worth recording, and NumPy may run it at once. */
static PyObject *node_of(PyObject *row, PyObject *const *args, int n, int scalars, Verdict *verdict)
{
    PyObject *given = NULL, *node = NULL, *inner[3], *types[3];
    PyArrayObject *owners[3];
    npy_intp size = -1; /* of all operands; -2: they differ */
    int worth = 0, foreign = 0, type = NPY_DOUBLE;
    if (n > 3 || !open_gate()) {
        return NULL;
    }
    for (int k = 0; k < n; k++) {
        PyObject *v = args[k], *a;
        owners[k] = NULL;
        if (Py_TYPE(v) == deferred_type) {
            v = FIELD(v, deferred_x);
        }
        if (Py_TYPE(v) == array_type || PyArray_CheckExact(v)) {
            a = Py_TYPE(v) == array_type ? FIELD(v, array_a) : v;
            if (a == NULL) {
                goto slow;
            }
            if (Py_TYPE(a) == node_type) {
                if (NODE(a, N_STRIDES) != Py_None) {
                    goto slow;
                }
                worth = 1;
                types[k] = NODE(a, N_DTYPE);
            }
            else {
                PyArrayObject *view = (PyArrayObject *)a;
                owners[k] = a == v ? NULL : read_from(a);
                if (owners[k] == NULL && at_hand(a)) {
                    foreign = 1;
                }
                else if (owners[k] == NULL || (host && !PyArray_NDIM(view))) {
                    goto slow;
                }
                if (!foreign && !PyArray_NDIM(view) && !away(owners[k])) {
                    goto slow; /* a number, which may change before the window runs */
                }
                if (host) {
                    size = size == -1 || size == PyArray_SIZE(view) ? PyArray_SIZE(view) : -2;
                }
                else {
                    worth |= PyArray_SIZE(view) >= limit || away(owners[k]);
                }
                types[k] = (PyObject *)PyArray_DESCR(view);
            }
            if (host && !usual((PyArray_Descr *)types[k])) {
                goto slow;
            }
            type = ((PyArray_Descr *)types[k])->type_num == NPY_DOUBLE ? type : NPY_NOTYPE;
        }
        else if (is_word(v)) {
            a = v;
            types[k] = (PyObject *)Py_TYPE(v);
        }
        else {
            goto slow;
        }
        inner[k] = a;
    }
    /* (shape, dtype, size, dtypes of the operands, whether floating-point flags may be heard, ndim, itemsize, nbytes) */
    PyObject *known = worth || host ? known_of(row, n, inner, types) : NULL;
    if (host && !worth) {
        size = known != NULL ? PyLong_AsSsize_t(PyTuple_GET_ITEM(known, 2)) : size;
        int small = size >= 0 && size < least_of(type);
        int middling = !small && limit && known != NULL && size >= 0 &&
                       size * PyLong_AsLong(FIELD(row, row_cost)) < MIDDLING && has_been_alone();
        if ((small || middling) && !touched(owners, n) && (small || !expected(size, 0))) {
            *verdict = (Verdict){1, known};
            goto slow;
        }
    }
    if (known == NULL || foreign) {
        goto slow;
    }
    PyObject *shape = PyTuple_GET_ITEM(known, 0), *kinds = NULL;
    npy_intp nbytes = PyLong_AsSsize_t(PyTuple_GET_ITEM(known, 7));
    if (!scalars && PyTuple_GET_SIZE(shape) == 0) {
        goto slow;
    }
    if (PyTuple_GET_ITEM(known, 4) == Py_True && (kinds = may_flag()) == NULL) {
        *verdict = (Verdict){host && !worth && !touched(owners, n), known};
        goto slow;
    }
    if (host && nbytes >= ASK_FROM) {
        goto slow;
    }
    given = PyTuple_New(n);
    if (given == NULL) {
        goto slow;
    }
    for (int k = 0; k < n; k++) {
        PyObject *v;
        if (owners[k] != NULL) {
            v = leaf_of(inner[k], owners[k]);
        }
        else if (Py_TYPE(inner[k]) == node_type) {
            if (host && NODE(inner[k], N_SHAPE) != shape &&
                PyObject_RichCompareBool(NODE(inner[k], N_SHAPE), shape, Py_EQ) != 1) {
                goto slow; /* another iteration space */
            }
            v = Py_NewRef(inner[k]);
        }
        else {
            v = constant(inner[k], (PyArray_Descr *)PyTuple_GET_ITEM(PyTuple_GET_ITEM(known, 3), k));
        }
        if (v == NULL) {
            goto slow;
        }
        PyTuple_SET_ITEM(given, k, v);
    }
    node = filled(row, given, known, nbytes, kinds);
    given = NULL;
    if (node != NULL) {
        return node;
    }
slow:
    PyErr_Clear();
    Py_XDECREF(given);
    Py_XDECREF(node);
    return NULL;
}

/* A new array that stands for `node`, which enters the window (takes its reference, which may be NULL); NULL without an
 * error where there is no node. */
static PyObject *stands_for(PyObject *node)
{
    PyObject *x = node == NULL ? NULL : array_type->tp_alloc(array_type, 0), *handle = NULL;
    if (x != NULL) {
        set(x, array_a, Py_NewRef(node));
        set(x, array_b, Py_NewRef(Py_None));
        handle = PyWeakref_NewRef(x, NULL);
    }
    if (handle == NULL) {
        PyErr_Clear();
        Py_CLEAR(x);
    }
    else {
        set(node, node_at[N_HANDLE], handle);
        if (enter(node) < 0) {
            Py_CLEAR(x); /* with an error */
        }
    }
    Py_XDECREF(node);
    return x;
}

/* `row` on the arguments, recorded. */
static PyObject *elementwise(PyObject *row, PyObject *const *args, int n, int scalars, Verdict *verdict)
{
    if (cut() < 0 || !lock()) {
        return NULL;
    }
    PyObject *x = stands_for(node_of(row, args, n, scalars, verdict));
    unlock();
    return x;
}

#endif
