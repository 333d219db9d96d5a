/* Functions and methods that are NumPy's on the inner arrays, without a Python frame: strip the arguments, call NumPy,
 * wrap the result. A `function` stands before a Python function that does the same and more (calls.py, methods.py,
 * api/); what is large enough for that, or waits, or is out of the ordinary, it hands over. Part of `_fast.c`. */
#ifndef CUNUMERIC_FUNCTIONS_H
#define CUNUMERIC_FUNCTIONS_H

#include "_view.h"
#include "_whole.h"

/* Which calls are NumPy's at once. */
enum {
    ALWAYS,        /* all */
    BELOW_KERNEL,  /* those whose arrays are all too small for a parallel kernel */
    BELOW_RECORD,  /* those whose arrays are all small */
    BELOW_REDUCED, /* those whose arrays are all too small for threads to reduce them */
    BELOW_MOMENT,  /* the same for floats; others are cast as they are read, which is worth it sooner */
    FROM_NOTHING,  /* of those that make an array of a shape, those that are too small for warm memory */
    SIZED,         /* those whose arguments are no sizes that are worth a parallel kernel */
    COUNTED,       /* those of `arange` that count to less than is worth recording */
    AT_HOME,       /* with an accelerator: those whose arrays are small and on the host, and that wait for no scalar */
    RULES,
};

enum { NONE, ARRAYS, UFUNCS };

/* An even shorter way for a call without keywords: NULL without an error where it does not go. */
typedef PyObject *(*Shortcut)(PyObject *const *args, Py_ssize_t n);
/* A C function of NumPy, called as the interpreter would call it. */
typedef PyObject *(*Plainly)(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names);

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *numpys;  /* NumPy's function */
    PyObject *python;  /* ours, for everything else */
    PyObject *method;  /* NumPy's method with the same order of arguments, which saves NumPy's dispatch; or NULL */
    Shortcut shortcut;
    Plainly plainly, plainly_method;  /* the C functions of `numpys` and `method`, or NULL */
    int rule;
    int likes;         /* whether `like` is Python's business */
    int bound;         /* of which class of ours it is a method: ARRAYS, UFUNCS or NONE */
    npy_intp least;    /* elements from which on its kernel answers at all */
    npy_uint64 lanes;  /* of which types, one bit each, it takes an array of one axis */
    PyObject *dict, *weak;
} Function;

static PyObject *axis_name, *keepdims_name, *like_name, *one;
/* Elements from which new memory may come from the shelf. */
#define WARM_FROM 16384
/* Elements from which new memory may be the accelerator's. */
#define MADE_BELOW 4096
#define MOST 10 /* arguments that are worth it */

/* -- shortcuts ---------------------------------------------------------------------------------------------------- */

/* Whether all of `v` are integers, which are put into `dims`. */
static int dims_of(PyObject *const *v, Py_ssize_t n, npy_intp *dims)
{
    for (Py_ssize_t k = 0; k < n; k++) {
        if (!PyLong_CheckExact(v[k])) {
            return 0;
        }
        dims[k] = PyLong_AsSsize_t(v[k]);
        if (dims[k] == -1 && PyErr_Occurred()) {
            PyErr_Clear();
            return 0;
        }
    }
    return 1;
}

/* The inner array for a view in C order: of any array whose elements lie so, else where a copy can be made at once. */
static PyObject *orderly(PyObject *x)
{
    PyObject *a = form(x);
    return a != NULL && PyArray_IS_C_CONTIGUOUS((PyArrayObject *)a) ? a : plain(x);
}

static PyObject *finish_view(PyObject *r, PyObject *x)
{
    return r == NULL ? NULL : finish(r, &x, 1, NULL);
}

static PyObject *reshape_to(PyObject *x, PyObject *const *v, Py_ssize_t n)
{
    npy_intp dims[NPY_MAXDIMS];
    PyObject *a = orderly(x);
    if (a == NULL || n > NPY_MAXDIMS || !dims_of(v, n, dims)) {
        return NULL;
    }
    PyArray_Dims shape = {dims, (int)n};
    Py_INCREF(a);
    PyObject *r = PyArray_Newshape((PyArrayObject *)a, &shape, NPY_CORDER);
    Py_DECREF(a);
    return finish_view(r, x);
}

/* reshape(x, (2, 3)), reshape(x, 6) */
static PyObject *shortcut_reshape(PyObject *const *args, Py_ssize_t n)
{
    if (n == 2 && PyTuple_CheckExact(args[1])) {
        return reshape_to(args[0], ((PyTupleObject *)args[1])->ob_item, PyTuple_GET_SIZE(args[1]));
    }
    return n == 2 ? reshape_to(args[0], args + 1, 1) : NULL;
}

/* The method, which takes x.reshape(2, 3) too. */
static PyObject *shortcut_reshape_method(PyObject *const *args, Py_ssize_t n)
{
    return n > 2 ? reshape_to(args[0], args + 1, n - 1) : shortcut_reshape(args, n);
}

static PyObject *shortcut_ravel(PyObject *const *args, Py_ssize_t n)
{
    PyObject *a = n == 1 ? orderly(args[0]) : NULL;
    if (a == NULL) {
        return NULL;
    }
    Py_INCREF(a);
    PyObject *r = PyArray_Ravel((PyArrayObject *)a, NPY_CORDER);
    Py_DECREF(a);
    return finish_view(r, args[0]);
}

/* A copy of C-contiguous numbers; NULL without an error for what is NumPy's. What NumPy asks before it copies takes as
 * long as copying 1,000 numbers. */
static PyObject *plain_copy(PyArrayObject *a)
{
    if (!PyArray_ISCARRAY_RO(a) || !PyArray_ISNUMBER(a)) {
        return NULL;
    }
    npy_intp bytes = PyArray_NBYTES(a);
    PyArray_Descr *dtype = PyArray_DESCR(a);
    Py_INCREF(dtype);
    PyObject *r = plain_array(PyArray_NDIM(a), PyArray_DIMS(a), dtype);
    if (r != NULL) {
        NPY_BEGIN_THREADS_DEF;
        NPY_BEGIN_THREADS_THRESHOLDED(bytes / UNLOCKED / 16);
        memcpy(PyArray_DATA((PyArrayObject *)r), PyArray_DATA(a), bytes);
        NPY_END_THREADS;
    }
    return r;
}

static PyObject *shortcut_copy_method(PyObject *const *args, Py_ssize_t n)
{
    PyObject *a = n == 1 ? small(args[0]) : NULL, *r = NULL;
    Verdict verdict = {0, NULL};
    if (a == NULL) {
        r = n == 1 && copy_row != NULL ? recorded(*copy_row, args, 1, 0, &verdict) : NULL;
        if (r != NULL || PyErr_Occurred()) {
            return r;
        }
        a = n == 1 ? plain(args[0]) : NULL;
        if (a == NULL || !(verdict.at_once || PyArray_SIZE((PyArrayObject *)a) < function_limit)) {
            return NULL;
        }
    }
    Py_INCREF(a);
    r = plain_copy((PyArrayObject *)a);
    if (r == NULL && !PyErr_Occurred()) {
        r = PyArray_NewCopy((PyArrayObject *)a, NPY_CORDER);
    }
    Py_DECREF(a);
    return wrap(r, Py_None);
}

/* array(x) of NumPy's arrays, and of small ones of ours. */
static PyObject *shortcut_array(PyObject *const *args, Py_ssize_t n)
{
    PyObject *a = PyArray_CheckExact(args[0]) ? args[0] : Py_TYPE(args[0]) == array_type ? small(args[0]) : NULL;
    if (a == NULL || n != 1 || remote_type != NULL) {
        return NULL;
    }
    Py_INCREF(a);
    PyObject *r = wrap(plain_copy((PyArrayObject *)a), Py_None);
    Py_DECREF(a);
    return r;
}

/* where(condition, x, y) of what is recorded, or belongs on an accelerator. */
static PyObject *shortcut_where(PyObject *const *args, Py_ssize_t n)
{
    Verdict verdict = {0, NULL};
    return n == 3 && choosing_row != NULL && (waiting() || remote_type != NULL)
               ? recorded(*choosing_row, args, 3, 0, &verdict)
               : NULL;
}

/* Numbers as a list, in which no array has to be looked for. */
static PyObject *shortcut_tolist(PyObject *const *args, Py_ssize_t n)
{
    PyObject *a = n == 1 ? plain(args[0]) : NULL;
    if (a == NULL || !(PyArray_ISNUMBER((PyArrayObject *)a) || PyArray_ISBOOL((PyArrayObject *)a))) {
        return NULL;
    }
    Py_INCREF(a);
    PyObject *r = PyArray_ToList((PyArrayObject *)a);
    Py_DECREF(a);
    return r;
}

/* An array of ours is one already. */
static PyObject *shortcut_asarray(PyObject *const *args, Py_ssize_t n)
{
    return n == 1 && Py_TYPE(args[0]) == array_type ? Py_NewRef(args[0]) : NULL;
}

/* -- arrays from nothing: on warm memory, where the engine's shelf is in C ----------------------------------------- */

/* A new array of numbers of this shape, of `dtype` (NULL or None: `usual`); NULL without an error for what is NumPy's. */
static PyObject *new_numbers(PyObject *shape, PyObject *dtype, int usual, int how)
{
    npy_intp dims[NPY_MAXDIMS];
    PyObject *const *sizes = &shape;
    Py_ssize_t n = 1;
    if (PyTuple_CheckExact(shape)) {
        sizes = ((PyTupleObject *)shape)->ob_item;
        n = PyTuple_GET_SIZE(shape);
    }
    if (new_array == NULL || n > NPY_MAXDIMS || !dims_of(sizes, n, dims)) {
        return NULL;
    }
    npy_intp size = 1, least = limit < MADE_BELOW ? limit : MADE_BELOW;
    for (Py_ssize_t k = 0; k < n; k++) {
        if (dims[k] < 0 || (remote_type != NULL && (dims[k] >= least || (size *= dims[k]) >= least))) {
            return NULL;
        }
    }
    PyArray_Descr *d;
    if (dtype == NULL || dtype == Py_None) {
        d = PyArray_DescrFromType(usual);
    }
    else if (PyArray_DescrCheck(dtype)) {
        d = (PyArray_Descr *)Py_NewRef(dtype);
    }
    else if (!(PyType_Check(dtype) || PyUnicode_CheckExact(dtype)) || Py_TYPE(dtype) == array_meta ||
             !PyArray_DescrConverter(dtype, &d)) {
        PyErr_Clear();
        return NULL;
    }
    if (!PyTypeNum_ISNUMBER(d->type_num) && !PyTypeNum_ISBOOL(d->type_num)) {
        Py_DECREF(d);
        return NULL;
    }
    return new_array((int)n, dims, d, how);
}

static PyObject *filled(PyObject *a, PyObject *value)
{
    if (a != NULL && PyArray_FillWithScalar((PyArrayObject *)a, value) < 0) {
        Py_CLEAR(a);
    }
    return wrap(a, Py_None);
}

static PyObject *shortcut_empty(PyObject *const *args, Py_ssize_t n)
{
    return n <= 2 ? wrap(new_numbers(args[0], n == 2 ? args[1] : NULL, NPY_DOUBLE, PLAIN), Py_None) : NULL;
}

static PyObject *shortcut_zeros(PyObject *const *args, Py_ssize_t n)
{
    return n <= 2 ? wrap(new_numbers(args[0], n == 2 ? args[1] : NULL, NPY_DOUBLE, ZEROS), Py_None) : NULL;
}

static PyObject *shortcut_ones(PyObject *const *args, Py_ssize_t n)
{
    return n <= 2 ? filled(new_numbers(args[0], n == 2 ? args[1] : NULL, NPY_DOUBLE, PLAIN), one) : NULL;
}

/* Where value and dtype are such that filling and NumPy's casting cannot differ. */
static PyObject *shortcut_full(PyObject *const *args, Py_ssize_t n)
{
    int usual;
    if (n < 2 || n > 3) {
        return NULL;
    }
    if (PyFloat_CheckExact(args[1])) {
        usual = NPY_DOUBLE;
    }
    else if (PyLong_CheckExact(args[1])) {
        int over;
        long value = PyLong_AsLongAndOverflow(args[1], &over);
        if (over || value > 1 << 24 || value < -(1 << 24)) {
            return NULL;
        }
        usual = NPY_INTP;
    }
    else {
        return NULL;
    }
    PyObject *a = new_numbers(args[0], n == 3 ? args[2] : NULL, usual, PLAIN);
    if (a == NULL) {
        return NULL;
    }
    int kind = PyArray_TYPE((PyArrayObject *)a);
    if (kind == NPY_DOUBLE || (usual == NPY_INTP && (kind == NPY_FLOAT || kind == NPY_INTP))) {
        return filled(a, args[1]);
    }
    Py_DECREF(a);
    return NULL;
}

/* clip(x, low, high) of floats; where integers do not fit, and where both limits are None, NumPy has more to say. */
static PyObject *shortcut_clip(PyObject *const *args, Py_ssize_t n)
{
    PyObject *a = n == 3 ? small(args[0]) : NULL, *limits[2] = {NULL, NULL}, *r;
    for (int k = 0; a != NULL && k < 2; k++) {
        limits[k] = args[k + 1] == Py_None ? Py_None : operand(args[k + 1]);
        if (limits[k] == NULL) {
            return NULL;
        }
    }
    if (a == NULL || !PyArray_ISFLOAT((PyArrayObject *)a) || limits[0] == limits[1]) {
        return NULL;
    }
    Py_INCREF(a);
    Py_INCREF(limits[0]);
    Py_INCREF(limits[1]);
    r = PyArray_Clip((PyArrayObject *)a, limits[0], limits[1], NULL);
    Py_DECREF(a);
    Py_DECREF(limits[0]);
    Py_DECREF(limits[1]);
    return r == NULL ? NULL : finish(r, args, n, NULL);
}

static const struct {
    const char *name;
    Shortcut shortcut;
} shortcuts[] = {
    {"reshape", shortcut_reshape},
    {"ndarray.reshape", shortcut_reshape_method},
    {"ravel", shortcut_ravel},
    {"ndarray.ravel", shortcut_ravel},
    {"transpose", shortcut_transpose},
    {"ndarray.transpose", shortcut_transpose},
    {"flip", shortcut_flip},
    {"flipud", shortcut_flipud},
    {"fliplr", shortcut_fliplr},
    {"swapaxes", shortcut_swapaxes},
    {"ndarray.swapaxes", shortcut_swapaxes},
    {"moveaxis", shortcut_moveaxis},
    {"expand_dims", shortcut_expand_dims},
    {"split", shortcut_split},
    {"clip", shortcut_clip},
    {"ndarray.clip", shortcut_clip},
    {"sum", shortcut_sum},
    {"ndarray.sum", shortcut_sum},
    {"mean", shortcut_mean},
    {"ndarray.mean", shortcut_mean},
    {"max", shortcut_max},
    {"amax", shortcut_max},
    {"ndarray.max", shortcut_max},
    {"min", shortcut_min},
    {"amin", shortcut_min},
    {"ndarray.min", shortcut_min},
    {"any", shortcut_any},
    {"ndarray.any", shortcut_any},
    {"all", shortcut_all},
    {"ndarray.all", shortcut_all},
    {"ndarray.copy", shortcut_copy_method},
    {"ndarray.tolist", shortcut_tolist},
    {"where", shortcut_where},
    {"array", shortcut_array},
    {"asarray", shortcut_asarray},
    {"asanyarray", shortcut_asarray},
    {"empty", shortcut_empty},
    {"zeros", shortcut_zeros},
    {"ones", shortcut_ones},
    {"full", shortcut_full},
};

/* -- calls -------------------------------------------------------------------------------------------------------- */

/* An argument that NumPy's method and NumPy's function take alike: a number, a shape, None, or one of ours. */
static int is_ordinary(PyObject *v)
{
    if (PyTuple_CheckExact(v)) {
        for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(v); k++) {
            if (!PyLong_CheckExact(PyTuple_GET_ITEM(v, k))) {
                return 0;
            }
        }
        return 1;
    }
    return v == Py_None || is_scalar(v) || Py_TYPE(v) == array_type;
}

static int takes_method(Function *f, PyObject *const *args, Py_ssize_t n, Py_ssize_t all, PyObject *names)
{
    if (f->method == NULL || n < 1 || n > 3 || Py_TYPE(args[0]) != array_type) {
        return 0;
    }
    for (Py_ssize_t k = 1; k < all; k++) {
        PyObject *name = k < n ? axis_name : PyTuple_GET_ITEM(names, k - n);
        if ((name != axis_name && name != keepdims_name) || !is_ordinary(args[k])) {
            return 0;
        }
    }
    return 1;
}

/* Whether an array of this shape has less than `least` elements. */
static int is_below(PyObject *shape, npy_intp least)
{
    npy_intp size = 1;
    PyObject *const *dims = &shape;
    Py_ssize_t n = 1;
    if (PyTuple_CheckExact(shape)) {
        dims = ((PyTupleObject *)shape)->ob_item;
        n = PyTuple_GET_SIZE(shape);
    }
    for (Py_ssize_t k = 0; k < n; k++) {
        npy_intp m;
        if (!dims_of(dims + k, 1, &m) || m >= least || (m > 0 && (size *= m) >= least)) {
            return 0;
        }
    }
    return 1;
}

/* Whether `arange` of these numbers has less than `least` elements. */
static int counts_below(PyObject *const *args, Py_ssize_t n, npy_intp least)
{
    double v[3] = {0, 0, 1};
    if (n < 1 || n > 3) {
        return 0;
    }
    for (Py_ssize_t k = 0; k < n; k++) {
        if (PyFloat_CheckExact(args[k])) {
            v[n == 1 ? 1 : k] = PyFloat_AS_DOUBLE(args[k]);
        }
        else if (PyLong_CheckExact(args[k])) {
            int over;
            v[n == 1 ? 1 : k] = (double)PyLong_AsLongAndOverflow(args[k], &over);
            if (over) {
                return 0;
            }
        }
        else {
            return 0;
        }
    }
    return (v[1] - v[0]) / v[2] < (double)least; /* not where that is NaN */
}

/* Whether `v` is a scalar that an accelerator has yet to compute, or a sequence with one in it. */
static int defers(PyObject *v)
{
    if (!is_nested(v)) {
        return Py_TYPE(v) == deferred_type;
    }
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(v); k++) {
        if (Py_TYPE(PySequence_Fast_GET_ITEM(v, k)) == deferred_type) {
            return 1;
        }
    }
    return 0;
}

static int is_pythons(Function *f, PyObject *const *args, Py_ssize_t n, Py_ssize_t all, PyObject *names)
{
    if (all > MOST || (f->bound && (n < 1 || Py_TYPE(args[0]) != (f->bound == ARRAYS ? array_type : ufunc_type))) ||
        (f->rule == FROM_NOTHING &&
         (n < 1 || !is_below(args[0], remote_type == NULL || limit > WARM_FROM ? WARM_FROM : limit))) ||
        (f->rule == COUNTED && !counts_below(args, n, limit))) {
        return 1;
    }
    for (Py_ssize_t k = 0; f->rule == AT_HOME && k < all; k++) {
        if (defers(args[k])) {
            return 1;
        }
    }
    for (Py_ssize_t k = 0; f->rule == SIZED && k < all; k++) {
        if ((PyLong_Check(args[k]) || PyTuple_Check(args[k])) && !is_below(args[k], kernel_limit)) {
            return 1;
        }
    }
    for (Py_ssize_t k = n; f->likes && k < all; k++) {
        PyObject *name = PyTuple_GET_ITEM(names, k - n);
        if (name == like_name || PyUnicode_Compare(name, like_name) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Whether `a`, as given to NumPy, is large enough for the Python function. */
static inline int is_large(Function *f, PyObject *a)
{
    if (f->rule == AT_HOME && is_nested(a)) {
        for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(a); k++) {
            PyObject *e = PySequence_Fast_GET_ITEM(a, k);
            if (PyArray_CheckExact(e) && PyArray_SIZE((PyArrayObject *)e) >= kernel_limit) {
                return 1;
            }
        }
        return 0;
    }
    if ((f->rule != AT_HOME && (f->rule < BELOW_KERNEL || f->rule > BELOW_MOMENT)) || !PyArray_CheckExact(a)) {
        return 0;
    }
    int reduces = f->rule == BELOW_REDUCED || (f->rule == BELOW_MOMENT && PyArray_ISFLOAT((PyArrayObject *)a));
    int kernel = f->rule == BELOW_KERNEL || f->rule == AT_HOME;
    npy_intp least = reduces ? reduced_limit : kernel ? kernel_limit : function_limit;
    if (f->rule == BELOW_KERNEL && remote_type == NULL && least && f->least > least) {
        least = f->least;
    }
    int type = PyArray_TYPE((PyArrayObject *)a);
    if (f->rule == BELOW_KERNEL && remote_type == NULL && PyArray_NDIM((PyArrayObject *)a) == 1 && type < NPY_NTYPES_LEGACY &&
        !(f->lanes >> type & 1)) {
        return 0;
    }
    npy_intp size = PyArray_SIZE((PyArrayObject *)a);
    return size >= least && !(f->rule == BELOW_RECORD && lone != NULL && lone(size));
}

static PyObject *call_function(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Function *f = (Function *)self;
    Py_ssize_t n = PyVectorcall_NARGS(nargsf), all = n + (names == NULL ? 0 : PyTuple_GET_SIZE(names)), k = 0;
    PyObject *inner[MOST + 1], *r = NULL;
    if (f->shortcut != NULL && names == NULL && n > 0 &&
        (Py_TYPE(args[0]) == array_type || f->likes)) {
        r = f->shortcut(args, n);
        if (r != NULL) {
            return r;
        }
        if (PyErr_Occurred()) {
            return NULL;
        }
    }
    int left = is_pythons(f, args, n, all, names);
    for (; !left && k < all; k++) {
        PyObject *a = k == 0 && f->bound == UFUNCS ? Py_XNewRef(FIELD(args[0], at_kernel)) : given(args[k], 0);
        if (a == NULL) {
            left = 1;
            break;
        }
        inner[k + 1] = a;
        left = is_large(f, a);
    }
    if (!left) {
        int method = takes_method(f, args, n, all, names);
        Plainly c = method ? f->plainly_method : f->plainly;
        PyObject *numpys = method ? f->method : f->numpys;
        if (c != NULL && PyCFunction_Check(numpys)) {
            r = c(PyCFunction_GET_SELF(numpys), inner + 1, n, names);
        }
        else if (c != NULL && n > 0 && PyArray_CheckExact(inner[1])) {
            r = c(inner[1], inner + 2, n - 1, names);
        }
        else {
            r = PyObject_Vectorcall(numpys, inner + 1, n | PY_VECTORCALL_ARGUMENTS_OFFSET, names);
        }
        if (r == NULL) {
            PyObject *again[MOST];
            for (Py_ssize_t j = 0; j < all; j++) {
                again[j] = j == 0 && f->bound == UFUNCS ? inner[1] : args[j]; /* NumPy's ufunc */
            }
            r = once_more(f->numpys, again, n, names);
        }
    }
    while (k > 0) {
        Py_DECREF(inner[k--]);
    }
    if (left) {
        return PyErr_Occurred() ? NULL : PyObject_Vectorcall(f->python, args, nargsf, names);
    }
    return r == NULL ? NULL : finish(r, args, n, names);
}

/* -- the types ---------------------------------------------------------------------------------------------------- */

static int function_traverse(PyObject *self, visitproc visit, void *arg)
{
    Function *f = (Function *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(f->numpys);
    Py_VISIT(f->python);
    Py_VISIT(f->method);
    Py_VISIT(f->dict);
    return 0;
}

static int function_clear(PyObject *self)
{
    Function *f = (Function *)self;
    Py_CLEAR(f->numpys);
    Py_CLEAR(f->python);
    Py_CLEAR(f->method);
    Py_CLEAR(f->dict);
    return 0;
}

static void function_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((Function *)self)->weak != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    function_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* A function of a class becomes a method, as functions do. */
static PyObject *function_get(PyObject *self, PyObject *of, PyObject *type)
{
    return of == NULL || of == Py_None ? Py_NewRef(self) : PyMethod_New(self, of);
}

static PyObject *function_reduce(PyObject *self, PyObject *nothing)
{
    return PyObject_GetAttrString(self, "__qualname__");
}

static PyObject *function_repr(PyObject *self)
{
    PyObject *name = PyObject_GetAttrString(self, "__qualname__"), *text = NULL;
    if (name != NULL) {
        text = PyUnicode_FromFormat("<function %U at %p>", name, self);
        Py_DECREF(name);
    }
    return text;
}

static PyObject *builtin_repr(PyObject *self)
{
    PyObject *name = PyObject_GetAttrString(self, "__name__"), *text = NULL;
    if (name != NULL) {
        text = PyUnicode_FromFormat("<built-in function %U>", name);
        Py_DECREF(name);
    }
    return text;
}

static PyMethodDef function_methods[] = {
    {"__reduce__", function_reduce, METH_NOARGS, "The name, for pickles."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef function_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Function, vectorcall), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(Function, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Function, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef function_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define SHARED_SLOTS                                                                                   \
    {Py_tp_traverse, function_traverse}, {Py_tp_clear, function_clear}, {Py_tp_dealloc, function_dealloc}, \
        {Py_tp_call, PyVectorcall_Call}, {Py_tp_methods, function_methods}, {Py_tp_members, function_members}, \
        {Py_tp_getset, function_getset}

static PyType_Slot function_slots[] = {
    SHARED_SLOTS, {Py_tp_descr_get, function_get}, {Py_tp_repr, function_repr}, {0, NULL},
};
/* What stands for a function of C does not become a method. */
static PyType_Slot builtin_slots[] = {SHARED_SLOTS, {Py_tp_repr, builtin_repr}, {0, NULL}};

#define FUNCTION_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION)
static PyType_Spec function_spec = {
    "cunumeric.function", sizeof(Function), 0, FUNCTION_FLAGS | Py_TPFLAGS_METHOD_DESCRIPTOR, function_slots,
};
static PyType_Spec builtin_spec = {"cunumeric.builtin_function", sizeof(Function), 0, FUNCTION_FLAGS, builtin_slots};
static PyTypeObject *function_type, *builtin_type;

/* The C function of `f`, if it is one that takes its arguments as they lie: a function, or a method of arrays. */
static Plainly plainly_of(PyObject *f)
{
    PyMethodDef *def = NULL;
    if (Py_TYPE(f) == &PyCFunction_Type) {
        def = ((PyCFunctionObject *)f)->m_ml;
    }
    else if (Py_TYPE(f) == &PyMethodDescr_Type && PyDescr_TYPE(f) == &PyArray_Type) {
        def = ((PyMethodDescrObject *)f)->d_method;
    }
    return def != NULL && def->ml_flags == (METH_FASTCALL | METH_KEYWORDS) ? (Plainly)(void (*)(void))def->ml_meth : NULL;
}

/* function(python, numpys, method or None, rule, likes, bound, builtin, shortcut or None, least, lanes) */
static PyObject *make_function(PyObject *self, PyObject *args)
{
    PyObject *python, *numpys, *method;
    int rule, likes, bound, builtin;
    const char *shortcut;
    Py_ssize_t least;
    unsigned long long lanes;
    if (!PyArg_ParseTuple(args, "OOOipipznK", &python, &numpys, &method, &rule, &likes, &bound, &builtin, &shortcut, &least,
                          &lanes)) {
        return NULL;
    }
    if (rule < 0 || rule >= RULES) {
        return PyErr_Format(PyExc_ValueError, "there is no rule %d", rule);
    }
    PyTypeObject *type = builtin ? builtin_type : function_type;
    Function *f = (Function *)type->tp_alloc(type, 0);
    if (f == NULL) {
        return NULL;
    }
    f->vectorcall = call_function;
    f->python = Py_NewRef(python);
    f->numpys = Py_NewRef(numpys);
    f->method = method == Py_None ? NULL : Py_NewRef(method);
    f->plainly = plainly_of(numpys);
    f->plainly_method = method == Py_None ? NULL : plainly_of(method);
    f->rule = rule;
    f->likes = likes;
    f->bound = bound;
    f->least = least;
    f->lanes = lanes;
    for (size_t k = 0; shortcut != NULL && k < sizeof(shortcuts) / sizeof(*shortcuts); k++) {
        if (strcmp(shortcut, shortcuts[k].name) == 0) {
            f->shortcut = shortcuts[k].shortcut;
        }
    }
    return (PyObject *)f;
}

/* -- attributes --------------------------------------------------------------------------------------------------- */

/* What an attribute needs: the inner array's answer as it is, as a view of the same memory (the transpose: ours), or,
 * for the flags, a small array on memory that is not the engine's, which nothing recorded writes. */
enum { VALUE, VIEW, TURNED, OWN };

typedef struct {
    const char *name;
    int kind;
    PyGetSetDef *numpys;
    PyObject *python;  /* the property that was there before */
    PyGetSetDef own;
} Attribute;

static Attribute attributes[] = {
    {.name = "shape", .kind = VALUE}, {.name = "dtype", .kind = VALUE},    {.name = "ndim", .kind = VALUE},
    {.name = "size", .kind = VALUE},  {.name = "itemsize", .kind = VALUE}, {.name = "nbytes", .kind = VALUE},
    {.name = "strides", .kind = VALUE}, {.name = "T", .kind = TURNED},     {.name = "mT", .kind = VIEW},
    {.name = "real", .kind = VIEW},   {.name = "imag", .kind = VIEW},      {.name = "flags", .kind = OWN},
};

static PyObject *get_attribute(PyObject *x, void *closure)
{
    Attribute *at = closure;
    PyObject *a = at->kind == OWN ? small(x) : form(x);
    if (a != NULL && at->kind != VALUE) {
        PyObject *base = PyArray_BASE((PyArrayObject *)a);
        if (at->kind == OWN ? base != NULL && !PyArray_CheckExact(base)
                            : PyArray_TYPE((PyArrayObject *)a) == NPY_OBJECT) {
            a = NULL;
        }
    }
    if (a == NULL) {
        return Py_TYPE(at->python)->tp_descr_get(at->python, x, (PyObject *)array_type);
    }
    PyObject *r = at->kind == TURNED ? transposed((PyArrayObject *)a) : at->numpys->get(a, at->numpys->closure);
    return at->kind == VIEW || at->kind == TURNED ? finish_view(r, x) : r;
}

static int set_attribute(PyObject *x, PyObject *value, void *closure)
{
    Attribute *at = closure;
    return Py_TYPE(at->python)->tp_descr_set(at->python, x, value);
}

static int take_attributes(PyObject *arrays)
{
    for (size_t k = 0; k < sizeof(attributes) / sizeof(*attributes); k++) {
        Attribute *at = &attributes[k];
        PyObject *numpys = PyDict_GetItemString(PyArray_Type.tp_dict, at->name);  /* borrowed */
        if (numpys == NULL || Py_TYPE(numpys) != &PyGetSetDescr_Type) {
            continue;
        }
        at->numpys = ((PyGetSetDescrObject *)numpys)->d_getset;
        at->python = PyObject_GetAttrString(arrays, at->name);
        if (at->python == NULL) {
            return -1;
        }
        at->own = (PyGetSetDef){at->name, get_attribute, set_attribute, at->numpys->doc, at};
        PyObject *mine = PyDescr_NewGetSet((PyTypeObject *)arrays, &at->own);
        if (mine == NULL || PyObject_SetAttrString(arrays, at->name, mine) < 0) {
            Py_XDECREF(mine);
            return -1;
        }
        Py_DECREF(mine);
    }
    return 0;
}

static int make_types(void)
{
    axis_name = PyUnicode_InternFromString("axis");
    keepdims_name = PyUnicode_InternFromString("keepdims");
    one = PyLong_FromLong(1);
    like_name = PyUnicode_InternFromString("like");
    function_type = (PyTypeObject *)PyType_FromSpec(&function_spec);
    builtin_type = (PyTypeObject *)PyType_FromSpec(&builtin_spec);
    return one && axis_name && keepdims_name && like_name && function_type && builtin_type ? 0 : -1;
}

#endif
