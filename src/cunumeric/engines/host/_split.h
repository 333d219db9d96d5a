/* Sorting a vector by a thread for each bucket, where the processor packs the chosen elements of a register (AVX-512): a
 * bucket's are told by comparison, packed and stored, without a branch and without a byte for each; in their order. */
#ifndef CUNUMERIC_SPLIT_H
#define CUNUMERIC_SPLIT_H

#include "_deal.h"
#include "_team.h"

#define SPLIT_MOST 16 /* buckets: elements are compared with all pivots, and each register is stored once for each */

typedef void Tally(const void *x, npy_intp n, const void *pivots, int buckets, npy_intp *counts);
typedef int Split(const void *x, npy_intp n, const void *pivots, int buckets, npy_intp *places, const npy_intp *ends,
                  void *out);

#if defined(__x86_64__) && defined(__GNUC__)
#define CAN_SPLIT __builtin_cpu_supports("avx512f")
#include <immintrin.h>
#define PACKING __attribute__((target("avx512f,popcnt")))

/* WIDTH elements of T a register; MASK: a bit for each of them. What is not less than a pivot is behind it. `split` gives
 * 0 where a bucket has more elements than were counted, because another thread of the program writes to them. */
#define SPLIT(T, WIDTH, MASK, REGISTER, LOAD, SPREAD, LESS, PACK, PUT)                                                  \
    PACKING static void tally_##T(const void *from, npy_intp n, const void *pivots, int buckets, npy_intp *counts)      \
    {                                                                                                                   \
        const T *x = from;                                                                                              \
        REGISTER at[SPLIT_MOST];                                                                                        \
        npy_intp below[SPLIT_MOST] = {0};                                                                               \
        for (int j = 0; j + 1 < buckets; j++) {                                                                         \
            at[j] = SPREAD(((const T *)pivots)[j]);                                                                     \
        }                                                                                                               \
        for (npy_intp i = 0; i < n; i += WIDTH) {                                                                       \
            MASK in = n - i < WIDTH ? (MASK)((1u << (n - i)) - 1) : (MASK)-1;                                           \
            REGISTER v = LOAD(in, x + i);                                                                               \
            for (int j = 0; j + 1 < buckets; j++) {                                                                     \
                below[j] += __builtin_popcount(in & LESS(v, at[j]));                                                    \
            }                                                                                                           \
        }                                                                                                               \
        below[buckets - 1] = n;                                                                                         \
        for (int j = 0; j < buckets; j++) {                                                                             \
            counts[j] = below[j] - (j ? below[j - 1] : 0);                                                              \
        }                                                                                                               \
    }                                                                                                                   \
    PACKING static int split_##T(const void *from, npy_intp n, const void *pivots, int buckets, npy_intp *places,       \
                                 const npy_intp *ends, void *out)                                                       \
    {                                                                                                                   \
        const T *x = from;                                                                                              \
        REGISTER at[SPLIT_MOST];                                                                                        \
        for (int j = 0; j + 1 < buckets; j++) {                                                                         \
            at[j] = SPREAD(((const T *)pivots)[j]);                                                                     \
        }                                                                                                               \
        for (npy_intp i = 0; i < n; i += WIDTH) {                                                                       \
            MASK rest = n - i < WIDTH ? (MASK)((1u << (n - i)) - 1) : (MASK)-1;                                         \
            REGISTER v = LOAD(rest, x + i);                                                                             \
            for (int j = 0; j < buckets; j++) {                                                                         \
                MASK mine = j + 1 < buckets ? (MASK)(rest & LESS(v, at[j])) : rest;                                     \
                unsigned found = __builtin_popcount(mine);                                                              \
                if (places[j] + found > ends[j]) {                                                                      \
                    return 0;                                                                                           \
                }                                                                                                       \
                PUT((T *)out + places[j], (MASK)((1u << found) - 1), PACK(mine, v));                                    \
                places[j] += found;                                                                                     \
                rest &= (MASK)~mine;                                                                                    \
            }                                                                                                           \
        }                                                                                                               \
        return 1;                                                                                                       \
    }

#define LESS_double(v, p) _mm512_cmp_pd_mask(v, p, _CMP_LT_OQ)
#define LESS_float(v, p) _mm512_cmp_ps_mask(v, p, _CMP_LT_OQ)
#define WORDS(T, LESS)                                                                                                  \
    SPLIT(T, 8, __mmask8, __m512i, _mm512_maskz_loadu_epi64, _mm512_set1_epi64, LESS, _mm512_maskz_compress_epi64,      \
          _mm512_mask_storeu_epi64)
#define HALVES(T, LESS)                                                                                                 \
    SPLIT(T, 16, __mmask16, __m512i, _mm512_maskz_loadu_epi32, _mm512_set1_epi32, LESS, _mm512_maskz_compress_epi32,    \
          _mm512_mask_storeu_epi32)
SPLIT(double, 8, __mmask8, __m512d, _mm512_maskz_loadu_pd, _mm512_set1_pd, LESS_double, _mm512_maskz_compress_pd,
      _mm512_mask_storeu_pd)
SPLIT(float, 16, __mmask16, __m512, _mm512_maskz_loadu_ps, _mm512_set1_ps, LESS_float, _mm512_maskz_compress_ps,
      _mm512_mask_storeu_ps)
WORDS(int64_t, _mm512_cmplt_epi64_mask)
WORDS(uint64_t, _mm512_cmplt_epu64_mask)
HALVES(int32_t, _mm512_cmplt_epi32_mask)
HALVES(uint32_t, _mm512_cmplt_epu32_mask)
#define OF(NAME, T) NAME##_##T
#else
#define CAN_SPLIT 0
#define OF(NAME, T) NULL
#endif

/* The function `NAME` of elements of the array's kind and size. */
#define OF_ARRAY(NAME, a)                                                                                     \
    (PyArray_ITEMSIZE(a) == 8                                                                                 \
         ? (PyArray_DESCR(a)->kind == 'f'   ? OF(NAME, double)                                                \
            : PyArray_DESCR(a)->kind == 'i' ? OF(NAME, int64_t)                                               \
                                            : OF(NAME, uint64_t))                                             \
         : (PyArray_DESCR(a)->kind == 'f'   ? OF(NAME, float)                                                 \
            : PyArray_DESCR(a)->kind == 'i' ? OF(NAME, int32_t)                                               \
                                            : OF(NAME, uint32_t)))

/* How many buckets `sort_split` cuts into at most; 0 where the processor, or NumPy's sort, is not made for it. */
static PyObject *split_most(PyObject *self, PyObject *unused)
{
    return PyLong_FromLong(CAN_SPLIT ? SPLIT_MOST : 0);
}

typedef struct {
    const char *x, *pivots;
    char *dealt, *out;
    npy_intp n, size, edges[SPLIT_MOST + 1];
    npy_intp places[SPLIT_MOST][SPLIT_MOST], ends[SPLIT_MOST][SPLIT_MOST]; /* of each part's elements, by bucket */
    int parts, changed, failed;
    Tally *tally;
    Split *split;
    PyArray_SortFunc *sort;
    PyArrayObject *array;
} Splitting;

static npy_intp share(const Splitting *s, int part)
{
    return s->n * part / s->parts;
}

static void tally_part(void *context, int part)
{
    Splitting *s = context;
    npy_intp first = share(s, part);
    s->tally(s->x + first * s->size, share(s, part + 1) - first, s->pivots, s->parts, s->places[part]);
}

static void split_part(void *context, int part)
{
    Splitting *s = context;
    npy_intp first = share(s, part);
    if (!s->split(s->x + first * s->size, share(s, part + 1) - first, s->pivots, s->parts, s->places[part], s->ends[part],
                  s->dealt)) {
        __atomic_store_n(&s->changed, 1, __ATOMIC_RELAXED);
    }
}

static void sort_part(void *context, int part)
{
    Splitting *s = context;
    npy_intp first = s->edges[part], n = s->edges[part + 1] - first;
    if (s->sort(s->dealt + first * s->size, n, s->array) < 0) {
        __atomic_store_n(&s->failed, 1, __ATOMIC_RELAXED);
    }
    else if (s->out != s->dealt) {
        memcpy(s->out + first * s->size, s->dealt + first * s->size, n * s->size);
    }
}

/* sort_split(x, pivots, dealt, out): `x` sorted into `out`, by as many threads as there are buckets; `dealt` is `out`, or
 * memory beside where that is `x`. False, with `x` as it was, where the buckets would be uneven. */
static PyObject *sort_split(PyObject *self, PyObject *args)
{
    PyArrayObject *x, *pivots, *dealt, *out;
    if (!PyArg_ParseTuple(args, "O!O!O!O!", &PyArray_Type, &x, &PyArray_Type, &pivots, &PyArray_Type, &dealt, &PyArray_Type,
                          &out)) {
        return NULL;
    }
    int type = PyArray_TYPE(x);
    Splitting s = {.x = PyArray_DATA(x), .pivots = PyArray_DATA(pivots), .dealt = PyArray_DATA(dealt), .array = x,
                   .out = PyArray_DATA(out), .n = PyArray_SIZE(x), .size = PyArray_ITEMSIZE(x),
                   .parts = (int)PyArray_SIZE(pivots) + 1, .tally = OF_ARRAY(tally, x), .split = OF_ARRAY(split, x),
                   .sort = PyDataType_GetArrFuncs(PyArray_DESCR(x))->sort[NPY_QUICKSORT]};
    if (!CAN_SPLIT || !vector_of(x, -1, -1) || !vector_of(pivots, type, -1) || !vector_of(dealt, type, s.n) ||
        !vector_of(out, type, s.n) || !PyArray_ISWRITEABLE(dealt) || !PyArray_ISWRITEABLE(out) || s.parts > SPLIT_MOST ||
        !dealable(x)) {
        PyErr_SetString(PyExc_ValueError, "vectors of one dtype are split into few buckets");
        return NULL;
    }
    if (s.sort == NULL) {
        Py_RETURN_FALSE;
    }
    npy_intp largest = 0, next = 0;
    int even;
    Py_BEGIN_ALLOW_THREADS
    team_run(tally_part, &s, s.parts);
    for (int bucket = 0; bucket < s.parts; bucket++) {
        s.edges[bucket] = next;
        for (int part = 0; part < s.parts; part++) {
            npy_intp found = s.places[part][bucket];
            s.places[part][bucket] = next;
            next += found;
            s.ends[part][bucket] = next;
        }
        largest = next - s.edges[bucket] > largest ? next - s.edges[bucket] : largest;
    }
    s.edges[s.parts] = next;
    even = 4 * largest * s.parts <= 5 * s.n;
    if (even) {
        team_run(split_part, &s, s.parts);
    }
    if (even && !s.changed) {
        team_run(sort_part, &s, s.parts);
    }
    Py_END_ALLOW_THREADS
    if (s.failed) {
        return PyErr_NoMemory();
    }
    return PyBool_FromLong(even && !s.changed);
}

#endif
