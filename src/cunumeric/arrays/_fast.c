/* The price of a small operation, in C.
 *
 * Optional: everything here is also in Python (operators.py, indexing.py, ufunc.py), and what this file does not
 * answer at once it hands to the Python method. `accelerate` puts functions into the slots of the array class that
 * look whether the operation is small and nothing waits, run NumPy's operation on the inner arrays, and wrap the
 * result; in any other case they call the slot that was there before, which runs the Python method.
 *
 * `_fast.h`: the border (`strip`, `wrap`, `wrap_from`); `_functions.h`: functions, methods and attributes. This file:
 * operators, indexing, ufuncs, and setting all up.
 */
#include "_fast.h"
#include "_functions.h"

/* -- operators ---------------------------------------------------------------------------------------------------- */

/* The Python methods, as slots would call them: ours on the left, or reflected. (The slots that were there before
 * cannot be called: they look for themselves in the type first.) */
typedef struct {
    PyObject *straight, *reflected;
} Methods;

static PyObject *in_python(const Methods *m, PyObject *l, PyObject *r)
{
    int left = Py_TYPE(l) == array_type;
    PyObject *both[2] = {left ? l : r, left ? r : l};
    return PyObject_Vectorcall(left ? m->straight : m->reflected, both, 2, NULL);
}

/* NumPy lets other threads run meanwhile, and one of them may give an array of ours another inner array. */
#define HOLD(CALL) Py_INCREF(a); Py_INCREF(b); CALL; Py_DECREF(a); Py_DECREF(b);

/* By rows where that is quicker, else as NumPy does. */
#define SOONEST(NAME, A, B, OUT, CALL)                                                                        \
    PyObject *done = by_rows(rowwise[ROWS_##NAME], A, B, (PyArrayObject *)(OUT)); \
    if (done == NULL && !PyErr_Occurred()) {                                                                  \
        done = CALL;                                                                                          \
    }

#define PLAIN_BINARY(NAME, CALL)                                  \
    static Methods python_##NAME;                                 \
    static PyObject *fast_##NAME(PyObject *l, PyObject *r)        \
    {                                                             \
        PyObject *a = operand(l), *b = a ? operand(r) : NULL;     \
        if (b != NULL && !grow(a, b)) {                           \
            HOLD(CALL)                                            \
            return wrap(done, Py_None);                           \
        }                                                         \
        return in_python(&python_##NAME, l, r);                   \
    }

#define BINARY(NAME, CALL) PLAIN_BINARY(NAME, SOONEST(NAME, a, b, NULL, CALL))

BINARY(add, PyNumber_Add(a, b))
BINARY(subtract, PyNumber_Subtract(a, b))
BINARY(multiply, PyNumber_Multiply(a, b))
BINARY(true_divide, PyNumber_TrueDivide(a, b))
BINARY(floor_divide, PyNumber_FloorDivide(a, b))
BINARY(remainder, PyNumber_Remainder(a, b))
PLAIN_BINARY(and, SOONEST(bitwise_and, a, b, NULL, PyNumber_And(a, b)))
PLAIN_BINARY(or, SOONEST(bitwise_or, a, b, NULL, PyNumber_Or(a, b)))
PLAIN_BINARY(xor, SOONEST(bitwise_xor, a, b, NULL, PyNumber_Xor(a, b)))
PLAIN_BINARY(lshift, PyObject *done = PyNumber_Lshift(a, b))
PLAIN_BINARY(rshift, PyObject *done = PyNumber_Rshift(a, b))

static PyObject *matmul, *out_names;  /* numpy.matmul, ("out",) */

/* a @ b; that of large matrices in warm memory. */
static PyObject *product(PyArrayObject *a, PyArrayObject *b)
{
    if (new_array == NULL || PyArray_NDIM(a) != 2 || PyArray_NDIM(b) != 2 || PyArray_DIM(a, 1) != PyArray_DIM(b, 0) ||
        PyArray_TYPE(a) != PyArray_TYPE(b) || !PyArray_ISNUMBER(a) || !PyArray_ISNOTSWAPPED(a) ||
        !PyArray_ISNOTSWAPPED(b) || PyArray_DIM(a, 0) < 256 || PyArray_DIM(b, 1) < 256) {
        return PyNumber_MatrixMultiply((PyObject *)a, (PyObject *)b);
    }
    npy_intp dims[2] = {PyArray_DIM(a, 0), PyArray_DIM(b, 1)};
    PyObject *out = new_array(2, dims, PyArray_DescrFromType(PyArray_TYPE(a)), PLAIN), *r = NULL;
    if (out != NULL) {
        PyObject *args[] = {(PyObject *)a, (PyObject *)b, out};
        r = PyObject_Vectorcall(matmul, args, 2, out_names);
        Py_DECREF(out);
    }
    return r;
}

/* Whether the product of two matrices is large enough for an accelerator to hold. */
static int large_product(PyArrayObject *a, PyArrayObject *b)
{
    return PyArray_NDIM(a) == 2 && PyArray_NDIM(b) == 2 && PyArray_DIM(a, 0) * PyArray_DIM(b, 1) >= limit;
}

/* Products are never recorded: of any size, NumPy's at once. */
static Methods python_matrix_multiply;
static PyObject *fast_matrix_multiply(PyObject *l, PyObject *r)
{
    if (Py_TYPE(l) == array_type && Py_TYPE(r) == array_type) {
        PyObject *a = plain(l), *b = a ? plain(r) : NULL;
        if (b != NULL && (remote_type == NULL || !large_product((PyArrayObject *)a, (PyArrayObject *)b))) {
            HOLD(PyObject *done = product((PyArrayObject *)a, (PyArrayObject *)b))
            return wrap(done, Py_None);
        }
    }
    return in_python(&python_matrix_multiply, l, r);
}

static Methods python_power;
static PyObject *fast_power(PyObject *l, PyObject *r, PyObject *m)
{
    if (m != Py_None) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *a = operand(l), *b = a ? operand(r) : NULL;
    if (b != NULL && !grow(a, b)) {
        int squares = PyLong_CheckExact(b) && PyLong_AsLong(b) == 2;
        PyErr_Clear();
        HOLD(PyObject *done = squares ? by_rows(rowwise[ROWS_square], a, NULL, NULL) : NULL;
             if (done == NULL && !PyErr_Occurred()) { done = PyNumber_Power(a, b, Py_None); })
        return wrap(done, Py_None);
    }
    return in_python(&python_power, l, r);
}

#define INPLACE(NAME, CALL)                                      \
    static PyObject *python_i##NAME;                             \
    static PyObject *fast_i##NAME(PyObject *l, PyObject *r)      \
    {                                                            \
        if (Py_TYPE(l) == array_type) {                          \
            PyObject *a = small(l), *b = a ? operand(r) : NULL;  \
            if (b != NULL) {                                     \
                HOLD(SOONEST(NAME, a, b, a, CALL))               \
                if (done == NULL) {                              \
                    return NULL;                                 \
                }                                                \
                Py_DECREF(done);                                 \
                return Py_NewRef(l);                             \
            }                                                    \
        }                                                        \
        return PyObject_CallFunctionObjArgs(python_i##NAME, l, r, NULL); \
    }

INPLACE(add, PyNumber_InPlaceAdd(a, b))
INPLACE(subtract, PyNumber_InPlaceSubtract(a, b))
INPLACE(multiply, PyNumber_InPlaceMultiply(a, b))
INPLACE(true_divide, PyNumber_InPlaceTrueDivide(a, b))

#define PLAIN_UNARY(NAME, CALL)                                  \
    static unaryfunc before_##NAME;                              \
    static PyObject *fast_##NAME(PyObject *x)                    \
    {                                                            \
        if (Py_TYPE(x) == array_type) {                          \
            PyObject *a = small(x), *b = Py_None;                \
            if (a != NULL) {                                     \
                HOLD(CALL)                                       \
                return wrap(done, Py_None);                      \
            }                                                    \
        }                                                        \
        return before_##NAME(x);                                 \
    }

#define UNARY(NAME, CALL) PLAIN_UNARY(NAME, SOONEST(NAME, a, NULL, NULL, CALL))

UNARY(negative, PyNumber_Negative(a))
UNARY(absolute, PyNumber_Absolute(a))
UNARY(invert, PyNumber_Invert(a))

static richcmpfunc before_compare;
static PyObject *fast_compare(PyObject *l, PyObject *r, int op)
{
    if (Py_TYPE(l) == array_type) {
        PyObject *a = small(l), *b = a ? operand(r) : NULL;
        if (b != NULL && !grow(a, b)) {
            static const int names[] = {ROWS_less, ROWS_less_equal, ROWS_equal, ROWS_not_equal, ROWS_greater,
                                        ROWS_greater_equal}; /* Py_LT, ... */
            HOLD(PyObject *done = by_rows(rowwise[names[op]], a, b, NULL);
                 if (done == NULL && !PyErr_Occurred()) { done = PyObject_RichCompare(a, b, op); })
            return wrap(done, Py_None);
        }
    }
    return before_compare(l, r, op);
}

/* -- numbers and lengths ------------------------------------------------------------------------------------------ */

static inquiry before_bool;
static int fast_bool(PyObject *x)
{
    PyObject *a = Py_TYPE(x) == array_type ? plain(x) : NULL, *b = Py_None;
    if (a == NULL) {
        return before_bool(x);
    }
    HOLD(int done = PyObject_IsTrue(a))
    return done;
}

#define NUMBER(NAME, CALL)                                                           \
    static unaryfunc before_##NAME;                                                  \
    static PyObject *fast_##NAME(PyObject *x)                                        \
    {                                                                                \
        PyObject *a = Py_TYPE(x) == array_type ? plain(x) : NULL, *b = Py_None;      \
        if (a == NULL) {                                                             \
            return before_##NAME(x);                                                 \
        }                                                                            \
        HOLD(PyObject *done = CALL)                                                  \
        return done;                                                                 \
    }

NUMBER(int, PyNumber_Long(a))
NUMBER(float, PyNumber_Float(a))
NUMBER(index, PyNumber_Index(a))

static lenfunc before_length;
static Py_ssize_t fast_length(PyObject *x)
{
    PyObject *a = Py_TYPE(x) == array_type ? form(x) : NULL;
    if (a == NULL || PyArray_NDIM((PyArrayObject *)a) == 0) {
        return before_length(x);
    }
    return PyArray_DIM((PyArrayObject *)a, 0);
}

/* -- indexing ----------------------------------------------------------------------------------------------------- */

static inline int plain_index(PyObject *k)
{
    return PyLong_CheckExact(k) || PySlice_Check(k) || k == Py_None || k == Py_Ellipsis ||
           Py_TYPE(k) == &PyLongArrType_Type;
}

/* What an index without arrays names: an element, or a view of less dimensions; surely a view; or neither. */
enum { OTHER, PART, SURELY_VIEW };

static int basic_index(PyObject *key)
{
    int viewing = 0;
    PyObject *const *keys = &key;
    Py_ssize_t n = 1;
    if (PyTuple_CheckExact(key)) {
        keys = ((PyTupleObject *)key)->ob_item;
        n = PyTuple_GET_SIZE(key);
    }
    for (Py_ssize_t k = 0; k < n; k++) {
        if (!plain_index(keys[k])) {
            return OTHER;
        }
        if (PySlice_Check(keys[k])) {
            PySliceObject *s = (PySliceObject *)keys[k];
            if (Py_TYPE(s->start) == array_type || Py_TYPE(s->stop) == array_type || Py_TYPE(s->step) == array_type) {
                return OTHER;
            }
            viewing = 1;
        }
        viewing |= keys[k] == Py_None || keys[k] == Py_Ellipsis;
    }
    return viewing ? SURELY_VIEW : PART;
}

/* The inner array of an index array of ours, of numbers or truths, that is too small for a kernel. Borrowed; or NULL. */
static inline PyObject *index_array(PyObject *key)
{
    PyObject *k = Py_TYPE(key) == array_type ? plain(key) : NULL;
    return k == NULL || PyArray_SIZE((PyArrayObject *)k) >= kernel_limit ||
                   !(PyArray_ISINTEGER((PyArrayObject *)k) || PyArray_ISBOOL((PyArrayObject *)k))
               ? NULL
               : k;
}

static PyObject *python_getitem;
static PyObject *fast_subscript(PyObject *x, PyObject *key)
{
    if (Py_TYPE(x) == array_type) {
        PyObject *part = show_part(x, key);
        if (part != NULL || PyErr_Occurred()) {
            return part;
        }
        int kind = basic_index(key);
        PyObject *a = kind == SURELY_VIEW ? form(x) : kind == PART ? plain(x) : NULL, *b = Py_None;
        if (a != NULL && PyArray_TYPE((PyArrayObject *)a) != NPY_OBJECT) {
            HOLD(PyObject *r = PyObject_GetItem(a, key))
            return r == NULL ? NULL : wrap_view(r, x);
        }
        PyObject *index = kind == OTHER ? index_array(key) : NULL;
        if (index != NULL && (a = plain(x)) != NULL) {
            b = index;
            HOLD(PyObject *r = PyObject_GetItem(a, b))
            return r == NULL ? NULL : finish(r, &x, 1, NULL);
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

/* x[i], for C: iteration asks so. */
static PyObject *fast_item(PyObject *x, Py_ssize_t i)
{
    PyObject *a = Py_TYPE(x) == array_type ? plain(x) : NULL, *b = Py_None;
    if (a != NULL) {
        HOLD(PyObject *r = PySequence_GetItem(a, i))
        return r == NULL ? NULL : wrap_view(r, x);
    }
    PyObject *key = PyLong_FromSsize_t(i);
    PyObject *r = key == NULL ? NULL : PyObject_CallFunctionObjArgs(python_getitem, x, key, NULL);
    Py_XDECREF(key);
    return r;
}

static getiterfunc before_iter;
static PyObject *fast_iter(PyObject *x)
{
    PyObject *a = Py_TYPE(x) == array_type ? plain(x) : NULL;
    return a != NULL && PyArray_NDIM((PyArrayObject *)a) > 0 ? PySeqIter_New(x) : before_iter(x);
}

static objobjargproc before_assign;
static PyObject *python_setitem;
static int fast_assign(PyObject *x, PyObject *key, PyObject *value)
{
    /* A scalar, or what is small, is written at once into arrays of any size, as long as nothing waits. */
    if (value != NULL && Py_TYPE(x) == array_type) {
        int done = put_part(x, key, value);
        if (done) {
            return done < 0 ? -1 : 0;
        }
        PyObject *index = basic_index(key) != OTHER ? key : index_array(key);
        PyObject *a = index ? plain(x) : NULL, *b = a ? operand(value) : NULL;
        if (b != NULL) {
            Py_INCREF(index);
            HOLD(done = PyObject_SetItem(a, index, b))
            Py_DECREF(index);
            return done;
        }
    }
    if (value == NULL) {
        return before_assign(x, key, value);
    }
    PyObject *done = PyObject_CallFunctionObjArgs(python_setitem, x, key, value, NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* -- ufuncs ------------------------------------------------------------------------------------------------------- */

/* The base of our class of ufuncs: what it needs to be called without a tuple of arguments. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
} Called;

static PyObject *python_call;  /* ufunc.__call__ */

/* What NumPy's `kernel` gave for `args` as our user may have it; takes the reference of `r`. */
static PyObject *finish_call(PyObject *r, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
    if (r != NULL && names == NULL && n <= 2 && PyArray_CheckExact(r) && PyArray_BASE((PyArrayObject *)r) == NULL &&
        PyArray_TYPE((PyArrayObject *)r) != NPY_OBJECT && Py_REFCNT(r) == 1) {
        return wrap(r, Py_None);  /* new, and nobody's output */
    }
    return r == NULL ? NULL : finish(r, args, n, names);
}

/* A call of what is never recorded (products of vectors, functions with two results) on arrays of any size: NumPy's at
 * once; NULL without an error: Python has to do it. */
static PyObject *call_plainly(PyObject *kernel, PyObject *const *args, Py_ssize_t n)
{
    PyObject *inner[MOST + 1] = {NULL}, *r = NULL;
    Py_ssize_t k = 0;
    for (; k < n; k++) {
        PyObject *a = Py_TYPE(args[k]) == array_type ? plain(args[k]) : is_scalar(args[k]) ? args[k] : NULL;
        if (a == NULL) {
            break;
        }
        inner[k + 1] = Py_NewRef(a);
    }
    int fast = k == n;
    if (fast && kernel == matmul && n == 2 && PyArray_CheckExact(inner[1]) && PyArray_CheckExact(inner[2])) {
        r = product((PyArrayObject *)inner[1], (PyArrayObject *)inner[2]);
    }
    else if (fast) {
        r = PyObject_Vectorcall(kernel, inner + 1, n | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    while (k > 0) {
        Py_DECREF(inner[k--]);
    }
    return fast ? finish_call(r, args, n, NULL) : NULL;
}

/* A call on arrays that are not small, or while something waits: recorded, or NumPy's at once where that is not worth
 * it; NULL without an error: Python has to do it. */
static PyObject *call_large(PyObject *f, PyObject *kernel, PyObject *const *args, Py_ssize_t n)
{
    Verdict verdict = {0, NULL};
    PyObject *row = FIELD(f, at_row), *inner[5] = {NULL}, *r;
    if (row == Py_None && remote_type == NULL) {
        return call_plainly(kernel, args, n);
    }
    if (recorded == NULL || row == NULL || row == Py_None || n > 3) {
        return NULL;
    }
    r = recorded(row, args, (int)n, 0, &verdict);
    if (r != NULL || PyErr_Occurred() || !verdict.at_once) {
        return r;
    }
    for (Py_ssize_t k = 0; k < n; k++) {
        inner[k + 1] = Py_NewRef(Py_TYPE(args[k]) == array_type ? FIELD(args[k], at_a) : args[k]);
    }
    Py_ssize_t all = n;
    int known = 0; /* a new array of NumPy's */
    r = n <= 2 ? sooner(kernel, inner[1], inner[2], NULL) : NULL;
    if (r == NULL && !PyErr_Occurred()) {
        known = verdict.known != NULL && warm(verdict.known); /* seen before: no output is among the arguments */
        if (known) {
            inner[++all] = new_result(verdict.known);
        }
        if (!known || inner[all] != NULL) { /* by name: NumPy warns of an extreme's output by position */
            r = PyObject_Vectorcall(kernel, inner + 1, n | PY_VECTORCALL_ARGUMENTS_OFFSET, known ? out_names : NULL);
        }
    }
    for (Py_ssize_t k = 1; k <= all; k++) {
        Py_XDECREF(inner[k]);
    }
    return known ? wrap(r, Py_None) : finish_call(r, args, n, NULL);
}

/* The same, into the array `out`. */
static PyObject *call_into(PyObject *f, PyObject *kernel, PyObject *const *args, Py_ssize_t n, PyObject *out)
{
    Verdict verdict = {0, NULL};
    PyObject *row = FIELD(f, at_row), *inner[5] = {NULL}, *r;
    if (into == NULL || row == NULL || row == Py_None || n > 3 || Py_TYPE(out) != array_type) {
        return NULL;
    }
    int done = into(row, args, (int)n, out, &verdict);
    if (done != 0 || !verdict.at_once) {
        return done > 0 ? Py_NewRef(out) : NULL;
    }
    for (Py_ssize_t k = 0; k < n; k++) {
        inner[k + 1] = Py_NewRef(Py_TYPE(args[k]) == array_type ? FIELD(args[k], at_a) : args[k]);
    }
    inner[n + 1] = Py_NewRef(FIELD(out, at_a));
    r = n <= 2 ? sooner(kernel, inner[1], n > 1 ? inner[2] : NULL, inner[n + 1]) : NULL;
    if (r == NULL && !PyErr_Occurred()) {
        r = PyObject_Vectorcall(kernel, inner + 1, n | PY_VECTORCALL_ARGUMENTS_OFFSET, out_names);
    }
    for (Py_ssize_t k = 1; k <= n + 1; k++) {
        Py_DECREF(inner[k]);
    }
    Py_XDECREF(r);
    return r == NULL ? NULL : Py_NewRef(out);
}

/* Whether the last of `n` arguments by position is the output; NumPy warns of that where it is that of an extreme. */
static int has_output(PyObject *kernel, Py_ssize_t n)
{
    PyUFuncObject *u = (PyUFuncObject *)kernel;
    return PyObject_TypeCheck(kernel, &PyUFunc_Type) && u->nout == 1 && n == u->nin + 1 && strcmp(u->name, "maximum") != 0 &&
           strcmp(u->name, "minimum") != 0;
}

static PyObject *call_ufunc(PyObject *f, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Py_ssize_t n = PyVectorcall_NARGS(nargsf), all = n + (names == NULL ? 0 : PyTuple_GET_SIZE(names)), k = 0;
    PyObject *inner[MOST + 2] = {NULL}, *kernel = at_kernel ? FIELD(f, at_kernel) : NULL;
    if (kernel != NULL && n >= 1 && all <= MOST) {
        for (; k < all; k++) {
            PyObject *v = args[k], *a = operand(v);
            if (a == NULL && k >= n && (v == Py_None || v == Py_True || v == Py_False || PyType_Check(v))) {
                a = v;
            }
            if (a == NULL) {
                break;
            }
            inner[k + 1] = Py_NewRef(a);
        }
        int fast = k == all && (n < 2 || !grow(inner[1], inner[2]));
        PyObject *r = fast && names == NULL && n <= 2 ? sooner(kernel, inner[1], inner[2], NULL) : NULL;
        if (fast && r == NULL && !PyErr_Occurred()) {
            r = PyObject_Vectorcall(kernel, inner + 1, n | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
        }
        while (k > 0) {
            Py_DECREF(inner[k--]);
        }
        if (fast) {
            return finish_call(r, args, n, names);
        }
        int named = all == n + 1 && PyUnicode_Compare(PyTuple_GET_ITEM(names, 0), PyTuple_GET_ITEM(out_names, 0)) == 0;
        if (named || (all == n && has_output(kernel, n))) {
            r = call_into(f, kernel, args, all - 1, args[all - 1]);
        }
        else {
            r = all == n ? call_large(f, kernel, args, n) : NULL;
        }
        if (r != NULL || PyErr_Occurred()) {
            return r;
        }
    }
    inner[1] = f;
    if (all > MOST) {
        PyObject *tuple = tuple_of(args, n), *named = tuple ? dict_of(args + n, names) : NULL, *bound = NULL, *r = NULL;
        if (named != NULL && (bound = PyMethod_New(python_call, f)) != NULL) {
            r = PyObject_Call(bound, tuple, named);
        }
        Py_XDECREF(bound);
        Py_XDECREF(tuple);
        Py_XDECREF(named);
        return r;
    }
    for (k = 0; k < all; k++) {
        inner[k + 2] = args[k];
    }
    return PyObject_Vectorcall(python_call, inner + 1, (n + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
}

/* NumPy's ufuncs, asked to compute with one of our arrays, hand the call over to `__array_ufunc__`: a * x, where a is one
 * of its scalars or arrays. */
static PyObject *python_array_ufunc, *ours_of, *s_call;

static PyObject *array_ufunc(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
    PyObject *inner[4] = {NULL}, *const *inputs = args + 3, *f;
    Py_ssize_t k = 0, count = n - 3;
    int ours = names == NULL && count > 0 && count <= 3 && Py_TYPE(args[1]) == &PyUFunc_Type && PyUnicode_CheckExact(args[2]) &&
               PyUnicode_Compare(args[2], s_call) == 0;
    for (; ours && k < count; k++) {
        PyObject *v = inputs[k], *a = operand(v);
        if (a == NULL && PyArray_CheckExact(v) && !waiting() &&
            is_small(PyArray_SIZE((PyArrayObject *)v), PyArray_TYPE((PyArrayObject *)v))) {
            a = v;
        }
        if (a == NULL) {
            break;
        }
        inner[k + 1] = Py_NewRef(a);
    }
    int fast = ours && k == count && count == ((PyUFuncObject *)args[1])->nin && (count < 2 || !grow(inner[1], inner[2]));
    PyObject *r = fast && count <= 2 ? sooner(args[1], inner[1], inner[2], NULL) : NULL;
    if (fast && r == NULL && !PyErr_Occurred()) {
        r = PyObject_Vectorcall(args[1], inner + 1, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    while (k > 0) {
        Py_DECREF(inner[k--]);
    }
    if (fast) {
        return finish_call(r, inputs, count, NULL);
    }
    for (k = 0; ours && k < count; k++) {
        ours = Py_TYPE(inputs[k]) == array_type || is_scalar(inputs[k]) || PyArray_CheckExact(inputs[k]);
    }
    if (ours && (f = PyObject_CallOneArg(ours_of, args[1])) != NULL) {
        r = PyObject_Vectorcall(f, inputs, count, NULL);
        Py_DECREF(f);
        return r;
    }
    return ours ? NULL : PyObject_Vectorcall(python_array_ufunc, args, n, names);
}

static PyMethodDef array_ufunc_method = {
    "__array_ufunc__", (PyCFunction)(void (*)(void))array_ufunc, METH_FASTCALL | METH_KEYWORDS,
    "__array_ufunc__($self, ufunc, method, /, *inputs, **kwargs)\n--\n\nWhat NumPy's ufuncs do with arrays of ours.",
};

static PyObject *called_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Called *f = (Called *)type->tp_alloc(type, 0);
    if (f != NULL) {
        f->vectorcall = call_ufunc;
    }
    return (PyObject *)f;
}

static PyMemberDef called_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Called, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
static PyType_Slot called_slots[] = {
    {Py_tp_new, called_new}, {Py_tp_call, PyVectorcall_Call}, {Py_tp_members, called_members}, {0, NULL},
};
static PyType_Spec called_spec = {
    "cunumeric.called", sizeof(Called), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_VECTORCALL,
    called_slots,
};

/* -- set-up ------------------------------------------------------------------------------------------------------- */

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

/* Put a function into the place of a special method, wrapped as NumPy's is. */
static int take_name(PyObject *type, const char *name, void *function)
{
    PyObject *numpys = PyDict_GetItemString(PyArray_Type.tp_dict, name);  /* borrowed */
    if (numpys == NULL || Py_TYPE(numpys) != &PyWrapperDescr_Type) {
        PyErr_Format(PyExc_TypeError, "%s is not a wrapper", name);
        return -1;
    }
    PyObject *mine = PyDescr_NewWrapper((PyTypeObject *)type, ((PyWrapperDescrObject *)numpys)->d_base, function);
    int failed = mine == NULL || PyObject_SetAttrString(type, name, mine) < 0;
    Py_XDECREF(mine);
    return -failed;
}

/* Put a function that takes the instance as its first argument into the class. */
static int take_method(PyObject *type, PyMethodDef *definition)
{
    PyObject *function = PyCFunction_New(definition, NULL), *method = function ? PyInstanceMethod_New(function) : NULL;
    int failed = method == NULL || PyObject_SetAttrString(type, definition->ml_name, method) < 0;
    Py_XDECREF(function);
    Py_XDECREF(method);
    return -failed;
}

#define TAKE_INPLACE(NAME, PYTHON)                                                         \
    python_i##NAME = PyObject_GetAttrString(arrays, PYTHON);                               \
    if (python_i##NAME == NULL || take_name(arrays, PYTHON, (void *)fast_i##NAME) < 0) {   \
        return NULL;                                                                       \
    }                                                                                      \
    n->nb_inplace_##NAME = fast_i##NAME;

#define TAKE(SLOT, NAME)            \
    before_##NAME = (SLOT);         \
    if (before_##NAME != NULL) {    \
        (SLOT) = fast_##NAME;       \
    }

/* accelerate(array class, ufunc class, list of recorded work, memory handed out, wrap_from, again, runtime.memory.ways,
 * the type of an accelerator's memory or None, recording in C for the host or None, what gives our ufunc of one of NumPy's) */
static PyObject *accelerate(PyObject *self, PyObject *args)
{
    PyObject *arrays, *ufuncs, *list, *out, *from, *again, *shelf, *remote, *deferred, *recording, *of;
    if (!PyArg_ParseTuple(args, "O!O!O!O!OOOOOOO", &PyType_Type, &arrays, &PyType_Type, &ufuncs, &PyList_Type, &list,
                          &PyDict_Type, &out, &from, &again, &shelf, &remote, &deferred,
                          &recording, &of)) {
        return NULL;
    }
    if (array_type != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "done already");
        return NULL;
    }
    at_a = offset_of(arrays, "_a");
    at_b = offset_of(arrays, "_b");
    Py_ssize_t at = offset_of(ufuncs, "_kernel");
    at_row = offset_of(ufuncs, "_row");
    if (at_a < 0 || at_b < 0 || at < 0 || at_row < 0) {
        return NULL;
    }
    python_getitem = PyObject_GetAttrString(arrays, "__getitem__");
    PyObject *numpy = PyImport_ImportModule("numpy");
    matmul = numpy ? PyObject_GetAttrString(numpy, "matmul") : NULL;
    if (matmul == NULL || find_rowwise(numpy) < 0) {
        Py_XDECREF(numpy);
        return NULL;
    }
    Py_DECREF(numpy);
    out_names = Py_BuildValue("(N)", PyUnicode_InternFromString("out"));
    if (out_names == NULL) {
        return NULL;
    }
    python_setitem = PyObject_GetAttrString(arrays, "__setitem__");
    python_call = PyObject_GetAttrString(ufuncs, "__call__");
    python_array_ufunc = PyObject_GetAttrString(arrays, "__array_ufunc__");
    ours_of = Py_NewRef(of);
    s_call = PyUnicode_InternFromString("__call__");
    if (python_getitem == NULL || python_call == NULL || python_array_ufunc == NULL || s_call == NULL ||
        take_attributes(arrays) < 0 || take_method(arrays, &getitem_method) < 0 ||
        take_method(arrays, &array_ufunc_method) < 0) {
        return NULL;
    }
    if (python_setitem == NULL || take_name(arrays, "__setitem__", (void *)fast_assign) < 0) {
        return NULL;
    }
    array_type = (PyTypeObject *)Py_NewRef(arrays);
    remote_type = remote == Py_None ? NULL : (PyTypeObject *)Py_NewRef(remote);
    deferred_type = remote == Py_None ? NULL : (PyTypeObject *)Py_NewRef(deferred);
    array_meta = (PyTypeObject *)Py_NewRef(Py_TYPE(arrays));
    ufunc_type = (PyTypeObject *)Py_NewRef(ufuncs);
    pending = Py_NewRef(list);
    handed = Py_NewRef(out);
    python_wrap_from = Py_NewRef(from);
    python_again = Py_NewRef(again);
    if (PyCapsule_IsValid(shelf, "cunumeric.shelf")) {
        void **ways = PyCapsule_GetPointer(shelf, "cunumeric.shelf");
        new_array = (NewArray)ways[0];
        note_memory = (NoteMemory)ways[1];
    }
    if (PyCapsule_IsValid(recording, "cunumeric.recorded")) {
        void **ways = PyCapsule_GetPointer(recording, "cunumeric.recorded");
        recorded = (Recorded *)ways[0];
        choosing_row = ways[8];
        if (remote_type == NULL) { /* the host's: nothing runs at once elsewhere */
            into = (Into *)ways[1];
            warm = (Warm *)ways[2];
            new_result = (NewResult *)ways[3];
            copy_row = ways[4];
            lone = (Lone *)ways[5];
            reduced = (Reduced *)ways[7];
            *(Sooner **)ways[6] = sooner;
        }
    }
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
    TAKE_INPLACE(add, "__iadd__")
    TAKE_INPLACE(subtract, "__isub__")
    TAKE_INPLACE(multiply, "__imul__")
    TAKE_INPLACE(true_divide, "__itruediv__")
    TAKE(n->nb_negative, negative)
    TAKE(n->nb_absolute, absolute)
    TAKE(n->nb_invert, invert)
    TAKE(n->nb_bool, bool)
    TAKE(n->nb_int, int)
    TAKE(n->nb_float, float)
    TAKE(n->nb_index, index)
    TAKE(array_type->tp_richcompare, compare)
    TAKE(array_type->tp_iter, iter)
    TAKE(array_type->tp_as_mapping->mp_length, length)
    array_type->tp_as_sequence->sq_length = array_type->tp_as_mapping->mp_length;
    array_type->tp_as_sequence->sq_item = fast_item;
    array_type->tp_as_mapping->mp_subscript = fast_subscript;
    TAKE(array_type->tp_as_mapping->mp_ass_subscript, assign)
    array_type->tp_alloc = array_alloc;
    array_type->tp_dealloc = array_dealloc;
    PyType_Modified(array_type);
    at_kernel = at;
    ufunc_type->tp_vectorcall_offset = offsetof(Called, vectorcall);
    ufunc_type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
    ufunc_type->tp_call = PyVectorcall_Call;
    Py_RETURN_NONE;
}

static PyObject *set_limits(PyObject *self, PyObject *args)
{
    Py_ssize_t record, alone, kernel, function, reduced;
    if (!PyArg_ParseTuple(args, "nnnnn", &record, &alone, &kernel, &function, &reduced)) {
        return NULL;
    }
    reduced_limit = reduced;
    limit = record;
    function_limit = function;
    alone_limit = alone;
    kernel_limit = kernel;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"accelerate", accelerate, METH_VARARGS, "accelerate(array class, ufunc class, list of recorded work, memory handed out, wrap_from, again, memory.ways)"},
    {"function", make_function, METH_VARARGS,
     "function(python, numpys, method or None, rule, likes, bound, builtin, shortcut or None, least, lanes)"},
    {"set_limits", set_limits, METH_VARARGS,
     "set_limits(elements of what is not small, of what is not even where nothing keeps it company, of what a parallel "
     "kernel is asked for, of what functions of Python record, "
     "of what threads reduce)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_fast", "Small operations on arrays, without Python's price.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__fast(void)
{
    import_array();
    import_umath();
    PyObject *m = PyModule_Create(&module), *called = PyType_FromSpec(&called_spec);
    if (m == NULL || called == NULL || make_types() < 0 || PyModule_AddObjectRef(m, "called", called) < 0 ||
        PyModule_AddIntMacro(m, ALWAYS) < 0 || PyModule_AddIntMacro(m, BELOW_KERNEL) < 0 ||
        PyModule_AddIntMacro(m, BELOW_RECORD) < 0 || PyModule_AddIntMacro(m, BELOW_REDUCED) < 0 ||
        PyModule_AddIntMacro(m, BELOW_MOMENT) < 0 || PyModule_AddIntMacro(m, FROM_NOTHING) < 0 ||
        PyModule_AddIntMacro(m, SIZED) < 0 || PyModule_AddIntMacro(m, COUNTED) < 0 ||
        PyModule_AddIntMacro(m, AT_HOME) < 0) {
        Py_CLEAR(m);
    }
    Py_XDECREF(called);
    return m;
}
