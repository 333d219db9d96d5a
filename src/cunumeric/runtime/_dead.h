/* Which memory only the window refers to, told by reference counts: `plan.is_dead`. For the optional extensions. */
#ifndef CUNUMERIC_DEAD_H
#define CUNUMERIC_DEAD_H

#include "_map.h"
#include "_slots.h"

/* Set the value of each of `owners` to whether it is dead; `leaves` are all of the window's, `ours` the type of what
 * lies under memory of our own. -1: an error. */
static int tell_dead(Map *owners, PyObject *leaves, PyObject *exposed, Py_ssize_t leaf_a, Py_ssize_t leaf_owner,
                     PyTypeObject *ours)
{
    PyObject *key, *leaf;
    Py_ssize_t at = 0;
    int failed = 0;
    for (size_t k = 0; owners->used && k <= owners->mask; k++) {
        owners->entries[k].value = 1; /* references that the window has: the traffic's; -1: it lives */
    }
    while (owners->used && PyDict_Next(leaves, &at, &key, &leaf)) {
        PyObject *owner = FIELD(leaf, leaf_owner), *a = FIELD(leaf, leaf_a);
        Entry *e = map_get(owners, owner);
        if (e != NULL && e->value > 0) {
            /* The leaf's; that of the view's base, or the leaf's other one. */
            e->value = a != owner && Py_REFCNT(a) != 1 ? -1 : e->value + 2;
        }
    }
    for (size_t k = 0; owners->used && !failed && k <= owners->mask; k++) {
        Entry *e = owners->entries + k;
        if (e->key == NULL) {
            continue;
        }
        int dead = e->value > 0 && Py_REFCNT((PyObject *)e->key) <= e->value;
        if (dead) {
            PyObject *base = PyArray_BASE((PyArrayObject *)e->key), *id = PyLong_FromVoidPtr((void *)e->key);
            int out = id == NULL ? -1 : PyDict_Contains(exposed, id);
            dead = out == 0 && (base == NULL || Py_TYPE(base) == ours);
            failed = out < 0;
            Py_XDECREF(id);
        }
        e->value = dead;
    }
    return failed ? -1 : 0;
}

#endif
