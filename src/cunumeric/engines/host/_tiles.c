/* Running a program's tiles without the interpreter.
 *
 * Optional: sweep.py does the same with one NumPy call an instruction and tile. Here the same inner loops of NumPy are
 * called directly, on chunks small enough for the first cache, with the interpreter's lock released for the whole
 * sweep. The results are NumPy's bit for bit, because the loops are NumPy's own (ufunc._get_strided_loop).
 *
 * A program is blocks of instructions over registers; a register is a load (part of an array), scratch, or a constant.
 * A run binds the program to arrays; threads call its work().
 */
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>
#include <fenv.h>
#include <sched.h>
#include <numpy/arrayobject.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#define DIMS 8
#define ARGS 5

/* -- floating-point flags ------------------------------------------------------------------------------------------ */

enum { DIVIDE = 1, OVER = 2, UNDER = 4, INVALID = 8 };

static inline int raised(void)
{
#if defined(__SSE2__)
    unsigned f = _mm_getcsr();
    if (!(f & 0x1d)) {
        return 0;
    }
    _mm_setcsr(f & ~0x3fu);
    return ((f & 0x04) ? DIVIDE : 0) | ((f & 0x08) ? OVER : 0) | ((f & 0x10) ? UNDER : 0) | ((f & 0x01) ? INVALID : 0);
#else
    int f = fetestexcept(FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW | FE_INVALID);
    if (!f) {
        return 0;
    }
    feclearexcept(FE_ALL_EXCEPT);
    return ((f & FE_DIVBYZERO) ? DIVIDE : 0) | ((f & FE_OVERFLOW) ? OVER : 0) | ((f & FE_UNDERFLOW) ? UNDER : 0) |
           ((f & FE_INVALID) ? INVALID : 0);
#endif
}

#include "_form.h"

/* -- instructions that are not ufuncs -------------------------------------------------------------------------------- */

static void copy(char *to, npy_intp ts, const char *from, npy_intp fs, npy_intp n, int size)
{
    if (ts == size && fs == size) {
        memmove(to, from, n * size);
        return;
    }
#define ONE(T)                                           \
    for (npy_intp k = 0; k < n; k++) {                   \
        *(T *)(to + k * ts) = *(const T *)(from + k * fs); \
    }                                                    \
    return;
    switch (size) {
        case 1: ONE(npy_uint8)
        case 2: ONE(npy_uint16)
        case 4: ONE(npy_uint32)
        case 8: ONE(npy_uint64)
    }
#undef ONE
    for (npy_intp k = 0; k < n; k++) {
        memcpy(to + k * ts, from + k * fs, size);
    }
}

static void select_(char *to, npy_intp ts, const char *c, npy_intp cs, const char *x, npy_intp xs, const char *y,
                    npy_intp ys, npy_intp n, int size)
{
#define ONE(T)                                                                        \
    for (npy_intp k = 0; k < n; k++) {                                                \
        T a = *(const T *)(x + k * xs), b = *(const T *)(y + k * ys);                 \
        *(T *)(to + k * ts) = *(const npy_bool *)(c + k * cs) ? a : b;                \
    }                                                                                 \
    return;
    switch (size) {
        case 1: ONE(npy_uint8)
        case 2: ONE(npy_uint16)
        case 4: ONE(npy_uint32)
        case 8: ONE(npy_uint64)
    }
#undef ONE
    for (npy_intp k = 0; k < n; k++) {
        memcpy(to + k * ts, c[k * cs] ? x + k * xs : y + k * ys, size);
    }
}

typedef void Cast(char *to, npy_intp ts, const char *from, npy_intp fs, npy_intp n);

#define FROM_EACH(M, TO) \
    M(TO, byte) M(TO, ubyte) M(TO, short) M(TO, ushort) M(TO, int) M(TO, uint) M(TO, long) M(TO, ulong) \
    M(TO, longlong) M(TO, ulonglong) M(TO, float) M(TO, double) M(TO, bool)
#define DEFINE(TO, FROM)                                                                     \
    static void cast_##FROM##_##TO(char *to, npy_intp ts, const char *from, npy_intp fs, npy_intp n) \
    {                                                                                        \
        for (npy_intp k = 0; k < n; k++) {                                                   \
            *(npy_##TO *)(to + k * ts) = (npy_##TO)READ_##FROM(*(const npy_##FROM *)(from + k * fs)); \
        }                                                                                    \
    }
/* A boolean whose byte is neither 0 nor 1 is true. */
#define READ_bool(x) ((x) != 0)
#define READ_byte(x) (x)
#define READ_ubyte(x) (x)
#define READ_short(x) (x)
#define READ_ushort(x) (x)
#define READ_int(x) (x)
#define READ_uint(x) (x)
#define READ_long(x) (x)
#define READ_ulong(x) (x)
#define READ_longlong(x) (x)
#define READ_ulonglong(x) (x)
#define READ_float(x) (x)
#define READ_double(x) (x)
#define DEFINE_BOOL(TO, FROM)                                                                \
    static void cast_##FROM##_bool(char *to, npy_intp ts, const char *from, npy_intp fs, npy_intp n) \
    {                                                                                        \
        for (npy_intp k = 0; k < n; k++) {                                                   \
            *(npy_bool *)(to + k * ts) = *(const npy_##FROM *)(from + k * fs) != 0;          \
        }                                                                                    \
    }
FROM_EACH(DEFINE, byte) FROM_EACH(DEFINE, ubyte) FROM_EACH(DEFINE, short) FROM_EACH(DEFINE, ushort)
FROM_EACH(DEFINE, int) FROM_EACH(DEFINE, uint) FROM_EACH(DEFINE, long) FROM_EACH(DEFINE, ulong)
FROM_EACH(DEFINE, longlong) FROM_EACH(DEFINE, ulonglong) FROM_EACH(DEFINE, float) FROM_EACH(DEFINE, double)
FROM_EACH(DEFINE_BOOL, bool)

static Cast *find_cast(int from, int to)
{
#define TYPENUM_byte NPY_BYTE
#define TYPENUM_ubyte NPY_UBYTE
#define TYPENUM_short NPY_SHORT
#define TYPENUM_ushort NPY_USHORT
#define TYPENUM_int NPY_INT
#define TYPENUM_uint NPY_UINT
#define TYPENUM_long NPY_LONG
#define TYPENUM_ulong NPY_ULONG
#define TYPENUM_longlong NPY_LONGLONG
#define TYPENUM_ulonglong NPY_ULONGLONG
#define TYPENUM_float NPY_FLOAT
#define TYPENUM_double NPY_DOUBLE
#define TYPENUM_bool NPY_BOOL
#define PAIR(TO, FROM)                                        \
    if (from == TYPENUM_##FROM && to == TYPENUM_##TO) {       \
        return cast_##FROM##_##TO;                            \
    }
    FROM_EACH(PAIR, byte) FROM_EACH(PAIR, ubyte) FROM_EACH(PAIR, short) FROM_EACH(PAIR, ushort) FROM_EACH(PAIR, int)
    FROM_EACH(PAIR, uint) FROM_EACH(PAIR, long) FROM_EACH(PAIR, ulong) FROM_EACH(PAIR, longlong)
    FROM_EACH(PAIR, ulonglong) FROM_EACH(PAIR, float) FROM_EACH(PAIR, double) FROM_EACH(PAIR, bool)
    return NULL;
}

/* -- programs ------------------------------------------------------------------------------------------------------ */

typedef int Loop(void *context, char *const *data, const npy_intp *n, const npy_intp *strides, void *aux);

/* What NumPy's capsule "numpy_1.24_ufunc_call_info" holds. */
typedef struct {
    Loop *loop;
    void *context, *aux;
    npy_bool needs_interpreter, no_flags;
} CallInfo;

enum { UFUNC, COPY, WHERE, CAST };

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
} Group;

typedef struct {
    int op, nargs, size, watch;
    Group *group;        /* that begins with this instruction, once it is compiled */
    int regs[ARGS];  /* inputs, then the output */
    Loop *loop;
    void *context, *aux;
    Cast *cast;
} Instruction;

/* `lag`, `column` and rings: of skewed programs (graph/skew.py). `held`: rows are kept back in a register (`result`)
 * and written to the array `out` when the rows that read their old values are computed, so many rows later; -1: not. */
typedef struct {
    int ndim, nloads, ninstructions, first;  /* first: number of its first instruction in the program */
    npy_intp shape[DIMS], base, lag;
    int column, held, result, out;
    int *load_regs, *load_numbers;
    int *rings;          /* per load: the ring in which its rows turn over, or -1 */
    npy_intp *ring_row, *ring_at;  /* per load in a ring: the row that it shows first, bytes into the row */
    Instruction *instructions;
} Block;

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
    int reduce_size, pairwise, by_rows, compiled, asides;  /* by_rows: each row is reduced for itself */  /* compiled: groups are there; asides: the most of a group */
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
    if (i->op == UFUNC) {
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

static int read_block(Program *p, PyObject *t, Block *b)
{
    PyObject *shape, *loads, *instructions, *rings;
    if (!PyArg_ParseTuple(t, "O!nO!O!niiiiO!", &PyTuple_Type, &shape, &b->base, &PyList_Type, &loads, &PyList_Type,
                          &instructions, &b->lag, &b->column, &b->held, &b->result, &b->out, &PyList_Type, &rings)) {
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
    return b->nloads < 0 ? -1 : 0;
}

static PyObject *program_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"registers", "blocks", "constants", "scratch", "slots", "chunk", "rows", "low", "high",
                            "flat", "delayed", "skewed", "rings", "partial", "reduce", "reduce_size", "pairwise",
                            "by_rows", NULL};
    PyObject *blocks, *constants, *scratch, *slots, *reduce, *rings;
    Program *p = (Program *)type->tp_alloc(type, 0);
    if (p == NULL) {
        return NULL;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iO!O!O!O!nnnniiiO!iOiii", names, &p->nregs, &PyList_Type, &blocks,
                                     &PyList_Type, &constants, &PyList_Type, &scratch, &PyList_Type, &slots, &p->chunk,
                                     &p->rows, &p->low, &p->high, &p->flat, &p->delayed, &p->skewed, &PyList_Type,
                                     &rings, &p->partial, &reduce, &p->reduce_size, &p->pairwise, &p->by_rows)) {
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
    if (!PyErr_Occurred()) {
        return (PyObject *)p;
    }
failed:
    Py_DECREF(p);
    return NULL;
}

/* -- runs ---------------------------------------------------------------------------------------------------------- */

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

/* The array's memory as seen from a block: axes aligned from the right, broadcast axes without stride. */
static int view_of(View *v, PyObject *array, const Block *b, int flat)
{
    if (!PyArray_Check(array)) {
        PyErr_SetString(PyExc_TypeError, "expected an array");
        return -1;
    }
    PyArrayObject *a = (PyArrayObject *)array;
    v->data = PyArray_BYTES(a);
    memset(v->strides, 0, sizeof(v->strides));
    if (flat) {
        v->strides[0] = PyArray_ITEMSIZE(a);
        return 0;
    }
    if (b->column) {
        v->strides[0] = PyArray_NDIM(a) && PyArray_DIM(a, 0) > 1 ? PyArray_STRIDE(a, 0) : 0;
        return 0;
    }
    int skip = b->ndim - PyArray_NDIM(a);
    for (int k = 0; k < PyArray_NDIM(a); k++) {
        v->strides[k + skip] = PyArray_DIM(a, k) == 1 ? 0 : PyArray_STRIDE(a, k);
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
        r->group = size < p->chunk && !p->by_rows ? p->chunk / (size > 0 ? size : 1) : 1;
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
            if (view_of(r->out + k, PyList_GetItem(arrays, b->out), b, 0) < 0) {
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
            if (view_of(r->views[k] + i, PyList_GetItem(arrays, b->load_numbers[i]), b, p->flat) < 0) {
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

#define GROUP_MOST 48  /* operands */
#define FRUITLESS_MOST 2
#define ASIDE 512       /* elements */
#define LEAVES_MOST 64  /* of a chunk */

typedef struct {
    Run *run;
    int compiled;       /* run groups; 0 from when flags have been raised again and again */
    char *aside;        /* memory for outputs written aside */
    char **at;          /* per register: where its chunk is */
    npy_intp *step;     /* per register: stride in the chunk */
    char **line;        /* per load of the block at work: where the line begins */
    int *flags;
    npy_intp group, partial, joined;  /* the reduction: elements joined to the partial result at work */
    int fruitless;
    int nleaves;        /* of the chunk at work, whose sums a compiled loop has found; 0: it has not */
    npy_intp leaves[1 + LEAVES_MOST];  /* how many at a time; their elements */
    double sums[LEAVES_MOST];
} Worker;

/* NumPy adds pairwise: a run of more than 128 elements is the sum of its halves (cut at a multiple of eight). Leaves are
 * the runs that are not cut. */
static int leaves(npy_intp n, npy_intp *to)
{
    if (n <= 128) {
        *to = n;
        return 1;
    }
    npy_intp half = n / 2;
    half -= half % 8;
    int first = leaves(half, to);
    return first + leaves(n - half, to + first);
}

/* The sum of a run from those of its leaves; the next leaf is left in `at`. */
static double sum64(npy_intp n, const double **at)
{
    if (n <= 128) {
        return *(*at)++;
    }
    npy_intp half = n / 2;
    half -= half % 8;
    double first = sum64(half, at);
    return first + sum64(n - half, at);
}

static float sum32(npy_intp n, const float **at)
{
    if (n <= 128) {
        return *(*at)++;
    }
    npy_intp half = n / 2;
    half -= half % 8;
    float first = sum32(half, at);
    return first + sum32(n - half, at);
}

/* Run a chunk by the compiled loop; how many of its elements are done: all, or those before flags were raised, and its
 * instructions have to say whose they are. What is written aside is few elements at a time, which the first cache holds
 * beside the operands. */
static npy_intp run_group(const Group *g, Worker *w, npy_intp n)
{
    char *at[GROUP_MOST];
    npy_intp step[GROUP_MOST];
    char *aside = w->aside;
    npy_intp part = n;
    int sums = g->sum >= 0 && n >= 8, leaf = 0, nleaves = sums ? leaves(n, w->leaves + 1) : 0;
    int size = w->run->program->reduce_size;
    for (int k = 0; k < g->noperands; k++) {
        int r = g->regs[k];
        if (r < 0) {
            continue;
        }
        if (g->aside[k]) {
            at[k] = aside;
            step[k] = g->aside[k];
            aside += ASIDE * g->aside[k];
            part = n < ASIDE ? n : ASIDE;
        }
        else {
            at[k] = w->at[r];
            step[k] = w->step[r];
        }
    }
    for (int k = 1; k < g->nstreams; k++) {
        if (((size_t)at[g->streams[k]] ^ (size_t)at[g->streams[0]]) & 63) {
            return 0;
        }
    }
    if (g->interest) {
        raised();  /* what earlier instructions left */
    }
    npy_intp m = 0, lengths[LEAVES_MOST + 1];
    for (npy_intp done = 0; done < n; done += m) {
        m = n - done < part ? n - done : part;
        if (g->sum >= 0) {
            /* As many leaves as fit the part; where nothing is added up here, the part is one. */
            lengths[0] = 1;
            lengths[1] = m;
            at[g->sum + 1] = (char *)w->sums + leaf * size;
            if (sums) {
                m = lengths[0] = 0;
                while (leaf < nleaves && m + w->leaves[1 + leaf] <= part) {
                    m += lengths[++lengths[0]] = w->leaves[1 + leaf++];
                }
            }
            at[g->sum] = (char *)lengths;
        }
        g->kernel(at, step, m);
        if (g->interest && (raised() & g->interest)) {
            w->compiled = ++w->fruitless < FRUITLESS_MOST;
            return done;
        }
        for (int k = 0; k < g->noperands; k++) {
            int r = g->regs[k];
            if (r < 0) {
                continue;
            }
            if (g->aside[k]) {
                copy(w->at[r] + done * w->step[r], w->step[r], at[k], g->aside[k], m, g->aside[k]);
            }
            else {
                at[k] += m * step[k];
            }
        }
    }
    w->nleaves = nleaves;
    return n;
}

/* Move all registers by elements. */
static void move(Worker *w, npy_intp by)
{
    for (int r = 0; r < w->run->program->nregs; r++) {
        if (w->at[r] != NULL) {
            w->at[r] += by * w->step[r];
        }
    }
}

static inline int instruct(const Instruction *i, const Worker *w, npy_intp n)
{
    char *data[ARGS];
    npy_intp strides[ARGS];
    for (int k = 0; k < i->nargs; k++) {
        data[k] = w->at[i->regs[k]];
        strides[k] = w->step[i->regs[k]];
    }
    switch (i->op) {
        case UFUNC:
            return i->loop(i->context, data, &n, strides, i->aux);
        case COPY:
            copy(data[1], strides[1], data[0], strides[0], n, i->size);
            return 0;
        case WHERE:
            select_(data[3], strides[3], data[0], strides[0], data[1], strides[1], data[2], strides[2], n, i->size);
            return 0;
        default:
            i->cast(data[1], strides[1], data[0], strides[0], n);
            return 0;
    }
}

/* One chunk's values of the reduced register joined to a partial result. A partial result is of at most a chunk's
 * number of elements, so that sums are pairwise inside it and, when all are joined, over them. Which elements share
 * one is decided by where they are in the array, not by bands or threads. */
static int reduce(Worker *w, npy_intp group, npy_intp n)
{
    Run *r = w->run;
    Program *p = r->program;
    if (group != w->group) {
        w->group = group;
        w->partial = group * r->per_group;
        w->joined = 0;
    }
    else if (w->joined + n > p->chunk) {
        w->partial++;
        w->joined = 0;
    }
    w->joined += n;
    char *total = PyArray_BYTES((PyArrayObject *)r->partials) + w->partial * p->reduce_size;
    char *from = w->at[p->partial];
    npy_intp step = w->step[p->partial];
    if (w->nleaves) {
        const void *at = w->sums;
        int seen = r->seen[w->partial];
        if (p->reduce_size == 8) {
            double sum = sum64(n, (const double **)&at);
            *(double *)total = seen ? *(double *)total + sum : sum;
        }
        else {
            float sum = sum32(n, (const float **)&at);
            *(float *)total = seen ? *(float *)total + sum : sum;
        }
        r->seen[w->partial] = 1;
        return 0;
    }
    if (!r->seen[w->partial] && p->pairwise) {
        /* The start that changes no sum, so that the chunk is added up as a whole. */
        r->seen[w->partial] = 1;
        if (p->reduce_size == 8) {
            *(double *)total = -0.0;
        }
        else {
            *(float *)total = -0.0f;
        }
    }
    if (!r->seen[w->partial]) {
        r->seen[w->partial] = 1;
        memcpy(total, from, p->reduce_size);
        from += step;
        n--;
    }
    if (n == 0) {
        return 0;
    }
    char *data[3] = {total, from, total};
    npy_intp strides[3] = {0, step, 0};
    return p->reduce->loop(p->reduce->context, data, &n, strides, p->reduce->aux);
}

/* A run of elements on the last axis; `shift`: where the delayed row's memory begins, or NULL. */
static int span(Worker *w, const Block *b, int last, npy_intp start, npy_intp n, npy_intp group, char *row)
{
    Program *p = w->run->program;
    const View *views = w->run->views[b - p->blocks];
    int axis = b->ndim - 1;
    for (npy_intp done = 0; done < n; done += p->chunk) {
        npy_intp m = n - done < p->chunk ? n - done : p->chunk;
        for (int k = 0; k < b->nloads; k++) {
            w->at[b->load_regs[k]] = w->line[k] + (start + done) * views[k].strides[axis];
        }
        if (row != NULL) {
            w->at[b->result] = row + done * p->size_of[b->result];
        }
        w->nleaves = 0;
        npy_intp moved = 0;  /* elements of a group that its loop has done, up to instruction `rest` */
        int rest = -1;
        for (int k = 0; k < b->ninstructions; k++) {
            const Instruction *i = b->instructions + k;
            if (k == rest) {
                move(w, -moved);
                moved = 0;
            }
            if (w->compiled && i->group != NULL) {
                npy_intp ran = run_group(i->group, w, m);
                if (ran == m) {
                    k += i->group->count - 1;
                    continue;
                }
                moved = ran;
                rest = k + i->group->count;
                move(w, moved);
            }
            if (i->watch) {
                raised();  /* what earlier instructions left */
            }
            if (instruct(i, w, m - moved) < 0) {
                return -1;
            }
            if (i->watch) {
                int f = raised();
                if (f) {
                    w->flags[b->first + k] |= f;
                }
            }
        }
        if (moved) {
            move(w, -moved);
        }
        if (last && p->reduce != NULL) {
            raised();
            if (reduce(w, group, m) < 0) {
                return -1;
            }
            int f = raised();
            if (f) {
                w->flags[p->ninstructions] |= f;
            }
        }
    }
    return 0;
}

static void begin_block(Worker *w, const Block *b)
{
    const View *views = w->run->views[b - w->run->program->blocks];
    for (int k = 0; k < b->nloads; k++) {
        w->step[b->load_regs[k]] = views[k].strides[b->ndim - 1];
        w->line[k] = views[k].data;
    }
    if (b->result >= 0) {
        w->step[b->result] = w->run->program->size_of[b->result];
    }
}

/* Row `row` of a block of at least two axes, line by line. */
static int one_row(Worker *w, const Block *b, int last, npy_intp row, char *held)
{
    npy_intp group = last ? row / w->run->group : 0;
    const View *views = w->run->views[b - w->run->program->blocks];
    npy_intp index[DIMS] = {0}, lines = 1;
    for (int k = 1; k < b->ndim - 1; k++) {
        lines *= b->shape[k];
    }
    for (npy_intp line = 0; line < lines; line++) {
        for (int k = 0; k < b->nloads; k++) {
            char *at = views[k].data + row * views[k].strides[0];
            if (b->rings[k] >= 0) {
                const Run *r = w->run;
                int ring = b->rings[k];
                npy_intp turned = (b->ring_row[k] + row) % r->ring_rows[ring];
                at = r->ring_memory[ring] + turned * r->program->rings[ring].pitch + b->ring_at[k];
            }
            for (int d = 1; d < b->ndim - 1; d++) {
                at += index[d] * views[k].strides[d];
            }
            w->line[k] = at;
        }
        if (span(w, b, last, 0, b->shape[b->ndim - 1], group, held) < 0) {
            return -1;
        }
        for (int d = b->ndim - 2; d >= 1 && ++index[d] == b->shape[d]; d--) {
            index[d] = 0;
        }
    }
    return 0;
}

static int work_bands(Worker *w)
{
    Run *r = w->run;
    Program *p = r->program;
    for (;;) {
        npy_intp band = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED);
        if (band >= r->bands) {
            return 0;
        }
        npy_intp lo = p->low + band * p->rows, hi = lo + p->rows < p->high ? lo + p->rows : p->high;
        const Block *b = p->blocks;
        if (b->ndim == 1) {
            for (int k = 0; k < p->nblocks; k++) {
                b = p->blocks + k;
                npy_intp first = lo > b->base ? lo - b->base : 0;
                npy_intp end = hi - b->base < b->shape[0] ? hi - b->base : b->shape[0];
                begin_block(w, b);
                if (first < end && span(w, b, k == p->nblocks - 1, first, end - first, band, NULL) < 0) {
                    return -1;
                }
            }
            continue;
        }
        begin_block(w, b);
        /* Blocks meet in the same rows: a row is in the first cache when the next block needs it. */
        for (npy_intp at = lo; at < hi; at++) {
            for (int k = 0; k < p->nblocks; k++) {
                b = p->blocks + k;
                npy_intp row = at - b->base;
                if (row < 0 || row >= b->shape[0]) {
                    continue;
                }
                if (p->nblocks > 1) {
                    begin_block(w, b);
                }
                if (one_row(w, b, k == p->nblocks - 1, row, NULL) < 0) {
                    return -1;
                }
            }
        }
    }
}

static void write_row(Run *r, const Block *b, npy_intp row, const char *from)
{
    Program *p = r->program;
    const View *out = r->out + (b - p->blocks);
    int size = p->size_of[b->result];
    copy(out->data + row * out->strides[0], out->strides[1], from, size, b->shape[1], size);
}

/* Wait until the band before has passed the block; 0 where the run has failed. */
static int follow(Run *r, npy_intp band, int block)
{
    if (band == 0) {
        return 1;
    }
    for (int turns = 0; __atomic_load_n(r->progress + band - 1, __ATOMIC_ACQUIRE) <= block; turns++) {
        if (__atomic_load_n(&r->failed, __ATOMIC_RELAXED)) {
            return 0;
        }
        if (turns > 2000) {
            sched_yield();
        }
#if defined(__SSE2__)
        else {
            _mm_pause();
        }
#endif
    }
    return 1;
}

/* Blocks behind one another (graph/skew.py): bands of time, which is row and lag; threads follow through the bands. */
static int work_skewed(Worker *w)
{
    Run *r = w->run;
    Program *p = r->program;
    for (;;) {
        npy_intp band = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED);
        if (band >= r->bands) {
            return 0;
        }
        npy_intp lo = p->low + band * p->rows, hi = lo + p->rows;
        for (int k = 0; k < p->nblocks; k++) {
            const Block *b = p->blocks + k;
            if (!follow(r, band, k)) {
                return -1;
            }
            npy_intp first = lo - b->lag - b->base, end = hi - b->lag - b->base;
            npy_intp most = b->shape[0] + (b->held > 0 ? b->held : 0);
            first = first > 0 ? first : 0;
            end = end < most ? end : most;
            begin_block(w, b);
            for (npy_intp row = first; row < end; row++) {
                char *rows = r->held_rows[k];
                size_t size = b->held < 0 ? 0 : (size_t)b->shape[1] * p->size_of[b->result];
                if (row < b->shape[0]) {
                    char *to = b->held < 0 ? NULL : rows + row % (b->held + 1) * size;
                    if (one_row(w, b, k == p->nblocks - 1, row, to) < 0) {
                        __atomic_store_n(&r->failed, 1, __ATOMIC_RELAXED);
                        return -1;
                    }
                }
                if (b->held >= 0 && row >= b->held) {
                    write_row(r, b, row - b->held, rows + (row - b->held) % (b->held + 1) * size);
                }
            }
            __atomic_store_n(r->progress + band, k + 1, __ATOMIC_RELEASE);
        }
    }
}

/* A stencil in place, two axes: a row is written when the rows that read its old value are computed. The first and
 * the last rows of a part stay in its memory until every part is done: see finish(). */
static int work_delayed(Worker *w, int part, int parts)
{
    Run *r = w->run;
    Program *p = r->program;
    const Block *b = p->blocks;
    npy_intp n = b->shape[0], d = p->delayed;
    npy_intp first = n * part / parts, end = n * (part + 1) / parts;
    size_t size = (size_t)b->shape[1] * p->size_of[b->result];
    Held *h = r->held + part;
    h->first_row = (int)first;
    h->rows = (int)(end - first);
    if (first == end) {
        return 0;
    }
    h->memory = malloc((2 * d + 1) * size);
    if (h->memory == NULL) {
        return -1;
    }
    begin_block(w, b);
    for (npy_intp row = first; row < end; row++) {
        npy_intp k = row - first;
        char *to = h->memory + (k < d ? k : d + k % (d + 1)) * size;
        if (one_row(w, b, 0, row, to) < 0) {
            return -1;
        }
        if (k - d >= d) {
            write_row(r, b, row - d, h->memory + (d + (k - d) % (d + 1)) * size);
        }
    }
    return 0;
}

static PyObject *run_work(Run *r, PyObject *args)
{
    static __thread char *scratch;
    static __thread size_t scratch_size;
    Program *p = r->program;
    int part, parts, failed = 0;
    if (!PyArg_ParseTuple(args, "ii", &part, &parts)) {
        return NULL;
    }
    int most = 1;
    for (int k = 0; k < p->nblocks; k++) {
        most = p->blocks[k].nloads > most ? p->blocks[k].nloads : most;
    }
    Worker w = {.run = r, .compiled = __atomic_load_n(&p->compiled, __ATOMIC_ACQUIRE), .group = -1};
    w.at = calloc(p->nregs + 1, sizeof(char *));
    w.step = calloc(p->nregs + 1, sizeof(npy_intp));
    w.line = calloc(most + 1, sizeof(char *));
    w.flags = calloc(p->ninstructions + 2, sizeof(int));
    size_t needed = p->scratch_size + 128 + (w.compiled ? p->asides * ASIDE * 8 : 0);
    if (scratch_size < needed) {
        free(scratch);
        scratch_size = needed;
        scratch = malloc(scratch_size);
    }
    if (w.at == NULL || w.step == NULL || w.line == NULL || w.flags == NULL || scratch == NULL) {
        scratch_size = scratch == NULL ? 0 : scratch_size;
        failed = 1;
    }
    else {
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
        Py_BEGIN_ALLOW_THREADS
        feclearexcept(FE_ALL_EXCEPT);
        failed = (p->delayed ? work_delayed(&w, part, parts) : p->skewed ? work_skewed(&w) : work_bands(&w)) < 0;
        feclearexcept(FE_ALL_EXCEPT);
#if defined(__SSE2__)
        _mm_sfence();  /* what was written past the caches is seen by all threads from here on */
#endif
        Py_END_ALLOW_THREADS
        for (int k = 0; k <= p->ninstructions; k++) {
            r->flags[k] |= w.flags[k];
        }
    }
    free(w.at);
    free(w.step);
    free(w.line);
    free(w.flags);
    if (failed) {
        r->failed = 1;
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
        return NULL;
    }
    Py_RETURN_NONE;
}

/* After every part is done: write what was held back. Gives (flags of each instruction and of the reduction, bands
 * that have a partial result). */
static PyObject *run_finish(Run *r, PyObject *unused)
{
    Program *p = r->program;
    if (p->delayed) {
        const Block *b = p->blocks;
        size_t size = (size_t)b->shape[1] * p->size_of[b->result];
        npy_intp d = p->delayed;
        for (int part = 0; part < r->nheld; part++) {
            Held *h = r->held + part;
            for (npy_intp k = 0; k < h->rows; k++) {
                if (k < d || k >= h->rows - d) {
                    write_row(r, b, h->first_row + k, h->memory + (k < d ? k : d + k % (d + 1)) * size);
                }
            }
        }
    }
    PyObject *flags = PyList_New(p->ninstructions + 1), *seen = PyBytes_FromStringAndSize(r->seen, r->partials == Py_None ? 0 : PyArray_SIZE((PyArrayObject *)r->partials));
    for (int k = 0; flags != NULL && k <= p->ninstructions; k++) {
        PyList_SET_ITEM(flags, k, PyLong_FromLong(r->flags[k]));
    }
    return Py_BuildValue("NN", flags, seen);
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

static Instruction *instruction(Program *p, int number)
{
    for (int k = 0; k < p->nblocks; k++) {
        Block *b = p->blocks + k;
        if (number >= b->first && number < b->first + b->ninstructions) {
            return b->instructions + number - b->first;
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
        Instruction *i = g == NULL ? NULL : instruction(p, first);
        if (i == NULL || i->group != NULL) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError, "no such instruction");
            }
            return NULL;
        }
        int asides = 0;
        for (int o = 0; o < g->noperands; o++) {
            asides += g->aside[o] != 0;
        }
        p->asides = asides > p->asides ? asides : p->asides;
        i->group = g;
    }
    __atomic_store_n(&p->compiled, 1, __ATOMIC_RELEASE);
    Py_RETURN_NONE;
}

static PyMethodDef program_methods[] = {
    {"attach", (PyCFunction)program_attach, METH_VARARGS,
     "attach(groups, owner): compiled loops, whose code lives as long as owner"},
    {"run", (PyCFunction)program_run, METH_VARARGS, "run(arrays, constants, partials, parts): bound to arrays"},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef run_methods[] = {
    {"work", (PyCFunction)run_work, METH_VARARGS, "work(part, parts): this thread's share"},
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

static PyMethodDef functions[] = {
    {"form", form, METH_VARARGS, "form(pending, reduction or None, leaves, exposed): the canonical form of a window"},
    {"form_of", form_of, METH_VARARGS, "form_of(Node, Leaf, Store, Reduction, Ear, Lease): the classes that it reads"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_tiles", "Tiles without the interpreter.", -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__tiles(void)
{
    import_array();
    if (PyType_Ready(&program_type) < 0 || PyType_Ready(&run_type) < 0) {
        return NULL;
    }
    PyObject *m = PyModule_Create(&module);
    if (m != NULL && PyModule_AddObjectRef(m, "Program", (PyObject *)&program_type) < 0) {
        Py_CLEAR(m);
    }
    return m;
}
