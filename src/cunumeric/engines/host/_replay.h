/* Windows that come round again, run without a Python frame: the form is read, its replay found, memory made, programs
 * bound and run, arrays given their values, and the window emptied. What `window.flush` and `sweep.run` do, for forms
 * whose template has been made and has nothing but programs of ours, copies of small parts, and memory for values.
 *
 * A replay belongs to its template (`program.Template`), and is found for as long as that is kept. What can go wrong does
 * so before anything has run: then nothing has changed, and an error is raised, or Python does all of it. Python code is
 * run at the very end, when the window is empty: to hear of floating-point flags, to join partial results other than a
 * sum's, and to count what was run (`tier.ran`). */
#ifndef CUNUMERIC_REPLAY_H
#define CUNUMERIC_REPLAY_H

#include <math.h>
#include "../../runtime/_gate.h"
#include "_form.h"
#include "_work.h"

#define TALLY 16              /* runs of a program of which Python hears at once */
#define WORKSPACE (256 << 10) /* bytes that a run may keep between windows */

typedef struct {
    Program *program;         /* NULL: a copy */
    PyObject *python;         /* the Program of program.py */
    Run *run;                 /* bound anew for each window */
    int parts, reduces;
    npy_intp destination, source; /* of a copy: numbers; a source from -1 down is a constant */
    int runs;                 /* of which Python has not heard */
    double fastest;
} ReplayStep;

/* How memory number `leaves + k` is had. */
typedef struct {
    char how;                 /* 'n': memory for node `what`; 'm': memory of the run's own; 'p': in memory number `what` */
    npy_intp what, offset;
    PyObject *shape, *dtype;  /* of an 'm' */
} Maker;

typedef struct Replay {
    PyObject_HEAD
    struct Replay *next;      /* in its chain of the table */
    npy_uint64 hash;
    size_t nwords;
    npy_int64 *words;
    int nsteps, nmakers, ninherited;
    ReplayStep *steps;
    Maker *makers;
    npy_intp *inherited;      /* pairs: node, leaf whose memory it takes */
    npy_intp nleaves;
    int thin;                 /* see `sweep._thin` */
    npy_int64 settings;
} Replay;

#define REPLAYS 512
static Replay *replays[REPLAYS];

/* What `window` keeps, and Python's ways of doing the rest. */
static struct {
    PyObject *state, *pending, *memory, *leaves, *exposed, *counters, *company, *crowd, *taking, *zero, *least, *any, *all;
    PyObject *heard, *joined;
    Gate *gate;
    Py_ssize_t running, lingering, flushes, sweeps, recorded, alone, entered, checked;
    npy_int64 settings;       /* stands for those that programs depend on */
    Py_ssize_t node_place, leaf_offset, leaf_origin, leaf_met, traffic_owner, traffic_stores, reduction_value,
        reduction_ufunc;
    PyTypeObject *traffic_type;
} ours;

static PyObject *name_a, *name_empty;

static void assign(PyObject *x, Py_ssize_t at, PyObject *v) /* takes the reference */
{
    PyObject *old = FIELD(x, at);
    FIELD(x, at) = v;
    Py_XDECREF(old);
}

static void count(Py_ssize_t at, Py_ssize_t by)
{
    assign(ours.counters, at, PyLong_FromSsize_t(PyLong_AsSsize_t(FIELD(ours.counters, at)) + by));
}

static void replay_dealloc(Replay *r)
{
    for (Replay **at = &replays[r->hash % REPLAYS]; *at != NULL; at = &(*at)->next) {
        if (*at == r) {
            *at = r->next;
            break;
        }
    }
    for (int k = 0; k < r->nsteps; k++) {
        Py_XDECREF(r->steps[k].program);
        Py_XDECREF(r->steps[k].python);
        Py_XDECREF(r->steps[k].run);
    }
    for (int k = 0; k < r->nmakers; k++) {
        Py_XDECREF(r->makers[k].shape);
        Py_XDECREF(r->makers[k].dtype);
    }
    free(r->steps);
    free(r->makers);
    free(r->inherited);
    free(r->words);
    Py_TYPE(r)->tp_free((PyObject *)r);
}

static Replay *replay_of(const Form *f)
{
    Replay *r = replays[f->hash % REPLAYS];
    while (r != NULL && (r->hash != f->hash || r->nwords != f->n || r->settings != ours.settings ||
                         memcmp(r->words, f->words, f->n * sizeof(npy_int64)) != 0)) {
        r = r->next;
    }
    return r;
}

/* Bytes that the run keeps between windows. */
static size_t workspace(const Run *r)
{
    const Program *p = r->program;
    size_t total = 0;
    for (int k = 0; k < p->nrings; k++) {
        total += (size_t)r->ring_rows[k] * p->rings[k].pitch;
    }
    for (int k = 0; k < p->nblocks; k++) {
        const Block *b = p->blocks + k;
        total += r->held_rows[k] == NULL ? 0 : (size_t)(b->held + 1) * b->shape[1] * p->size_of[b->result];
    }
    return total + (r->partials == Py_None ? 0 : (size_t)PyArray_NBYTES((PyArrayObject *)r->partials));
}

/* Bind a run to other arrays of the same form: where each begins. */
static void rebind(Run *r, char *const *at, PyObject *constants)
{
    const Program *p = r->program;
    for (int k = 0; k < p->nblocks; k++) {
        const Block *b = p->blocks + k;
        for (int i = 0; i < b->nloads; i++) {
            r->views[k][i].data = at[b->load_numbers[i]];
        }
        if (b->held >= 0) {
            r->out[k].data = at[b->out];
        }
    }
    for (int k = 0; k < p->nconstants; k++) {
        r->constant_data[k] = PyArray_BYTES((PyArrayObject *)PyList_GET_ITEM(constants, p->constant_numbers[k]));
    }
    memset(r->flags, 0, (p->ninstructions + 2) * sizeof(int));
    if (r->partials != Py_None) {
        memset(r->seen, 0, PyArray_SIZE((PyArrayObject *)r->partials));
    }
    if (r->progress != NULL) {
        memset(r->progress, 0, (r->bands + 1) * sizeof(int));
    }
    r->next = r->done = 0;
    r->failed = 0;
}

/* A leaf for memory that was made for a value. */
static PyObject *leaf_for(PyObject *a)
{
    PyObject *leaf = leaf_type->tp_alloc(leaf_type, 0);
    if (leaf != NULL) {
        PyObject_GC_UnTrack(leaf);
        assign(leaf, leaf_a, Py_NewRef(a));
        assign(leaf, leaf_owner, Py_NewRef(a));
        assign(leaf, ours.leaf_offset, PyLong_FromLong(0));
        assign(leaf, ours.leaf_origin, Py_NewRef(Py_None));
        assign(leaf, ours.leaf_met, Py_NewRef(Py_False));
    }
    return leaf;
}

/* -- what lingers (window._linger) ----------------------------------------------------------------------------------- */

static int enter_traffic(PyObject *owner)
{
    PyObject *id = PyLong_FromVoidPtr(owner);
    int found = id == NULL ? -1 : PyDict_Contains(ours.memory, id);
    if (found == 0) {
        PyObject *traffic = ours.traffic_type->tp_alloc(ours.traffic_type, 0), *stores = traffic ? PyList_New(0) : NULL;
        found = -1;
        if (stores != NULL) {
            PyObject_GC_UnTrack(traffic);
            assign(traffic, ours.traffic_owner, Py_NewRef(owner));
            assign(traffic, ours.traffic_stores, stores);
            assign(ours.crowd, ours.entered, PyLong_FromSsize_t(PyLong_AsSsize_t(FIELD(ours.crowd, ours.entered)) +
                                                                PyArray_NBYTES((PyArrayObject *)owner)));
            found = PyDict_SetItem(ours.memory, id, traffic);
        }
        Py_XDECREF(traffic);
    }
    Py_XDECREF(id);
    return found < 0 ? -1 : 0;
}

/* Operands of `node` that were given memory are that from now on; the others are marked as wanted. */
static int take_places(PyObject *node, Map *wanted)
{
    PyObject *args = FIELD(node, node_args), *mine = PyTuple_New(PyTuple_GET_SIZE(args));
    int failed = mine == NULL;
    for (Py_ssize_t k = 0; !failed && k < PyTuple_GET_SIZE(args); k++) {
        PyObject *arg = PyTuple_GET_ITEM(args, k), *place = NULL;
        if (Py_TYPE(arg) == node_type) {
            place = FIELD(arg, ours.node_place);
            failed = place == Py_None && map_put(wanted, arg, 1) < 0;
        }
        PyTuple_SET_ITEM(mine, k, Py_NewRef(place == NULL || place == Py_None ? arg : place));
    }
    if (failed) {
        Py_XDECREF(mine);
        return -1;
    }
    assign(node, node_args, mine);
    return 0;
}

/* The recordings that wait again: those of the reduction's source, should its array live. `before`: what was run, in
 * which operands come before what is computed from them. */
static int linger(PyObject *source, PyObject *before)
{
    Map wanted = {NULL, 0, 0};
    Py_ssize_t n = PyList_GET_SIZE(before);
    int failed = map_put(&wanted, source, 1) < 0;
    for (Py_ssize_t k = n - 1; !failed && k >= 0; k--) {
        PyObject *p = PyList_GET_ITEM(before, k);
        failed = map_get(&wanted, p) != NULL && take_places(p, &wanted) < 0;
    }
    for (Py_ssize_t k = 0; !failed && k < n; k++) {
        PyObject *p = PyList_GET_ITEM(before, k);
        if (map_get(&wanted, p) == NULL) {
            continue;
        }
        PyObject *args = FIELD(p, node_args);
        for (Py_ssize_t i = 0; !failed && i < PyTuple_GET_SIZE(args); i++) {
            PyObject *arg = PyTuple_GET_ITEM(args, i);
            failed = Py_TYPE(arg) == leaf_type && enter_traffic(FIELD(arg, leaf_owner)) < 0;
        }
        failed = failed || PyList_Append(ours.pending, p) < 0;
    }
    free(wanted.entries);
    if (!failed) {
        assign(ours.state, ours.lingering, Py_NewRef(source));
    }
    return failed ? -1 : 0;
}

/* -- running --------------------------------------------------------------------------------------------------------- */

/* The sum of partial results by folding (`sweep._tree`). 0: not here, as where a sum is
 * not finite, and floating-point flags are to be heard of. */
static int joined_sum(const Run *r, double *sum)
{
    PyArrayObject *partials = (PyArrayObject *)r->partials;
    npy_intp size = PyArray_SIZE(partials), n = 0;
    const double *values = PyArray_DATA(partials);
    double *tree = r->program->pairwise == 1 && r->program->reduce_size == sizeof(double) ? malloc(size * sizeof(double))
                                                                                          : NULL;
    if (tree == NULL) {
        return 0;
    }
    for (npy_intp k = 0; k < size; k++) {
        if (r->seen[k]) {
            tree[n++] = values[k];
        }
    }
    while (n > 1) {
        npy_intp half = (n + 1) / 2;
        for (npy_intp k = half; k < n; k++) {
            tree[k - half] += tree[k];
        }
        n = half;
    }
    *sum = n ? 0.0 + tree[0] : INFINITY; /* begun with nought, as by NumPy: -0.0 alone is 0.0 */
    free(tree);
    return isfinite(*sum);
}

/* Whether one of the partial results, or all of them, hold, where the reduction asks that: NumPy's scalar, a new
 * reference; NULL without an error: not here. */
static PyObject *joined_truth(const Run *r, PyObject *ufunc)
{
    PyArrayObject *partials = (PyArrayObject *)r->partials;
    int any = ufunc == ours.any, found = !any;
    if (PyArray_TYPE(partials) != NPY_BOOL || !(any || ufunc == ours.all)) {
        return NULL;
    }
    const npy_bool *values = PyArray_DATA(partials);
    for (npy_intp k = 0; k < PyArray_SIZE(partials); k++) {
        if (r->seen[k] && (values[k] != 0) == any) {
            found = any;
            break;
        }
    }
    npy_bool truth = (npy_bool)found;
    PyArray_Descr *d = PyArray_DescrFromType(NPY_BOOL);
    PyObject *value = PyArray_Scalar(&truth, d, NULL);
    Py_DECREF(d);
    return value;
}

/* The flags of a run as Python has them (`run.finish`). */
static PyObject *flags_of(const Run *r)
{
    int n = r->program->ninstructions, any = 0;
    for (int k = 0; k <= n; k++) {
        any |= r->flags[k];
    }
    PyObject *found = any ? PyList_New(n + 1) : NULL;
    for (int k = 0; found != NULL && k <= n; k++) {
        PyList_SET_ITEM(found, k, PyLong_FromLong(r->flags[k]));
    }
    return found;
}

/* Memory for everything that the window's leaves are not; 0: done; -1: an error, and nothing has changed. */
static int make_memory(const Replay *r, const Form *f, char **at, PyObject *made)
{
    PyObject *empty = PyDict_GetItem(ours.taking, name_empty);
    for (npy_intp k = 0; k < r->nleaves; k++) {
        at[k] = PyArray_BYTES((PyArrayObject *)PyList_GET_ITEM(f->arrays, k));
    }
    for (int k = 0; k < r->nmakers; k++) {
        const Maker *m = r->makers + k;
        if (m->how == 'p') {
            at[r->nleaves + k] = at[m->what] + m->offset;
            continue;
        }
        PyObject *node = m->how == 'n' ? PyList_GET_ITEM(f->nodes, m->what) : NULL;
        PyObject *both[2] = {node ? FIELD(node, node_shape) : m->shape, node ? FIELD(node, node_dtype) : m->dtype};
        PyObject *a = PyObject_Vectorcall(empty, both, 2, NULL);
        if (a == NULL || PyList_Append(made, a) < 0) {
            Py_XDECREF(a);
            return -1;
        }
        at[r->nleaves + k] = PyArray_BYTES((PyArrayObject *)a);
        Py_DECREF(a);
    }
    return 0;
}

/* Give the nodes that were given memory that memory, and their arrays theirs. */
static int show_values(const Replay *r, const Form *f, PyObject *made)
{
    int failed = 0, next = 0;
    for (int k = 0; k < r->nmakers + r->ninherited && !failed; k++) {
        PyObject *node, *leaf, *x;
        if (k < r->nmakers) {
            if (r->makers[k].how == 'p') {
                continue;
            }
            PyObject *a = PyList_GET_ITEM(made, next++);
            if (r->makers[k].how != 'n') {
                continue;
            }
            node = PyList_GET_ITEM(f->nodes, r->makers[k].what);
            leaf = leaf_for(a);
        }
        else {
            node = PyList_GET_ITEM(f->nodes, r->inherited[2 * (k - r->nmakers)]);
            leaf = Py_NewRef(PyList_GET_ITEM(f->leaves, r->inherited[2 * (k - r->nmakers) + 1]));
        }
        if (leaf == NULL) {
            return -1;
        }
        assign(node, ours.node_place, leaf);
        if ((x = referent(FIELD(node, node_handle))) != NULL) {
            failed = PyObject_SetAttr(x, name_a, FIELD(leaf, leaf_a)) < 0;
            Py_DECREF(x);
        }
    }
    return failed ? -1 : 0;
}

/* Empty the window (window.forget). What was in it is given to the caller, who lets go of it when nothing can go wrong. */
static PyObject *take_pending(void)
{
    PyObject *before = PyList_GetSlice(ours.pending, 0, PyList_GET_SIZE(ours.pending));
    if (before != NULL) {
        count(ours.recorded, PyList_GET_SIZE(before));
        assign(ours.crowd, ours.entered, Py_NewRef(ours.zero));
        assign(ours.crowd, ours.checked, Py_NewRef(ours.least));
        if (PyList_SetSlice(ours.pending, 0, PyList_GET_SIZE(ours.pending), NULL) < 0) {
            Py_CLEAR(before);
        }
        PyDict_Clear(ours.memory);
        PyDict_Clear(ours.leaves);
    }
    return before;
}

/* Run what is pending, and the reduction; the lock is held. 1: done; 0: Python does it; -1: an error. `told`: calls that
 * Python gets in the end, (function, arguments). */
static int replay(PyObject *reduction, PyObject *told)
{
    Form *f = &read_form;
    Replay *r = NULL;
    PyObject *made = NULL, *before = NULL, *flagged = NULL;
    char **at = NULL;
    int done = 0;
    if (form_read(f, ours.pending, reduction, ours.leaves, ours.exposed) < 0) {
        PyErr_Clear(); /* Python has the same difficulty, and says so */
        goto end;
    }
    r = replay_of(f);
    for (int k = 0; r != NULL && k < r->nsteps; k++) {
        r = r->steps[k].runs >= TALLY ? NULL : r; /* Python hears of it, and keeps the template among those in use */
    }
    if (r == NULL) {
        form_keep(f, ours.pending, ours.exposed);
        return 0;
    }
    Py_INCREF(r);
    done = -1;
    at = malloc((r->nleaves + r->nmakers + 1) * sizeof(char *));
    made = PyList_New(0);
    if (at == NULL || made == NULL || make_memory(r, f, at, made) < 0) {
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
        goto end;
    }
    assign(ours.company, ours.alone, PyLong_FromLong(r->thin ? PyLong_AsLong(FIELD(ours.company, ours.alone)) + 1 : 0));
    count(ours.flushes, 1);
    count(ours.sweeps, r->nsteps);
    for (int k = 0; k < r->nsteps; k++) {
        ReplayStep *s = r->steps + k;
        if (s->program == NULL) {
            PyObject *to = PyList_GET_ITEM(f->arrays, s->destination);
            PyObject *from = s->source < 0 ? PyList_GET_ITEM(f->constants, -1 - s->source)
                                           : PyList_GET_ITEM(f->arrays, s->source);
            if (PyArray_CopyInto((PyArrayObject *)to, (PyArrayObject *)from) < 0) {
                goto end;
            }
            continue;
        }
        rebind(s->run, at, f->constants);
        int64_t start = team_now();
        Py_BEGIN_ALLOW_THREADS
        team_run(work_of, s->run, s->parts);
        Py_END_ALLOW_THREADS
        if (s->run->failed) {
            PyErr_NoMemory();
            goto end;
        }
        run_close(s->run);
        double seconds = 1e-9 * (double)(team_now() - start);
        s->fastest = s->runs++ == 0 || seconds < s->fastest ? seconds : s->fastest;
        PyObject *flags = flags_of(s->run);
        if (flags != NULL) {
            flagged = flagged == NULL ? PyList_New(0) : flagged;
            PyObject *pair = Py_BuildValue("ON", s->python, flags);
            if (flagged == NULL || pair == NULL || PyList_Append(flagged, pair) < 0) {
                Py_XDECREF(pair);
                goto end;
            }
            Py_DECREF(pair);
        }
        if (s->reduces) {
            const Run *run = s->run;
            PyObject *truth = joined_truth(run, FIELD(reduction, ours.reduction_ufunc));
            double sum;
            if (truth != NULL) {
                assign(reduction, ours.reduction_value, truth);
            }
            else if (joined_sum(run, &sum)) {
                PyArray_Descr *d = PyArray_DescrFromType(NPY_DOUBLE);
                assign(reduction, ours.reduction_value, PyArray_Scalar(&sum, d, NULL));
                Py_DECREF(d);
            }
            else {
                PyObject *seen = PyBytes_FromStringAndSize(run->seen, PyArray_SIZE((PyArrayObject *)run->partials));
                PyObject *copy = (PyObject *)PyArray_NewCopy((PyArrayObject *)run->partials, NPY_CORDER);
                PyObject *call = seen == NULL || copy == NULL ? NULL
                                 : Py_BuildValue("O(OOO)", ours.joined, reduction, copy, seen);
                int failed = call == NULL || PyList_Append(told, call) < 0;
                Py_XDECREF(seen);
                Py_XDECREF(copy);
                Py_XDECREF(call);
                if (failed) {
                    goto end;
                }
            }
        }
    }
    if (show_values(r, f, made) < 0) {
        goto end;
    }
    if (flagged != NULL) {
        PyObject *call = Py_BuildValue("O(OOO)", ours.heard, flagged, f->nodes, reduction);
        int failed = call == NULL || PyList_Append(told, call) < 0;
        Py_XDECREF(call);
        if (failed) {
            goto end;
        }
    }
    before = take_pending();
    if (before == NULL) {
        goto end;
    }
    if (reduction != Py_None) {
        PyObject *source = FIELD(reduction, reduction_source);
        if (Py_TYPE(source) == node_type && FIELD(source, ours.node_place) == Py_None &&
            alive(FIELD(source, node_handle)) && linger(source, before) < 0) {
            goto end;
        }
    }
    done = 1;
end:
    if (done < 0 && before == NULL && r != NULL) {
        /* Nothing is left to run twice: see `window.flush`. A lack of memory was met before anything ran. */
        if (!PyErr_ExceptionMatches(PyExc_MemoryError)) {
            PyObject *type, *value, *trace;
            PyErr_Fetch(&type, &value, &trace);
            Py_XDECREF(take_pending());
            PyErr_Restore(type, value, trace);
        }
    }
    form_forget(f);
    free(at);
    Py_XDECREF(made);
    Py_XDECREF(flagged);
    Py_XDECREF(before);
    Py_XDECREF((PyObject *)r);
    return done;
}

/* again(reduction or None): whether the window was one that has come round, and was run. */
static PyObject *again(PyObject *self, PyObject *reduction)
{
    Py_ssize_t n = ours.state == NULL ? 0 : PyList_GET_SIZE(ours.pending);
    /* A single statement, stored or not, is Python's to run without a program. */
    int single = n < 2 || (n == 2 && Py_TYPE(PyList_GET_ITEM(ours.pending, 1)) == store_type);
    if (ours.state == NULL || FIELD(ours.state, ours.running) != Py_False || (reduction == Py_None && single) ||
        take(ours.gate, 0) <= 0) {
        Py_RETURN_FALSE;
    }
    if (FIELD(ours.state, ours.running) != Py_False ||
        (reduction != Py_None && PyLong_AsLong(FIELD(reduction, reduction_temporary)) > 1)) {
        give(ours.gate);
        Py_RETURN_FALSE;
    }
    PyObject *told = PyList_New(0);
    int collects = PyGC_Disable(); /* finalisers could wait for locks that are held here */
    assign(ours.state, ours.running, PyLong_FromUnsignedLong(PyThread_get_thread_ident()));
    int done = told == NULL ? -1 : replay(reduction, told);
    assign(ours.state, ours.running, Py_NewRef(Py_False));
    if (collects) {
        PyGC_Enable();
    }
    for (Py_ssize_t k = 0; done > 0 && k < PyList_GET_SIZE(told); k++) {
        PyObject *call = PyList_GET_ITEM(told, k);
        PyObject *r = PyObject_Call(PyTuple_GET_ITEM(call, 0), PyTuple_GET_ITEM(call, 1), NULL);
        done = r == NULL ? -1 : done;
        Py_XDECREF(r);
    }
    Py_XDECREF(told);
    give(ours.gate);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

/* -- making ---------------------------------------------------------------------------------------------------------- */

static PyTypeObject replay_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "cunumeric.engines.host._tiles.Replay",
    .tp_basicsize = sizeof(Replay),
    .tp_dealloc = (destructor)replay_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A window's form, with everything that it takes to run it again.",
};

/* Where memory number `number` is among the arrays of the template's first window: a part is (number, offset, ...). */
static int where(PyObject *arrays, npy_intp number, npy_intp *whole, npy_intp *offset)
{
    PyObject *a = PyList_GetItem(arrays, number);
    *offset = 0;
    *whole = number;
    if (a != NULL && PyTuple_Check(a)) {
        *whole = PyLong_AsSsize_t(PyTuple_GET_ITEM(a, 0));
        *offset = PyLong_AsSsize_t(PyTuple_GET_ITEM(a, 1));
    }
    return PyErr_Occurred() ? -1 : 0;
}

static int read_maker(Maker *m, PyObject *t, PyObject *arrays, npy_intp number)
{
    PyObject *how = PyTuple_GetItem(t, 0), *what = PyTuple_GetItem(t, 1), *detail = PyTuple_GetItem(t, 2);
    const char *name = detail == NULL ? NULL : PyUnicode_AsUTF8(how);
    if (name == NULL) {
        return -1;
    }
    m->how = name[0] == 'v' ? 'p' : name[0];
    if (name[0] == 'n') {
        m->what = PyLong_AsSsize_t(what);
    }
    else if (name[0] == 'm') {
        m->shape = Py_NewRef(PyTuple_GET_ITEM(detail, 0));
        m->dtype = Py_NewRef(PyTuple_GET_ITEM(detail, 1));
    }
    else if (name[0] == 'p') {
        return where(arrays, number, &m->what, &m->offset);
    }
    else { /* a view */
        m->what = PyLong_AsSsize_t(what);
        PyObject *whole = PyList_GetItem(arrays, m->what), *view = PyList_GetItem(arrays, number);
        if (whole == NULL || view == NULL || !PyArray_Check(whole) || !PyArray_Check(view)) {
            return -1;
        }
        m->offset = PyArray_BYTES((PyArrayObject *)view) - PyArray_BYTES((PyArrayObject *)whole);
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* replay(form, leaves, thin, steps, makers, inherited, arrays): how to run a window of this form; kept by its template.
 * A step is (program, its Python object, parts, partials or None) or (None, destination, source, of a constant). */
static PyObject *make_replay(PyObject *self, PyObject *args)
{
    PyObject *key, *steps, *makers, *inherited, *arrays;
    long long nleaves;
    int thin;
    if (!PyArg_ParseTuple(args, "SLpO!O!O!O!", &key, &nleaves, &thin, &PyList_Type, &steps, &PyList_Type, &makers,
                          &PyList_Type, &inherited, &PyList_Type, &arrays)) {
        return NULL;
    }
    Replay *r = (Replay *)replay_type.tp_alloc(&replay_type, 0);
    if (r == NULL) {
        return NULL;
    }
    r->nleaves = nleaves;
    r->thin = thin;
    r->settings = ours.settings;
    r->nwords = PyBytes_GET_SIZE(key) / sizeof(npy_int64);
    r->words = malloc(r->nwords * sizeof(npy_int64) + 1);
    r->steps = calloc(PyList_GET_SIZE(steps) + 1, sizeof(ReplayStep));
    r->makers = calloc(PyList_GET_SIZE(makers) + 1, sizeof(Maker));
    r->inherited = calloc(2 * PyList_GET_SIZE(inherited) + 1, sizeof(npy_intp));
    if (r->words == NULL || r->steps == NULL || r->makers == NULL || r->inherited == NULL) {
        Py_DECREF(r);
        return PyErr_NoMemory();
    }
    memcpy(r->words, PyBytes_AS_STRING(key), r->nwords * sizeof(npy_int64));
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(makers); k++, r->nmakers++) {
        if (read_maker(r->makers + k, PyList_GET_ITEM(makers, k), arrays, nleaves + k) < 0) {
            goto failed;
        }
    }
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(inherited); k++, r->ninherited++) {
        if (!PyArg_ParseTuple(PyList_GET_ITEM(inherited, k), "nn", r->inherited + 2 * k, r->inherited + 2 * k + 1)) {
            goto failed;
        }
    }
    size_t kept = 0;
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(steps); k++) {
        ReplayStep *s = r->steps + k;
        PyObject *t = PyList_GET_ITEM(steps, k);
        r->nsteps++;
        if (PyTuple_GetItem(t, 0) == Py_None) {
            int constant;
            if (!PyArg_ParseTuple(t, "Onnp", &key, &s->destination, &s->source, &constant)) {
                goto failed;
            }
            s->source = constant ? -1 - s->source : s->source;
            continue;
        }
        PyObject *program, *python, *constants, *partials, *bound;
        if (!PyArg_ParseTuple(t, "O!OiO!O", &program_type, &program, &python, &s->parts, &PyList_Type, &constants,
                              &partials)) {
            goto failed;
        }
        s->program = (Program *)Py_NewRef(program);
        s->python = Py_NewRef(python);
        s->reduces = partials != Py_None;
        bound = Py_BuildValue("OOOi", arrays, constants, partials, s->parts);
        s->run = bound == NULL ? NULL : (Run *)program_run(s->program, bound);
        Py_XDECREF(bound);
        if (s->run == NULL) {
            goto failed;
        }
        /* Bound to no arrays from here on, which would live for as long. */
        Py_CLEAR(s->run->arrays);
        Py_CLEAR(s->run->constants);
        kept += workspace(s->run);
    }
    if (kept > WORKSPACE) {
        Py_DECREF(r);
        Py_RETURN_NONE;
    }
    r->hash = hash_of(r->words, r->nwords);
    r->next = replays[r->hash % REPLAYS];
    replays[r->hash % REPLAYS] = r;
    return (PyObject *)r;
failed:
    Py_DECREF(r);
    return NULL;
}

/* set_settings(number): the settings changed, for which programs are made. */
static PyObject *set_settings(PyObject *self, PyObject *number)
{
    ours.settings = PyLong_AsLongLong(number);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

/* tally(replay): [(Python object of a program, runs, fastest)] of which Python has not heard. */
static PyObject *tally(PyObject *self, PyObject *x)
{
    Replay *r = (Replay *)x;
    PyObject *found = PyList_New(0);
    if (Py_TYPE(x) != &replay_type) {
        Py_XDECREF(found);
        PyErr_SetString(PyExc_TypeError, "tally(replay)");
        return NULL;
    }
    for (int k = 0; found != NULL && k < r->nsteps; k++) {
        ReplayStep *s = r->steps + k;
        PyObject *t = s->runs == 0 ? NULL : Py_BuildValue("Oid", s->python, s->runs, s->fastest);
        if (s->runs != 0 && (t == NULL || PyList_Append(found, t) < 0)) {
            Py_CLEAR(found);
        }
        Py_XDECREF(t);
        s->runs = 0;
    }
    return found;
}

/* replays_of(parts): a dictionary of what is used here, by name. */
static PyObject *replays_of(PyObject *self, PyObject *parts)
{
    struct {
        PyObject **at;
        const char *name;
    } objects[] = {
        {&ours.state, "state"}, {&ours.pending, "pending"}, {&ours.memory, "memory"}, {&ours.leaves, "leaves"},
        {&ours.exposed, "exposed"}, {&ours.counters, "counters"}, {&ours.company, "company"}, {&ours.crowd, "crowd"},
        {&ours.taking, "taking"}, {&ours.heard, "heard"}, {&ours.joined, "joined"}, {(PyObject **)&ours.gate, "gate"},
        {(PyObject **)&ours.traffic_type, "Traffic"}, {&ours.least, "least"},
        {&ours.any, "any"}, {&ours.all, "all"},
    };
    for (size_t k = 0; k < sizeof objects / sizeof *objects; k++) {
        PyObject *found = PyDict_GetItemString(parts, objects[k].name);
        if (found == NULL) {
            PyErr_SetString(PyExc_KeyError, objects[k].name);
            return NULL;
        }
        *objects[k].at = Py_NewRef(found);
    }
    PyTypeObject *reduction = (PyTypeObject *)PyDict_GetItemString(parts, "Reduction");
    struct {
        Py_ssize_t *at;
        void *type;
        const char *name;
    } slots[] = {
        {&ours.running, Py_TYPE(ours.state), "running"}, {&ours.lingering, Py_TYPE(ours.state), "lingering"},
        {&ours.flushes, Py_TYPE(ours.counters), "flushes"}, {&ours.sweeps, Py_TYPE(ours.counters), "sweeps"},
        {&ours.recorded, Py_TYPE(ours.counters), "recorded"}, {&ours.alone, Py_TYPE(ours.company), "alone"},
        {&ours.entered, Py_TYPE(ours.crowd), "entered"}, {&ours.checked, Py_TYPE(ours.crowd), "checked"},
        {&ours.node_place, node_type, "place"}, {&state_sequence, Py_TYPE(ours.state), "sequence"},
        {&ours.leaf_offset, leaf_type, "_offset"}, {&ours.leaf_origin, leaf_type, "origin"},
        {&ours.leaf_met, leaf_type, "met"}, {&ours.traffic_owner, ours.traffic_type, "owner"},
        {&ours.traffic_stores, ours.traffic_type, "stores"}, {&ours.reduction_value, reduction, "value"},
        {&ours.reduction_ufunc, reduction, "ufunc"},
    };
    for (size_t k = 0; k < sizeof slots / sizeof *slots; k++) {
        if ((*slots[k].at = offset_of(slots[k].type, slots[k].name)) < 0) {
            Py_CLEAR(ours.state);
            return NULL;
        }
    }
    window_state = ours.state;
    ours.zero = PyLong_FromLong(0);
    name_a = PyUnicode_InternFromString("_a");
    name_empty = PyUnicode_InternFromString("empty");
    Py_RETURN_NONE;
}

#endif
