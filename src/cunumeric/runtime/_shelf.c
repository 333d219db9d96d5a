/* Memory whose pages stay mapped, in C: what `memory.py` does in Python where this was not built.
 *
 * An array's base is a `Lease`, which holds the raw memory (an array of bytes) and dies with the last array on it; its
 * end puts the memory on the shelf. Optional: see `memory.py` for why there is a shelf at all.
 */
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>

#define PAGE 4096
#define MOST 256                      /* pieces that are shelved at most */

static npy_intp shelved_from;         /* smaller memory is malloc's, which serves it from its own warm heap */
static PyObject *shelf[MOST];         /* raw memory, the longest shelved first */
static int n_shelved;
static PyTypeObject *lease_type;

typedef struct {
    PyObject_HEAD
    PyObject *raw;
} Lease;

static inline npy_intp size_of(PyObject *raw)
{
    return PyArray_DIM((PyArrayObject *)raw, 0);
}

/* Take piece `k` off the shelf. */
static PyObject *off(int k)
{
    PyObject *raw = shelf[k];
    n_shelved--;
    memmove(&shelf[k], &shelf[k + 1], (n_shelved - k) * sizeof(*shelf));
    return raw;
}

static void lease_dealloc(PyObject *self)
{
    PyObject *raw = ((Lease *)self)->raw;
    PyTypeObject *type = Py_TYPE(self);
    if (raw != NULL) {
        if (n_shelved == MOST) {
            Py_DECREF(off(0));
        }
        shelf[n_shelved++] = raw;
    }
    PyObject_Free(self);
    Py_DECREF(type);
}

/* Free shelved memory until `nbytes` are free, that of about this size first. */
static void drop(npy_intp nbytes)
{
    while (nbytes > 0 && n_shelved > 0) {
        int nearest = 0;
        npy_intp least = NPY_MAX_INTP;
        for (int k = 0; k < n_shelved; k++) {
            npy_intp distance = size_of(shelf[k]) - nbytes;
            distance = distance < 0 ? -distance : distance;
            if (distance < least) {
                least = distance;
                nearest = k;
            }
        }
        PyObject *raw = off(nearest);
        nbytes -= size_of(raw);
        Py_DECREF(raw);
    }
}

/* Memory of `size` bytes, a new reference; what waits on the shelf is freed before new memory is taken. */
static PyObject *take(npy_intp size)
{
    for (int k = n_shelved - 1; k >= 0; k--) {
        if (size_of(shelf[k]) == size) {
            return off(k);
        }
    }
    drop(size);
    PyObject *raw = PyArray_SimpleNew(1, &size, NPY_UINT8);
    return raw;
}

/* An array over memory that may come from the shelf. Takes the reference of `dtype`. */
static PyObject *new_array(int ndim, npy_intp const *dims, PyArray_Descr *dtype, int fortran)
{
    npy_intp itemsize = PyDataType_ELSIZE(dtype), size = itemsize;
    int shelved = !PyDataType_REFCHK(dtype) && itemsize > 0;
    for (int k = 0; shelved && k < ndim; k++) {
        /* What is too large, empty or wrong is NumPy's. */
        shelved = dims[k] > 0 && size <= ((npy_intp)1 << 46) / dims[k];
        size *= shelved ? dims[k] : 1;
    }
    if (!shelved || size < shelved_from) {
        return PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, dims, NULL, NULL, fortran, NULL);
    }
    PyObject *raw = take((size + PAGE - 1) / PAGE * PAGE);
    if (raw == NULL) {
        PyErr_Clear();
        drop(NPY_MAX_INTP);
        return PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, dims, NULL, NULL, fortran, NULL);
    }
    Lease *lease = PyObject_New(Lease, lease_type);
    if (lease == NULL) {
        Py_DECREF(raw);
        Py_DECREF(dtype);
        return NULL;
    }
    lease->raw = raw;
    PyObject *a = PyArray_NewFromDescr(&PyArray_Type, dtype, ndim, dims, NULL, PyArray_DATA((PyArrayObject *)raw),
                                       NPY_ARRAY_WRITEABLE | (fortran ? NPY_ARRAY_F_CONTIGUOUS : 0), NULL);
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
    int fortran = n == 3 && PyUnicode_CompareWithASCIIString(args[2], "F") == 0;
    PyObject *a = new_array(shape.len, shape.ptr, (PyArray_Descr *)Py_NewRef(args[1]), fortran);
    PyDimMem_FREE(shape.ptr);
    return a;
}

static PyObject *trim(PyObject *self, PyObject *nothing)
{
    drop(NPY_MAX_INTP);
    Py_RETURN_NONE;
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
    {"trim", trim, METH_NOARGS, "Free all shelved memory."},
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
    PyObject *way = PyCapsule_New((void *)new_array, "cunumeric.new_array", NULL);
    if (m == NULL || lease_type == NULL || way == NULL || PyModule_AddObjectRef(m, "Lease", (PyObject *)lease_type) < 0 ||
        PyModule_AddObjectRef(m, "new_array", way) < 0) {
        Py_CLEAR(m);
    }
    Py_XDECREF(way);
    return m;
}
