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

static Py_ssize_t array_a, array_b, deferred_x, remote_home;
static Py_ssize_t loops_busy, loops_due, loops_marks, loops_period, loops_covered, loops_cutting, loops_places, loops_start;
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
#define WEIGHT 4

/* An object of one of the window's classes. The collector need not look at the host's: they die with the window. */
static inline PyObject *make(Pool *pool)
{
    return pooled(pool, !host);
}

static int lock(void);
static void unlock(void);
static int drop(void);

/* Whether something may be recorded now. What a reduction has read, and nobody needed, is forgotten before. */
static int open_gate(void)
{
    if (eager || FIELD(window, window_running) != Py_False) {
        return 0;
    }
    if (FIELD(window, window_lingering) != Py_None) {
        if (!lock()) {
            return 0;
        }
        int done = drop() == 0;
        unlock();
        PyErr_Clear();
        return done;
    }
    return 1;
}

/* The array at the end of the chain of bases, if its memory is ours (a remote's, with an accelerator) and nobody outside
 * can reach it; else NULL. */
static PyArrayObject *owner_of(PyObject *a)
{
    PyArrayObject *owner = (PyArrayObject *)a;
    PyObject *b = PyArray_BASE(owner);
    while (b != NULL && PyArray_CheckExact(b)) {
        owner = (PyArrayObject *)b;
        b = PyArray_BASE(owner);
    }
    if (host ? b != NULL && Py_TYPE(b) != lease_type : b == NULL || Py_TYPE(b) != remote_type) {
        return NULL;
    }
    if (PyDict_GET_SIZE(exposed)) {
        PyObject *key = PyLong_FromVoidPtr(owner);
        int found = key == NULL ? -1 : PyDict_Contains(exposed, key);
        Py_XDECREF(key);
        if (found) {
            PyErr_Clear();
            return NULL;
        }
    }
    return owner;
}

static int descending(PyArrayObject *a)
{
    npy_intp last = NPY_MAX_INTP;
    for (int k = 0; k < PyArray_NDIM(a); k++) {
        if (PyArray_DIM(a, k) == 1) {
            continue;
        }
        npy_intp s = PyArray_STRIDE(a, k);
        if (s <= 0 || s > last) {
            return 0;
        }
        last = s;
    }
    return 1;
}

/* Whether no two elements share memory, told by the strides in any order and direction. */
static int distinct(PyArrayObject *a)
{
    int n = PyArray_NDIM(a);
    npy_intp span = PyArray_ITEMSIZE(a);
    unsigned long long done = 0;
    for (int turn = 0; turn < n; turn++) {
        int best = -1;
        npy_intp least = 0;
        for (int k = 0; k < n; k++) {
            npy_intp s = PyArray_STRIDE(a, k) < 0 ? -PyArray_STRIDE(a, k) : PyArray_STRIDE(a, k);
            if (!(done >> k & 1) && (best < 0 || s < least)) {
                best = k;
                least = s;
            }
        }
        done |= 1ULL << best;
        if (PyArray_DIM(a, best) > 1) {
            if (least < span) {
                return 0;
            }
            span = least * (PyArray_DIM(a, best) - 1) + span;
        }
    }
    return 1;
}

static PyObject *dims(PyArrayObject *a)
{
    int n = PyArray_NDIM(a);
    PyObject *found = PyTuple_New(n);
    for (int k = 0; found != NULL && k < n; k++) {
        PyTuple_SET_ITEM(found, k, PyLong_FromSsize_t(PyArray_DIM(a, k)));
    }
    return found;
}

/* The recorded traffic on `owner`'s memory, made where there is none, borrowed; NULL with an error. */
static PyObject *met(PyArrayObject *owner)
{
    PyObject *id = PyLong_FromVoidPtr(owner), *traffic = id == NULL ? NULL : PyDict_GetItemWithError(memory, id);
    if (traffic == NULL && id != NULL && !PyErr_Occurred()) {
        traffic = traffic_type->tp_alloc(traffic_type, 0);
        PyObject *stores = traffic == NULL ? NULL : PyList_New(0);
        if (stores != NULL) {
            if (host) {
                PyObject_GC_UnTrack(traffic);
            }
            set(traffic, traffic_owner, Py_NewRef((PyObject *)owner));
            set(traffic, traffic_stores, stores);
            set(crowd, crowd_entered, PyLong_FromSsize_t(PyLong_AsSsize_t(FIELD(crowd, crowd_entered)) +
                                                         PyArray_NBYTES(owner)));
        }
        int failed = stores == NULL || PyDict_SetItem(memory, id, traffic) < 0;
        Py_XDECREF(traffic); /* the window has it */
        traffic = failed ? NULL : traffic;
    }
    Py_XDECREF(id);
    return traffic;
}

/* The window's leaf for `a`, whose memory is that of `owner`; the owner counts as touched. A new reference. */
static PyObject *leaf_of(PyObject *a, PyArrayObject *owner)
{
    PyObject *key = PyLong_FromVoidPtr(a), *leaf = key == NULL ? NULL : PyDict_GetItemWithError(leaves, key);
    if (leaf != NULL && FIELD(leaf, leaf_met) == Py_True) {
        Py_DECREF(key);
        return Py_NewRef(leaf);
    }
    if (leaf != NULL) {
        Py_INCREF(leaf);
    }
    else if (key != NULL && !PyErr_Occurred() && (leaf = make(leaves_pool)) != NULL) {
        set(leaf, leaf_offset, PyLong_FromSsize_t(PyArray_BYTES((PyArrayObject *)a) - PyArray_BYTES(owner)));
        set(leaf, leaf_a, Py_NewRef(a));
        set(leaf, leaf_origin, Py_NewRef(Py_None));
        set(leaf, leaf_owner, Py_NewRef((PyObject *)owner));
        if (PyDict_SetItem(leaves, key, leaf) < 0) {
            Py_CLEAR(leaf);
        }
    }
    Py_XDECREF(key);
    if (leaf != NULL && met(owner) == NULL) {
        Py_CLEAR(leaf);
    }
    if (leaf != NULL) {
        set(leaf, leaf_met, Py_NewRef(Py_True));
    }
    return leaf;
}

/* The recorded traffic of `owner`'s memory, borrowed; NULL: none. */
static PyObject *traffic_on(PyArrayObject *owner)
{
    if (!PyDict_GET_SIZE(memory)) {
        return NULL;
    }
    PyObject *id = PyLong_FromVoidPtr(owner), *found = id == NULL ? NULL : PyDict_GetItemWithError(memory, id);
    Py_XDECREF(id);
    PyErr_Clear();
    return found;
}

static int written(PyArrayObject *owner)
{
    PyObject *traffic = traffic_on(owner);
    return traffic != NULL && PyList_GET_SIZE(FIELD(traffic, traffic_stores)) > 0;
}

static PyObject *next_sequence(void)
{
    PyObject *found = PyLong_FromLongLong(PyLong_AsLongLong(FIELD(window, window_sequence)) + 1);
    if (found != NULL) {
        set(window, window_sequence, Py_NewRef(found));
    }
    return found;
}

#define GRAM 6 /* `_Loops.GRAM` */

/* The end of `loops.saw` outside a run, where `mark` has been appended: a run begins where the last marks were seen
 * before. */
static void sought(PyObject *marks, Py_ssize_t size)
{
    Py_ssize_t n = PyList_GET_SIZE(marks), last = n;
    PyObject *places = FIELD(loops, loops_places), *at = PyLong_FromSsize_t(n), *gram, *found;
    unsigned long long mixed = 0;
    int good = 0;
    for (Py_ssize_t k = n < GRAM ? 0 : n - GRAM; k < n; k++) {
        mixed = (mixed * 31 + (unsigned long long)PyLong_AsLongLong(PyList_GET_ITEM(marks, k))) % (1ULL << 62);
    }
    gram = PyLong_FromUnsignedLongLong(mixed);
    if (at != NULL && gram != NULL) {
        found = PyDict_GetItemWithError(places, gram);
        last = found == NULL ? n : PyLong_AsSsize_t(found);
        good = !PyErr_Occurred() && PyDict_SetItem(places, gram, at) == 0;
    }
    Py_XDECREF(at);
    Py_XDECREF(gram);
    if (good && n != last && n - last <= 2 * window_limit) {
        set(loops, loops_period, PyLong_FromSsize_t(n - last));
        set(loops, loops_covered, PyLong_FromSsize_t(n - last + GRAM));
    }
    else if (good && size >= 2 * window_limit) {
        set(loops, loops_cutting, Py_NewRef(Py_True));
    }
    PyErr_Clear(); /* out of memory: the run is seen later */
}

/* `loops.saw(item)` where no run ends and no window inside a run: 1; 0: ask Python. */
static int saw(PyObject *item)
{
    PyObject *mark = NULL, *marks = FIELD(loops, loops_marks), *pair;
    Py_ssize_t period = PyLong_AsSsize_t(FIELD(loops, loops_period)), n = PyList_GET_SIZE(marks), covered;
    Py_ssize_t size = n + 1 - PyLong_AsSsize_t(FIELD(loops, loops_start));
    int known = 0;
    if (period > n) {
        return 0;
    }
    covered = PyLong_AsSsize_t(FIELD(loops, loops_covered)) + 1;
    if (period && size >= PyLong_AsSsize_t(FIELD(loops, loops_due)) &&
        (covered >= size ? size % period == 0 || size >= 4 * window_limit
                         : size >= 2 * window_limit ||
                               (covered >= 3 * period &&
                                (FIELD(loops, loops_busy) == Py_True || covered % period == 0)))) {
        return 0;
    }
    if (Py_TYPE(item) == node_type) {
        pair = PyTuple_Pack(2, NODE(item, N_ROW), NODE(item, N_SHAPE));
    }
    else {
        PyObject *leaf = FIELD(item, store_destination), *shape = dims((PyArrayObject *)FIELD(leaf, leaf_a));
        pair = shape == NULL ? NULL : PyTuple_Pack(2, shape, FIELD(leaf, leaf_offset));
        Py_XDECREF(shape);
    }
    Py_hash_t hash = pair == NULL ? -1 : PyObject_Hash(pair);
    Py_XDECREF(pair);
    if (!period) {
        known = hash != -1 && (mark = PyLong_FromSsize_t(hash)) != NULL && PyList_Append(marks, mark) == 0;
        if (known) {
            sought(marks, size);
        }
    }
    else if (hash != -1 && PyLong_AsSsize_t(PyList_GET_ITEM(marks, n - period)) == hash &&
        (mark = PyLong_FromSsize_t(hash)) != NULL && PyList_Append(marks, mark) == 0) {
        set(loops, loops_covered, PyLong_FromSsize_t(covered));
        known = 1;
    }
    Py_XDECREF(mark);
    return known;
}

/* Enter `item` into the window. */
static int enter(PyObject *item)
{
    if (PyList_Append(pending, item) < 0) {
        return -1;
    }
    PyObject *r;
    if (host) {
        return 0; /* see `may_end` */
    }
    if (!saw(item)) {
        r = PyObject_CallOneArg(loops_saw, item);
        if (r == NULL) {
            return -1;
        }
        Py_DECREF(r);
    }
    return 0;
}

/* Whether `mark` is that of a recording (`window._mark`). */
static int marked(PyObject *item, PyObject *mark)
{
    PyObject *first = PyTuple_GET_ITEM(mark, 0), *second = PyTuple_GET_ITEM(mark, 1);
    if (Py_TYPE(item) == node_type) {
        return first == NODE(item, N_ROW) && PyObject_RichCompareBool(second, NODE(item, N_SHAPE), Py_EQ) == 1;
    }
    PyObject *leaf = FIELD(item, store_destination), *shape = dims((PyArrayObject *)FIELD(leaf, leaf_a));
    PyObject *offset = PyLong_FromSsize_t(PyArray_BYTES((PyArrayObject *)FIELD(leaf, leaf_a)) -
                                          PyArray_BYTES((PyArrayObject *)FIELD(leaf, leaf_owner)));
    int same = shape != NULL && offset != NULL && PyObject_RichCompareBool(first, shape, Py_EQ) == 1 &&
               PyObject_RichCompareBool(second, offset, Py_EQ) == 1;
    Py_XDECREF(shape);
    Py_XDECREF(offset);
    PyErr_Clear();
    return same;
}

/* Take the lock of the window: 1; 0: another thread has it. With an accelerator the interpreter's own lock does. */
static int lock(void)
{
    return gate == NULL || take(gate, 0) > 0;
}

static void unlock(void)
{
    if (gate != NULL) {
        give(gate);
    }
}

/* Whether `window.cut` is to be asked, before something is recorded. */
static int may_end(void)
{
    Py_ssize_t size = PyList_GET_SIZE(pending), n;
    if (!host) {
        return FIELD(loops, loops_cutting) == Py_True;
    }
    if (size && PyLong_AsSsize_t(FIELD(crowd, crowd_entered)) >= PyLong_AsSsize_t(FIELD(crowd, crowd_checked))) {
        return 1;
    }
    PyObject *cut = FIELD(period, period_cut);
    n = PyTuple_GET_SIZE(cut);
    if (size < (n ? window_limit : window_limit / 2)) {
        return 0;
    }
    for (Py_ssize_t k = 1; size < 2 * window_limit && k <= n && k <= size; k++) {
        if (!marked(PyList_GET_ITEM(pending, size - k), PyTuple_GET_ITEM(cut, n - k))) {
            return 0; /* not where windows end */
        }
    }
    return 1;
}

/* Run the window if it has come to its end (`window.cut`); -1: an error. */
static int cut(void)
{
    if (may_end() && open_gate()) {
        PyObject *r = PyObject_CallNoArgs(cut_window);
        if (r == NULL) {
            return -1;
        }
        Py_DECREF(r);
    }
    return 0;
}

static int is_word(PyObject *v)
{
    PyTypeObject *t = Py_TYPE(v);
    return t == &PyFloat_Type || t == &PyLong_Type || t == &PyDoubleArrType_Type;
}

/* Whether operations that can raise a floating-point flag may be recorded now (`warning.kinds_heard`). The answer is
 * remembered for as long as the error state, the filters of warnings and what shows them are the same objects. */
static PyObject *may_flag(void)
{
    static PyObject *known[4], *kinds;
    static Py_ssize_t known_size = -1;
    PyObject *now[4] = {NULL, PyDict_GetItem(filters, s_filters), NULL, PyDict_GetItem(filters, s_show)};
    if (now[1] == NULL || !PyList_Check(now[1]) || PyContextVar_Get(state, Py_None, &now[0]) < 0) {
        PyErr_Clear();
        return NULL;
    }
    Py_DECREF(now[0]); /* the variable holds it */
    Py_ssize_t size = PyList_GET_SIZE(now[1]);
    now[2] = size ? PyList_GET_ITEM(now[1], 0) : NULL;
    if (size == known_size && memcmp(now, known, sizeof now) == 0) {
        return kinds;
    }
    known_size = -1;
    Py_XSETREF(kinds, PyObject_CallNoArgs(kinds_heard));
    if (kinds == NULL || kinds == Py_None) {
        PyErr_Clear();
        return NULL;
    }
    else {
        known_size = size;
        for (int k = 0; k < 4; k++) {
            Py_XINCREF(now[k]);
            Py_XSETREF(known[k], now[k]);
        }
    }
    return kinds;
}

/* `lines.here()`: the code and the position of the innermost frame that is not this package's; None without one. Pairs
 * are made once for as long as loops come round. */
#define LINES 256
static PyObject *here(void)
{
    static PyObject *lines[LINES];
    PyFrameObject *frame = PyEval_GetFrame();
    PyObject *found = NULL;
    Py_XINCREF((PyObject *)frame);
    while (frame != NULL && found == NULL) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        PyFrameObject *back = NULL;
        long at = PyFrame_GetLasti(frame);
        PyObject **line = &lines[(((size_t)code >> 4) + (size_t)at / 2) % LINES];
        if (*line != NULL && PyTuple_GET_ITEM(*line, 0) == (PyObject *)code &&
            PyLong_AsLong(PyTuple_GET_ITEM(*line, 1)) == at) {
            found = Py_NewRef(*line);
        }
        else if (PyUnicode_Tailmatch(code->co_filename, house, 0, PY_SSIZE_T_MAX, -1) != 1) {
            found = Py_BuildValue("Ol", code, at);
            Py_XSETREF(*line, Py_XNewRef(found));
        }
        else {
            back = PyFrame_GetBack(frame);
        }
        Py_DECREF(code);
        Py_DECREF(frame);
        frame = back;
    }
    Py_XDECREF((PyObject *)frame);
    PyErr_Clear();
    return found == NULL ? Py_NewRef(Py_None) : found;
}

/* Whether a frame runs a line of this package. Whose a file is, is asked of the module's name once: a file's name is one
 * object in all of its code. */
static int in_house(PyFrameObject *frame)
{
    static PyObject *theirs[8];
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject **known = theirs + ((size_t)code->co_filename >> 4) % 8;
    int found = 0;
    if (*known != code->co_filename) {
        PyObject *globals = PyFrame_GetGlobals(frame), *name = PyDict_GetItem(globals, s_name);
        const char *text = name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
        found = text != NULL && strncmp(text, "cunumeric.", 10) == 0;
        if (!found) {
            Py_XSETREF(*known, Py_NewRef(code->co_filename));
        }
        Py_DECREF(globals);
    }
    Py_DECREF(code);
    return found;
}

/* Who hears of the flags of an operation: the user's line that records it (`warning.Ear`). */
static PyObject *ear_of(PyObject *kinds)
{
    PyFrameObject *frame = PyEval_GetFrame();
    Py_XINCREF(frame);
    while (frame != NULL && in_house(frame)) {
        PyFrameObject *back = PyFrame_GetBack(frame);
        if (back == NULL) {
            break;
        }
        Py_SETREF(frame, back);
    }
    PyObject *ear = frame == NULL ? NULL : make(ears_pool);
    if (ear != NULL) {
        set(ear, ear_kinds, Py_NewRef(kinds));
        set(ear, ear_code, (PyObject *)PyFrame_GetCode(frame));
        set(ear, ear_at, PyLong_FromLong(PyFrame_GetLasti(frame)));
        set(ear, ear_namespace, PyFrame_GetGlobals(frame));
    }
    Py_XDECREF(frame);
    return ear;
}

/* Elements from which arrays of this type are worth recording. Doubles are from the least number; of narrower ones NumPy
 * does several in the time of one (a byte's relaxation on 100^2, recorded, had half of NumPy's speed), and complex ones
 * are not compiled. */
static npy_intp least_of(int type)
{
    return !host || type == NPY_DOUBLE ? limit : OTHERS * limit;
}

static int has_been_alone(void)
{
    return PyLong_AsLong(FIELD(company, company_alone)) >= ALONE;
}

/* `window.company.expected`; `wait`: the one that is to show whether chains have come is not told, but left. */
static int expected(npy_intp size, int wait)
{
    if (!has_been_alone()) {
        return 1;
    }
    npy_intp weight = 1 + WEIGHT * (size / STEP);
    npy_intp passed = PyLong_AsSsize_t(FIELD(company, company_passed)) + weight;
    if (passed < PROBE || !wait) {
        npy_intp again = -(PyLong_AsLong(FIELD(company, company_alone)) % TURNS) * weight;
        set(company, company_passed, PyLong_FromSsize_t(passed < PROBE ? passed : again));
    }
    return passed >= PROBE;
}

/* Whether a cheap function on so many elements is NumPy's at once: nothing waits, and nothing has kept the last windows
 * company. The one that is to show whether chains have come is left to Python. */
static int lone(npy_intp size)
{
    return host && limit && size < MIDDLING && !PyList_GET_SIZE(pending) && !expected(size, 1);
}

/* Whether dtypes that are equal are the same: `long` and `longlong` are not. */
static int usual(PyArray_Descr *d)
{
    return d->type_num != NPY_LONGLONG && d->type_num != NPY_ULONGLONG && d->byteorder != '>' &&
           PyDataType_METADATA(d) == NULL;
}

/* What was asked for last of `signatures`, where the operands have the shape of the result: without a key to make. */
#define RECENT 128
static struct {
    PyObject *row, *kinds[3], *known; /* of each operand the dtype, or the type of a scalar */
} recent[RECENT];

/* Whether the array or node `a` has this shape. */
static int has_shape(PyObject *a, PyObject *shape)
{
    if (Py_TYPE(a) == node_type) {
        return NODE(a, N_SHAPE) == shape || PyObject_RichCompareBool(NODE(a, N_SHAPE), shape, Py_EQ) == 1;
    }
    PyArrayObject *v = (PyArrayObject *)a;
    int n = PyArray_NDIM(v), same = PyTuple_GET_SIZE(shape) == n;
    for (int k = 0; same && k < n; k++) {
        same = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, k)) == PyArray_DIM(v, k);
    }
    return same;
}

/* The entry of `signatures` for operands that are arrays, nodes and scalars, of these kinds: borrowed; NULL: none. */
static PyObject *known_of(PyObject *row, int n, PyObject *const *inner, PyObject *const *kinds)
{
    size_t at = (size_t)row >> 4;
    int shaped = -1;
    for (int k = 0; k < n; k++) {
        at = at * 31 + ((size_t)kinds[k] >> 4);
        if (shaped < 0 && !is_word(inner[k])) {
            shaped = k;
        }
    }
    if (shaped < 0) {
        return NULL;
    }
    if (Py_TYPE(inner[shaped]) == node_type) {
        PyObject *shape = NODE(inner[shaped], N_SHAPE);
        Py_ssize_t dims = PyTuple_GET_SIZE(shape);
        at = at * 31 + (dims ? PyLong_AsSize_t(PyTuple_GET_ITEM(shape, dims - 1)) : 0);
    }
    else {
        PyArrayObject *v = (PyArrayObject *)inner[shaped];
        at = at * 31 + (PyArray_NDIM(v) ? PyArray_DIM(v, PyArray_NDIM(v) - 1) : 0);
    }
    at = (at ^ at >> 7) % RECENT;
    int met = recent[at].row == row, alike;
    for (int k = 0; met && k < 3; k++) { /* no more operands, either */
        met = recent[at].kinds[k] == (k < n ? kinds[k] : NULL);
    }
    for (int k = 0; met && k < n; k++) {
        met = is_word(inner[k]) || has_shape(inner[k], PyTuple_GET_ITEM(recent[at].known, 0));
    }
    if (met) {
        return recent[at].known;
    }
    PyObject *key = PyTuple_New(1 + 2 * n), *known;
    if (key == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(key, 0, Py_NewRef(row));
    for (int k = 0; k < n; k++) {
        PyObject *shape = is_word(inner[k])                   ? Py_NewRef(Py_None)
                          : Py_TYPE(inner[k]) == node_type ? Py_NewRef(NODE(inner[k], N_SHAPE))
                                                           : dims((PyArrayObject *)inner[k]);
        if (shape == NULL) {
            Py_DECREF(key);
            return NULL;
        }
        PyTuple_SET_ITEM(key, 1 + 2 * k, shape);
        PyTuple_SET_ITEM(key, 2 + 2 * k, Py_NewRef(kinds[k]));
    }
    known = PyDict_GetItemWithError(signatures, key);
    Py_DECREF(key);
    alike = known != NULL;
    for (int k = 0; alike && k < n; k++) {
        alike = is_word(inner[k]) || has_shape(inner[k], PyTuple_GET_ITEM(known, 0));
    }
    if (alike) {
        Py_XSETREF(recent[at].row, Py_NewRef(row));
        Py_XSETREF(recent[at].known, Py_NewRef(known));
        for (int k = 0; k < 3; k++) {
            Py_XSETREF(recent[at].kinds[k], k < n ? Py_NewRef(kinds[k]) : NULL);
        }
    }
    return known;
}

/* The scalar `v` as an array of this dtype without dimensions; NULL with an error where it does not fit. */
static PyObject *constant(PyObject *v, PyArray_Descr *d)
{
    Py_INCREF(d);
    if (d->type_num != NPY_DOUBLE || !PyFloat_Check(v) || !PyArray_ISNBO(d->byteorder)) {
        return PyArray_FromAny(v, d, 0, 0, 0, NULL);
    }
    PyObject *a = PyArray_NewFromDescr(&PyArray_Type, d, 0, NULL, NULL, NULL, 0, NULL);
    if (a != NULL) {
        *(double *)PyArray_DATA((PyArrayObject *)a) = PyFloat_AS_DOUBLE(v);
    }
    return a;
}

/* Whether something recorded has to do with the memory of one of these owners, some of which may be NULL. */
static int touched(PyArrayObject **owners, int n)
{
    int found = 0;
    for (int k = 0; k < n && !found; k++) {
        found = owners[k] != NULL && traffic_on(owners[k]) != NULL;
    }
    return found;
}

/* `row` on the arguments as a node that is not in the window yet; `scalars`: also where the result has no dimensions.
 * `verdict` is set where it is not worth recording, and NumPy may run it at once. */
static PyObject *node_of(PyObject *row, PyObject *const *args, int n, int scalars, Verdict *verdict)
{
    PyObject *given = NULL, *node = NULL, *inner[3], *types[3];
    PyArrayObject *owners[3];
    npy_intp size = -1; /* of all operands; -2: they differ */
    int worth = 0, type = NPY_DOUBLE;
    if (n > 3 || !open_gate()) {
        return NULL;
    }
    for (int k = 0; k < n; k++) {
        PyObject *v = args[k], *a;
        owners[k] = NULL;
        if (Py_TYPE(v) == deferred_type) {
            v = FIELD(v, deferred_x);
        }
        if (Py_TYPE(v) == array_type) {
            a = FIELD(v, array_a);
            if (a == NULL) {
                goto slow;
            }
            if (Py_TYPE(a) == node_type) {
                if (NODE(a, N_STRIDES) != Py_None) {
                    goto slow;
                }
                worth = 1;
                types[k] = NODE(a, N_DTYPE);
            }
            else {
                PyArrayObject *view = (PyArrayObject *)a;
                if (!PyArray_CheckExact(a) || !PyArray_NDIM(view) || !PyArray_ISALIGNED(view) || !descending(view) ||
                    (owners[k] = owner_of(a)) == NULL) {
                    goto slow;
                }
                if (host) {
                    size = size == -1 || size == PyArray_SIZE(view) ? PyArray_SIZE(view) : -2;
                }
                else {
                    worth |= PyArray_SIZE(view) >= limit || FIELD(PyArray_BASE(owners[k]), remote_home) == Py_False;
                }
                types[k] = (PyObject *)PyArray_DESCR(view);
            }
            if (host && !usual((PyArray_Descr *)types[k])) {
                goto slow;
            }
            type = ((PyArray_Descr *)types[k])->type_num == NPY_DOUBLE ? type : NPY_NOTYPE;
        }
        else if (is_word(v)) {
            a = v;
            types[k] = (PyObject *)Py_TYPE(v);
        }
        else {
            goto slow;
        }
        inner[k] = a;
    }
    /* (shape, dtype, size, dtypes of the operands, whether floating-point flags may be heard, ndim, itemsize, nbytes) */
    PyObject *known = worth || host ? known_of(row, n, inner, types) : NULL;
    if (host && !worth) {
        size = known != NULL ? PyLong_AsSsize_t(PyTuple_GET_ITEM(known, 2)) : size;
        int small = size >= 0 && size < least_of(type);
        int middling = !small && limit && known != NULL && size >= 0 &&
                       size * PyLong_AsLong(FIELD(row, row_cost)) < MIDDLING && has_been_alone();
        if ((small || middling) && !touched(owners, n) && (small || !expected(size, 0))) {
            *verdict = (Verdict){1, known};
            goto slow;
        }
    }
    if (known == NULL) {
        goto slow;
    }
    PyObject *shape = PyTuple_GET_ITEM(known, 0), *dtype = PyTuple_GET_ITEM(known, 1), *kinds = NULL;
    npy_intp nbytes = PyLong_AsSsize_t(PyTuple_GET_ITEM(known, 7));
    if (!scalars && PyTuple_GET_SIZE(shape) == 0) {
        goto slow;
    }
    if (PyTuple_GET_ITEM(known, 4) == Py_True && (kinds = may_flag()) == NULL) {
        *verdict = (Verdict){host && !worth && !touched(owners, n), known};
        goto slow;
    }
    if (host && nbytes >= ASK_FROM) {
        goto slow;
    }
    given = PyTuple_New(n);
    if (given == NULL) {
        goto slow;
    }
    for (int k = 0; k < n; k++) {
        PyObject *v;
        if (owners[k] != NULL) {
            v = leaf_of(inner[k], owners[k]);
        }
        else if (Py_TYPE(inner[k]) == node_type) {
            if (host && NODE(inner[k], N_SHAPE) != shape &&
                PyObject_RichCompareBool(NODE(inner[k], N_SHAPE), shape, Py_EQ) != 1) {
                goto slow; /* another iteration space */
            }
            v = Py_NewRef(inner[k]);
        }
        else {
            v = constant(inner[k], (PyArray_Descr *)PyTuple_GET_ITEM(PyTuple_GET_ITEM(known, 3), k));
        }
        if (v == NULL) {
            goto slow;
        }
        PyTuple_SET_ITEM(given, k, v);
    }
    node = make(nodes_pool);
    PyObject *errors = node == NULL ? NULL
                       : host && kinds != NULL && PySet_GET_SIZE(kinds) ? ear_of(kinds) : Py_NewRef(Py_None);
    if (errors == NULL) {
        goto slow;
    }
    set(node, node_at[N_ROW], Py_NewRef(row));
    if (host) {
        PyObject_GC_UnTrack(given);
    }
    set(node, node_at[N_ARGS], given);
    given = NULL;
    set(node, node_at[N_SHAPE], Py_NewRef(shape));
    set(node, node_at[N_DTYPE], Py_NewRef(dtype));
    set(node, node_at[N_SIZE], Py_NewRef(PyTuple_GET_ITEM(known, 2)));
    set(node, node_at[N_NDIM], Py_NewRef(PyTuple_GET_ITEM(known, 5)));
    set(node, node_at[N_ITEMSIZE], Py_NewRef(PyTuple_GET_ITEM(known, 6)));
    set(node, node_at[N_NBYTES], Py_NewRef(PyTuple_GET_ITEM(known, 7)));
    set(node, node_at[N_SEQ], next_sequence());
    set(node, node_at[N_ERRORS], errors);
    set(node, node_at[N_LINE], host || nbytes < kept_from ? Py_NewRef(Py_None) : here());
    set(node, node_at[N_PLACE], Py_NewRef(Py_None));
    set(node, node_at[N_STRIDES], Py_NewRef(Py_None));
    set(node, node_at[N_HANDLE], Py_NewRef(Py_None));
    set(node, node_at[N_HAZARD], PyLong_FromLong(0));
    set(node, node_at[N_NEEDED], Py_NewRef(Py_False));
    return node;
slow:
    PyErr_Clear();
    Py_XDECREF(given);
    Py_XDECREF(node);
    return NULL;
}

/* `row` on the arguments, recorded. */
static PyObject *elementwise(PyObject *row, PyObject *const *args, int n, int scalars, Verdict *verdict)
{
    if (cut() < 0 || !lock()) {
        return NULL;
    }
    PyObject *node = node_of(row, args, n, scalars, verdict), *x = node == NULL ? NULL : array_type->tp_alloc(array_type, 0);
    PyObject *handle = NULL;
    if (x != NULL) {
        set(x, array_a, Py_NewRef(node));
        set(x, array_b, Py_NewRef(Py_None));
        handle = PyWeakref_NewRef(x, NULL);
    }
    if (handle == NULL) {
        PyErr_Clear();
        Py_CLEAR(x);
    }
    else {
        set(node, node_at[N_HANDLE], handle);
        if (enter(node) < 0) {
            Py_CLEAR(x); /* with an error */
        }
    }
    Py_XDECREF(node);
    unlock();
    return x;
}

/* -- basic indexing ------------------------------------------------------------------------------------------------ */

/* 1: the key names a view; 2: an element, or a view by integers alone; 0: neither, or not known here. */
static int basic(PyObject *key)
{
    if (PyTuple_CheckExact(key)) {
        int found = 2;
        for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(key); k++) {
            PyObject *e = PyTuple_GET_ITEM(key, k);
            if (PySlice_Check(e) || e == Py_Ellipsis || e == Py_None) {
                found = 1;
            }
            else if (!PyLong_CheckExact(e)) {
                return 0;
            }
        }
        return found;
    }
    return PySlice_Check(key) || key == Py_Ellipsis ? 1 : PyLong_CheckExact(key) ? 2 : 0;
}

static int place(PyObject *x);

static PyObject *getitem(PyObject *x, PyObject *key)
{
    PyObject *a = FIELD(x, array_a);
    if (a == NULL || basic(key) != 1 || (!PyArray_CheckExact(a) && !place(x))) {
        return NULL;
    }
    a = FIELD(x, array_a);
    if (PyArray_TYPE((PyArrayObject *)a) == NPY_OBJECT) {
        return NULL;
    }
    PyObject *view = PyObject_GetItem(a, key);
    if (view == NULL || !PyArray_CheckExact(view) || PyArray_BASE((PyArrayObject *)view) == NULL) {
        PyErr_Clear();
        Py_XDECREF(view);
        return NULL;
    }
    PyObject *found = array_type->tp_alloc(array_type, 0);
    if (found == NULL) {
        Py_DECREF(view);
        return NULL;
    }
    PyObject *b = FIELD(x, array_b);
    set(found, array_a, view);
    set(found, array_b, Py_NewRef(b == NULL || b == Py_None ? x : b));
    return found;
}

/* `destination[...] = source` enters the window; takes the reference of `source`. 1; 0: not here; -1: an error. */
static int enter_store(PyObject *view, PyArrayObject *owner, PyObject *source, int fresh)
{
    PyObject *destination = leaf_of(view, owner), *store = destination ? make(stores_pool) : NULL;
    PyObject *traffic = store == NULL ? NULL : traffic_on(owner);
    int done = 0;
    if (traffic == NULL) {
        Py_XDECREF(destination);
        Py_DECREF(source);
    }
    else {
        set(store, store_fresh, Py_NewRef(fresh ? Py_True : Py_False));
        set(store, store_seq, next_sequence());
        set(store, store_source, source);
        set(store, store_destination, destination);
        done = PyList_Append(FIELD(traffic, traffic_stores), store) < 0 ? 0 : enter(store) < 0 ? -1 : 1;
    }
    Py_XDECREF(store);
    return done;
}

/* Memory of an operand of `node`, or of what that is computed from, that has died and that nothing else recorded reads:
 * a value that needs memory takes it, element for element, as NumPy's temporaries take each other's. Borrowed; NULL:
 * there is none. `depth`: how far the operand is from the value `of`. */
#define TAKEN_FROM (1 << 20)
static PyObject *left_by_operand(PyObject *of, PyObject *node, int depth)
{
    PyObject *args = NODE(node, N_ARGS);
    if (FIELD(NODE(node, N_ROW), row_aliases) != Py_True || depth > 3) {
        return NULL;
    }
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(args); k++) {
        PyObject *arg = PyTuple_GET_ITEM(args, k), *a;
        if (Py_TYPE(arg) == node_type) {
            if (Py_REFCNT(arg) <= 2 && (a = left_by_operand(of, arg, depth + 1)) != NULL) { /* the window's and this */
                return a;
            }
            continue;
        }
        if (Py_TYPE(arg) != leaf_type || Py_REFCNT(arg) > 2 || (a = FIELD(arg, leaf_a)) != FIELD(arg, leaf_owner)) {
            continue;
        }
        PyArrayObject *v = (PyArrayObject *)a;
        /* The leaf's two references and the traffic's. */
        if (Py_REFCNT(a) <= 3 && PyArray_NBYTES(v) >= (limit ? TAKEN_FROM : 0) && PyArray_ISCARRAY(v) &&
            (PyObject *)PyArray_DESCR(v) == NODE(of, N_DTYPE) && has_shape(a, NODE(of, N_SHAPE)) && owner_of(a) == v &&
            !written(v)) {
            return a;
        }
    }
    return NULL;
}

/* Give `x`, which stands for a node, memory of its own (`window.place`), on the host: 1; 0: not here. */
static int place(PyObject *x)
{
    PyObject *node = FIELD(x, array_a), *a = NULL, *source;
    int done = 0;
    if (!host || Py_TYPE(node) != node_type || NODE(node, N_STRIDES) != Py_None || !open_gate() || !lock()) {
        return 0;
    }
    PyObject *both[2] = {NODE(node, N_SHAPE), NODE(node, N_DTYPE)};
    a = Py_XNewRef(left_by_operand(node, node, 0));
    if (a == NULL) {
        a = PyObject_Vectorcall(PyDict_GetItem(taking, s_empty), both, 2, NULL);
    }
    if (a == NULL || FIELD(x, array_a) != node) {
        goto end;
    }
    source = node;
    if (NODE(node, N_ROW) == copying) {
        PyObject *leaf = PyTuple_GET_ITEM(NODE(node, N_ARGS), 0);
        if (Py_TYPE(leaf) == leaf_type) {
            PyObject *traffic = traffic_on((PyArrayObject *)FIELD(leaf, leaf_owner));
            PyObject *stores = traffic == NULL ? NULL : FIELD(traffic, traffic_stores);
            Py_ssize_t n = stores == NULL ? 0 : PyList_GET_SIZE(stores);
            if (n == 0 || PyLong_AsLongLong(FIELD(PyList_GET_ITEM(stores, n - 1), store_seq)) <=
                              PyLong_AsLongLong(NODE(node, N_SEQ))) {
                source = leaf;
            }
        }
    }
    if (enter_store(a, (PyArrayObject *)a, Py_NewRef(source), 1) > 0) {
        set(node, node_at[N_HANDLE], Py_NewRef(Py_None));
        set(x, array_a, Py_NewRef(a));
        done = 1;
    }
end:
    PyErr_Clear();
    Py_XDECREF(a);
    unlock();
    return done;
}

/* Whether what is recorded may be written to `v`. */
static int storable(PyArrayObject *v)
{
    int flags = PyArray_FLAGS(v);
    return PyArray_NDIM(v) && PyArray_SIZE(v) && (flags & NPY_ARRAY_WRITEABLE) && !((unsigned)flags & WARN_ON_WRITE) &&
           PyArray_ISALIGNED(v) && distinct(v) && (!host || (descending(v) && usual(PyArray_DESCR(v))));
}

/* Whether copying `b` to `view` is worth recording: where something waits that has to do with it, or in company, as with
 * operations (`node_of`). */
static int worth_storing(PyArrayObject *view, PyArrayObject *owner, PyArrayObject *other)
{
    if (written(owner) || written(other)) {
        return 1;
    }
    npy_intp size = PyArray_SIZE(view);
    return size >= least_of(PyArray_TYPE(view)) &&
           (!limit || size >= MIDDLING || traffic_on(owner) != NULL || traffic_on(other) != NULL || expected(size, 0));
}

/* `x[key] = value`, recorded, or done at once where nothing waits: 1; 0: not here; -1: an error. */
static int setitem(PyObject *x, PyObject *key, PyObject *value)
{
    PyObject *a, *view = NULL, *whole = NULL, *source = NULL;
    PyArrayObject *owner, *other = NULL;
    int kind, done = 0;
    if (cut() < 0) {
        return -1;
    }
    a = FIELD(x, array_a);
    if (a == NULL || !PyArray_CheckExact(a) || !open_gate() || !(kind = basic(key)) || (owner = owner_of(a)) == NULL) {
        return 0;
    }
    if (kind == 2) { /* with an ellipsis integers name a view too */
        Py_ssize_t n = PyTuple_CheckExact(key) ? PyTuple_GET_SIZE(key) : 1;
        whole = PyTuple_New(n + 1);
        for (Py_ssize_t k = 0; whole != NULL && k < n; k++) {
            PyTuple_SET_ITEM(whole, k, Py_NewRef(PyTuple_CheckExact(key) ? PyTuple_GET_ITEM(key, k) : key));
        }
        if (whole == NULL) {
            goto slow;
        }
        PyTuple_SET_ITEM(whole, n, Py_NewRef(Py_Ellipsis));
        key = whole;
    }
    view = PyObject_GetItem(a, key);
    if (view == NULL || !PyArray_CheckExact(view) || !storable((PyArrayObject *)view)) {
        goto slow;
    }
    PyArrayObject *v = (PyArrayObject *)view;
    PyArray_Descr *d = PyArray_DESCR(v);
    int large = PyArray_SIZE(v) >= limit, scalar = is_word(value);
    int worth = host ? written(owner)
                     : traffic_on(owner) != NULL || large || FIELD(PyArray_BASE(owner), remote_home) == Py_False;
    if (scalar) {
        if (!worth || (host && d->kind != 'f')) {
            goto slow;
        }
        source = constant(value, d);
        if (source != NULL && !PyArray_CheckExact(source)) {
            goto slow;
        }
    }
    else if (Py_TYPE(value) == array_type) {
        PyObject *b = FIELD(value, array_a);
        if (b != NULL && Py_TYPE(b) == node_type) {
            PyObject *shape = dims(v);
            int same = shape == NULL ? -1 : PyObject_RichCompareBool(shape, NODE(b, N_SHAPE), Py_EQ);
            Py_XDECREF(shape);
            if (same != 1 || NODE(b, N_DTYPE) != (PyObject *)d) {
                goto slow;
            }
            source = Py_NewRef(b);
        }
        else if ((worth || host) && b != NULL && PyArray_CheckExact(b)) {
            PyArrayObject *w = (PyArrayObject *)b;
            if (PyArray_DESCR(w) != d || !PyArray_ISALIGNED(w) || !PyArray_SAMESHAPE(v, w) ||
                (other = owner_of(b)) == NULL) {
                goto slow;
            }
            if (PyArray_BYTES(v) == PyArray_BYTES(w) &&
                PyArray_CompareLists(PyArray_STRIDES(v), PyArray_STRIDES(w), PyArray_NDIM(v))) {
                done = 1; /* x[i] op= y ends with x[i] = x[i] */
                goto slow;
            }
            if (host && !descending(w)) {
                goto slow;
            }
            if (host && !worth_storing(v, owner, other)) {
                if (traffic_on(owner) == NULL && traffic_on(other) == NULL) {
                    Py_INCREF(b); /* NumPy lets other threads run meanwhile */
                    done = PyArray_CopyInto(v, w) < 0 ? -1 : 1;
                    Py_DECREF(b);
                }
                goto slow;
            }
            source = leaf_of(b, other);
        }
    }
    if (source != NULL && lock()) {
        done = enter_store(view, owner, source, 0);
        source = NULL;
        unlock();
    }
slow:
    if (done >= 0) {
        PyErr_Clear();
    }
    Py_XDECREF(whole);
    Py_XDECREF(view);
    Py_XDECREF(source);
    return done;
}

/* `row` on the arguments, stored in the array `x`, recorded: 1; 0: not here; -1: an error. */
static int into(PyObject *row, PyObject *const *args, int n, PyObject *x, Verdict *verdict)
{
    PyObject *a, *node, *handle = NULL;
    PyArrayObject *owner = NULL;
    int done = 0;
    if (cut() < 0) {
        return -1;
    }
    a = FIELD(x, array_a);
    if (a == NULL || (Py_TYPE(a) != node_type && (!PyArray_CheckExact(a) || !storable((PyArrayObject *)a) ||
                                                  (owner = owner_of(a)) == NULL)) || !lock()) {
        return 0;
    }
    node = node_of(row, args, n, 0, verdict);
    if (node == NULL) {
        verdict->at_once = verdict->at_once && owner != NULL && traffic_on(owner) == NULL;
        unlock();
        return PyErr_Occurred() ? -1 : 0;
    }
    if (NODE(node, N_DTYPE) != (owner == NULL ? NODE(a, N_DTYPE) : (PyObject *)PyArray_DESCR((PyArrayObject *)a))) {
        Py_DECREF(node); /* what has to be cast is Python's */
        unlock();
        return 0;
    }
    PyObject *shape = owner == NULL ? Py_NewRef(NODE(a, N_SHAPE)) : dims((PyArrayObject *)a);
    int same = shape == NULL ? 0 : PyObject_RichCompareBool(shape, NODE(node, N_SHAPE), Py_EQ);
    Py_XDECREF(shape);
    if (same == 1 && owner != NULL) {
        done = enter(node) < 0 ? -1 : enter_store(a, owner, Py_NewRef(node), 0);
    }
    else if (same == 1 && (handle = PyWeakref_NewRef(x, NULL)) != NULL) {
        /* No memory was given to the array yet: it stands for the new value from now on. */
        set(a, node_at[N_HANDLE], Py_NewRef(Py_None));
        set(node, node_at[N_HANDLE], handle);
        set(x, array_a, Py_NewRef(node));
        done = enter(node) < 0 ? -1 : 1;
    }
    Py_DECREF(node);
    if (done >= 0) {
        PyErr_Clear();
    }
    unlock();
    return done;
}

/* Whether memory for a result with this signature comes from the shelf, and that memory. */
static int warm(PyObject *known)
{
    return PyLong_AsSsize_t(PyTuple_GET_ITEM(known, 7)) >= SHELVED_FROM;
}

static PyObject *new_result(PyObject *known)
{
    PyObject *both[2] = {PyTuple_GET_ITEM(known, 0), PyTuple_GET_ITEM(known, 1)};
    return PyObject_Vectorcall(PyDict_GetItem(taking, s_empty), both, 2, NULL);
}

#include "_reduced.h"

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
    PLACE(remote_home, remote_type, "home")
    PLACE(leaf_offset, leaf_type, "_offset") PLACE(leaf_a, leaf_type, "a") PLACE(leaf_origin, leaf_type, "origin")
    PLACE(leaf_owner, leaf_type, "owner")
    PLACE(store_destination, store_type, "destination") PLACE(store_fresh, store_type, "fresh")
    PLACE(store_seq, store_type, "seq") PLACE(store_source, store_type, "source")
    PLACE(traffic_stores, traffic_type, "stores") PLACE(traffic_owner, traffic_type, "owner")
    PLACE(loops_marks, Py_TYPE(loops), "marks") PLACE(loops_period, Py_TYPE(loops), "period")
    PLACE(loops_busy, Py_TYPE(loops), "busy") PLACE(loops_due, Py_TYPE(loops), "due")
    PLACE(loops_covered, Py_TYPE(loops), "covered") PLACE(loops_cutting, Py_TYPE(loops), "cutting")
    PLACE(loops_places, Py_TYPE(loops), "places") PLACE(loops_start, Py_TYPE(loops), "start")
    for (int k = 0; k < N_COUNT; k++) {
        PLACE(node_at[k], node_type, node_names[k])
    }
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"start", start, METH_O, NULL},
    {"method", make_method, METH_VARARGS, NULL},
    {"elementwise", call_elementwise, METH_VARARGS, NULL},
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
