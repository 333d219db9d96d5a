/* The window, from C: what is recorded on which memory, its lock, and where it ends. Part of `_recording.c`. */
#ifndef CUNUMERIC_WINDOW_H
#define CUNUMERIC_WINDOW_H

static int lock(void);
static void unlock(void);
static int drop(void);

/* Whether something may be recorded now. What a reduction has read, and nobody needed, is forgotten before. */
static int open_gate(void)
{
    if (eager || FIELD(window, window_running) != Py_False) {
        return 0;
    }
    if (FIELD(window, window_lingering) != Py_None) {
        if (!lock()) {
            return 0;
        }
        int done = drop() == 0;
        unlock();
        PyErr_Clear();
        return done;
    }
    return 1;
}

/* The array at the end of the chain of bases, if its memory is ours (a remote's, with an accelerator) and nobody outside
 * can reach it; else NULL. */
static PyArrayObject *owner_of(PyObject *a)
{
    PyArrayObject *owner = (PyArrayObject *)a;
    PyObject *b = PyArray_BASE(owner);
    while (b != NULL && PyArray_CheckExact(b)) {
        owner = (PyArrayObject *)b;
        b = PyArray_BASE(owner);
    }
    if (host ? b != NULL && Py_TYPE(b) != lease_type : b == NULL || Py_TYPE(b) != remote_type) {
        return NULL;
    }
    if (PyDict_GET_SIZE(exposed)) {
        PyObject *key = PyLong_FromVoidPtr(owner);
        int found = key == NULL ? -1 : PyDict_Contains(exposed, key);
        Py_XDECREF(key);
        if (found) {
            PyErr_Clear();
            return NULL;
        }
    }
    return owner;
}

static int descending(PyArrayObject *a)
{
    npy_intp last = NPY_MAX_INTP;
    for (int k = 0; k < PyArray_NDIM(a); k++) {
        if (PyArray_DIM(a, k) == 1) {
            continue;
        }
        npy_intp s = PyArray_STRIDE(a, k);
        if (s <= 0 || s > last) {
            return 0;
        }
        last = s;
    }
    return 1;
}

/* The owner of the memory of `a`, where that is NumPy's exact array, aligned, and its axes descend; else NULL. */
static PyArrayObject *read_from(PyObject *a)
{
    PyArrayObject *v = (PyArrayObject *)a;
    return PyArray_CheckExact(a) && PyArray_ISALIGNED(v) && descending(v) ? owner_of(a) : NULL;
}

/* Whether the newest bytes of an accelerator's memory are on the device alone. */
static int away(PyArrayObject *owner)
{
    return FIELD(PyArray_BASE(owner), remote_home) == Py_False;
}

/* Whether no two elements share memory, told by the strides in any order and direction. */
static int distinct(PyArrayObject *a)
{
    int n = PyArray_NDIM(a);
    npy_intp span = PyArray_ITEMSIZE(a);
    unsigned long long done = 0;
    for (int turn = 0; turn < n; turn++) {
        int best = -1;
        npy_intp least = 0;
        for (int k = 0; k < n; k++) {
            npy_intp s = PyArray_STRIDE(a, k) < 0 ? -PyArray_STRIDE(a, k) : PyArray_STRIDE(a, k);
            if (!(done >> k & 1) && (best < 0 || s < least)) {
                best = k;
                least = s;
            }
        }
        done |= 1ULL << best;
        if (PyArray_DIM(a, best) > 1) {
            if (least < span) {
                return 0;
            }
            span = least * (PyArray_DIM(a, best) - 1) + span;
        }
    }
    return 1;
}

static PyObject *dims(PyArrayObject *a)
{
    int n = PyArray_NDIM(a);
    PyObject *found = PyTuple_New(n);
    for (int k = 0; found != NULL && k < n; k++) {
        PyTuple_SET_ITEM(found, k, PyLong_FromSsize_t(PyArray_DIM(a, k)));
    }
    return found;
}

/* The recorded traffic on `owner`'s memory, made where there is none, borrowed; NULL with an error. */
static PyObject *met(PyArrayObject *owner)
{
    PyObject *id = PyLong_FromVoidPtr(owner), *traffic = id == NULL ? NULL : PyDict_GetItemWithError(memory, id);
    if (traffic == NULL && id != NULL && !PyErr_Occurred()) {
        traffic = traffic_type->tp_alloc(traffic_type, 0);
        PyObject *stores = traffic == NULL ? NULL : PyList_New(0);
        if (stores != NULL) {
            if (host) {
                PyObject_GC_UnTrack(traffic);
            }
            set(traffic, traffic_owner, Py_NewRef((PyObject *)owner));
            set(traffic, traffic_stores, stores);
            set(crowd, crowd_entered, PyLong_FromSsize_t(PyLong_AsSsize_t(FIELD(crowd, crowd_entered)) +
                                                         PyArray_NBYTES(owner)));
        }
        int failed = stores == NULL || PyDict_SetItem(memory, id, traffic) < 0;
        Py_XDECREF(traffic); /* the window has it */
        traffic = failed ? NULL : traffic;
    }
    Py_XDECREF(id);
    return traffic;
}

/* The window's leaf for `a`, whose memory is that of `owner`; the owner counts as touched. A new reference. */
static PyObject *leaf_of(PyObject *a, PyArrayObject *owner)
{
    PyObject *key = PyLong_FromVoidPtr(a), *leaf = key == NULL ? NULL : PyDict_GetItemWithError(leaves, key);
    if (leaf != NULL && FIELD(leaf, leaf_met) == Py_True) {
        Py_DECREF(key);
        return Py_NewRef(leaf);
    }
    if (leaf != NULL) {
        Py_INCREF(leaf);
    }
    else if (key != NULL && !PyErr_Occurred() && (leaf = make(leaves_pool)) != NULL) {
        set(leaf, leaf_offset, PyLong_FromSsize_t(PyArray_BYTES((PyArrayObject *)a) - PyArray_BYTES(owner)));
        set(leaf, leaf_a, Py_NewRef(a));
        set(leaf, leaf_origin, Py_NewRef(Py_None));
        set(leaf, leaf_owner, Py_NewRef((PyObject *)owner));
        if (PyDict_SetItem(leaves, key, leaf) < 0) {
            Py_CLEAR(leaf);
        }
    }
    Py_XDECREF(key);
    if (leaf != NULL && met(owner) == NULL) {
        Py_CLEAR(leaf);
    }
    if (leaf != NULL) {
        set(leaf, leaf_met, Py_NewRef(Py_True));
    }
    return leaf;
}

/* The recorded traffic of `owner`'s memory, borrowed; NULL: none. */
static PyObject *traffic_on(PyArrayObject *owner)
{
    if (!PyDict_GET_SIZE(memory)) {
        return NULL;
    }
    PyObject *id = PyLong_FromVoidPtr(owner), *found = id == NULL ? NULL : PyDict_GetItemWithError(memory, id);
    Py_XDECREF(id);
    PyErr_Clear();
    return found;
}

static int written(PyArrayObject *owner)
{
    PyObject *traffic = traffic_on(owner);
    return traffic != NULL && PyList_GET_SIZE(FIELD(traffic, traffic_stores)) > 0;
}

static PyObject *next_sequence(void)
{
    PyObject *found = PyLong_FromLongLong(PyLong_AsLongLong(FIELD(window, window_sequence)) + 1);
    if (found != NULL) {
        set(window, window_sequence, Py_NewRef(found));
    }
    return found;
}

#define GRAM 6 /* `_Loops.GRAM` */

/* The end of `loops.saw` outside a run, where `mark` has been appended: a run begins where the last marks were seen
 * before. */
static void sought(PyObject *marks, Py_ssize_t size)
{
    Py_ssize_t n = PyList_GET_SIZE(marks), last = n;
    PyObject *places = FIELD(loops, loops_places), *at = PyLong_FromSsize_t(n), *gram, *found;
    unsigned long long mixed = 0;
    int good = 0;
    for (Py_ssize_t k = n < GRAM ? 0 : n - GRAM; k < n; k++) {
        mixed = (mixed * 31 + (unsigned long long)PyLong_AsLongLong(PyList_GET_ITEM(marks, k))) % (1ULL << 62);
    }
    gram = PyLong_FromUnsignedLongLong(mixed);
    if (at != NULL && gram != NULL) {
        found = PyDict_GetItemWithError(places, gram);
        last = found == NULL ? n : PyLong_AsSsize_t(found);
        good = !PyErr_Occurred() && PyDict_SetItem(places, gram, at) == 0;
    }
    Py_XDECREF(at);
    Py_XDECREF(gram);
    if (good && n != last && n - last <= 2 * window_limit) {
        set(loops, loops_period, PyLong_FromSsize_t(n - last));
        set(loops, loops_covered, PyLong_FromSsize_t(n - last + GRAM));
    }
    else if (good && size >= 2 * window_limit) {
        set(loops, loops_cutting, Py_NewRef(Py_True));
    }
    PyErr_Clear(); /* out of memory: the run is seen later */
}

/* `loops.saw(item)` where no run ends and no window inside a run: 1; 0: ask Python. */
static int saw(PyObject *item)
{
    PyObject *mark = NULL, *marks = FIELD(loops, loops_marks);
    Py_hash_t hash;
    size_t told;
    Py_ssize_t period = PyLong_AsSsize_t(FIELD(loops, loops_period)), n = PyList_GET_SIZE(marks), covered;
    Py_ssize_t size = n + 1 - PyLong_AsSsize_t(FIELD(loops, loops_start));
    int known = 0;
    Py_ssize_t quiet = PyLong_AsSsize_t(FIELD(loops, loops_quiet));
    if (period > n || (quiet && n >= quiet)) {
        return 0;
    }
    covered = PyLong_AsSsize_t(FIELD(loops, loops_covered)) + 1;
    if (period && size >= PyLong_AsSsize_t(FIELD(loops, loops_due)) &&
        (covered >= size ? size % period == 0 || size >= 4 * window_limit
                         : size >= 2 * window_limit ||
                               (covered >= 3 * period &&
                                (FIELD(loops, loops_busy) == Py_True || covered % period == 0)))) {
        return 0;
    }
    if (Py_TYPE(item) == node_type) { /* `window._told_by` */
        hash = PyObject_Hash(NODE(item, N_SHAPE));
        told = (size_t)PyObject_Hash(NODE(item, N_ROW)) * 31 ^ (size_t)hash;
    }
    else {
        PyObject *leaf = FIELD(item, store_destination), *shape = dims((PyArrayObject *)FIELD(leaf, leaf_a));
        hash = shape == NULL ? -1 : PyObject_Hash(shape);
        told = (size_t)hash * 31 ^ (size_t)(PyArray_BYTES((PyArrayObject *)FIELD(leaf, leaf_a)) -
                                           PyArray_BYTES((PyArrayObject *)FIELD(leaf, leaf_owner)));
        Py_XDECREF(shape);
    }
    told &= (1ULL << 62) - 1;
    if (!period) {
        known = hash != -1 && (mark = PyLong_FromSize_t(told)) != NULL && PyList_Append(marks, mark) == 0;
        if (known && !quiet) {
            sought(marks, size);
        }
    }
    else if (hash != -1 && PyLong_AsSize_t(PyList_GET_ITEM(marks, n - period)) == told &&
             (mark = PyLong_FromSize_t(told)) != NULL && PyList_Append(marks, mark) == 0) {
        set(loops, loops_covered, PyLong_FromSsize_t(covered));
        known = 1;
    }
    Py_XDECREF(mark);
    return known;
}

/* Enter `item` into the window. */
static int enter(PyObject *item)
{
    if (PyList_Append(pending, item) < 0) {
        return -1;
    }
    PyObject *r;
    if (host) {
        return 0; /* see `may_end` */
    }
    if (!saw(item)) {
        r = PyObject_CallOneArg(loops_saw, item);
        if (r == NULL) {
            return -1;
        }
        Py_DECREF(r);
    }
    return 0;
}

/* Whether `mark` is that of a recording (`window._mark`). */
static int marked(PyObject *item, PyObject *mark)
{
    PyObject *first = PyTuple_GET_ITEM(mark, 0), *second = PyTuple_GET_ITEM(mark, 1);
    if (Py_TYPE(item) == node_type) {
        return first == NODE(item, N_ROW) && PyObject_RichCompareBool(second, NODE(item, N_SHAPE), Py_EQ) == 1;
    }
    PyObject *leaf = FIELD(item, store_destination), *shape = dims((PyArrayObject *)FIELD(leaf, leaf_a));
    PyObject *offset = PyLong_FromSsize_t(PyArray_BYTES((PyArrayObject *)FIELD(leaf, leaf_a)) -
                                          PyArray_BYTES((PyArrayObject *)FIELD(leaf, leaf_owner)));
    int same = shape != NULL && offset != NULL && PyObject_RichCompareBool(first, shape, Py_EQ) == 1 &&
               PyObject_RichCompareBool(second, offset, Py_EQ) == 1;
    Py_XDECREF(shape);
    Py_XDECREF(offset);
    PyErr_Clear();
    return same;
}

/* Take the lock of the window: 1; 0: another thread has it. With an accelerator the interpreter's own lock does. */
static int lock(void)
{
    return gate == NULL || take(gate, 0) > 0;
}

static void unlock(void)
{
    if (gate != NULL) {
        give(gate);
    }
}

/* Whether `window.cut` is to be asked, before something is recorded. */
static int may_end(void)
{
    Py_ssize_t size = PyList_GET_SIZE(pending), n;
    if (!host) {
        return FIELD(loops, loops_cutting) == Py_True;
    }
    if (size && PyLong_AsSsize_t(FIELD(crowd, crowd_entered)) >= PyLong_AsSsize_t(FIELD(crowd, crowd_checked))) {
        return 1;
    }
    PyObject *cut = FIELD(period, period_cut);
    n = PyTuple_GET_SIZE(cut);
    if (size < (n ? window_limit : window_limit / 2)) {
        return 0;
    }
    for (Py_ssize_t k = 1; size < 2 * window_limit && k <= n && k <= size; k++) {
        if (!marked(PyList_GET_ITEM(pending, size - k), PyTuple_GET_ITEM(cut, n - k))) {
            return 0; /* not where windows end */
        }
    }
    return 1;
}

/* Run the window if it has come to its end (`window.cut`); -1: an error. */
static int cut(void)
{
    if (may_end() && open_gate()) {
        PyObject *r = PyObject_CallNoArgs(cut_window);
        if (r == NULL) {
            return -1;
        }
        Py_DECREF(r);
    }
    return 0;
}

#endif
