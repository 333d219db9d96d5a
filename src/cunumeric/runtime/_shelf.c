/* Memory whose pages stay mapped, in C: what `memory.py` does in Python where this was not built.
 *
 * An array's base is a `Lease`, which holds the raw memory and dies with the last array on it; its
 * end puts the memory on the shelf. Optional: see `memory.py` for why there is a shelf at all.
 */
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#define PAGE 4096
#define HUGE_PAGE (2 << 20)
/* Where arrays begin: at a vector of any processor. Reading and writing vectors that lie in two lines of the cache costs
 * a fifth to a half more, whether they come from the first cache or the last. malloc aligns to 16 bytes. */
#define LINE 64
/* Where in its page the next of the larger arrays of a size begins, in turn. Processors take a read for one of what was
 * just written where the last 12 bits of the addresses agree: a loop is up to a quarter slower where its result begins up
 * to 256 bytes after an operand in their pages, a twentieth where both begin at one place, and a copy to a place up to 64
 * bytes further in the page takes twelve times as long. Arrays of a size are used together. */
#define SHIFTED_FROM (32 << 10)
#define SHIFTS 16
#define SHIFT(K) ((K) % 8 * (PAGE / 8) + (K) / 8 % 2 * (PAGE / SHIFTS))
#define SIZES 64 /* two to the power of 64 - 58 */

/* The place for an array of so many bytes in memory that begins at `from`, and has a page more. */
static char *shifted(char *from, npy_uintp size)
{
    static npy_uintp turns[SIZES]; /* of sizes that meet here */
    npy_uintp place = turns[(uint64_t)size * 0x9e3779b97f4a7c15u >> 58]++;
    place = SHIFT(place);
    return from + ((place - (npy_uintp)from) & (PAGE - 1));
}

#define MOST 256                      /* pieces that are shelved at most */

#include "_pieces.h"

enum { PLAIN, FORTRAN, ZEROS };       /* how an array is made */

static npy_intp shelved_from;         /* smaller memory is malloc's, which serves it from its own warm heap */
/* From here on memory comes from the system itself, and goes back there: malloc would keep it. */
#define MAPPED_FROM (4 << 20)

typedef struct {
    char *data;
    char *block;                      /* malloc's or the system's, in which the data begin */
    npy_intp size;
    npy_intp mapped;                  /* bytes of the system's */
    int warm;                         /* whether the system had given pages when it was last looked */
} Raw;

static Raw *shelf[MOST];              /* the longest shelved first */
static int n_shelved;
static PyTypeObject *lease_type;

/* Bytes: warm on the shelf; with an array; with an array that has not written to them, so that the system has not given
 * pages yet; and the most that arrays have had pages for. Whenever memory comes or goes, arrays and shelf together have no
 * more than that. */
static npy_intp shelved, live, untouched, peak;

/* Large memory that had not been written to when last looked at. */
#define LOOKED_AT (4 << 20)
#define FRESH 16
static Raw *fresh[FRESH];
static int n_fresh;

typedef struct {
    PyObject_HEAD
    Raw *raw;
} Lease;

/* NumPy's domain of traced memory. */
#define TRACED 389047

/* New memory, or NULL without an error. */
static Raw *raw_new(npy_intp size, int zeros)
{
    Raw *raw = malloc(sizeof(*raw));
    if (raw == NULL) {
        return NULL;
    }
    raw->size = size;
    raw->mapped = 0;
    raw->warm = 0;
    raw->data = NULL;
#ifdef __linux__
    if (size >= MAPPED_FROM) {
        /* The system begins whole numbers of huge pages at one. No huge page for the few bytes at the end. */
        npy_intp whole = size + (size % HUGE_PAGE ? PAGE : HUGE_PAGE);
        void *block = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block != MAP_FAILED) {
            madvise(block, size, MADV_HUGEPAGE);  /* as NumPy does */
            raw->mapped = whole;
            raw->block = block;
            raw->data = shifted(block, size);
        }
    }
    else
#endif
    {
        raw->block = zeros ? calloc(size + PAGE, 1) : malloc(size + PAGE);
        raw->data = raw->block == NULL ? NULL : shifted(raw->block, size);
    }
    if (raw->data == NULL) {
        free(raw);
        return NULL;
    }
    return raw;
}

static void raw_free(Raw *raw)
{
#ifdef __linux__
    if (raw->mapped) {
        munmap(raw->block, raw->mapped);
        free(raw);
        return;
    }
#endif
    free(raw->block);
    free(raw);
}

/* Whether the system has given pages for the middle of `raw`: whoever fills memory has come there. */
static int is_touched(Raw *raw)
{
#ifdef __linux__
    unsigned char found = 1;
    npy_uintp middle = (npy_uintp)raw->data + raw->size / 2;
    return mincore((void *)(middle / PAGE * PAGE), PAGE, &found) != 0 || (found & 1);
#else
    return 1;
#endif
}

static int forget_fresh(Raw *raw)
{
    for (int k = 0; k < n_fresh; k++) {
        if (fresh[k] == raw) {
            fresh[k] = fresh[--n_fresh];
            untouched -= raw->size;
            return 1;
        }
    }
    return 0;
}

static void drop(npy_intp nbytes);

/* Look which memory has been written to, and make room for its pages. */
static void look(void)
{
    for (int k = n_fresh - 1; k >= 0; k--) {
        if (is_touched(fresh[k])) {
            forget_fresh(fresh[k]);
        }
    }
    if (live - untouched > peak) {
        peak = live - untouched;
    }
    if (live - untouched + shelved > peak) {
        drop(live - untouched + shelved - peak);
    }
}

/* `raw`, which may be new memory, is with an array from now on. */
static void lend(Raw *raw)
{
    npy_intp size = raw->size;
    live += size;
    if (size >= LOOKED_AT && !raw->warm) {
        if (n_fresh == FRESH) {
            forget_fresh(fresh[0]);
        }
        fresh[n_fresh++] = raw;
        untouched += size;
    }
}

/* Take piece `k` off the shelf. */
static Raw *off(int k)
{
    Raw *raw = shelf[k];
    n_shelved--;
    shelved -= raw->warm ? raw->size : 0;
    memmove(&shelf[k], &shelf[k + 1], (n_shelved - k) * sizeof(*shelf));
    return raw;
}

static void lease_dealloc(PyObject *self)
{
    Raw *raw = ((Lease *)self)->raw;
    PyTypeObject *type = Py_TYPE(self);
    if (raw != NULL) {
        npy_intp size = raw->size;
        PyTraceMalloc_Untrack(TRACED, (uintptr_t)raw->data);
        if (untouched && live > peak) {
            look();  /* what was written to beside this memory has pages at the same time: that may be the most so far */
        }
        raw->warm = !forget_fresh(raw) || is_touched(raw);
        if (raw->warm && live - untouched > peak) {
            peak = live - untouched;
        }
        live -= size;
        if (n_shelved == MOST) {
            raw_free(off(0));
        }
        if (raw->warm && live - untouched + shelved + size > peak) {
            look();  /* a system call for each that is fresh: only where that decides something */
        }
        if (raw->warm && live - untouched + shelved + size > peak) {
            raw_free(raw);
        }
        else {
            shelf[n_shelved++] = raw;
            shelved += raw->warm ? size : 0;
        }
    }
    PyObject_Free(self);
    Py_DECREF(type);
}

/* Free shelved memory until `nbytes` are free, that of about this size first. */
static void drop(npy_intp nbytes)
{
    while (nbytes > 0 && shelved > 0) {
        int nearest = 0;
        npy_intp least = NPY_MAX_INTP;
        for (int k = 0; k < n_shelved; k++) {
            if (!shelf[k]->warm) {
                continue;
            }
            npy_intp distance = shelf[k]->size - nbytes;
            distance = distance < 0 ? -distance : distance;
            if (distance < least) {
                least = distance;
                nearest = k;
            }
        }
        Raw *raw = off(nearest);
        nbytes -= raw->size;
        raw_free(raw);
    }
}

/* Called before so much memory is taken anew: it may put some on the shelf. */
#define RELIEVED_FROM (16 << 20)
static PyObject *reliever;

static void relieve(void)
{
    static int inside;
    PyObject *kind, *value, *trace, *r;
    if (reliever == NULL || inside) {
        return;
    }
    inside = 1;
    PyErr_Fetch(&kind, &value, &trace);
    r = PyObject_CallNoArgs(reliever);
    if (r == NULL) {
        PyErr_WriteUnraisable(reliever);
    }
    Py_XDECREF(r);
    PyErr_Restore(kind, value, trace);
    inside = 0;
}

static PyObject *relieve_by(PyObject *self, PyObject *f)
{
    Py_XSETREF(reliever, Py_NewRef(f));
    Py_RETURN_NONE;
}

/* Memory of `size` bytes, a new reference; what waits on the shelf is freed before new memory is taken. Zeros are
 * always new memory: the system has pages of zeros, and gives them when they are touched. */
static Raw *take(npy_intp size, int zeros)
{
    int found = 0;
    for (int k = 0; size >= RELIEVED_FROM && k < n_shelved; k++) {
        found |= shelf[k]->size == size;
    }
    if (size >= RELIEVED_FROM && !found) {
        relieve();
    }
    for (int warm = 1; !zeros && warm >= 0; warm--) {  /* what is not warm may have been written to in part */
        for (int k = n_shelved - 1; k >= 0; k--) {
            if (shelf[k]->size == size && shelf[k]->warm == warm) {
                Raw *raw = off(k);
                if (!warm) {
                    drop(size);
                }
                return raw;
            }
        }
    }
    look();
    drop(size);
    return raw_new(size, zeros);
}

static PyObject *numpys(int ndim, npy_intp const *dims, PyArray_Descr *dtype, int how)
{
    return how == ZEROS ? PyArray_Zeros(ndim, dims, dtype, 0)
                        : PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, dims, NULL, NULL, how == FORTRAN, NULL);
}

/* The memory of smaller arrays NumPy keeps itself. */
#define PIECES_FROM 1024

/* An array that owns a piece of `size` bytes. Takes the reference of `dtype`. */
static PyObject *on_piece(int ndim, npy_intp const *dims, PyArray_Descr *dtype, int how, npy_intp size)
{
    void *data = piece_malloc(NULL, size);
    if (data == NULL) {
        return numpys(ndim, dims, dtype, how);
    }
    int order = how == FORTRAN ? NPY_ARRAY_F_CONTIGUOUS : 0;
    PyObject *a = PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, dims, NULL, data, NPY_ARRAY_WRITEABLE | order, NULL);
    if (a == NULL) {
        piece_free(NULL, data, size);
        return NULL;
    }
    if (how == ZEROS) {
        memset(data, 0, size);
    }
    PyTraceMalloc_Track(TRACED, (uintptr_t)data, size);
    ((PyArrayObject_fields *)a)->mem_handler = Py_NewRef(piece_handler);
    PyArray_ENABLEFLAGS((PyArrayObject *)a, NPY_ARRAY_OWNDATA);
    return a;
}

/* An array over memory that may come from the shelf. Takes the reference of `dtype`. */
static PyObject *new_array(int ndim, npy_intp const *dims, PyArray_Descr *dtype, int how)
{
    npy_intp itemsize = PyDataType_ELSIZE(dtype), size = itemsize;
    int shelved = !PyDataType_REFCHK(dtype) && itemsize > 0;
    for (int k = 0; shelved && k < ndim; k++) {
        /* What is too large, empty or wrong is NumPy's. */
        shelved = dims[k] > 0 && size <= ((npy_intp)1 << 46) / dims[k];
        size *= shelved ? dims[k] : 1;
    }
    if (shelved && size < shelved_from && size >= PIECES_FROM) {
        return on_piece(ndim, dims, dtype, how, size);
    }
    if (!shelved || size < shelved_from) {
        return numpys(ndim, dims, dtype, how);
    }
    Raw *raw = take((size + PAGE - 1) / PAGE * PAGE, how == ZEROS);
    if (raw == NULL) {
        drop(NPY_MAX_INTP);
        return numpys(ndim, dims, dtype, how);
    }
    Lease *lease = PyObject_New(Lease, lease_type);
    if (lease == NULL) {
        raw_free(raw);
        Py_DECREF(dtype);
        return NULL;
    }
    lease->raw = raw;
    lend(raw);
    PyTraceMalloc_Track(TRACED, (uintptr_t)raw->data, raw->size);
    PyObject *a = PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, dims, NULL, raw->data,
                                       NPY_ARRAY_WRITEABLE | (how == FORTRAN ? NPY_ARRAY_F_CONTIGUOUS : 0), NULL);
    if (a == NULL) {
        Py_DECREF(lease);
        return NULL;
    }
    if (PyArray_SetBaseObject((PyArrayObject *)a, (PyObject *)lease) < 0) {  /* takes the reference, come what may */
        Py_DECREF(a);
        return NULL;
    }
    return a;
}

/* empty(shape, dtype, order) */
static PyObject *empty(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    PyArray_Dims shape = {NULL, 0};
    if (n < 2 || n > 3 || !PyArray_DescrCheck(args[1])) {
        PyErr_SetString(PyExc_TypeError, "empty(shape, dtype, order)");
        return NULL;
    }
    if (!PyArray_IntpConverter(args[0], &shape)) {
        return NULL;
    }
    int how = n == 3 && PyUnicode_CompareWithASCIIString(args[2], "F") == 0 ? FORTRAN : PLAIN;
    PyObject *a = new_array(shape.len, shape.ptr, (PyArray_Descr *)Py_NewRef(args[1]), how);
    PyDimMem_FREE(shape.ptr);
    return a;
}

/* allow_writes(a): the array of a lease may be written again, which NumPy has no way to know. */
static PyObject *allow_writes(PyObject *self, PyObject *a)
{
    if (!PyArray_Check(a) || PyArray_BASE((PyArrayObject *)a) == NULL ||
        Py_TYPE(PyArray_BASE((PyArrayObject *)a)) != lease_type) {
        PyErr_SetString(PyExc_TypeError, "allow_writes(a): an array on a lease");
        return NULL;
    }
    PyArray_ENABLEFLAGS((PyArrayObject *)a, NPY_ARRAY_WRITEABLE);
    Py_RETURN_NONE;
}

/* Other memory of `nbytes` was taken: the shelf may hold so much less. */
static void note(npy_intp nbytes)
{
    drop(nbytes);
}

static PyObject *trim(PyObject *self, PyObject *nothing)
{
    while (n_shelved > 0) {
        raw_free(off(n_shelved - 1));
    }
    free_pieces();
    Py_RETURN_NONE;
}

static PyObject *kept_pieces(PyObject *self, PyObject *nothing)
{
    return PyLong_FromSize_t(kept);
}

static PyObject *start(PyObject *self, PyObject *least)
{
    npy_intp n = PyLong_AsSsize_t(least);
    if (n == -1 && PyErr_Occurred()) {
        return NULL;
    }
    shelved_from = n;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"empty", (PyCFunction)(void (*)(void))empty, METH_FASTCALL, "empty(shape, dtype, order): an array, perhaps on shelved memory"},
    {"allow_writes", allow_writes, METH_O, "allow_writes(a): make the array of a lease writeable again"},
    {"relieve_by", relieve_by, METH_O, "relieve_by(f): call f before large memory is taken anew"},
    {"trim", trim, METH_NOARGS, "Free all shelved memory."},
    {"kept", kept_pieces, METH_NOARGS, "Bytes of small memory that wait for reuse."},
    {"start", start, METH_O, "Memory of this many bytes or more is shelved."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot lease_slots[] = {
    {Py_tp_dealloc, lease_dealloc},
    {Py_tp_doc, "One life of raw memory: the base of the array that it was given to."},
    {0, NULL},
};
static PyType_Spec lease_spec = {
    "cunumeric.runtime.memory.Lease", sizeof(Lease), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, lease_slots,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_shelf", "Memory whose pages stay mapped.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__shelf(void)
{
    import_array();
    PyObject *m = PyModule_Create(&module);
    lease_type = (PyTypeObject *)PyType_FromSpec(&lease_spec);
    piece_handler = PyCapsule_New(&piece_functions, "mem_handler", NULL);
    static void *ways[] = {(void *)new_array, (void *)note};
    PyObject *way = PyCapsule_New(ways, "cunumeric.shelf", NULL);
    if (m == NULL || lease_type == NULL || piece_handler == NULL || way == NULL ||
        PyModule_AddObjectRef(m, "Lease", (PyObject *)lease_type) < 0 || PyModule_AddObjectRef(m, "ways", way) < 0) {
        Py_CLEAR(m);
    }
    Py_XDECREF(way);
    return m;
}
