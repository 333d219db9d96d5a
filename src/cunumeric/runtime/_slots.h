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

#endif
