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

/* Whether `a` is NumPy's exact array, and not of objects, which may be arrays of ours themselves. */
static inline int plain(PyObject *a)
{
    return a != NULL && PyArray_CheckExact(a) && PyArray_TYPE((PyArrayObject *)a) != NPY_OBJECT;
}

/* The inner array of one of ours if it is small; NULL without an error otherwise. Borrowed. */
static inline PyObject *small(PyObject *x)
{
    PyObject *a = FIELD(x, at_a);
    if (!plain(a) || PyArray_SIZE((PyArrayObject *)a) >= limit) {
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

/* The Python methods, as slots would call them: ours on the left, or reflected. (The slots that were there before
 * cannot be called: they look for themselves in the type first.) */
typedef struct {
    PyObject *straight, *reflected;
} Methods;

static PyObject *in_python(const Methods *m, PyObject *l, PyObject *r)
{
    int left = Py_TYPE(l) == array_type;
    return PyObject_CallFunctionObjArgs(left ? m->straight : m->reflected, left ? l : r, left ? r : l, NULL);
}

/* NumPy lets other threads run meanwhile, and one of them may give an array of ours another inner array. */
#define HOLD(CALL) Py_INCREF(a); Py_INCREF(b); CALL; Py_DECREF(a); Py_DECREF(b);

#define BINARY(NAME, CALL)                                        \
    static Methods python_##NAME;                                 \
    static PyObject *fast_##NAME(PyObject *l, PyObject *r)        \
    {                                                             \
        if (!waiting()) {                                         \
            PyObject *a = operand(l), *b = a ? operand(r) : NULL; \
            if (b != NULL) {                                      \
                HOLD(PyObject *done = CALL)                       \
                return wrap(done, Py_None);                       \
            }                                                     \
        }                                                         \
        return in_python(&python_##NAME, l, r);                   \
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

static Methods python_power;
static PyObject *fast_power(PyObject *l, PyObject *r, PyObject *m)
{
    if (m != Py_None) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    if (!waiting()) {
        PyObject *a = operand(l), *b = a ? operand(r) : NULL;
        if (b != NULL) {
            HOLD(PyObject *done = PyNumber_Power(a, b, Py_None))
            return wrap(done, Py_None);
        }
    }
    return in_python(&python_power, l, r);
}

#define INPLACE(NAME, CALL)                                      \
    static binaryfunc before_i##NAME;                            \
    static PyObject *fast_i##NAME(PyObject *l, PyObject *r)      \
    {                                                            \
        if (!waiting() && Py_TYPE(l) == array_type) {            \
            PyObject *a = small(l), *b = a ? operand(r) : NULL;  \
            if (b != NULL) {                                     \
                HOLD(PyObject *done = CALL)                      \
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
            PyObject *a = small(x), *b = Py_None;                \
            if (a != NULL) {                                     \
                HOLD(PyObject *done = CALL)                      \
                return wrap(done, Py_None);                      \
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
            HOLD(PyObject *done = PyObject_RichCompare(a, b, op))
            return wrap(done, Py_None);
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

static PyObject *python_getitem;
static PyObject *fast_subscript(PyObject *x, PyObject *key)
{
    if (!waiting() && Py_TYPE(x) == array_type && basic_index(key)) {
        PyObject *a = FIELD(x, at_a), *b = Py_None;
        if (plain(a)) {
            HOLD(PyObject *r = PyObject_GetItem(a, key))
            PyObject *owner = FIELD(x, at_b);
            return wrap(r, owner == NULL || owner == Py_None ? x : owner);
        }
    }
    return PyObject_CallFunctionObjArgs(python_getitem, x, key, NULL);
}

/* `__getitem__` itself: the interpreter calls one that is a Python function without asking the slot. */
static PyObject *getitem(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    if (n != 2) {
        PyErr_Format(PyExc_TypeError, "expected 1 argument, got %zd", n - 1);
        return NULL;
    }
    return fast_subscript(args[0], args[1]);
}

static PyMethodDef getitem_method = {
    "__getitem__", (PyCFunction)(void (*)(void))getitem, METH_FASTCALL,
    "__getitem__($self, key, /)\n--\n\nReturn self[key].",
};

static objobjargproc before_assign;
static int fast_assign(PyObject *x, PyObject *key, PyObject *value)
{
    if (value != NULL && !waiting() && Py_TYPE(x) == array_type && basic_index(key)) {
        PyObject *a = small(x), *b = a ? operand(value) : NULL;
        if (b != NULL) {
            HOLD(int done = PyObject_SetItem(a, key, b))
            return done;
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
            for (k = 0; k < n; k++) {
                Py_INCREF(inner[k]);
            }
            PyObject *r = PyObject_Vectorcall(kernel, inner, n, NULL);
            /* A ufunc with an output among its arguments gives that very array back. */
            PyObject *given = NULL;
            for (k = 0; k < n; k++) {
                if (r == inner[k] && PyArray_CheckExact(r)) {
                    given = PyTuple_GET_ITEM(args, k);
                }
                Py_DECREF(inner[k]);
            }
            if (given != NULL) {
                Py_DECREF(r);
                return Py_NewRef(given);
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

static int keep(PyObject *type, const char *straight, const char *reflected, Methods *m)
{
    m->straight = PyObject_GetAttrString(type, straight);
    m->reflected = PyObject_GetAttrString(type, reflected);
    return m->straight == NULL || m->reflected == NULL;
}

#define TAKE_BINARY(NAME, PYTHON)                                              \
    if (keep(arrays, "__" PYTHON "__", "__r" PYTHON "__", &python_##NAME)) {   \
        return NULL;                                                           \
    }                                                                          \
    n->nb_##NAME = fast_##NAME;

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
    python_getitem = PyObject_GetAttrString(arrays, "__getitem__");
    PyObject *function = PyCFunction_New(&getitem_method, NULL);
    PyObject *method = function ? PyInstanceMethod_New(function) : NULL;
    Py_XDECREF(function);
    if (python_getitem == NULL || method == NULL || PyObject_SetAttrString(arrays, "__getitem__", method) < 0) {
        Py_XDECREF(method);
        return NULL;
    }
    Py_DECREF(method);
    array_type = (PyTypeObject *)Py_NewRef(arrays);
    ufunc_type = (PyTypeObject *)Py_NewRef(ufuncs);
    pending = Py_NewRef(list);
    PyNumberMethods *n = array_type->tp_as_number;
    TAKE_BINARY(add, "add")
    TAKE_BINARY(subtract, "sub")
    TAKE_BINARY(multiply, "mul")
    TAKE_BINARY(true_divide, "truediv")
    TAKE_BINARY(floor_divide, "floordiv")
    TAKE_BINARY(remainder, "mod")
    TAKE_BINARY(and, "and")
    TAKE_BINARY(or, "or")
    TAKE_BINARY(xor, "xor")
    TAKE_BINARY(lshift, "lshift")
    TAKE_BINARY(rshift, "rshift")
    TAKE_BINARY(matrix_multiply, "matmul")
    TAKE_BINARY(power, "pow")
    TAKE(n->nb_inplace_add, iadd)
    TAKE(n->nb_inplace_subtract, isubtract)
    TAKE(n->nb_inplace_multiply, imultiply)
    TAKE(n->nb_inplace_true_divide, itrue_divide)
    TAKE(n->nb_negative, negative)
    TAKE(n->nb_absolute, absolute)
    TAKE(n->nb_invert, invert)
    TAKE(array_type->tp_richcompare, compare)
    array_type->tp_as_mapping->mp_subscript = fast_subscript;
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
