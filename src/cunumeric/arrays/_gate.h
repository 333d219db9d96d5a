/* The class of the window's lock, for Python: see `runtime/_gate.h`. Part of `_recording.c`, which includes it. */
#ifndef CUNUMERIC_GATE_TYPE_H
#define CUNUMERIC_GATE_TYPE_H

#include "../runtime/_gate.h"

static PyObject *gate_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Gate *g = (Gate *)type->tp_alloc(type, 0);
    if (g != NULL && (g->wake = PyThread_allocate_lock()) == NULL) {
        Py_DECREF(g);
        return PyErr_NoMemory();
    }
    if (g != NULL) {
        PyThread_acquire_lock(g->wake, WAIT_LOCK);
    }
    return (PyObject *)g;
}

static void gate_end(PyObject *g)
{
    PyThread_type_lock wake = ((Gate *)g)->wake;
    if (wake != NULL) {
        PyThread_release_lock(wake);
        PyThread_free_lock(wake);
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
