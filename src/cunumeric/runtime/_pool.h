/* Objects of classes with slots that come and go by the hundred: those that died are kept for reuse. They are made with
 * empty slots, and the general way of ending them, which asks every base class, is not taken. For the optional
 * extensions. */
#ifndef CUNUMERIC_POOL_H
#define CUNUMERIC_POOL_H

#include "_slots.h"

#define POOL_SLOTS 20
#define POOL_KEPT 512
#define POOLS 5

typedef struct {
    PyTypeObject *type;
    int nslots, nkept;
    Py_ssize_t slots[POOL_SLOTS];
    PyObject *kept[POOL_KEPT];
} Pool;

static Pool pools[POOLS];

static Pool *pool_of(PyTypeObject *type)
{
    for (int k = 0; k < POOLS; k++) {
        if (pools[k].type == type) {
            return pools + k;
        }
    }
    return NULL;
}

static void pooled_end(PyObject *x)
{
    PyTypeObject *type = Py_TYPE(x);
    Pool *p = pool_of(type);
    PyObject_GC_UnTrack(x);
    if (type->tp_weaklistoffset > 0 && *(PyObject **)((char *)x + type->tp_weaklistoffset) != NULL) {
        PyObject_ClearWeakRefs(x);
    }
    for (int k = 0; k < p->nslots; k++) {
        Py_CLEAR(FIELD(x, p->slots[k]));
    }
    if (p->nkept < POOL_KEPT) {
        p->kept[p->nkept++] = x;
    }
    else {
        PyObject_GC_Del(x);
    }
    Py_DECREF(type);
}

/* An object of a pooled class with empty slots; `seen`: by the cyclic collector. */
static inline PyObject *pooled(Pool *p, int seen)
{
    PyObject *x;
    if (p->nkept > 0) {
        x = PyObject_Init(p->kept[--p->nkept], p->type);
        if (seen) {
            PyObject_GC_Track(x);
        }
        return x;
    }
    x = p->type->tp_alloc(p->type, 0);
    if (x != NULL && !seen) {
        PyObject_GC_UnTrack(x);
    }
    return x;
}

/* Give the class, whose slots are all that it has, a pool; NULL with an error. */
static Pool *make_pool(PyTypeObject *type)
{
    PyObject *names = PyObject_GetAttrString((PyObject *)type, "__slots__");
    Pool *p = pool_of(NULL);
    Py_ssize_t n = names == NULL ? -1 : PyTuple_Check(names) ? PyTuple_GET_SIZE(names) : POOL_SLOTS + 1;
    if (n > POOL_SLOTS || p == NULL) {
        PyErr_SetString(PyExc_TypeError, "not a class for a pool");
        n = -1;
    }
    for (Py_ssize_t k = 0; k < n; k++) {
        const char *name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, k));
        if (name != NULL && strcmp(name, "__weakref__") == 0) {
            continue;
        }
        if (name == NULL || (p->slots[p->nslots] = offset_of((PyObject *)type, name)) < 0) {
            n = -1;
            break;
        }
        p->nslots++;
    }
    Py_XDECREF(names);
    if (n < 0) {
        return NULL;
    }
    p->type = type;
    type->tp_dealloc = pooled_end;
    return p;
}

#endif
