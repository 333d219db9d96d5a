/* The loop of `Recipe.__init__`: what a window computes, with everything renumbered, at the price of a few lookups an
 * item. Numbers of nodes and leaves are kept on themselves, in fields that only the host's planner uses otherwise.
 *
 * The key is a string of words: hashing and comparing tuples of tuples took half as long as everything else. Rows and
 * regions are told apart by their addresses, and never forgotten; dtypes, all of them native and plain, by their
 * numbers. */
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>
#include <structmember.h>
#include <numpy/arrayobject.h>
#include "../../runtime/_dead.h"
#include "../../runtime/_slots.h"

enum { NODE, LEAF, HOST, CONSTANT };
static PyTypeObject *node_type, *leaf_type, *remote_type;
static Py_ssize_t node_args, node_row, node_shape, node_dtype, node_handle, node_strides, node_hazard;
static Py_ssize_t leaf_a, leaf_owner, leaf_origin, leaf_offset, store_destination, store_source;
static Py_ssize_t node_line, array_a, range_raw, range_start, range_touched;
static Py_ssize_t remote_layout, remote_kind, remote_value, remote_home, remote_line, remote_listed, remote_range,
    remote_start;
static PyObject *shown, *order_of, *known; /* known: what `shown` said before */
static PyObject *spare, *held, *gone, *reserve; /* of `addresses` and `residence` */
static PyObject *python_keep;

typedef struct {
    PyObject *items, *owners, *remotes, *hosts, *constants, *dtypes, *regions, *living, *numbers, *dead;
    npy_int64 *words; /* the key */
    size_t nwords, room;
    int failed;       /* there was no memory for a word */
    Py_ssize_t lived; /* of `living`, where that is given: nodes that were met */
} Build;

enum { A_NODE = 1, A_STORE, A_CONSTANT, A_HOST, AN_OWNER, A_LEAF };

static void word(Build *b, npy_int64 w)
{
    if (b->nwords == b->room) {
        size_t room = b->room ? 2 * b->room : 1024;
        npy_int64 *words = realloc(b->words, room * sizeof *words);
        if (words == NULL) {
            b->failed = 1;
            return;
        }
        b->words = words;
        b->room = room;
    }
    b->words[b->nwords++] = w;
}

/* A tuple of integers, with its length before it; None: -1. */
static void words_of(Build *b, PyObject *tuple)
{
    Py_ssize_t n = tuple == Py_None ? -1 : PyTuple_GET_SIZE(tuple);
    word(b, n);
    for (Py_ssize_t k = 0; k < n; k++) {
        word(b, PyLong_AsLongLong(PyTuple_GET_ITEM(tuple, k)));
    }
}

static void word_of_dtype(Build *b, PyObject *dtype) { word(b, ((PyArray_Descr *)dtype)->type_num); }

static PyObject *lengths(const npy_intp *v, int n)
{
    PyObject *found = PyTuple_New(n);
    for (int k = 0; found != NULL && k < n; k++) {
        PyTuple_SET_ITEM(found, k, PyLong_FromSsize_t(v[k]));
    }
    return found;
}

static int append(PyObject *list, PyObject *v) /* takes the reference */
{
    int r = v == NULL ? -1 : PyList_Append(list, v);
    Py_XDECREF(v);
    return r;
}

static PyObject *reference(int kind, Py_ssize_t k)
{
    return PyLong_FromSsize_t(4 * k + kind);
}

/* The region and the part that a leaf shows, from `shown`, remembered. Borrowed. */
static PyObject *region_of(PyObject *remote, PyObject *leaf, PyArrayObject *a)
{
    PyObject *shape = lengths(PyArray_DIMS(a), PyArray_NDIM(a));
    PyObject *strides = lengths(PyArray_STRIDES(a), PyArray_NDIM(a));
    PyObject *offset = FIELD(leaf, leaf_offset), *found = NULL, *key = NULL;
    PyObject *measured = NULL;
    if (shape == NULL || strides == NULL) {
        goto end;
    }
    if (offset == NULL || PyLong_AsSsize_t(offset) < 0) {
        offset = measured = PyObject_GetAttrString(leaf, "offset");
        if (offset == NULL) {
            goto end;
        }
    }
    key = PyTuple_Pack(6, FIELD(remote, remote_layout), FIELD(remote, remote_kind), offset, shape, strides,
                       (PyObject *)PyArray_DESCR(a));
    if (key == NULL) {
        goto end;
    }
    found = PyDict_GetItemWithError(known, key);
    if (found == NULL && !PyErr_Occurred()) {
        PyObject *made = PyObject_Call(shown, key, NULL);
        if (made != NULL && PyDict_SetItem(known, key, made) == 0) {
            found = made;
        }
        Py_XDECREF(made);
    }
end:
    Py_XDECREF(shape);
    Py_XDECREF(strides);
    Py_XDECREF(key);
    Py_XDECREF(measured);
    return found;
}

/* The number of an owner's memory, met for the first time or again; -1 with an error. */
static Py_ssize_t owner_number(Build *b, PyObject *owner, PyObject *remote)
{
    PyObject *id = PyLong_FromVoidPtr(owner);
    PyObject *found = id == NULL ? NULL : PyDict_GetItemWithError(b->numbers, id);
    Py_ssize_t k = -1;
    if (found != NULL) {
        k = PyLong_AsSsize_t(found);
    }
    else if (id != NULL && !PyErr_Occurred()) {
        int dead = PySet_Contains(b->dead, id);
        k = PyList_GET_SIZE(b->owners);
        PyObject *n = PyLong_FromSsize_t(k);
        if (dead < 0 || n == NULL || PyDict_SetItem(b->numbers, id, n) < 0 || PyList_Append(b->owners, owner) < 0 ||
            PyList_Append(b->remotes, remote) < 0) {
            k = -1;
        }
        word(b, AN_OWNER);
        words_of(b, FIELD(remote, remote_layout));
        word_of_dtype(b, FIELD(remote, remote_kind));
        word(b, dead);
        Py_XDECREF(n);
    }
    Py_XDECREF(id);
    return k;
}

/* How the window calls `v`. A new reference. */
static PyObject *number(Build *b, PyObject *v)
{
    if (Py_TYPE(v) == node_type) {
        return Py_NewRef(FIELD(v, node_hazard));
    }
    if (Py_TYPE(v) != leaf_type) {
        PyObject *r = reference(CONSTANT, PyList_GET_SIZE(b->constants));
        if (r == NULL || PyList_Append(b->constants, v) < 0) {
            Py_CLEAR(r);
        }
        word(b, A_CONSTANT);
        word(b, PyArray_TYPE((PyArrayObject *)v));
        return r;
    }
    PyObject *origin = FIELD(v, leaf_origin);
    if (origin != Py_None) {
        return Py_NewRef(origin);
    }
    PyArrayObject *a = (PyArrayObject *)FIELD(v, leaf_a);
    PyObject *owner = FIELD(v, leaf_owner), *remote = PyArray_BASE((PyArrayObject *)owner), *r;
    if (remote == NULL || Py_TYPE(remote) != remote_type) {
        r = reference(HOST, PyList_GET_SIZE(b->hosts));
        if (r == NULL || PyList_Append(b->hosts, (PyObject *)a) < 0) {
            Py_CLEAR(r);
        }
        word(b, A_HOST);
        word(b, PyArray_NDIM(a));
        for (int k = 0; k < PyArray_NDIM(a); k++) {
            word(b, PyArray_DIM(a, k));
        }
        word(b, PyArray_TYPE(a));
    }
    else {
        Py_ssize_t k = owner_number(b, owner, remote);
        PyObject *region = k < 0 ? NULL : region_of(remote, v, a);
        PyObject *n = region == NULL ? NULL : PyLong_FromSsize_t(k);
        r = n == NULL ? NULL : reference(LEAF, PyList_GET_SIZE(b->regions));
        if (r == NULL ||
            append(b->regions, PyTuple_Pack(3, n, PyTuple_GET_ITEM(region, 0), PyTuple_GET_ITEM(region, 1))) < 0 ||
            PyList_Append(b->dtypes, (PyObject *)PyArray_DESCR(a)) < 0) {
            Py_CLEAR(r);
        }
        else {
            word(b, A_LEAF);
            word(b, k);
            word(b, (npy_int64)(npy_intp)PyTuple_GET_ITEM(region, 0));
            word(b, PyArray_TYPE(a));
        }
        Py_XDECREF(n);
    }
    if (r != NULL) {
        FIELD(v, leaf_origin) = Py_NewRef(r);
        Py_DECREF(origin);
    }
    return r;
}

static int node(Build *b, PyObject *p, Py_ssize_t count)
{
    PyObject *args = FIELD(p, node_args), *handle = FIELD(p, node_handle), *strides = FIELD(p, node_strides);
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    PyObject *refs = PyTuple_New(n), *order = NULL;
    for (Py_ssize_t k = 0; refs != NULL && k < n; k++) {
        PyObject *r = number(b, PyTuple_GET_ITEM(args, k));
        if (r == NULL) {
            Py_CLEAR(refs);
            break;
        }
        PyTuple_SET_ITEM(refs, k, r);
    }
    PyObject *mine = refs == NULL ? NULL : reference(NODE, count);
    if (mine == NULL) {
        Py_XDECREF(refs);
        return -1;
    }
    Py_SETREF(FIELD(p, node_hazard), mine);
    int lives;
    if (b->items == Py_None) {
        lives = alive(handle);
        if (lives && PyList_Append(b->living, p) < 0) {
            Py_DECREF(refs);
            return -1;
        }
    }
    else { /* arrays may have died since the key was made, which the collector may do at any time */
        lives = b->lived < PyList_GET_SIZE(b->living) && PyList_GET_ITEM(b->living, b->lived) == p;
        b->lived += lives;
    }
    order = strides == NULL || strides == Py_None ? Py_NewRef(Py_None) : PyObject_CallOneArg(order_of, strides);
    if (order == NULL) {
        Py_DECREF(refs);
        return -1;
    }
    word(b, A_NODE);
    word(b, (npy_int64)(npy_intp)FIELD(p, node_row));
    words_of(b, refs);
    words_of(b, FIELD(p, node_shape));
    word_of_dtype(b, FIELD(p, node_dtype));
    word(b, lives);
    words_of(b, order);
    int done = 0;
    if (b->items != Py_None) {
        done = append(b->items, PyTuple_Pack(6, FIELD(p, node_row), refs, FIELD(p, node_shape), FIELD(p, node_dtype),
                                             lives ? Py_True : Py_False, order));
    }
    Py_DECREF(refs);
    Py_DECREF(order);
    return done;
}

static int store(Build *b, PyObject *p, PyObject *written)
{
    PyObject *to = FIELD(p, store_destination);
    PyObject *destination = number(b, to), *source = destination == NULL ? NULL : number(b, FIELD(p, store_source));
    int done = -1;
    if (source != NULL && (b->items == Py_None || append(b->items, PyTuple_Pack(2, destination, source)) == 0)) {
        word(b, A_STORE);
        word(b, PyLong_AsLongLong(destination));
        word(b, PyLong_AsLongLong(source));
        PyObject *id = PyLong_FromVoidPtr(FIELD(to, leaf_owner));
        int dead = id == NULL ? -1 : PySet_Contains(b->dead, id);
        done = dead;
        if (dead == 0) {
            PyObject *k = PyDict_GetItem(b->numbers, id);
            done = k == NULL ? -1 : PySet_Add(written, k);
        }
        Py_XDECREF(id);
    }
    Py_XDECREF(destination);
    Py_XDECREF(source);
    return done < 0 ? -1 : 0;
}

/* build(pending, dead, written, items, lists): the key; fills the lists (owners, remotes, hosts, constants, dtypes,
 * regions, living) and the set of written owners' numbers. Where `items` is a list, it is filled, and `living` tells
 * whose arrays lived when the key was made. */
static PyObject *build(PyObject *self, PyObject *args)
{
    PyObject *pending, *written;
    Build b = {.words = NULL};
    if (!PyArg_ParseTuple(args, "O!OOOOOOOOOO", &PyList_Type, &pending, &b.dead, &written, &b.items, &b.owners,
                          &b.remotes, &b.hosts, &b.constants, &b.dtypes, &b.regions, &b.living)) {
        return NULL;
    }
    b.numbers = PyDict_New();
    Py_ssize_t count = 0;
    int bad = b.numbers == NULL;
    for (Py_ssize_t k = 0; !bad && k < PyList_GET_SIZE(pending); k++) {
        PyObject *p = PyList_GET_ITEM(pending, k);
        bad = Py_TYPE(p) == node_type ? node(&b, p, count++) < 0 : store(&b, p, written) < 0;
    }
    /* Leaves of a window that must be built again (on the host, say) are as they were. */
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(pending); k++) {
        PyObject *p = PyList_GET_ITEM(pending, k);
        PyObject *of[2] = {NULL, NULL}, *all = NULL;
        if (Py_TYPE(p) == node_type) {
            all = FIELD(p, node_args);
        }
        else {
            of[0] = FIELD(p, store_destination);
            of[1] = FIELD(p, store_source);
        }
        Py_ssize_t n = all == NULL ? 2 : PyTuple_GET_SIZE(all);
        for (Py_ssize_t j = 0; j < n; j++) {
            PyObject *v = all == NULL ? of[j] : PyTuple_GET_ITEM(all, j);
            if (Py_TYPE(v) == leaf_type && FIELD(v, leaf_origin) != Py_None) {
                Py_SETREF(FIELD(v, leaf_origin), Py_NewRef(Py_None));
            }
        }
    }
    Py_XDECREF(b.numbers);
    PyObject *key = bad       ? NULL
                    : b.failed ? PyErr_NoMemory()
                               : PyBytes_FromStringAndSize((char *)b.words, b.nwords * sizeof *b.words);
    free(b.words);
    return key;
}

/* -- results ------------------------------------------------------------------------------------------------------- */

static inline void set(PyObject *x, Py_ssize_t at, PyObject *v) /* takes the reference */
{
    PyObject *old = FIELD(x, at);
    FIELD(x, at) = v;
    Py_XDECREF(old);
}

/* Memory in C order for a value on the device, on addresses that an array before had (`residence.reserve`); NULL
 * without an error where there are none. */
static PyObject *fresh(PyObject *shape, PyArray_Descr *dtype, int touched)
{
    npy_intp dims[NPY_MAXDIMS];
    Py_ssize_t n = PyTuple_GET_SIZE(shape), nbytes = PyDataType_ELSIZE(dtype), kept;
    for (Py_ssize_t k = 0; k < n; k++) {
        dims[k] = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, k));
        nbytes *= dims[k];
    }
    PyObject *key = PyLong_FromSsize_t(nbytes), *list = key == NULL ? NULL : PyDict_GetItemWithError(spare, key);
    Py_XDECREF(key);
    if (list == NULL || (kept = PyList_GET_SIZE(list)) == 0) {
        return NULL;
    }
    PyObject *range = Py_NewRef(PyList_GET_ITEM(list, kept - 1)), *raw = FIELD(range, range_raw), *a = NULL, *remote;
    if (PyList_SetSlice(list, kept - 1, kept, NULL) < 0 ||
        (remote = PyArray_View((PyArrayObject *)raw, NULL, remote_type)) == NULL) {
        Py_DECREF(range);
        return NULL;
    }
    set(range, range_touched, Py_NewRef(touched ? Py_True : Py_False));
    set(remote, remote_range, range);
    set(remote, remote_start, Py_NewRef(FIELD(range, range_start)));
    set(remote, remote_layout, Py_NewRef(shape));
    set(remote, remote_kind, Py_NewRef((PyObject *)dtype));
    set(remote, remote_value, Py_NewRef(Py_None));
    set(remote, remote_home, Py_NewRef(Py_True));
    set(remote, remote_line, Py_NewRef(Py_None));
    set(remote, remote_listed, Py_NewRef(Py_None));
    Py_INCREF(dtype);
    a = PyArray_NewFromDescr(&PyArray_Type, dtype, (int)n, dims, NULL, PyArray_DATA((PyArrayObject *)raw),
                             NPY_ARRAY_CARRAY, NULL);
    if (a == NULL || PyArray_SetBaseObject((PyArrayObject *)a, remote) < 0) { /* takes the reference */
        Py_CLEAR(a);
    }
    return a;
}

/* reserve(shape, dtype): `residence.reserve`, with its other arguments too. */
static PyObject *quick_reserve(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
    if (n == 2 && names == NULL && PyTuple_CheckExact(args[0]) && PyArray_DescrCheck(args[1])) {
        PyObject *a = fresh(args[0], (PyArray_Descr *)args[1], 1);
        if (a != NULL || PyErr_Occurred()) {
            return a;
        }
    }
    return PyObject_Vectorcall(reserve, args, n, names);
}

/* Give the array `x`, which stands for `node`, the device's value; 0: done; 1: not here; -1: an error. */
static int keep_one(PyObject *x, PyObject *node, PyObject *value)
{
    PyObject *strides = FIELD(node, node_strides);
    if (array_a == 0) { /* where an array has its inner one is told by the first one met */
        array_a = offset_of((PyObject *)Py_TYPE(x), "_a");
    }
    if (array_a < 0 || (strides != NULL && strides != Py_None)) {
        return 1;
    }
    PyObject *a = fresh(FIELD(node, node_shape), (PyArray_Descr *)FIELD(node, node_dtype), 0);
    if (a == NULL) {
        return PyErr_Occurred() ? -1 : 1;
    }
    PyObject *remote = PyArray_BASE((PyArrayObject *)a); /* new: `residence.hold` */
    PyObject *reference = PyWeakref_NewRef(remote, gone), *key = reference ? PyLong_FromVoidPtr(reference) : NULL;
    int failed = key == NULL || PyDict_SetItem(held, key, reference) < 0;
    if (!failed) {
        set(remote, remote_listed, Py_NewRef(reference));
        set(remote, remote_value, Py_NewRef(value));
        set(remote, remote_home, Py_NewRef(Py_False));
        set(remote, remote_line, Py_NewRef(FIELD(node, node_line)));
        set(x, array_a, Py_NewRef(a));
    }
    Py_XDECREF(key);
    Py_XDECREF(reference);
    Py_DECREF(a);
    return -failed;
}

/* keep(node, value): give the array that stands for the node, if it lives, the device's value. Without addresses that an
 * array before had Python does it. */
static PyObject *keep(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    PyObject *x = n == 2 ? referent(FIELD(args[0], node_handle)) : NULL;
    int left = x == NULL ? 0 : keep_one(x, args[0], args[1]);
    Py_XDECREF(x);
    return left < 0 ? NULL : left ? PyObject_Vectorcall(python_keep, args, 2, NULL) : Py_NewRef(Py_None);
}

/* dead(pending, leaves of the window, exposed owners, large): ids of the owners of memory that is written here, or of at
 * least so many bytes, and that only the window refers to; None where something is written that the device cannot hold,
 * or that somebody else can reach. */
static PyObject *find_dead(PyObject *self, PyObject *args)
{
    PyObject *pending, *leaves, *exposed, *key, *leaf, *found = NULL;
    Py_ssize_t large, at = 0;
    static Map owners;
    if (!PyArg_ParseTuple(args, "O!O!O!n", &PyList_Type, &pending, &PyDict_Type, &leaves, &PyDict_Type, &exposed, &large)) {
        return NULL;
    }
    int failed = 0, home = 0;
    for (Py_ssize_t k = 0; !failed && !home && k < PyList_GET_SIZE(pending); k++) {
        PyObject *p = PyList_GET_ITEM(pending, k);
        if (Py_TYPE(p) == node_type) {
            continue;
        }
        PyObject *owner = FIELD(FIELD(p, store_destination), leaf_owner), *base = PyArray_BASE((PyArrayObject *)owner);
        home = base == NULL || Py_TYPE(base) != remote_type;
        if (!home && PyDict_GET_SIZE(exposed)) {
            PyObject *id = PyLong_FromVoidPtr(owner);
            int out = id == NULL ? -1 : PyDict_Contains(exposed, id);
            Py_XDECREF(id);
            home = out > 0;
            failed = out < 0;
        }
        failed = failed || map_put(&owners, owner, 1) < 0;
    }
    while (!failed && !home && PyDict_Next(leaves, &at, &key, &leaf)) {
        PyObject *owner = FIELD(leaf, leaf_owner);
        if (PyArray_NBYTES((PyArrayObject *)owner) >= large) {
            failed = map_put(&owners, owner, 1) < 0;
        }
    }
    if (failed) {
        PyErr_NoMemory();
    }
    else if (home) {
        found = Py_NewRef(Py_None);
    }
    else if (tell_dead(&owners, leaves, exposed, leaf_a, leaf_owner, remote_type) == 0) {
        found = PySet_New(NULL);
    }
    for (size_t k = 0; found != NULL && found != Py_None && owners.used && k <= owners.mask; k++) {
        Entry *e = owners.entries + k;
        PyObject *id = e->key == NULL || !e->value ? NULL : PyLong_FromVoidPtr((void *)e->key);
        if (e->key != NULL && e->value && (id == NULL || PySet_Add(found, id) < 0)) {
            Py_CLEAR(found);
        }
        Py_XDECREF(id);
    }
    map_empty(&owners);
    return found;
}

/* start(Node, Leaf, Store, Remote, shown, order, known, Range, spare ranges, held remotes, what forgets those, reserve,
 * keep) */
static PyObject *start(PyObject *self, PyObject *args)
{
    PyObject *store_type, *range_type;
    if (!PyArg_ParseTuple(args, "OOOOOOOOOOOOO", &node_type, &leaf_type, &store_type, &remote_type, &shown, &order_of,
                          &known, &range_type, &spare, &held, &gone, &reserve, &python_keep)) {
        return NULL;
    }
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(args); k++) {
        Py_INCREF(PyTuple_GET_ITEM(args, k));
    }
    struct { Py_ssize_t *at; void *type; const char *name; } places[] = {
        {&node_args, node_type, "args"}, {&node_row, node_type, "row"}, {&node_shape, node_type, "shape"},
        {&node_dtype, node_type, "dtype"}, {&node_handle, node_type, "handle"}, {&node_strides, node_type, "strides"},
        {&node_hazard, node_type, "hazard"}, {&leaf_a, leaf_type, "a"}, {&leaf_owner, leaf_type, "owner"},
        {&leaf_origin, leaf_type, "origin"}, {&leaf_offset, leaf_type, "_offset"},
        {&store_destination, store_type, "destination"}, {&store_source, store_type, "source"},
        {&remote_layout, remote_type, "layout"}, {&remote_kind, remote_type, "kind"},
        {&remote_value, remote_type, "value"}, {&remote_home, remote_type, "home"}, {&remote_line, remote_type, "line"},
        {&remote_listed, remote_type, "listed"}, {&remote_range, remote_type, "range"},
        {&remote_start, remote_type, "_start"}, {&node_line, node_type, "line"},
        {&range_raw, range_type, "raw"}, {&range_start, range_type, "start"}, {&range_touched, range_type, "touched"},
    };
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
        if ((*places[k].at = offset_of(places[k].type, places[k].name)) < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"start", start, METH_VARARGS, NULL},
    {"build", build, METH_VARARGS, NULL},
    {"dead", find_dead, METH_VARARGS, NULL},
    {"keep", (PyCFunction)(void (*)(void))keep, METH_FASTCALL, NULL},
    {"reserve", (PyCFunction)(void (*)(void))quick_reserve, METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_recipe", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__recipe(void)
{
    import_array();
    return PyModule_Create(&definition);
}
