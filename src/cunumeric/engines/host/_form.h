/* The canonical form of a window (graph/canonical.py says what that is), read off in one pass: numbers in a row instead
 * of tuples. Objects of which there is one for each meaning (rows, dtypes, sets of kinds) are written as their addresses;
 * whoever keeps a form keeps those too. */
#ifndef CUNUMERIC_FORM_H
#define CUNUMERIC_FORM_H

#include "../../runtime/_dead.h"
#include "../../runtime/_slots.h"

static PyTypeObject *node_type, *leaf_type, *store_type, *lease_type;
static Py_ssize_t node_args, node_row, node_shape, node_dtype, node_handle, node_errors, node_nbytes, ear_kinds;
static Py_ssize_t leaf_a, leaf_owner, store_destination, store_source, store_fresh;
static Py_ssize_t reduction_ufunc, reduction_source, reduction_axes, reduction_dtype, reduction_temporary, reduction_moments,
    reduction_errors;

/* -- the form ------------------------------------------------------------------------------------------------------- */

typedef struct {
    npy_int64 *words;
    size_t n, room;
    Map numbers, owners, dead, idle;
    PyObject *nodes, *leaves, *arrays, *constants; /* lists */
    npy_uint64 hash;
    int failed, fresh; /* fresh: read for whoever asks next, if nothing is recorded before */
    long long sequence;
    Py_ssize_t size, exposed;
} Form;

static inline void word(Form *f, npy_int64 v)
{
    if (f->n == f->room) {
        size_t room = f->room ? 2 * f->room : 2048;
        npy_int64 *words = realloc(f->words, room * sizeof(npy_int64));
        if (words == NULL) {
            f->failed = 1;
            return;
        }
        f->words = words;
        f->room = room;
    }
    f->words[f->n++] = v;
}

static void word_tuple(Form *f, PyObject *t)
{
    word(f, PyTuple_GET_SIZE(t));
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(t); k++) {
        word(f, PyLong_AsLongLong(PyTuple_GET_ITEM(t, k)));
    }
}

static void word_lengths(Form *f, int n, const npy_intp *lengths)
{
    for (int k = 0; k < n; k++) {
        word(f, lengths[k]);
    }
}

/* The kinds of flag that are heard, or nothing. */
static void word_kinds(Form *f, PyObject *errors)
{
    word(f, errors == NULL || errors == Py_None ? 0 : (npy_intp)FIELD(errors, ear_kinds));
}

/* The number of an operand: nodes from 0 up, leaves from -1 down; a constant is the address of its dtype. A leaf that
 * was not met before is described first. */
static npy_intp number_of(Form *f, PyObject *v)
{
    Entry *e = map_get(&f->numbers, v);
    if (e != NULL) {
        return e->value;
    }
    if (Py_TYPE(v) != leaf_type) {
        if (!PyArray_CheckExact(v)) {
            f->failed = 1; /* a node that is not in this window */
            return 0;
        }
        f->failed |= PyList_Append(f->constants, v) < 0;
        return (npy_intp)PyArray_DESCR((PyArrayObject *)v);
    }
    PyObject *owner = FIELD(v, leaf_owner);
    PyArrayObject *a = (PyArrayObject *)FIELD(v, leaf_a);
    f->failed |= PyList_Append(f->leaves, v) < 0 || PyList_Append(f->arrays, (PyObject *)a) < 0;
    npy_intp number = -PyList_GET_SIZE(f->leaves);
    f->failed |= map_put(&f->numbers, v, number) < 0;
    Entry *known = map_get(&f->owners, owner);
    npy_intp memory = known != NULL ? known->value : (npy_intp)f->owners.used;
    if (known == NULL) {
        f->failed |= map_put(&f->owners, owner, memory) < 0;
    }
    word(f, -2 - 4 * PyArray_NDIM(a) - (map_get(&f->dead, owner) != NULL) - 2 * (map_get(&f->idle, owner) != NULL));
    word(f, memory);
    word(f, PyArray_BYTES(a) - PyArray_BYTES((PyArrayObject *)owner));
    word(f, (npy_intp)PyArray_DESCR(a));
    word_lengths(f, PyArray_NDIM(a), PyArray_DIMS(a));
    word_lengths(f, PyArray_NDIM(a), PyArray_STRIDES(a));
    return number;
}

static void describe(Form *f, PyObject *p)
{
    if (Py_TYPE(p) != node_type) {
        npy_intp to = number_of(f, FIELD(p, store_destination)), from = number_of(f, FIELD(p, store_source));
        word(f, 2);
        word(f, to);
        word(f, from);
        word(f, FIELD(p, store_fresh) == Py_True);
        return;
    }
    PyObject *args = FIELD(p, node_args);
    npy_intp refs[8];
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    if (n > 8) {
        f->failed = 1;
        return;
    }
    for (Py_ssize_t k = 0; k < n; k++) {
        refs[k] = number_of(f, PyTuple_GET_ITEM(args, k));
    }
    word(f, alive(FIELD(p, node_handle)));
    word(f, (npy_intp)FIELD(p, node_row));
    word(f, n);
    word_lengths(f, (int)n, refs);
    word_tuple(f, FIELD(p, node_shape));
    word(f, (npy_intp)FIELD(p, node_dtype));
    word_kinds(f, FIELD(p, node_errors));
    f->failed |= map_put(&f->numbers, p, PyList_GET_SIZE(f->nodes)) < 0 || PyList_Append(f->nodes, p) < 0;
}

/* Memory of so many bytes that is only read here may take a result once nobody else refers to it, as NumPy's temporaries
 * do. */
static npy_intp inherited_from;

static PyObject *inherit_from(PyObject *self, PyObject *least)
{
    inherited_from = PyLong_AsSsize_t(least);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static int inheritable(PyArrayObject *owner)
{
    PyObject *base = PyArray_BASE(owner);
    return (base == NULL || Py_TYPE(base) == lease_type) && PyArray_NBYTES(owner) >= inherited_from &&
           PyArray_ISCARRAY(owner);
}

/* idle(leaf, exposed owners): whether only the window refers to the memory of this leaf, which shows all of it. */
static PyObject *idle(PyObject *self, PyObject *args)
{
    PyObject *leaf, *exposed, *owner, *id;
    if (!PyArg_ParseTuple(args, "OO!", &leaf, &PyDict_Type, &exposed)) {
        return NULL;
    }
    owner = FIELD(leaf, leaf_owner);
    /* The leaf's two and the traffic's. */
    if (FIELD(leaf, leaf_a) != owner || Py_REFCNT(owner) > 3 || !inheritable((PyArrayObject *)owner)) {
        Py_RETURN_FALSE;
    }
    id = PyLong_FromVoidPtr(owner);
    int out = id == NULL ? -1 : PyDict_Contains(exposed, id);
    Py_XDECREF(id);
    return out < 0 ? NULL : PyBool_FromLong(!out);
}

/* The owners of memory that only the window refers to, told by reference counts: see `canonical.dead_owners` and
 * `plan.is_dead`. Those that are written here enter `dead`, large ones that are only read `idle`. */
static int find_dead(Form *f, PyObject *pending, PyObject *window_leaves, PyObject *exposed)
{
    static Map wanted, read;
    PyObject *key, *leaf;
    Py_ssize_t at = 0;
    int failed = 0;
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(pending); k++) {
        PyObject *p = PyList_GET_ITEM(pending, k);
        if (Py_TYPE(p) == store_type) {
            failed |= map_put(&wanted, FIELD(FIELD(p, store_destination), leaf_owner), 1) < 0;
        }
    }
    while (!failed && PyDict_Next(window_leaves, &at, &key, &leaf)) {
        PyObject *owner = FIELD(leaf, leaf_owner);
        if (map_get(&wanted, owner) == NULL && inheritable((PyArrayObject *)owner)) {
            failed |= map_put(&wanted, owner, 1) < 0 || map_put(&read, owner, 1) < 0;
        }
    }
    failed = failed || tell_dead(&wanted, window_leaves, exposed, leaf_a, leaf_owner, lease_type) < 0;
    for (size_t k = 0; wanted.used && !failed && k <= wanted.mask; k++) {
        Entry *e = wanted.entries + k;
        if (e->key != NULL && e->value) {
            failed = map_put(map_get(&read, e->key) != NULL ? &f->idle : &f->dead, e->key, 1) < 0;
        }
    }
    map_empty(&wanted);
    map_empty(&read);
    return failed ? -1 : 0;
}

/* living(pending): bytes of the nodes that have an array. */
static PyObject *living(PyObject *self, PyObject *pending)
{
    long long total = 0;
    if (!PyList_Check(pending)) {
        PyErr_SetString(PyExc_TypeError, "living(pending)");
        return NULL;
    }
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(pending); k++) {
        PyObject *p = PyList_GET_ITEM(pending, k);
        if (Py_TYPE(p) == node_type && alive(FIELD(p, node_handle))) {
            total += PyLong_AsLongLong(FIELD(p, node_nbytes));
        }
    }
    return PyErr_Occurred() ? NULL : PyLong_FromLongLong(total);
}

/* collect(pending, memory, leaves of the window): forget what has died and nothing recorded needs; the owners of memory
 * that the window no longer meets lose its reference. */
static PyObject *collect(PyObject *self, PyObject *args)
{
    PyObject *pending, *memory, *leaves, *key, *leaf;
    if (!PyArg_ParseTuple(args, "O!O!O!", &PyList_Type, &pending, &PyDict_Type, &memory, &PyDict_Type, &leaves)) {
        return NULL;
    }
    Py_ssize_t dropped = 0, at = 0;
    for (Py_ssize_t k = PyList_GET_SIZE(pending) - 1; k >= 0; k--) {
        PyObject *p = PyList_GET_ITEM(pending, k);
        if (Py_TYPE(p) == node_type && Py_REFCNT(p) == 1 && !alive(FIELD(p, node_handle))) {
            if (PyList_SetSlice(pending, k, k + 1, NULL) < 0) {
                return NULL;
            }
            dropped++;
        }
    }
    PyObject *unread = dropped ? PyList_New(0) : NULL;
    Map met = {NULL, 0, 0};
    int failed = dropped && unread == NULL;
    while (dropped && !failed && PyDict_Next(leaves, &at, &key, &leaf)) {
        failed = Py_REFCNT(leaf) == 1 ? PyList_Append(unread, key) < 0 : map_put(&met, FIELD(leaf, leaf_owner), 1) < 0;
    }
    for (Py_ssize_t k = 0; dropped && !failed && k < PyList_GET_SIZE(unread); k++) {
        PyObject *found = PyDict_GetItemWithError(leaves, PyList_GET_ITEM(unread, k)), *owner, *id;
        if (found == NULL || (owner = FIELD(found, leaf_owner)) == NULL || (id = PyLong_FromVoidPtr(owner)) == NULL) {
            failed = 1;
            break;
        }
        if (map_get(&met, owner) == NULL && PyDict_DelItem(memory, id) < 0) {
            PyErr_Clear(); /* another view of it went first */
        }
        Py_DECREF(id);
        failed = PyDict_DelItem(leaves, PyList_GET_ITEM(unread, k)) < 0;
    }
    free(met.entries);
    Py_XDECREF(unread);
    return failed ? (PyErr_Occurred() ? NULL : PyErr_NoMemory()) : PyLong_FromSsize_t(dropped);
}

/* What a form is read into: one for all, because who reads has the window's lock. */
static Form read_form;
static PyObject *window_state; /* `window.state`, once windows are replayed */
static Py_ssize_t state_sequence;

static npy_uint64 hash_of(const npy_int64 *words, size_t n)
{
    npy_uint64 hash = n;
    for (size_t k = 0; k < n; k++) {
        hash = (hash ^ (npy_uint64)words[k]) * 0x9E3779B97F4A7C15ULL;
        hash ^= hash >> 32;
    }
    return hash;
}

static void form_keep(Form *f, PyObject *pending, PyObject *exposed)
{
    f->size = PyList_GET_SIZE(pending);
    f->fresh = 1;
    f->sequence = PyLong_AsLongLong(FIELD(window_state, state_sequence));
    f->exposed = PyDict_GET_SIZE(exposed);
}

/* Whether what was read is still so: a finaliser may have come between. */
static int form_kept(const Form *f, PyObject *pending, PyObject *exposed)
{
    return f->fresh && f->size == PyList_GET_SIZE(pending) && f->exposed == PyDict_GET_SIZE(exposed) &&
           f->sequence == PyLong_AsLongLong(FIELD(window_state, state_sequence));
}

/* Read the form of a window off; -1 with an error. Nothing of the one before is left. */
static int form_read(Form *f, PyObject *pending, PyObject *r, PyObject *window_leaves, PyObject *exposed)
{
    PyObject **lists[] = {&f->nodes, &f->leaves, &f->arrays, &f->constants};
    f->n = f->failed = f->fresh = 0;
    for (int k = 0; k < 4; k++) {
        Py_XSETREF(*lists[k], PyList_New(0));
        if (*lists[k] == NULL) {
            return -1;
        }
    }
    map_empty(&f->numbers);
    map_empty(&f->owners);
    map_empty(&f->dead);
    map_empty(&f->idle);
    if (find_dead(f, pending, window_leaves, exposed) < 0) {
        return PyErr_Occurred() ? -1 : (PyErr_NoMemory(), -1);
    }
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(pending); k++) {
        describe(f, PyList_GET_ITEM(pending, k));
    }
    if (r != Py_None) {
        npy_intp source = number_of(f, FIELD(r, reduction_source));
        word(f, 3);
        word(f, (npy_intp)FIELD(r, reduction_ufunc));
        word(f, source);
        word_tuple(f, FIELD(r, reduction_axes));
        word(f, (npy_intp)FIELD(r, reduction_dtype));
        word(f, PyLong_AsLong(FIELD(r, reduction_temporary)));
        word(f, FIELD(r, reduction_moments) == Py_True);
        word_kinds(f, FIELD(r, reduction_errors));
    }
    if (f->failed || PyErr_Occurred()) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "a window that cannot be described");
        }
        return -1;
    }
    f->hash = hash_of(f->words, f->n);
    return 0;
}

static void form_forget(Form *f)
{
    f->fresh = 0;
    Py_CLEAR(f->nodes);
    Py_CLEAR(f->leaves);
    Py_CLEAR(f->arrays);
    Py_CLEAR(f->constants);
}

/* The keys of a map as a set of ids. */
static PyObject *ids_of(const Map *m)
{
    PyObject *found = PySet_New(NULL);
    for (size_t k = 0; found != NULL && m->used && k <= m->mask; k++) {
        PyObject *id = m->entries[k].key == NULL ? NULL : PyLong_FromVoidPtr((void *)m->entries[k].key);
        if (m->entries[k].key != NULL && (id == NULL || PySet_Add(found, id) < 0)) {
            Py_CLEAR(found);
        }
        Py_XDECREF(id);
    }
    return found;
}

/* form(pending, reduction or None, leaves of the window, exposed owners): (hash, bytes, nodes, leaves, arrays of the
 * leaves, constants, ids of owners of dead memory, and of idle memory). */
static PyObject *form(PyObject *self, PyObject *args)
{
    PyObject *pending, *r, *window_leaves, *exposed, *found = NULL;
    Form *f = &read_form;
    if (!PyArg_ParseTuple(args, "O!OO!O!", &PyList_Type, &pending, &r, &PyDict_Type, &window_leaves, &PyDict_Type,
                          &exposed)) {
        return NULL;
    }
    if (form_kept(f, pending, exposed) || form_read(f, pending, r, window_leaves, exposed) == 0) {
        found = Py_BuildValue("LNOOOONN", (long long)(f->hash >> 2),
                              PyBytes_FromStringAndSize((char *)f->words, f->n * sizeof(npy_int64)), f->nodes, f->leaves,
                              f->arrays, f->constants, ids_of(&f->dead), ids_of(&f->idle));
    }
    form_forget(f);
    return found;
}

/* form_of(Node, Leaf, Store, Reduction, Ear, Lease): the classes that `form` reads. */
static PyObject *form_of(PyObject *self, PyObject *args)
{
    PyObject *reduction, *ear;
    if (!PyArg_ParseTuple(args, "OOOOOO", &node_type, &leaf_type, &store_type, &reduction, &ear, &lease_type)) {
        return NULL;
    }
    struct {
        Py_ssize_t *at;
        void *type;
        const char *name;
    } slots[] = {
        {&node_args, node_type, "args"}, {&node_row, node_type, "row"}, {&node_shape, node_type, "shape"},
        {&node_dtype, node_type, "dtype"}, {&node_handle, node_type, "handle"}, {&node_errors, node_type, "errors"},
        {&node_nbytes, node_type, "nbytes"}, {&ear_kinds, ear, "kinds"}, {&leaf_a, leaf_type, "a"}, {&leaf_owner, leaf_type, "owner"},
        {&store_destination, store_type, "destination"}, {&store_source, store_type, "source"},
        {&store_fresh, store_type, "fresh"}, {&reduction_ufunc, reduction, "ufunc"},
        {&reduction_source, reduction, "source"}, {&reduction_axes, reduction, "axes"},
        {&reduction_dtype, reduction, "dtype"}, {&reduction_temporary, reduction, "temporary"},
        {&reduction_moments, reduction, "moments"},
        {&reduction_errors, reduction, "errors"},
    };
    for (size_t k = 0; k < sizeof slots / sizeof *slots; k++) {
        if ((*slots[k].at = offset_of(slots[k].type, slots[k].name)) < 0) {
            return NULL;
        }
    }
    Py_INCREF(node_type);
    Py_INCREF(leaf_type);
    Py_INCREF(store_type);
    Py_INCREF(lease_type);
    Py_RETURN_NONE;
}

#endif
