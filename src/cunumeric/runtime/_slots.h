/* Slots of Python classes (`__slots__`), read and written by their place in the object. For the optional extensions. */
#ifndef CUNUMERIC_SLOTS_H
#define CUNUMERIC_SLOTS_H

#include <Python.h>
#include <structmember.h>

#define FIELD(x, at) (*(PyObject **)((char *)(x) + (at)))

/* Where the slot `name` of `type` is; -1 with an error. */
static Py_ssize_t offset_of(PyObject *type, const char *name)
{
    PyObject *d = PyObject_GetAttrString(type, name);
    Py_ssize_t offset = -1;
    if (d != NULL && Py_TYPE(d) == &PyMemberDescr_Type) {
        offset = ((PyMemberDescrObject *)d)->d_member->offset;
    }
    else if (!PyErr_Occurred()) {
        PyErr_Format(PyExc_TypeError, "%s is not a slot", name);
    }
    Py_XDECREF(d);
    return offset;
}

/* What the weak reference, or None, or NULL, refers to: a new reference; NULL: nothing that is alive. */
static inline PyObject *referent(PyObject *handle)
{
    PyObject *x = NULL;
    if (handle == NULL || handle == Py_None) {
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030D0000
    return PyWeakref_GetRef(handle, &x) > 0 ? x : NULL;
#else
    x = PyWeakref_GetObject(handle);
    return x == Py_None ? NULL : Py_NewRef(x);
#endif
}

static inline int alive(PyObject *handle)
{
    PyObject *x = referent(handle);
    Py_XDECREF(x);
    return x != NULL;
}

#endif
