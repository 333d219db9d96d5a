/* Running a program's tiles without the interpreter.
 *
 * Optional: sweep.py does the same with one NumPy call an instruction and tile. Here the same inner loops of NumPy are
 * called directly, on chunks small enough for the first cache, with the interpreter's lock released for the whole
 * sweep. The results are NumPy's bit for bit, because the loops are NumPy's own (ufunc._get_strided_loop).
 *
 * A program is blocks of instructions over registers; a register is a load (part of an array), scratch, or a constant.
 * A run binds the program to arrays; work() does its parts.
 *
 * `_loops.h`: instructions that NumPy has no loop for; `_program.h`: programs; `_work.h`: what a thread does; `_along.h`:
 * the same for reductions along axes; `_team.h`: the threads. This file: runs, and the types that Python sees. Apart from
 * these, `_form.h`: the canonical form of a window; `_replay.h`: windows that come round again.
 */
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
#include "_form.h"
#include "_program.h"
#include "_team.h"
#include "_work.h"
#include "_along.h"
#include "_split.h"
#include "_gather.h"

static void run_dealloc(Run *r)
{
    for (int k = 0; r->views != NULL && k < r->program->nblocks; k++) {
        free(r->views[k]);
    }
    for (int k = 0; k < r->nheld; k++) {
        free(r->held[k].memory);
    }
    for (int k = 0; r->held_rows != NULL && k < r->program->nblocks; k++) {
        free(r->held_rows[k]);
    }
    for (int k = 0; r->ring_memory != NULL && k < r->program->nrings; k++) {
        free(r->ring_memory[k]);
    }
    free(r->held_rows);
    free(r->ring_memory);
    free(r->ring_rows);
    free(r->progress);
    free(r->out);
    free(r->held);
    free(r->views);
    free(r->constant_data);
    free(r->seen);
    free(r->flags);
    Py_XDECREF(r->arrays);
    Py_XDECREF(r->constants);
    Py_XDECREF(r->partials);
    Py_XDECREF(r->program);
    Py_TYPE(r)->tp_free((PyObject *)r);
}

/* The memory of array `number` as seen from a block: axes aligned from the right, broadcast axes without stride. A part of
 * an array is (its number, bytes, shape, strides). */
static int view_of(View *v, PyObject *arrays, int number, const Block *b, const Met *met, int flat)
{
    PyObject *array = PyList_GetItem(arrays, number);
    npy_intp offset = 0, dims[NPY_MAXDIMS], strides[NPY_MAXDIMS];
    PyObject *shape = NULL, *steps;
    if (array != NULL && PyTuple_Check(array)) {
        if (!PyArg_ParseTuple(array, "inO!O!", &number, &offset, &PyTuple_Type, &shape, &PyTuple_Type, &steps)) {
            return -1;
        }
        array = PyList_GetItem(arrays, number);
    }
    if (array == NULL || !PyArray_Check(array)) {
        PyErr_SetString(PyExc_TypeError, "expected an array");
        return -1;
    }
    PyArrayObject *a = (PyArrayObject *)array;
    int ndim = shape == NULL ? PyArray_NDIM(a) : (int)PyTuple_GET_SIZE(shape);
    for (int k = 0; k < ndim; k++) {
        dims[k] = shape == NULL ? PyArray_DIM(a, k) : PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, k));
        strides[k] = shape == NULL ? PyArray_STRIDE(a, k) : PyLong_AsSsize_t(PyTuple_GET_ITEM(steps, k));
    }
    v->data = PyArray_BYTES(a) + offset;
    memset(v->strides, 0, sizeof(v->strides));
    if (met != NULL) {
        memcpy(v->strides, met->strides, sizeof(v->strides));
        return 0;
    }
    if (flat) {
        v->strides[0] = PyArray_ITEMSIZE(a);
        return 0;
    }
    if (b->column) {
        v->strides[0] = ndim && dims[0] > 1 ? strides[0] : 0;
        return 0;
    }
    int skip = b->ndim - ndim;
    for (int k = 0; k < ndim; k++) {
        v->strides[k + skip] = dims[k] == 1 ? 0 : strides[k];
    }
    return 0;
}

static PyObject *program_run(Program *p, PyObject *args);

static PyTypeObject run_type;

static PyObject *program_run(Program *p, PyObject *args)
{
    PyObject *arrays, *constants, *partials;
    int parts;
    if (!PyArg_ParseTuple(args, "O!O!Oi", &PyList_Type, &arrays, &PyList_Type, &constants, &partials, &parts)) {
        return NULL;
    }
    Run *r = (Run *)run_type.tp_alloc(&run_type, 0);
    if (r == NULL) {
        return NULL;
    }
    r->program = (Program *)Py_NewRef((PyObject *)p);
    r->arrays = Py_NewRef(arrays);
    r->constants = Py_NewRef(constants);
    r->partials = Py_NewRef(partials);
    r->bands = (p->high - p->low + p->rows - 1) / p->rows;
    r->views = calloc(p->nblocks + 1, sizeof(View *));
    r->constant_data = calloc(p->nconstants + 1, sizeof(char *));
    npy_intp groups = r->bands;
    const Block *reduced = p->blocks + p->nblocks - 1;
    if (reduced->ndim > 1) {
        npy_intp size = 1;
        for (int k = 1; k < reduced->ndim; k++) {
            size *= reduced->shape[k];
        }
        r->group = size < p->chunk ? p->chunk / (size > 0 ? size : 1) : 1;
        groups = (reduced->shape[0] + r->group - 1) / r->group;
    }
    r->per_group = partials == Py_None ? 0 : PyArray_SIZE((PyArrayObject *)partials) / (groups > 0 ? groups : 1);
    r->seen = calloc((partials == Py_None ? 0 : PyArray_SIZE((PyArrayObject *)partials)) + 1, 1);
    r->flags = calloc(p->ninstructions + 2, sizeof(int));
    r->held = calloc(parts + 1, sizeof(Held));
    r->nheld = parts;
    r->out = calloc(p->nblocks + 1, sizeof(View));
    r->held_rows = calloc(p->nblocks + 1, sizeof(char *));
    r->ring_memory = calloc(p->nrings + 1, sizeof(char *));
    r->ring_rows = calloc(p->nrings + 1, sizeof(npy_intp));
    r->progress = p->skewed ? calloc(r->bands + 1, sizeof(int)) : NULL;
    for (int k = 0; k < p->nrings; k++) {
        r->ring_rows[k] = (parts + 1) * p->rows + p->rings[k].span;
        r->ring_memory[k] = malloc(r->ring_rows[k] * p->rings[k].pitch);
        if (r->ring_memory[k] == NULL) {
            Py_DECREF(r);
            return PyErr_NoMemory();
        }
    }
    for (int k = 0; k < p->nblocks; k++) {
        const Block *b = p->blocks + k;
        if (b->held >= 0) {
            if (view_of(r->out + k, arrays, b->out, b, NULL, 0) < 0) {
                Py_DECREF(r);
                return NULL;
            }
            if (p->skewed) {
                r->held_rows[k] = malloc((b->held + 1) * b->shape[1] * p->size_of[b->result]);
                if (r->held_rows[k] == NULL) {
                    Py_DECREF(r);
                    return PyErr_NoMemory();
                }
            }
        }
        r->views[k] = calloc(b->nloads + 1, sizeof(View));
        for (int i = 0; i < b->nloads; i++) {
            const Met *met = b->along == NULL ? NULL : b->along->met + i;
            if (view_of(r->views[k] + i, arrays, b->load_numbers[i], b, met, p->flat) < 0) {
                Py_DECREF(r);
                return NULL;
            }
        }
    }
    for (int k = 0; k < p->nconstants; k++) {
        r->constant_data[k] = PyArray_BYTES((PyArrayObject *)PyList_GetItem(constants, p->constant_numbers[k]));
    }
    return (PyObject *)r;
}

/* A part of the run, on whichever thread; without the interpreter's lock. */
static int work_part(Run *r, int part, int parts)
{
    static __thread char *scratch;
    static __thread size_t scratch_size;
    Program *p = r->program;
    int failed = 1, most = 1;
    for (int k = 0; k < p->nblocks; k++) {
        most = p->blocks[k].nloads > most ? p->blocks[k].nloads : most;
    }
    Worker w = {.run = r, .compiled = __atomic_load_n(&p->compiled, __ATOMIC_ACQUIRE), .group = -1};
    w.at = calloc(p->nregs + 1, sizeof(char *));
    w.step = calloc(p->nregs + 1, sizeof(npy_intp));
    w.line = calloc(most + 1, sizeof(char *));
    w.flags = calloc(p->ninstructions + 2, sizeof(int));
    w.cursors = calloc(p->nblocks, sizeof(Cursor));
    size_t operands = p->nblocks * ARGS + (w.compiled ? p->noperands : 0);
    char **places = w.places = malloc(operands * sizeof(char *));
    npy_intp *steps = w.steps = malloc(2 * operands * sizeof(npy_intp));
    size_t needed = p->scratch_size + 128 + (w.compiled ? p->asides * ASIDE * 8 : 0);
    if (scratch_size < needed) {
        free(scratch);
        scratch_size = needed;
        scratch = malloc(scratch_size);
    }
    if (scratch == NULL) {
        scratch_size = 0;
    }
    else if (w.at != NULL && w.step != NULL && w.line != NULL && w.flags != NULL && w.cursors != NULL && places != NULL &&
             steps != NULL) {
        char *base = scratch + (64 - (size_t)scratch % 64) % 64;
        for (int k = 0; k < p->nregs; k++) {
            if (p->slot_of[k] >= 0) {
                w.at[k] = base + p->slot_at[p->slot_of[k]];
                w.step[k] = p->size_of[k];
            }
        }
        w.aside = base + (p->scratch_size + 63) / 64 * 64;
        for (int k = 0; k < p->nconstants; k++) {
            w.at[p->constant_regs[k]] = r->constant_data[k];
        }
        feclearexcept(FE_ALL_EXCEPT);
        failed = (p->blocks[0].along ? work_along(&w)
                  : p->delayed       ? work_delayed(&w, part, parts)
                  : p->skewed        ? work_skewed(&w, parts)
                                     : work_bands(&w)) < 0;
        feclearexcept(FE_ALL_EXCEPT);
#if defined(__SSE2__)
        _mm_sfence();  /* what was written past the caches is seen by all threads from here on */
#endif
        for (int k = 0; k <= p->ninstructions; k++) {
            if (w.flags[k]) {
                __atomic_fetch_or(r->flags + k, w.flags[k], __ATOMIC_RELAXED);
            }
        }
    }
    free(w.runs);
    free(w.run_sums);
    free(w.at);
    free(w.step);
    free(w.line);
    free(w.cursors);
    free(places);
    free(steps);
    free(w.flags);
    return failed ? -1 : 0;
}

static void work_of(void *run, int part)
{
    Run *r = run;
    if (work_part(r, part, r->nheld) < 0) {
        __atomic_store_n(&r->failed, 1, __ATOMIC_RELAXED);
    }
}

static PyObject *run_work(Run *r, PyObject *unused)
{
    Py_BEGIN_ALLOW_THREADS
    team_run(work_of, r, r->nheld);
    Py_END_ALLOW_THREADS
    if (r->failed) {
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

/* After every part is done: write what was held back. */
static void run_close(Run *r)
{
    Program *p = r->program;
    const Block *b = p->blocks;
    npy_intp d = p->delayed;
    for (int part = 0; d && part < r->nheld; part++) {
        size_t size = (size_t)b->shape[1] * p->size_of[b->result];
        Held *h = r->held + part;
        for (npy_intp k = 0; k < h->rows; k++) {
            if (k < d || k >= h->rows - d) {
                write_row(r, b, h->first_row + k, h->memory + (k < d ? k : d + k % (d + 1)) * size);
            }
        }
        free(h->memory);
        *h = (Held){0, 0, NULL};
    }
}

/* Gives (flags of each instruction and of the reduction, bands that have a partial result). */
static PyObject *run_finish(Run *r, PyObject *unused)
{
    Program *p = r->program;
    run_close(r);
    PyObject *flags = PyList_New(p->ninstructions + 1), *seen = PyBytes_FromStringAndSize(r->seen, r->partials == Py_None ? 0 : PyArray_SIZE((PyArrayObject *)r->partials));
    for (int k = 0; flags != NULL && k <= p->ninstructions; k++) {
        PyList_SET_ITEM(flags, k, PyLong_FromLong(r->flags[k]));
    }
    return Py_BuildValue("NN", flags, seen);
}

/* select(condition, x, y, out): of vectors, or of single elements instead; x, y and out of one itemsize. */
static PyObject *select_arrays(PyObject *self, PyObject *args)
{
    PyArrayObject *a[4];
    npy_intp step[4];
    if (!PyArg_ParseTuple(args, "O!O!O!O!", &PyArray_Type, a, &PyArray_Type, a + 1, &PyArray_Type, a + 2, &PyArray_Type,
                          a + 3)) {
        return NULL;
    }
    npy_intp n = PyArray_NDIM(a[3]) == 1 ? PyArray_DIM(a[3], 0) : -1;
    int size = (int)PyArray_ITEMSIZE(a[3]);
    for (int k = 0; k < 4; k++) {
        int fits = PyArray_NDIM(a[k]) == 0 || (PyArray_NDIM(a[k]) == 1 && PyArray_DIM(a[k], 0) == n);
        if (!fits || PyArray_ITEMSIZE(a[k]) != (k ? size : 1)) {
            PyErr_SetString(PyExc_ValueError, "vectors of one length are chosen from");
            return NULL;
        }
        step[k] = PyArray_NDIM(a[k]) ? PyArray_STRIDE(a[k], 0) : 0;
    }
    Py_BEGIN_ALLOW_THREADS
    select_(PyArray_BYTES(a[3]), step[3], PyArray_BYTES(a[0]), step[0], PyArray_BYTES(a[1]), step[1], PyArray_BYTES(a[2]),
            step[2], n, size);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef program_methods[] = {
    {"attach", (PyCFunction)program_attach, METH_VARARGS,
     "attach(groups, owner): compiled loops, whose code lives as long as owner"},
    {"run", (PyCFunction)program_run, METH_VARARGS, "run(arrays, constants, partials, parts): bound to arrays"},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef run_methods[] = {
    {"work", (PyCFunction)run_work, METH_NOARGS, "work(): all parts, side by side"},
    {"finish", (PyCFunction)run_finish, METH_NOARGS, "finish(): (flags, bands with a partial result)"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject program_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "cunumeric.engines.host._tiles.Program",
    .tp_basicsize = sizeof(Program),
    .tp_dealloc = (destructor)program_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Blocks of instructions over registers.",
    .tp_methods = program_methods,
    .tp_new = program_new,
};

static PyTypeObject run_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "cunumeric.engines.host._tiles.Run",
    .tp_basicsize = sizeof(Run),
    .tp_dealloc = (destructor)run_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A program bound to arrays.",
    .tp_methods = run_methods,
};

#include "_replay.h"

static PyMethodDef functions[] = {
    {"form", form, METH_VARARGS, "form(pending, reduction or None, leaves, exposed): the canonical form of a window"},
    {"idle", idle, METH_VARARGS, "idle(leaf, exposed): whether only the window refers to the leaf's memory"},
    {"inherit_from", inherit_from, METH_O, "inherit_from(bytes): smaller memory takes no results"},
    {"collect", collect, METH_VARARGS, "collect(pending, memory, leaves): forget what has died and nothing needs"},
    {"classify", classify, METH_VARARGS, "classify(x, pivots, ids, counts): the bucket of each element"},
    {"deal", deal, METH_VARARGS, "deal(x, ids, places, out): elements to their buckets"},
    {"sort_split", sort_split, METH_VARARGS, "sort_split(x, pivots, dealt, out): by a thread for each bucket"},
    {"split_most", split_most, METH_NOARGS, "How many buckets `sort_split` has at most; 0: the processor cannot"},
    {"gather", gather, METH_VARARGS, "gather(x, positions, out): whether all are within bounds"},
    {"select", select_arrays, METH_VARARGS, "select(condition, x, y, out): where, of vectors"},
    {"again", again, METH_O, "again(reduction or None): whether the window has come round, and was run"},
    {"replay", make_replay, METH_VARARGS,
     "replay(form, leaves, thin, steps, makers, inherited, arrays): how to run a window of this form again"},
    {"tally", tally, METH_O, "tally(replay): [(program, runs, fastest in seconds)] since the last time"},
    {"replays_of", replays_of, METH_O, "replays_of(parts): what `again` uses, by name"},
    {"set_settings", set_settings, METH_O, "set_settings(number): stands for the settings that a replay is made for"},
    {"living", living, METH_O, "living(pending): bytes of the nodes that have an array"},
    {"form_of", form_of, METH_VARARGS, "form_of(Node, Leaf, Store, Reduction, Ear, Lease): the classes that it reads"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_tiles", "Tiles without the interpreter.", -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__tiles(void)
{
    import_array();
    if (PyType_Ready(&program_type) < 0 || PyType_Ready(&run_type) < 0 || PyType_Ready(&replay_type) < 0) {
        return NULL;
    }
    PyObject *m = PyModule_Create(&module);
    if (m != NULL && PyModule_AddObjectRef(m, "Program", (PyObject *)&program_type) < 0) {
        Py_CLEAR(m);
    }
    return m;
}
