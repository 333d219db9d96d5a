/* Recording without a Python frame: elementwise operators, basic indexing and slice assignment, for both engines.
 *
 * Every function here does what `graph/record.py` and `arrays/indexing.py` do, for the cases that are common and have
 * been seen before (`signatures`), and leaves everything else to them: a NULL without an error means that.
 *
 * The host's engine (`host`) asks for more: nodes of one shape, a listener for floating-point flags, whether recording
 * is worth it at all (`window.company`), and the lock of the window, because a thread may be recording in Python. */
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>
#include <structmember.h>
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#include "../runtime/_pool.h"
#include "../runtime/_slots.h"
#include "_gate.h"
#include "_recorded.h"

static PyTypeObject *array_type, *node_type, *leaf_type, *store_type, *remote_type, *deferred_type, *lease_type, *ear_type,
    *traffic_type;
static PyObject *pending, *memory, *leaves, *exposed, *signatures; /* of the window */
static PyObject *window;                                           /* what it keeps in slots */
static Gate *gate;                                                 /* its lock, on the host */
static Pool *nodes_pool, *leaves_pool, *stores_pool, *ears_pool;
static PyObject *loops_saw, *flush, *kinds_heard, *loops;
static PyObject *state, *filters; /* the variable of NumPy's error state; the dictionary of the module warnings */
static PyObject *out_name; /* ("out",) */
static PyObject *s_filters, *s_show;
static PyObject *square, *company, *period, *crowd, *taking, *copying, *choosing;
static PyObject *s_name, *s_empty;
static npy_intp limit, window_limit, kept_from; /* bytes from which a node keeps the line that recorded it */
static PyObject *house, *cut_window;
static int eager, host;

static Py_ssize_t array_a, array_b, deferred_x, remote_home, remote_line;
static Py_ssize_t loops_busy, loops_due, loops_marks, loops_period, loops_covered, loops_cutting, loops_places, loops_start, loops_quiet;
static Py_ssize_t window_lingering, window_running, window_sequence;
static Py_ssize_t leaf_met, leaf_offset, leaf_a, leaf_origin, leaf_owner;
static Py_ssize_t ear_code, ear_kinds, ear_at, ear_namespace, row_cost, row_kernel, row_aliases, company_alone, company_passed, period_cut, crowd_entered,
    crowd_checked;
static Py_ssize_t store_destination, store_fresh, store_seq, store_source, traffic_stores, traffic_owner;
enum { N_ARGS, N_DTYPE, N_ERRORS, N_HANDLE, N_HAZARD, N_ITEMSIZE, N_LINE, N_NBYTES, N_NDIM, N_NEEDED, N_PLACE, N_ROW,
       N_SEQ, N_SHAPE, N_SIZE, N_STRIDES, N_COUNT };
static const char *const node_names[N_COUNT] = {"args", "dtype", "errors", "handle", "hazard", "itemsize", "line",
                                                "nbytes", "ndim", "needed", "place", "row", "seq", "shape", "size",
                                                "strides"};
static Py_ssize_t node_at[N_COUNT];
#define NODE(x, k) FIELD(x, node_at[k])

static inline void set(PyObject *x, Py_ssize_t at, PyObject *v) /* takes the reference */
{
    PyObject *old = FIELD(x, at);
    FIELD(x, at) = v;
    Py_XDECREF(old);
}

/* As in graph/record.py, graph/window.py and runtime/memory.py. */
#define MIDDLING (1 << 21)
#define ASK_FROM (1 << 30)
#define ALONE 6
#define PROBE 512
#define TURNS 7
#define STEP (1 << 16)
#define WEIGHT 5

/* An object of one of the window's classes. The collector need not look at the host's: they die with the window. */
static inline PyObject *make(Pool *pool)
{
    return pooled(pool, !host);
}

#include "_window.h"
#include "_hearing.h"
#include "_nodes.h"
#include "_stores.h"
#include "_reduced.h"
#include "_calls.h"

/* -- methods: a fast way, and the Python method for everything else ------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *row, *fallback, *numpys; /* NumPy's operation, or None */
    int how; /* 0: operator; 1: reflected operator; 2: getitem; 3: setitem; 4: in place */
} Method;

static Sooner *sooner; /* NULL where there is none */

/* NumPy's operation on the inner arrays, where nothing is recorded on their memory. A large result is on warm memory:
 * what NumPy's own chains of operations spare by writing into their temporaries, ours must not pay in fresh pages. */
static PyObject *at_once(Method *m, PyObject *const *args, Py_ssize_t n, PyObject *known)
{
    PyObject *inner[3] = {NULL, NULL, NULL}, *r = NULL, *x;
    Py_ssize_t k, count = m->row == Py_None ? 1 : n; /* a power is a square */
    for (k = 0; k < n; k++) { /* NumPy lets other threads run meanwhile */
        inner[k] = Py_NewRef(Py_TYPE(args[k]) == array_type ? FIELD(args[k], array_a) : args[k]);
    }
    PyObject *kernel = FIELD(m->row == Py_None ? square : m->row, row_kernel);
    if (sooner != NULL) {
        r = sooner(kernel, inner[0], count > 1 ? inner[1] : NULL, m->how == 4 ? inner[0] : NULL);
    }
    if (r == NULL && !PyErr_Occurred()) {
        if (m->how == 4 || known == NULL || !warm(known)) {
            r = PyObject_Vectorcall(m->numpys, inner, n, NULL);
        }
        else {
            PyObject *out = new_result(known);
            if (out != NULL) {
                Py_XSETREF(inner[count], out);
                r = PyObject_Vectorcall(kernel, inner, count, out_name);
            }
        }
    }
    for (k = 0; k < 3; k++) {
        Py_XDECREF(inner[k]);
    }
    if (r == NULL || m->how == 4) {
        Py_XDECREF(r);
        return r == NULL ? NULL : Py_NewRef(args[0]);
    }
    if (!PyArray_CheckExact(r)) {
        return r;
    }
    x = array_type->tp_alloc(array_type, 0);
    if (x == NULL) {
        Py_DECREF(r);
        return NULL;
    }
    set(x, array_a, r);
    set(x, array_b, Py_NewRef(Py_None));
    return x;
}

static PyObject *method_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Method *m = (Method *)self;
    Py_ssize_t n = PyVectorcall_NARGS(nargsf);
    if (names == NULL && n == 2 && m->how <= 1 && m->row != Py_None && Py_TYPE(args[0]) == deferred_type) {
        Verdict verdict = {0, NULL};
        PyObject *both[2] = {args[m->how], args[1 - m->how]};
        PyObject *found = elementwise(m->row, both, 2, 1, &verdict);
        if (found != NULL || PyErr_Occurred()) {
            return told(found);
        }
    }
    if (names == NULL && n >= 1 && Py_TYPE(args[0]) == array_type) {
        PyObject *found = NULL;
        Verdict verdict = {0, NULL};
        if (m->how == 0 && n == 2) {
            PyObject *row = m->row;
            int count = 2;
            if (square != NULL && m->fallback != NULL && row == Py_None) { /* a power: only of two */
                count = PyLong_CheckExact(args[1]) && PyLong_AsLong(args[1]) == 2 ? 1 : 0;
                PyErr_Clear();
                row = square;
            }
            found = count ? elementwise(row, args, count, 0, &verdict) : NULL;
        }
        else if (m->how == 0 && n == 1) {
            found = elementwise(m->row, args, 1, 0, &verdict);
        }
        else if (m->how == 1 && n == 2) {
            PyObject *turned[2] = {args[1], args[0]};
            found = elementwise(m->row, turned, 2, 0, &verdict);
            if (found == NULL && verdict.at_once && m->numpys != Py_None && !PyErr_Occurred()) {
                return at_once(m, turned, 2, verdict.known);
            }
        }
        else if (m->how == 2 && n == 2) {
            found = getitem(args[0], args[1]);
        }
        else if (m->how == 4 && n == 2) {
            int done = into(m->row, args, 2, args[0], &verdict);
            if (done < 0) {
                return NULL;
            }
            found = done ? Py_NewRef(args[0]) : NULL;
        }
        else if (m->how == 3 && n == 3) {
            int done = setitem(args[0], args[1], args[2]);
            if (done > 0) {
                Py_RETURN_NONE;
            }
            if (done < 0) {
                return NULL;
            }
        }
        if (found != NULL || PyErr_Occurred()) {
            return found;
        }
        if (verdict.at_once && m->numpys != Py_None) {
            return at_once(m, args, n, verdict.known);
        }
    }
    return PyObject_Vectorcall(m->fallback, args, nargsf, names);
}

static PyObject *method_get(PyObject *self, PyObject *x, PyObject *type)
{
    return x == NULL || x == Py_None ? Py_NewRef(self) : PyMethod_New(self, x);
}

static PyObject *method_attribute(PyObject *self, PyObject *name)
{
    PyObject *found = PyObject_GenericGetAttr(self, name);
    if (found == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        found = PyObject_GetAttr(((Method *)self)->fallback, name);
    }
    return found;
}

static void method_end(PyObject *self)
{
    Py_XDECREF(((Method *)self)->row);
    Py_XDECREF(((Method *)self)->fallback);
    Py_XDECREF(((Method *)self)->numpys);
    Py_TYPE(self)->tp_free(self);
}

static PyTypeObject method_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "cunumeric.arrays._recording.Method",
    .tp_basicsize = sizeof(Method),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_vectorcall_offset = offsetof(Method, call),
    .tp_call = PyVectorcall_Call,
    .tp_descr_get = method_get,
    .tp_getattro = method_attribute,
    .tp_dealloc = method_end,
};

/* method(row, fallback, how, NumPy's operation on its own arrays, or None) */
static PyObject *make_method(PyObject *self, PyObject *args)
{
    PyObject *row, *fallback, *numpys;
    int how;
    if (!PyArg_ParseTuple(args, "OOiO", &row, &fallback, &how, &numpys)) {
        return NULL;
    }
    Method *m = PyObject_New(Method, &method_type);
    if (m != NULL) {
        m->call = method_call;
        m->row = Py_NewRef(row);
        m->fallback = Py_NewRef(fallback);
        m->numpys = Py_NewRef(numpys);
        m->how = how;
    }
    return (PyObject *)m;
}

/* elementwise(row, args): recorded, or None where it is the Python version's. */
static PyObject *call_elementwise(PyObject *self, PyObject *args)
{
    PyObject *row, *given;
    if (!PyArg_ParseTuple(args, "OO!", &row, &PyTuple_Type, &given)) {
        return NULL;
    }
    Verdict verdict = {0, NULL};
    PyObject *r = elementwise(row, ((PyTupleObject *)given)->ob_item, (int)PyTuple_GET_SIZE(given), 1, &verdict);
    if (r == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return r;
}

/* call(function, args, kwargs): NumPy's function recorded (`_calls.h`), or None where it is the Python version's. */
static PyObject *call_call(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    PyObject *r = n == 3 ? told(called(args[0], args[1], args[2])) : NULL;
    if (r == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return r;
}

/* key(function, args, kwargs): what the call stands under in `signatures`, and what its arrays hold; or None. */
static PyObject *call_key(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    Call c = {.filled = 0};
    PyObject *key = n == 3 ? key_of_call(&c, args[0], args[1], args[2]) : NULL;
    if (key == NULL) {
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    PyObject *held = PyTuple_New(c.arrays);
    for (int k = 0; held != NULL && k < c.arrays; k++) {
        PyTuple_SET_ITEM(held, k, Py_NewRef(c.inner[k]));
    }
    return held == NULL ? (Py_DECREF(key), NULL) : Py_BuildValue("NN", key, held);
}

static PyObject *set_limit(PyObject *self, PyObject *v)
{
    limit = PyLong_AsSsize_t(v);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *set_window(PyObject *self, PyObject *v)
{
    window_limit = PyLong_AsSsize_t(v);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *set_host(PyObject *self, PyObject *v)
{
    host = PyObject_IsTrue(v);
    Py_RETURN_NONE;
}

static PyObject *set_eager(PyObject *self, PyObject *v)
{
    eager = PyObject_IsTrue(v);
    Py_RETURN_NONE;
}

/* start(parts): a dictionary of what is used here, by name. */
static PyObject *start(PyObject *self, PyObject *parts)
{
#define TAKE(variable, name)                                             \
    if ((variable = (void *)PyDict_GetItemString(parts, name)) == NULL) { \
        PyErr_SetString(PyExc_KeyError, name);                           \
        return NULL;                                                     \
    }                                                                    \
    Py_INCREF((PyObject *)variable);
#define PLACE(variable, type, name)                                         \
    if ((variable = offset_of((PyObject *)type, name)) < 0) {               \
        return NULL;                                                        \
    }
    PyObject *row_type;
    TAKE(array_type, "ndarray") TAKE(node_type, "Node") TAKE(leaf_type, "Leaf") TAKE(store_type, "Store")
    TAKE(remote_type, "Remote") TAKE(deferred_type, "Deferred") TAKE(traffic_type, "Traffic")
    TAKE(pending, "pending") TAKE(memory, "memory") TAKE(leaves, "leaves") TAKE(exposed, "exposed")
    TAKE(signatures, "signatures") TAKE(window, "window") TAKE(loops, "loops") TAKE(loops_saw, "saw")
    TAKE(flush, "flush") TAKE(cut_window, "cut") TAKE(house, "house") TAKE(kinds_heard, "kinds_heard")
    TAKE(state, "state") TAKE(filters, "filters")
    TAKE(square, "square") TAKE(row_type, "Row") TAKE(company, "company") TAKE(period, "period")
    TAKE(taking, "taking") TAKE(crowd, "crowd") TAKE(copying, "copying") TAKE(choosing, "choosing")
    TAKE(lease_type, "Lease") TAKE(ear_type, "Ear")
    kept_from = PyLong_AsSsize_t(PyDict_GetItemString(parts, "kept_from"));
    PyObject *lock = PyDict_GetItemString(parts, "gate");
    gate = lock == NULL || Py_TYPE(lock) != &gate_type ? NULL : (Gate *)Py_NewRef(lock);
    if ((nodes_pool = make_pool(node_type)) == NULL || (leaves_pool = make_pool(leaf_type)) == NULL ||
        (stores_pool = make_pool(store_type)) == NULL || (ears_pool = make_pool(ear_type)) == NULL) {
        return NULL;
    }
    PyObject *reduction;
    TAKE(reduction, "Reduction") TAKE(reduction_counters, "counters") TAKE(least_bytes, "least")
    TAKE(window_names, "names")
    if (reduced_of(parts, reduction) < 0) {
        return NULL;
    }
    PLACE(window_lingering, Py_TYPE(window), "lingering") PLACE(window_running, Py_TYPE(window), "running")
    PLACE(window_sequence, Py_TYPE(window), "sequence") PLACE(leaf_met, leaf_type, "met")
    PLACE(array_a, array_type, "_a") PLACE(array_b, array_type, "_b") PLACE(deferred_x, deferred_type, "_x")
    PLACE(ear_code, ear_type, "code") PLACE(ear_kinds, ear_type, "kinds") PLACE(ear_at, ear_type, "at")
    PLACE(ear_namespace, ear_type, "namespace") PLACE(row_cost, row_type, "cost") PLACE(row_kernel, row_type, "kernel") PLACE(row_aliases, row_type, "aliases") PLACE(period_cut, Py_TYPE(period), "cut")
    PLACE(company_alone, Py_TYPE(company), "alone") PLACE(company_passed, Py_TYPE(company), "passed")
    PLACE(crowd_entered, Py_TYPE(crowd), "entered") PLACE(crowd_checked, Py_TYPE(crowd), "checked")
    PLACE(remote_home, remote_type, "home") PLACE(remote_line, remote_type, "line")
    PLACE(leaf_offset, leaf_type, "_offset") PLACE(leaf_a, leaf_type, "a") PLACE(leaf_origin, leaf_type, "origin")
    PLACE(leaf_owner, leaf_type, "owner")
    PLACE(store_destination, store_type, "destination") PLACE(store_fresh, store_type, "fresh")
    PLACE(store_seq, store_type, "seq") PLACE(store_source, store_type, "source")
    PLACE(traffic_stores, traffic_type, "stores") PLACE(traffic_owner, traffic_type, "owner")
    PLACE(loops_marks, Py_TYPE(loops), "marks") PLACE(loops_period, Py_TYPE(loops), "period")
    PLACE(loops_busy, Py_TYPE(loops), "busy") PLACE(loops_due, Py_TYPE(loops), "due")
    PLACE(loops_covered, Py_TYPE(loops), "covered") PLACE(loops_cutting, Py_TYPE(loops), "cutting")
    PLACE(loops_places, Py_TYPE(loops), "places") PLACE(loops_start, Py_TYPE(loops), "start")
    PLACE(loops_quiet, Py_TYPE(loops), "quiet")
    for (int k = 0; k < N_COUNT; k++) {
        PLACE(node_at[k], node_type, node_names[k])
    }
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"start", start, METH_O, NULL},
    {"method", make_method, METH_VARARGS, NULL},
    {"elementwise", call_elementwise, METH_VARARGS, NULL},
    {"call", (PyCFunction)(void (*)(void))call_call, METH_FASTCALL, NULL},
    {"key", (PyCFunction)(void (*)(void))call_key, METH_FASTCALL, NULL},
    {"set_limit", set_limit, METH_O, NULL},
    {"set_window", set_window, METH_O, NULL},
    {"set_eager", set_eager, METH_O, NULL},
    {"set_host", set_host, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_recording", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__recording(void)
{
    import_array();
    if (PyType_Ready(&method_type) < 0 || PyType_Ready(&gate_type) < 0) {
        return NULL;
    }
    out_name = Py_BuildValue("(N)", PyUnicode_InternFromString("out"));
    s_filters = PyUnicode_InternFromString("filters");
    s_show = PyUnicode_InternFromString("_showwarnmsg_impl");
    s_empty = PyUnicode_InternFromString("empty");
    s_name = PyUnicode_InternFromString("__name__");
    PyObject *m = PyModule_Create(&definition);
    static void *ways[] = {(void *)elementwise, (void *)into, (void *)warm, (void *)new_result, (void *)&copying,
                           (void *)lone,      (void *)&sooner, (void *)reduced, (void *)&choosing};
    PyObject *way = PyCapsule_New(ways, "cunumeric.recorded", NULL);
    if (m != NULL && (way == NULL || PyModule_AddObjectRef(m, "Gate", (PyObject *)&gate_type) < 0 ||
                      PyModule_AddObjectRef(m, "recorded", way) < 0)) {
        Py_CLEAR(m);
    }
    return m;
}
