/* A program as C has it: its blocks, instructions and compiled groups, read from what native.py hands over. */
#ifndef CUNUMERIC_PROGRAM_H
#define CUNUMERIC_PROGRAM_H

#include "_loops.h"
#include <stdlib.h>

#define DIMS 8
#define ARGS 5
#define GROUP_MOST 48  /* operands */

typedef int Loop(void *context, char *const *data, const npy_intp *n, const npy_intp *strides, void *aux);

/* What NumPy's capsule "numpy_1.24_ufunc_call_info" holds. */
typedef struct {
    Loop *loop;
    void *context, *aux;
    npy_bool needs_interpreter, no_flags;
} CallInfo;

/* SUM, ROWS, PLACE: of reductions along axes (_along.h). */
enum { UFUNC, COPY, WHERE, CAST, SUM, ROWS, PLACE };

/* Instructions compiled to one loop (compiled/): `at` and `step` are those of its operands, inputs before outputs.
 *
 * The loop cannot say which instruction raised a flag. When it has raised one that somebody listens to, the
 * instructions run once more one by one, so the group's inputs must still be there: outputs that would overwrite them
 * (`aside`) are written beside, and copied when the flags are known. */
typedef void Kernel(char *const *at, const npy_intp *step, npy_intp n);

typedef struct {
    Kernel *kernel;
    int count, noperands, interest, nstreams;
    int sum;             /* it adds up its last output, as `leaves` says: number of the operand for these, or -1 */
    int streams[8];      /* operands that are written past the caches: their vectors must begin alike */
    int *regs, *aside;   /* per operand: its register; itemsize if it is written aside, else 0 */
    int whole, asides;   /* it has all the block's instructions; how many operands are written aside */
} Group;

typedef struct {
    int op, nargs, size, watch;
    Group *group;        /* that begins with this instruction, once it is compiled */
    int regs[ARGS];  /* inputs, then the output */
    Loop *loop;
    void *context, *aux;
    Cast *cast;
    Place *place;
    PyArray_ArgFunc *extreme;  /* NumPy's, for elements that are `packed`: so many bytes apart */
    int packed;
} Instruction;

/* `lag`, `column` and rings: of skewed programs (graph/skew.py). `held`: rows are kept back in a register (`result`)
 * and written to the array `out` when the rows that read their old values are computed, so many rows later; -1: not. */
typedef struct {
    int ndim, nloads, ninstructions, first;  /* first: number of its first instruction in the program */
    npy_intp shape[DIMS], base, lag;
    int column, held, result, out;
    int turn;            /* rows take turns with those of the block before: they meet in the same rows alone */
    int tall;            /* rows are single elements, and nothing but their own place matters to them */
    int *load_regs, *load_numbers;
    int *rings;          /* per load: the ring in which its rows turn over, or -1 */
    npy_intp *ring_row, *ring_at;  /* per load in a ring: the row that it shows first, bytes into the row */
    Instruction *instructions;
    struct Along *along;
} Block;

/* A load's memory as a reduction along axes meets it. */
typedef struct {
    npy_intp strides[DIMS];
    npy_intp per;     /* elements of a line that share one of its; 0: each chunk begins with the first again */
    npy_intp band;    /* bytes from one band's memory to the next's */
    int size;         /* of an accumulator's element; 0: it is an operand */
    char start[16];   /* what an accumulator begins with */
} Met;

/* A block that is reduced along axes (along.py, _along.h): `axis` is that of the bands; `fresh`: accumulators of a line. */
typedef struct Along {
    int axis, pairwise, reduced[DIMS];
    npy_intp positions[DIMS], fresh;
    Met *met;
} Along;

typedef struct {
    npy_intp pitch, span;  /* bytes of a row; rows alive beyond those of the bands at work */
} Ring;

typedef struct {
    PyObject_HEAD
    int nregs, nblocks, nconstants, ninstructions, flat, delayed, skewed, partial, scratch_slots, nrings;
    int *constant_regs, *constant_numbers;
    int *slot_of;        /* per register: slot, or -1 */
    int *size_of;        /* per register in scratch: itemsize */
    size_t *slot_at;     /* per slot: offset in the scratch */
    size_t scratch_size;
    npy_intp chunk, rows, low, high;
    Block *blocks;
    Ring *rings;
    CallInfo *reduce;
    int reduce_size;
    int pairwise;              /* 1: a sum; 2: moments */
    int compiled, asides;      /* compiled: groups are there; asides: the most of a group */
    int noperands;             /* of all groups together */
    PyObject *capsules;  /* keeps loops alive */
} Program;

typedef struct {
    char *data;
    npy_intp strides[DIMS];
} View;

typedef struct {
    int first_row, rows;
    char *memory;  /* delayed rows: head, then ring */
} Held;

typedef struct {
    PyObject_HEAD
    Program *program;
    PyObject *arrays, *constants, *partials;
    View **views;        /* per block, per load */
    char **constant_data;
    npy_intp bands, next;
    npy_intp group, per_group;  /* rows that share partial results (one axis: bands), and how many those are, at most */
    char *seen;          /* per partial result: whether it is there */
    int *flags;          /* per instruction; the last for the reduction */
    int failed, nheld;
    Held *held;
    View *out;           /* per block that holds rows back: where they go */
    char **held_rows;    /* skewed: per block, the rows held back */
    char **ring_memory;  /* per ring */
    npy_intp *ring_rows;
    int *progress;       /* skewed: per band, blocks that are done */
    npy_intp done;       /* skewed: bands before this one are whole */
} Run;

static void program_dealloc(Program *p)
{
    for (int k = 0; p->blocks != NULL && k < p->nblocks; k++) {
        for (int i = 0; p->blocks[k].instructions != NULL && i < p->blocks[k].ninstructions; i++) {
            Group *g = p->blocks[k].instructions[i].group;
            if (g != NULL) {
                free(g->regs);
                free(g->aside);
                free(g);
            }
        }
        free(p->blocks[k].load_regs);
        free(p->blocks[k].load_numbers);
        free(p->blocks[k].rings);
        free(p->blocks[k].ring_row);
        free(p->blocks[k].ring_at);
        free(p->blocks[k].instructions);
        if (p->blocks[k].along != NULL) {
            free(p->blocks[k].along->met);
            free(p->blocks[k].along);
        }
    }
    free(p->blocks);
    free(p->rings);
    free(p->constant_regs);
    free(p->constant_numbers);
    free(p->slot_of);
    free(p->size_of);
    free(p->slot_at);
    Py_XDECREF(p->capsules);
    Py_TYPE(p)->tp_free((PyObject *)p);
}

static CallInfo *call_info(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, "numpy_1.24_ufunc_call_info");
}

static int pairs(PyObject *list, int **left, int **right)
{
    Py_ssize_t n = PyList_Size(list);
    if (n < 0) {
        return -1;
    }
    *left = calloc(n + 1, sizeof(int));
    *right = calloc(n + 1, sizeof(int));
    for (Py_ssize_t k = 0; k < n; k++) {
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, k), "ii", *left + k, *right + k)) {
            return -1;
        }
    }
    return (int)n;
}

static int read_instruction(Program *p, PyObject *t, Instruction *i)
{
    PyObject *what, *regs;
    int number;
    if (!PyArg_ParseTuple(t, "iOO!ii", &i->op, &what, &PyTuple_Type, &regs, &i->size, &number)) {
        return -1;
    }
    i->nargs = (int)PyTuple_GET_SIZE(regs);
    if (i->nargs > ARGS) {
        PyErr_SetString(PyExc_ValueError, "too many operands");
        return -1;
    }
    for (int k = 0; k < i->nargs; k++) {
        i->regs[k] = (int)PyLong_AsLong(PyTuple_GET_ITEM(regs, k));
    }
    i->watch = number >= 0;
    if (i->op == PLACE) {
        int type, most;
        if (!PyArg_ParseTuple(what, "ii", &type, &most)) {
            return -1;
        }
        i->place = find_place(type, most);
        PyArray_Descr *descr = PyArray_DescrFromType(type);
        if (i->place == NULL || descr == NULL) {
            PyErr_SetString(PyExc_ValueError, "no such extreme");
            return -1;
        }
        i->extreme = most ? PyDataType_GetArrFuncs(descr)->argmax : PyDataType_GetArrFuncs(descr)->argmin;
        i->packed = (int)PyDataType_ELSIZE(descr);
        Py_DECREF(descr);
        return 0;
    }
    if (i->op == UFUNC || i->op == SUM || i->op == ROWS) {
        CallInfo *info = call_info(what);
        if (info == NULL) {
            return -1;
        }
        if (info->needs_interpreter) {
            PyErr_SetString(PyExc_ValueError, "a loop that needs the interpreter");
            return -1;
        }
        i->loop = info->loop;
        i->context = info->context;
        i->aux = info->aux;
        i->watch = i->watch && !info->no_flags;
        return PyList_Append(p->capsules, what);
    }
    if (i->op == CAST) {
        int from, to;
        if (!PyArg_ParseTuple(what, "ii", &from, &to)) {
            return -1;
        }
        i->cast = find_cast(from, to);
        if (i->cast == NULL) {
            PyErr_SetString(PyExc_ValueError, "no such cast");
            return -1;
        }
    }
    return 0;
}

/* (axis of the bands, whether sums are pairwise, accumulators of a line, per axis: whether it is reduced and what a step
 * adds to the position, per load: (strides, per, band, what it begins with as bytes or None)). */
static int read_along(PyObject *t, Block *b)
{
    PyObject *reduced, *positions, *met;
    Along *a = b->along = calloc(1, sizeof(Along));
    if (a == NULL || !PyArg_ParseTuple(t, "iinO!O!O!", &a->axis, &a->pairwise, &a->fresh, &PyTuple_Type, &reduced,
                                       &PyTuple_Type, &positions, &PyList_Type, &met)) {
        return -1;
    }
    if (PyTuple_GET_SIZE(reduced) != b->ndim || PyTuple_GET_SIZE(positions) != b->ndim ||
        PyList_GET_SIZE(met) != b->nloads || a->axis < 0 || a->axis >= b->ndim) {
        PyErr_SetString(PyExc_ValueError, "axes that do not fit");
        return -1;
    }
    a->met = calloc(b->nloads + 1, sizeof(Met));
    for (int d = 0; d < b->ndim; d++) {
        a->reduced[d] = PyObject_IsTrue(PyTuple_GET_ITEM(reduced, d));
        a->positions[d] = PyLong_AsSsize_t(PyTuple_GET_ITEM(positions, d));
    }
    for (int k = 0; k < b->nloads; k++) {
        PyObject *strides;
        const char *start = NULL;
        Py_ssize_t size = 0;
        Met *m = a->met + k;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(met, k), "O!nnz#", &PyTuple_Type, &strides, &m->per, &m->band, &start,
                              &size)) {
            return -1;
        }
        if (PyTuple_GET_SIZE(strides) != b->ndim || size > (Py_ssize_t)sizeof(m->start)) {
            PyErr_SetString(PyExc_ValueError, "axes that do not fit");
            return -1;
        }
        for (int d = 0; d < b->ndim; d++) {
            m->strides[d] = PyLong_AsSsize_t(PyTuple_GET_ITEM(strides, d));
        }
        m->size = (int)size;
        memcpy(m->start, start == NULL ? "" : start, size);
    }
    return PyErr_Occurred() ? -1 : 0;
}

static int read_block(Program *p, PyObject *t, Block *b)
{
    PyObject *shape, *loads, *instructions, *rings, *along;
    if (!PyArg_ParseTuple(t, "O!nO!O!niiiiiO!O", &PyTuple_Type, &shape, &b->base, &PyList_Type, &loads, &PyList_Type,
                          &instructions, &b->lag, &b->column, &b->turn, &b->held, &b->result, &b->out, &PyList_Type,
                          &rings, &along)) {
        return -1;
    }
    b->ndim = (int)PyTuple_GET_SIZE(shape);
    if (b->ndim < 1 || b->ndim > DIMS) {
        PyErr_SetString(PyExc_ValueError, "too many axes");
        return -1;
    }
    for (int k = 0; k < b->ndim; k++) {
        b->shape[k] = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, k));
    }
    b->nloads = pairs(loads, &b->load_regs, &b->load_numbers);
    if (b->nloads < 0) {
        return -1;
    }
    b->rings = malloc((b->nloads + 1) * sizeof(int));
    b->ring_row = calloc(b->nloads + 1, sizeof(npy_intp));
    b->ring_at = calloc(b->nloads + 1, sizeof(npy_intp));
    for (int k = 0; k < b->nloads; k++) {
        b->rings[k] = -1;
    }
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(rings); k++) {
        int load, ring;
        npy_intp row, at;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(rings, k), "iinn", &load, &ring, &row, &at)) {
            return -1;
        }
        if (load < 0 || load >= b->nloads || ring < 0 || ring >= p->nrings) {
            PyErr_SetString(PyExc_ValueError, "no such ring");
            return -1;
        }
        b->rings[load] = ring;
        b->ring_row[load] = row;
        b->ring_at[load] = at;
    }
    b->ninstructions = (int)PyList_GET_SIZE(instructions);
    b->instructions = calloc(b->ninstructions + 1, sizeof(Instruction));
    b->first = p->ninstructions;
    p->ninstructions += b->ninstructions;
    for (int k = 0; b->nloads >= 0 && k < b->ninstructions; k++) {
        if (read_instruction(p, PyList_GET_ITEM(instructions, k), b->instructions + k) < 0) {
            return -1;
        }
    }
    return b->nloads < 0 || (along != Py_None && read_along(along, b) < 0) ? -1 : 0;
}

static PyObject *program_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"registers", "blocks", "constants", "scratch", "slots", "chunk", "rows", "low", "high",
                            "flat", "delayed", "skewed", "rings", "partial", "reduce", "reduce_size", "pairwise",
                            NULL};
    PyObject *blocks, *constants, *scratch, *slots, *reduce, *rings;
    Program *p = (Program *)type->tp_alloc(type, 0);
    if (p == NULL) {
        return NULL;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iO!O!O!O!nnnniiiO!iOii", names, &p->nregs, &PyList_Type, &blocks,
                                     &PyList_Type, &constants, &PyList_Type, &scratch, &PyList_Type, &slots, &p->chunk,
                                     &p->rows, &p->low, &p->high, &p->flat, &p->delayed, &p->skewed, &PyList_Type,
                                     &rings, &p->partial, &reduce, &p->reduce_size, &p->pairwise)) {
        goto failed;
    }
    p->capsules = PyList_New(0);
    p->nrings = (int)PyList_GET_SIZE(rings);
    p->rings = calloc(p->nrings + 1, sizeof(Ring));
    for (int k = 0; k < p->nrings; k++) {
        if (!PyArg_ParseTuple(PyList_GET_ITEM(rings, k), "nn", &p->rings[k].pitch, &p->rings[k].span)) {
            goto failed;
        }
    }
    p->slot_of = malloc((p->nregs + 1) * sizeof(int));
    p->size_of = calloc(p->nregs + 1, sizeof(int));
    for (int k = 0; k < p->nregs; k++) {
        p->slot_of[k] = -1;
    }
    p->scratch_slots = (int)PyList_GET_SIZE(slots);
    p->slot_at = calloc(p->scratch_slots + 1, sizeof(size_t));
    for (int k = 0; k < p->scratch_slots; k++) {
        p->slot_at[k] = p->scratch_size;
        /* Apart by a little more than the chunk, so that slots do not fall on the same sets of the cache. */
        p->scratch_size += ((size_t)PyLong_AsLong(PyList_GET_ITEM(slots, k)) * p->chunk + 63) / 64 * 64 + 192;
    }
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(scratch); k++) {
        int reg, slot, size;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(scratch, k), "iii", &reg, &slot, &size)) {
            goto failed;
        }
        p->slot_of[reg] = slot;
        p->size_of[reg] = size;
    }
    p->nconstants = pairs(constants, &p->constant_regs, &p->constant_numbers);
    p->nblocks = (int)PyList_GET_SIZE(blocks);
    p->blocks = calloc(p->nblocks + 1, sizeof(Block));
    for (int k = 0; p->nconstants >= 0 && k < p->nblocks; k++) {
        if (read_block(p, PyList_GET_ITEM(blocks, k), p->blocks + k) < 0) {
            goto failed;
        }
    }
    if (reduce != Py_None) {
        p->reduce = call_info(reduce);
        if (p->reduce == NULL || PyList_Append(p->capsules, reduce) < 0) {
            goto failed;
        }
    }
    for (int k = 0; k < p->nblocks; k++) {
        Block *b = p->blocks + k;
        b->tall = b->ndim > 1 && b->held < 0 && !(k == p->nblocks - 1 && p->reduce != NULL);
        for (int d = 1; d < b->ndim; d++) {
            b->tall &= b->shape[d] == 1;
        }
    }
    if (!PyErr_Occurred()) {
        return (PyObject *)p;
    }
failed:
    Py_DECREF(p);
    return NULL;
}

static Group *read_group(PyObject *t, int *first)
{
    PyObject *regs, *aside, *streams;
    Py_ssize_t address;
    Group *g = calloc(1, sizeof(Group));
    if (g == NULL || !PyArg_ParseTuple(t, "iiniO!O!O!i", first, &g->count, &address, &g->interest, &PyTuple_Type, &regs,
                                       &PyTuple_Type, &aside, &PyTuple_Type, &streams, &g->sum)) {
        free(g);
        return NULL;
    }
    g->kernel = (Kernel *)address;
    g->noperands = (int)PyTuple_GET_SIZE(regs);
    if (g->noperands > GROUP_MOST || PyTuple_GET_SIZE(aside) != g->noperands) {
        PyErr_SetString(PyExc_ValueError, "too many operands");
        free(g);
        return NULL;
    }
    g->nstreams = (int)PyTuple_GET_SIZE(streams) < 8 ? (int)PyTuple_GET_SIZE(streams) : 8;
    for (int k = 0; k < g->nstreams; k++) {
        g->streams[k] = (int)PyLong_AsLong(PyTuple_GET_ITEM(streams, k));
    }
    g->regs = calloc(g->noperands + 1, sizeof(int));
    g->aside = calloc(g->noperands + 1, sizeof(int));
    for (int k = 0; k < g->noperands; k++) {
        g->regs[k] = (int)PyLong_AsLong(PyTuple_GET_ITEM(regs, k));
        g->aside[k] = (int)PyLong_AsLong(PyTuple_GET_ITEM(aside, k));
    }
    return g;
}

/* The block that has instruction `number`, or NULL. */
static Block *block_of(Program *p, int number)
{
    for (int k = 0; k < p->nblocks; k++) {
        Block *b = p->blocks + k;
        if (number >= b->first && number < b->first + b->ninstructions) {
            return b;
        }
    }
    return NULL;
}

/* Give groups of instructions their compiled loops. A run that is at work meanwhile goes on without them. */
static PyObject *program_attach(Program *p, PyObject *args)
{
    PyObject *groups, *owner;
    if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &groups, &owner)) {
        return NULL;
    }
    if (p->compiled) {
        PyErr_SetString(PyExc_ValueError, "compiled already");
        return NULL;
    }
    if (PyList_Append(p->capsules, owner) < 0) {
        return NULL;
    }
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(groups); k++) {
        int first;
        Group *g = read_group(PyList_GET_ITEM(groups, k), &first);
        Block *b = g == NULL ? NULL : block_of(p, first);
        Instruction *i = b == NULL ? NULL : b->instructions + first - b->first;
        if (i == NULL || i->group != NULL) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError, "no such instruction");
            }
            return NULL;
        }
        for (int o = 0; o < g->noperands; o++) {
            g->asides += g->aside[o] != 0;
        }
        g->whole = g->count == b->ninstructions;
        p->asides = g->asides > p->asides ? g->asides : p->asides;
        p->noperands += g->noperands;
        i->group = g;
    }
    __atomic_store_n(&p->compiled, 1, __ATOMIC_RELEASE);
    Py_RETURN_NONE;
}

#endif
