/* Reductions of all of a small array to one number, by one call of NumPy's loop: what NumPy asks first takes ten times as
 * long. Part of `_fast.c`, which includes it. */
#ifndef CUNUMERIC_WHOLE_H
#define CUNUMERIC_WHOLE_H

#include "_rows.h"

/* The inner array of `x` where its elements follow one another, and it is too small for threads; borrowed, or NULL. */
static PyArrayObject *in_one_run(PyObject *x)
{
    PyArrayObject *a = (PyArrayObject *)plain(x);
    return a == NULL || PyArray_SIZE(a) == 0 || PyArray_SIZE(a) >= reduced_limit || !PyArray_ISBEHAVED_RO(a) ||
                   !(PyArray_FLAGS(a) & (NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS))
               ? NULL
               : a;
}

/* All of `a` by a ufunc of one type, begun with `first`, or with its first element; 0 where NumPy has to do it, as where
 * a floating-point flag was raised: its warning names a line of its own. */
static int reduce_whole(PyUFuncObject *f, PyArrayObject *a, const void *first, char *to)
{
    int type = PyArray_TYPE(a), found = loop_of(f, 2, type);
    npy_intp step = PyArray_ITEMSIZE(a), n = PyArray_SIZE(a), steps[3] = {0, step, 0};
    char *rest = PyArray_BYTES(a), *args[3] = {to, rest, to};
    if (found < 0 || f->types[found * f->nargs + 2] != type) {
        return 0;
    }
    if (first == NULL) {
        args[1] += step;
        n--;
    }
    memcpy(to, first == NULL ? rest : first, step);
    PyUFunc_clearfperr();
    if (n > 0) {
        f->functions[found](args, &n, steps, f->data == NULL ? NULL : f->data[found]);
    }
    return !PyUFunc_getfperr();
}

/* The sum of floats and of `long`; those of smaller integers NumPy casts first. */
static int sum_whole(PyArrayObject *a, char *to)
{
    static const char zero[8];
    int type = PyArray_TYPE(a);
    if (SUMS_HERE && (type == NPY_DOUBLE || type == NPY_FLOAT)) {
        npy_intp n = PyArray_SIZE(a);
        double sum;
        PyUFunc_clearfperr();
        if (type == NPY_DOUBLE) {
            sum = *(double *)to = 0.0 + sum_of_double(PyArray_DATA(a), n);
        }
        else {
            sum = *(float *)to = 0.0f + sum_of_float(PyArray_DATA(a), n);
        }
        return !PyUFunc_getfperr() && sum == sum; /* of several NaN, which one it is was left to NumPy's compiler */
    }
    return (type == NPY_DOUBLE || type == NPY_FLOAT || type == NPY_LONG) && reduce_whole(rowwise[ROWS_add], a, zero, to);
}

/* The same of what is recorded. */
static PyObject *recorded_whole(PyObject *const *args, Py_ssize_t n, int which)
{
    return n == 1 && reduced != NULL && Py_TYPE(args[0]) == array_type ? reduced(args[0], which) : NULL;
}

static PyObject *shortcut_sum(PyObject *const *args, Py_ssize_t n)
{
    PyArrayObject *a = n == 1 ? in_one_run(args[0]) : NULL;
    char sum[16];
    if (a == NULL) {
        return recorded_whole(args, n, REDUCING_SUM);
    }
    return sum_whole(a, sum) ? PyArray_Scalar(sum, PyArray_DESCR(a), NULL) : NULL;
}

static PyObject *shortcut_mean(PyObject *const *args, Py_ssize_t n)
{
    PyArrayObject *a = n == 1 ? in_one_run(args[0]) : NULL;
    double sum;
    if (a == NULL || PyArray_TYPE(a) != NPY_DOUBLE || !sum_whole(a, (char *)&sum)) {
        return NULL;
    }
    sum /= (double)PyArray_SIZE(a);
    return PyArray_Scalar(&sum, PyArray_DESCR(a), NULL);
}

/* The largest, or smallest, element. */
static PyObject *extreme_whole(PyObject *x, PyUFuncObject *f)
{
    PyArrayObject *a = in_one_run(x);
    char found[16];
    return a != NULL && is_met(PyArray_TYPE(a)) && PyArray_TYPE(a) != NPY_CDOUBLE && reduce_whole(f, a, NULL, found)
               ? PyArray_Scalar(found, PyArray_DESCR(a), NULL) : NULL;
}

static PyObject *shortcut_max(PyObject *const *args, Py_ssize_t n)
{
    PyObject *r = n == 1 ? extreme_whole(args[0], rowwise[ROWS_maximum]) : NULL;
    return r != NULL || PyErr_Occurred() ? r : recorded_whole(args, n, REDUCING_MAX);
}

static PyObject *shortcut_min(PyObject *const *args, Py_ssize_t n)
{
    PyObject *r = n == 1 ? extreme_whole(args[0], rowwise[ROWS_minimum]) : NULL;
    return r != NULL || PyErr_Occurred() ? r : recorded_whole(args, n, REDUCING_MIN);
}

/* Whether one of `n` truths holds; whether one does not. By blocks, of which the compiler makes vectors: any byte but 0
 * holds. */
#define BLOCK 256
static int one_holds(const npy_bool *v, npy_intp n)
{
    for (; n >= BLOCK; n -= BLOCK, v += BLOCK) {
        npy_bool some = 0;
        for (int k = 0; k < BLOCK; k++) {
            some |= v[k];
        }
        if (some) {
            return 1;
        }
    }
    while (n > 0 && !*v) {
        n--;
        v++;
    }
    return n > 0;
}

static int one_fails(const npy_bool *v, npy_intp n)
{
    return memchr(v, 0, n) != NULL;
}

/* `told` of an array of truths; -1 where these are none, or not here. */
static int truth_whole(PyObject *x, int (*told)(const npy_bool *, npy_intp))
{
    PyArrayObject *a = in_one_run(x);
    return a == NULL || PyArray_TYPE(a) != NPY_BOOL ? -1 : told(PyArray_DATA(a), PyArray_SIZE(a));
}

static PyObject *shortcut_any(PyObject *const *args, Py_ssize_t n)
{
    int found = n == 1 ? truth_whole(args[0], one_holds) : -1;
    return found < 0 ? recorded_whole(args, n, REDUCING_ANY)
                     : Py_NewRef(found ? PyArrayScalar_True : PyArrayScalar_False);
}

static PyObject *shortcut_all(PyObject *const *args, Py_ssize_t n)
{
    int found = n == 1 ? truth_whole(args[0], one_fails) : -1;
    return found < 0 ? recorded_whole(args, n, REDUCING_ALL)
                     : Py_NewRef(found ? PyArrayScalar_False : PyArrayScalar_True);
}

#endif
