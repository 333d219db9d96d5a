/* A lock that a thread may take again, as threading.RLock is, which C takes without a call. */
#ifndef CUNUMERIC_GATE_H
#define CUNUMERIC_GATE_H

#include <Python.h>

typedef struct {
    PyObject_HEAD
    PyThread_type_lock lock;
    unsigned long owner;
    int count;
} Gate;

/* 1: taken; 0: another thread has it, and `wait` is not wanted; -1: an error, raised by a signal's handler. */
static int take(Gate *g, int wait)
{
    unsigned long me = PyThread_get_thread_ident();
    if (g->count && g->owner == me) {
        g->count++;
        return 1;
    }
    if (!PyThread_acquire_lock(g->lock, NOWAIT_LOCK)) {
        PyLockStatus status = PY_LOCK_INTR;
        while (wait && status == PY_LOCK_INTR) {
            Py_BEGIN_ALLOW_THREADS
            status = PyThread_acquire_lock_timed(g->lock, -1, 1);
            Py_END_ALLOW_THREADS
            if (status == PY_LOCK_INTR && Py_MakePendingCalls() < 0) {
                return -1;
            }
        }
        if (status != PY_LOCK_ACQUIRED) {
            return 0;
        }
    }
    g->owner = me;
    g->count = 1;
    return 1;
}

static void give(Gate *g)
{
    if (--g->count == 0) {
        g->owner = 0;
        PyThread_release_lock(g->lock);
    }
}

static PyObject *gate_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Gate *g = (Gate *)type->tp_alloc(type, 0);
    if (g != NULL && (g->lock = PyThread_allocate_lock()) == NULL) {
        Py_DECREF(g);
        return PyErr_NoMemory();
    }
    return (PyObject *)g;
}

static void gate_end(PyObject *g)
{
    if (((Gate *)g)->lock != NULL && ((Gate *)g)->count == 0) {
        PyThread_free_lock(((Gate *)g)->lock);
    }
    Py_TYPE(g)->tp_free(g);
}

static PyObject *gate_enter(PyObject *g, PyObject *unused)
{
    return take((Gate *)g, 1) < 0 ? NULL : Py_NewRef(Py_True);
}

static PyObject *gate_acquire(PyObject *g, PyObject *const *args, Py_ssize_t n)
{
    int wait = n == 0 ? 1 : PyObject_IsTrue(args[0]), taken = wait < 0 ? -1 : take((Gate *)g, wait);
    return taken < 0 ? NULL : PyBool_FromLong(taken);
}

static PyObject *gate_release(PyObject *g, PyObject *unused)
{
    if (((Gate *)g)->count == 0 || ((Gate *)g)->owner != PyThread_get_thread_ident()) {
        PyErr_SetString(PyExc_RuntimeError, "cannot release a lock that this thread does not have");
        return NULL;
    }
    give((Gate *)g);
    Py_RETURN_NONE;
}

static PyObject *gate_exit(PyObject *g, PyObject *const *args, Py_ssize_t n)
{
    return gate_release(g, NULL);
}

static PyMethodDef gate_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))gate_acquire, METH_FASTCALL, "Take the lock, waiting for it unless told not to."},
    {"release", gate_release, METH_NOARGS, NULL},
    {"__enter__", gate_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))gate_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject gate_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cunumeric.arrays._recording.Gate",
    .tp_basicsize = sizeof(Gate),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = gate_methods,
    .tp_new = gate_new,
    .tp_dealloc = gate_end,
};

#endif
