/* The price of a small operation, in C.
 *
 * Optional: everything here is also in Python (operators.py, indexing.py, ufunc.py), and what this file does not
 * answer at once it hands to the Python method. `accelerate` puts functions into the slots of the array class that
 * look whether the operation is small and nothing waits, run NumPy's operation on the inner arrays, and wrap the
 * result; in any other case they call the slot that was there before, which runs the Python method.
 */
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>
#include <structmember.h>
#include <numpy/arrayobject.h>

static PyTypeObject *array_type;   /* the array class */
static PyTypeObject *ufunc_type;   /* the ufunc class */
static Py_ssize_t at_a, at_b, at_kernel;  /* offsets of the slots _a, _b and _kernel */
static PyObject *pending;          /* the list of recorded work */
static npy_intp limit;             /* results of this many elements are not small */

#define FIELD(x, at) (*(PyObject **)((char *)(x) + (at)))

/* The inner array of one of ours if it is small; NULL without an error otherwise. Borrowed. */
static inline PyObject *small(PyObject *x)
{
    PyObject *a = FIELD(x, at_a);
    if (a == NULL || !PyArray_CheckExact(a) || PyArray_SIZE((PyArrayObject *)a) >= limit) {
        return NULL;
    }
    return a;
}

/* An operand as NumPy may have it: the inner array of a small one of ours, or a scalar. Borrowed; NULL: neither. */
static inline PyObject *operand(PyObject *x)
{
    PyTypeObject *t = Py_TYPE(x);
    if (t == array_type) {
        return small(x);
    }
    if (t == &PyFloat_Type || t == &PyLong_Type || t == &PyBool_Type || t == &PyComplex_Type ||
        t == &PyDoubleArrType_Type || t == &PyFloatArrType_Type || t == &PyLongArrType_Type ||
        t == &PyIntArrType_Type || t == &PyBoolArrType_Type || t == &PyCDoubleArrType_Type) {
        return x;
    }
    return NULL;
}

static inline int waiting(void)
{
    return PyList_GET_SIZE(pending) != 0;
}

/* Our array over `r`, whose reference is taken, if it is NumPy's exact array; `r` itself otherwise. */
static inline PyObject *wrap(PyObject *r, PyObject *owner)
{
    if (r == NULL || !PyArray_CheckExact(r)) {
        return r;
    }
    PyObject *x = array_type->tp_alloc(array_type, 0);
    if (x == NULL) {
        Py_DECREF(r);
        return NULL;
    }
    FIELD(x, at_a) = r;
    FIELD(x, at_b) = Py_NewRef(owner);
    return x;
}

/* -- operators ---------------------------------------------------------------------------------------------------- */

#define BINARY(NAME, CALL)                                       \
    static binaryfunc before_##NAME;                             \
    static PyObject *fast_##NAME(PyObject *l, PyObject *r)       \
    {                                                            \
        if (!waiting()) {                                        \
            PyObject *a = operand(l), *b = a ? operand(r) : NULL; \
            if (b != NULL) {                                     \
                return wrap(CALL, Py_None);                      \
            }                                                    \
        }                                                        \
        return before_##NAME(l, r);                              \
    }

BINARY(add, PyNumber_Add(a, b))
BINARY(subtract, PyNumber_Subtract(a, b))
BINARY(multiply, PyNumber_Multiply(a, b))
BINARY(true_divide, PyNumber_TrueDivide(a, b))
BINARY(floor_divide, PyNumber_FloorDivide(a, b))
BINARY(remainder, PyNumber_Remainder(a, b))
BINARY(and, PyNumber_And(a, b))
BINARY(or, PyNumber_Or(a, b))
BINARY(xor, PyNumber_Xor(a, b))
BINARY(lshift, PyNumber_Lshift(a, b))
BINARY(rshift, PyNumber_Rshift(a, b))
BINARY(matrix_multiply, PyNumber_MatrixMultiply(a, b))

static ternaryfunc before_power;
static PyObject *fast_power(PyObject *l, PyObject *r, PyObject *m)
{
    if (m == Py_None && !waiting()) {
        PyObject *a = operand(l), *b = a ? operand(r) : NULL;
        if (b != NULL) {
            return wrap(PyNumber_Power(a, b, Py_None), Py_None);
        }
    }
    return before_power(l, r, m);
}

#define INPLACE(NAME, CALL)                                      \
    static binaryfunc before_i##NAME;                            \
    static PyObject *fast_i##NAME(PyObject *l, PyObject *r)      \
    {                                                            \
        if (!waiting() && Py_TYPE(l) == array_type) {            \
            PyObject *a = small(l), *b = a ? operand(r) : NULL;  \
            if (b != NULL) {                                     \
                PyObject *done = CALL;                           \
                if (done == NULL) {                              \
                    return NULL;                                 \
                }                                                \
                Py_DECREF(done);                                 \
                return Py_NewRef(l);                             \
            }                                                    \
        }                                                        \
        return before_i##NAME(l, r);                             \
    }

INPLACE(add, PyNumber_InPlaceAdd(a, b))
INPLACE(subtract, PyNumber_InPlaceSubtract(a, b))
INPLACE(multiply, PyNumber_InPlaceMultiply(a, b))
INPLACE(true_divide, PyNumber_InPlaceTrueDivide(a, b))

#define UNARY(NAME, CALL)                                        \
    static unaryfunc before_##NAME;                              \
    static PyObject *fast_##NAME(PyObject *x)                    \
    {                                                            \
        if (!waiting() && Py_TYPE(x) == array_type) {            \
            PyObject *a = small(x);                              \
            if (a != NULL) {                                     \
                return wrap(CALL, Py_None);                      \
            }                                                    \
        }                                                        \
        return before_##NAME(x);                                 \
    }

UNARY(negative, PyNumber_Negative(a))
UNARY(absolute, PyNumber_Absolute(a))
UNARY(invert, PyNumber_Invert(a))

static richcmpfunc before_compare;
static PyObject *fast_compare(PyObject *l, PyObject *r, int op)
{
    if (!waiting() && Py_TYPE(l) == array_type) {
        PyObject *a = small(l), *b = a ? operand(r) : NULL;
        if (b != NULL) {
            return wrap(PyObject_RichCompare(a, b, op), Py_None);
        }
    }
    return before_compare(l, r, op);
}

/* -- indexing ----------------------------------------------------------------------------------------------------- */

static inline int plain_index(PyObject *k)
{
    return PyLong_CheckExact(k) || PySlice_Check(k) || k == Py_None || k == Py_Ellipsis ||
           Py_TYPE(k) == &PyLongArrType_Type;
}

/* Whether the index has no array of ours in it, and names an element or a view. */
static int basic_index(PyObject *key)
{
    if (!PyTuple_CheckExact(key)) {
        return plain_index(key);
    }
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(key); k++) {
        if (!plain_index(PyTuple_GET_ITEM(key, k))) {
            return 0;
        }
    }
    return 1;
}

static binaryfunc before_subscript;
static PyObject *fast_subscript(PyObject *x, PyObject *key)
{
    if (!waiting() && Py_TYPE(x) == array_type && basic_index(key)) {
        PyObject *a = FIELD(x, at_a);
        if (a != NULL && PyArray_CheckExact(a)) {
            PyObject *r = PyObject_GetItem(a, key);
            PyObject *owner = FIELD(x, at_b);
            return wrap(r, owner == NULL || owner == Py_None ? x : owner);
        }
    }
    return before_subscript(x, key);
}

static objobjargproc before_assign;
static int fast_assign(PyObject *x, PyObject *key, PyObject *value)
{
    if (value != NULL && !waiting() && Py_TYPE(x) == array_type && basic_index(key)) {
        PyObject *a = small(x), *v = a ? operand(value) : NULL;
        if (v != NULL) {
            return PyObject_SetItem(a, key, v);
        }
    }
    return before_assign(x, key, value);
}

/* -- ufuncs ------------------------------------------------------------------------------------------------------- */

static ternaryfunc before_call;
static PyObject *fast_call(PyObject *f, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    if (Py_TYPE(f) == ufunc_type && n >= 1 && n <= 3 && !waiting() && (kwargs == NULL || PyDict_GET_SIZE(kwargs) == 0)) {
        PyObject *kernel = FIELD(f, at_kernel), *inner[3];
        Py_ssize_t k = 0;
        for (; kernel != NULL && k < n; k++) {
            inner[k] = operand(PyTuple_GET_ITEM(args, k));
            if (inner[k] == NULL) {
                break;
            }
        }
        if (kernel != NULL && k == n) {
            PyObject *r = PyObject_Vectorcall(kernel, inner, n, NULL);
            /* A ufunc with an output among its arguments gives that very array back. */
            for (k = 0; r != NULL && k < n; k++) {
                if (r == inner[k] && PyArray_CheckExact(r)) {
                    Py_DECREF(r);
                    return Py_NewRef(PyTuple_GET_ITEM(args, k));
                }
            }
            if (r == NULL || !PyTuple_CheckExact(r)) {
                return wrap(r, Py_None);
            }
            PyObject *all = PyTuple_New(PyTuple_GET_SIZE(r));
            for (k = 0; all != NULL && k < PyTuple_GET_SIZE(r); k++) {
                PyObject *one = wrap(Py_NewRef(PyTuple_GET_ITEM(r, k)), Py_None);
                if (one == NULL) {
                    Py_CLEAR(all);
                    break;
                }
                PyTuple_SET_ITEM(all, k, one);
            }
            Py_DECREF(r);
            return all;
        }
    }
    return before_call(f, args, kwargs);
}

/* -- set-up ------------------------------------------------------------------------------------------------------- */

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

#define TAKE(SLOT, NAME)            \
    before_##NAME = (SLOT);         \
    if (before_##NAME != NULL) {    \
        (SLOT) = fast_##NAME;       \
    }

static PyObject *accelerate(PyObject *self, PyObject *args)
{
    PyObject *arrays, *ufuncs, *list;
    if (!PyArg_ParseTuple(args, "O!O!O!", &PyType_Type, &arrays, &PyType_Type, &ufuncs, &PyList_Type, &list)) {
        return NULL;
    }
    if (array_type != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "done already");
        return NULL;
    }
    at_a = offset_of(arrays, "_a");
    at_b = offset_of(arrays, "_b");
    at_kernel = offset_of(ufuncs, "_kernel");
    if (at_a < 0 || at_b < 0 || at_kernel < 0) {
        return NULL;
    }
    array_type = (PyTypeObject *)Py_NewRef(arrays);
    ufunc_type = (PyTypeObject *)Py_NewRef(ufuncs);
    pending = Py_NewRef(list);
    PyNumberMethods *n = array_type->tp_as_number;
    TAKE(n->nb_add, add)
    TAKE(n->nb_subtract, subtract)
    TAKE(n->nb_multiply, multiply)
    TAKE(n->nb_true_divide, true_divide)
    TAKE(n->nb_floor_divide, floor_divide)
    TAKE(n->nb_remainder, remainder)
    TAKE(n->nb_and, and)
    TAKE(n->nb_or, or)
    TAKE(n->nb_xor, xor)
    TAKE(n->nb_lshift, lshift)
    TAKE(n->nb_rshift, rshift)
    TAKE(n->nb_matrix_multiply, matrix_multiply)
    TAKE(n->nb_power, power)
    TAKE(n->nb_inplace_add, iadd)
    TAKE(n->nb_inplace_subtract, isubtract)
    TAKE(n->nb_inplace_multiply, imultiply)
    TAKE(n->nb_inplace_true_divide, itrue_divide)
    TAKE(n->nb_negative, negative)
    TAKE(n->nb_absolute, absolute)
    TAKE(n->nb_invert, invert)
    TAKE(array_type->tp_richcompare, compare)
    TAKE(array_type->tp_as_mapping->mp_subscript, subscript)
    TAKE(array_type->tp_as_mapping->mp_ass_subscript, assign)
    TAKE(ufunc_type->tp_call, call)
    Py_RETURN_NONE;
}

static PyObject *set_limit(PyObject *self, PyObject *value)
{
    npy_intp n = PyLong_AsSsize_t(value);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    limit = n;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"accelerate", accelerate, METH_VARARGS, "accelerate(array class, ufunc class, list of recorded work)"},
    {"set_limit", set_limit, METH_O, "Results of this many elements or more are not small."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_fast", "Small operations on arrays, without Python's price.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__fast(void)
{
    import_array();
    return PyModule_Create(&module);
}
