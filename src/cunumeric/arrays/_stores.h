/* Views by basic indices, memory for what is recorded, and stores. Part of `_recording.c`. */
#ifndef CUNUMERIC_STORES_H
#define CUNUMERIC_STORES_H

/* 1: the key names a view; 2: an element, or a view by integers alone; 0: neither, or not known here. */
static int basic(PyObject *key)
{
    if (PyTuple_CheckExact(key)) {
        int found = 2;
        for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(key); k++) {
            PyObject *e = PyTuple_GET_ITEM(key, k);
            if (PySlice_Check(e) || e == Py_Ellipsis || e == Py_None) {
                found = 1;
            }
            else if (!PyLong_CheckExact(e)) {
                return 0;
            }
        }
        return found;
    }
    return PySlice_Check(key) || key == Py_Ellipsis ? 1 : PyLong_CheckExact(key) ? 2 : 0;
}

static int place(PyObject *x);

static PyObject *getitem(PyObject *x, PyObject *key)
{
    PyObject *a = FIELD(x, array_a);
    if (a == NULL || basic(key) != 1 || (!PyArray_CheckExact(a) && !place(x))) {
        return NULL;
    }
    a = FIELD(x, array_a);
    if (PyArray_TYPE((PyArrayObject *)a) == NPY_OBJECT) {
        return NULL;
    }
    PyObject *view = PyObject_GetItem(a, key);
    if (view == NULL || !PyArray_CheckExact(view) || PyArray_BASE((PyArrayObject *)view) == NULL) {
        PyErr_Clear();
        Py_XDECREF(view);
        return NULL;
    }
    PyObject *found = array_type->tp_alloc(array_type, 0);
    if (found == NULL) {
        Py_DECREF(view);
        return NULL;
    }
    PyObject *b = FIELD(x, array_b);
    set(found, array_a, view);
    set(found, array_b, Py_NewRef(b == NULL || b == Py_None ? x : b));
    return found;
}

/* `destination[...] = source` enters the window; takes the reference of `source`. 1; 0: not here; -1: an error. */
static int enter_store(PyObject *view, PyArrayObject *owner, PyObject *source, int fresh)
{
    PyObject *destination = leaf_of(view, owner), *store = destination ? make(stores_pool) : NULL;
    PyObject *traffic = store == NULL ? NULL : traffic_on(owner);
    int done = 0;
    if (traffic == NULL) {
        Py_XDECREF(destination);
        Py_DECREF(source);
    }
    else {
        set(store, store_fresh, Py_NewRef(fresh ? Py_True : Py_False));
        set(store, store_seq, next_sequence());
        set(store, store_source, source);
        set(store, store_destination, destination);
        int failed = PyList_Append(FIELD(traffic, traffic_stores), store) < 0;
        /* Memory for a value depends on where the last window ended, and tells no turn of a loop. */
        done = failed ? 0 : (fresh ? PyList_Append(pending, store) : enter(store)) < 0 ? -1 : 1;
    }
    Py_XDECREF(store);
    return done;
}

/* Memory of an operand of `node`, or of what that is computed from, that has died and that nothing else recorded reads:
 * a value that needs memory takes it, element for element, as NumPy's temporaries take each other's. Borrowed; NULL:
 * there is none. `depth`: how far the operand is from the value `of`. */
#define TAKEN_FROM (1 << 20)
static PyObject *left_by_operand(PyObject *of, PyObject *node, int depth)
{
    PyObject *args = NODE(node, N_ARGS);
    if (FIELD(NODE(node, N_ROW), row_aliases) != Py_True || depth > 3) {
        return NULL;
    }
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(args); k++) {
        PyObject *arg = PyTuple_GET_ITEM(args, k), *a;
        if (Py_TYPE(arg) == node_type) {
            if (Py_REFCNT(arg) <= 2 && (a = left_by_operand(of, arg, depth + 1)) != NULL) { /* the window's and this */
                return a;
            }
            continue;
        }
        if (Py_TYPE(arg) != leaf_type || Py_REFCNT(arg) > 2 || (a = FIELD(arg, leaf_a)) != FIELD(arg, leaf_owner)) {
            continue;
        }
        PyArrayObject *v = (PyArrayObject *)a;
        /* The leaf's two references and the traffic's. */
        if (Py_REFCNT(a) <= 3 && PyArray_NBYTES(v) >= (limit ? TAKEN_FROM : 0) && PyArray_ISCARRAY(v) &&
            (PyObject *)PyArray_DESCR(v) == NODE(of, N_DTYPE) && has_shape(a, NODE(of, N_SHAPE)) && owner_of(a) == v &&
            !written(v)) {
            return a;
        }
    }
    return NULL;
}

/* Give `x`, which stands for a node, memory of its own (`window.place`): 1; 0: not here. */
static int place(PyObject *x)
{
    PyObject *node = FIELD(x, array_a), *a = NULL, *source;
    int done = 0;
    if (Py_TYPE(node) != node_type || NODE(node, N_STRIDES) != Py_None || !open_gate() || !lock()) {
        return 0;
    }
    PyObject *both[2] = {NODE(node, N_SHAPE), NODE(node, N_DTYPE)};
    a = host ? Py_XNewRef(left_by_operand(node, node, 0)) : NULL;
    if (a == NULL) {
        a = PyObject_Vectorcall(PyDict_GetItem(taking, s_empty), both, 2, NULL);
    }
    if (a == NULL || FIELD(x, array_a) != node) {
        goto end;
    }
    PyObject *base = PyArray_BASE((PyArrayObject *)a);
    if (!host && base != NULL && Py_TYPE(base) == remote_type) {
        set(base, remote_line, Py_NewRef(NODE(node, N_LINE)));
    }
    source = node;
    if (NODE(node, N_ROW) == copying) {
        PyObject *leaf = PyTuple_GET_ITEM(NODE(node, N_ARGS), 0);
        if (Py_TYPE(leaf) == leaf_type) {
            PyObject *traffic = traffic_on((PyArrayObject *)FIELD(leaf, leaf_owner));
            PyObject *stores = traffic == NULL ? NULL : FIELD(traffic, traffic_stores);
            Py_ssize_t n = stores == NULL ? 0 : PyList_GET_SIZE(stores);
            if (n == 0 || PyLong_AsLongLong(FIELD(PyList_GET_ITEM(stores, n - 1), store_seq)) <=
                              PyLong_AsLongLong(NODE(node, N_SEQ))) {
                source = leaf;
            }
        }
    }
    if (enter_store(a, (PyArrayObject *)a, Py_NewRef(source), 1) > 0) {
        set(node, node_at[N_HANDLE], Py_NewRef(Py_None));
        set(x, array_a, Py_NewRef(a));
        done = 1;
    }
end:
    PyErr_Clear();
    Py_XDECREF(a);
    unlock();
    return done;
}

/* Whether what is recorded may be written to `v`. */
static int storable(PyArrayObject *v)
{
    int flags = PyArray_FLAGS(v);
    return PyArray_NDIM(v) && PyArray_SIZE(v) && (flags & NPY_ARRAY_WRITEABLE) && !((unsigned)flags & WARN_ON_WRITE) &&
           PyArray_ISALIGNED(v) && distinct(v) && (!host || (descending(v) && usual(PyArray_DESCR(v))));
}

/* Whether copying `b` to `view` is worth recording: where something waits that has to do with it, or in company, as with
 * operations (`node_of`). */
static int worth_storing(PyArrayObject *view, PyArrayObject *owner, PyArrayObject *other)
{
    if (written(owner) || written(other)) {
        return 1;
    }
    npy_intp size = PyArray_SIZE(view);
    return size >= least_of(PyArray_TYPE(view)) &&
           (!limit || size >= MIDDLING || traffic_on(owner) != NULL || traffic_on(other) != NULL || expected(size, 0));
}

/* `x[key] = value`, recorded, or done at once where nothing waits: 1; 0: not here; -1: an error. */
static int setitem(PyObject *x, PyObject *key, PyObject *value)
{
    PyObject *a, *view = NULL, *whole = NULL, *source = NULL;
    PyArrayObject *owner, *other = NULL;
    int kind, done = 0;
    if (cut() < 0) {
        return -1;
    }
    a = FIELD(x, array_a);
    if (a == NULL || !PyArray_CheckExact(a) || !open_gate() || !(kind = basic(key)) || (owner = owner_of(a)) == NULL) {
        return 0;
    }
    if (kind == 2) { /* with an ellipsis integers name a view too */
        Py_ssize_t n = PyTuple_CheckExact(key) ? PyTuple_GET_SIZE(key) : 1;
        whole = PyTuple_New(n + 1);
        for (Py_ssize_t k = 0; whole != NULL && k < n; k++) {
            PyTuple_SET_ITEM(whole, k, Py_NewRef(PyTuple_CheckExact(key) ? PyTuple_GET_ITEM(key, k) : key));
        }
        if (whole == NULL) {
            goto slow;
        }
        PyTuple_SET_ITEM(whole, n, Py_NewRef(Py_Ellipsis));
        key = whole;
    }
    view = PyObject_GetItem(a, key);
    if (view == NULL || !PyArray_CheckExact(view) || !storable((PyArrayObject *)view)) {
        goto slow;
    }
    PyArrayObject *v = (PyArrayObject *)view;
    PyArray_Descr *d = PyArray_DESCR(v);
    int large = PyArray_SIZE(v) >= limit, scalar = is_word(value);
    int worth = host ? written(owner)
                     : traffic_on(owner) != NULL || large || away(owner);
    if (scalar) {
        if (!worth || (host && d->kind != 'f')) {
            goto slow;
        }
        source = constant(value, d);
        if (source != NULL && !PyArray_CheckExact(source)) {
            goto slow;
        }
    }
    else if (Py_TYPE(value) == array_type) {
        PyObject *b = FIELD(value, array_a);
        if (b != NULL && Py_TYPE(b) == node_type) {
            PyObject *shape = dims(v);
            int same = shape == NULL ? -1 : PyObject_RichCompareBool(shape, NODE(b, N_SHAPE), Py_EQ);
            Py_XDECREF(shape);
            if (same != 1 || NODE(b, N_DTYPE) != (PyObject *)d) {
                goto slow;
            }
            source = Py_NewRef(b);
        }
        else if ((worth || host) && b != NULL && PyArray_CheckExact(b)) {
            PyArrayObject *w = (PyArrayObject *)b;
            if (PyArray_DESCR(w) != d || !PyArray_ISALIGNED(w) || !PyArray_SAMESHAPE(v, w) ||
                (other = owner_of(b)) == NULL) {
                goto slow;
            }
            if (PyArray_BYTES(v) == PyArray_BYTES(w) &&
                PyArray_CompareLists(PyArray_STRIDES(v), PyArray_STRIDES(w), PyArray_NDIM(v))) {
                done = 1; /* x[i] op= y ends with x[i] = x[i] */
                goto slow;
            }
            if (host && !descending(w)) {
                goto slow;
            }
            if (host && !worth_storing(v, owner, other)) {
                if (traffic_on(owner) == NULL && traffic_on(other) == NULL) {
                    Py_INCREF(b); /* NumPy lets other threads run meanwhile */
                    done = PyArray_CopyInto(v, w) < 0 ? -1 : 1;
                    Py_DECREF(b);
                }
                goto slow;
            }
            source = leaf_of(b, other);
        }
    }
    if (source != NULL && lock()) {
        done = enter_store(view, owner, source, 0);
        source = NULL;
        unlock();
    }
slow:
    if (done >= 0) {
        PyErr_Clear();
    }
    Py_XDECREF(whole);
    Py_XDECREF(view);
    Py_XDECREF(source);
    return done;
}

/* `row` on the arguments, stored in the array `x`, recorded: 1; 0: not here; -1: an error. */
static int into(PyObject *row, PyObject *const *args, int n, PyObject *x, Verdict *verdict)
{
    PyObject *a, *node, *handle = NULL;
    PyArrayObject *owner = NULL;
    int done = 0;
    if (cut() < 0) {
        return -1;
    }
    a = FIELD(x, array_a);
    if (a == NULL || (Py_TYPE(a) != node_type && (!PyArray_CheckExact(a) || !storable((PyArrayObject *)a) ||
                                                  (owner = owner_of(a)) == NULL)) || !lock()) {
        return 0;
    }
    node = node_of(row, args, n, 0, verdict);
    if (node == NULL) {
        verdict->at_once = verdict->at_once && owner != NULL && traffic_on(owner) == NULL;
        unlock();
        return PyErr_Occurred() ? -1 : 0;
    }
    if (NODE(node, N_DTYPE) != (owner == NULL ? NODE(a, N_DTYPE) : (PyObject *)PyArray_DESCR((PyArrayObject *)a))) {
        Py_DECREF(node); /* what has to be cast is Python's */
        unlock();
        return 0;
    }
    PyObject *shape = owner == NULL ? Py_NewRef(NODE(a, N_SHAPE)) : dims((PyArrayObject *)a);
    int same = shape == NULL ? 0 : PyObject_RichCompareBool(shape, NODE(node, N_SHAPE), Py_EQ);
    Py_XDECREF(shape);
    if (same == 1 && owner != NULL) {
        done = enter(node) < 0 ? -1 : enter_store(a, owner, Py_NewRef(node), 0);
    }
    else if (same == 1 && (handle = PyWeakref_NewRef(x, NULL)) != NULL) {
        /* No memory was given to the array yet: it stands for the new value from now on. */
        set(a, node_at[N_HANDLE], Py_NewRef(Py_None));
        set(node, node_at[N_HANDLE], handle);
        set(x, array_a, Py_NewRef(node));
        done = enter(node) < 0 ? -1 : 1;
    }
    Py_DECREF(node);
    if (done >= 0) {
        PyErr_Clear();
    }
    unlock();
    return done;
}

/* Whether memory for a result with this signature comes from the shelf, and that memory. */
static int warm(PyObject *known)
{
    return PyLong_AsSsize_t(PyTuple_GET_ITEM(known, 7)) >= SHELVED_FROM;
}

static PyObject *new_result(PyObject *known)
{
    PyObject *both[2] = {PyTuple_GET_ITEM(known, 0), PyTuple_GET_ITEM(known, 1)};
    return PyObject_Vectorcall(PyDict_GetItem(taking, s_empty), both, 2, NULL);
}

#endif
