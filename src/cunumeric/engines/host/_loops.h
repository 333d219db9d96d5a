/* What instructions do that NumPy has no loop for: copies, choices, casts; and the floating-point flags. */
#ifndef CUNUMERIC_LOOPS_H
#define CUNUMERIC_LOOPS_H

#include <Python.h>
#include <fenv.h>
#include <numpy/arrayobject.h>
#include <string.h>
#include "../../runtime/_vectors.h"
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

/* -- floating-point flags ------------------------------------------------------------------------------------------ */

enum { DIVIDE = 1, OVER = 2, UNDER = 4, INVALID = 8 };

static inline int raised(void)
{
#if defined(__SSE2__)
    unsigned csr = _mm_getcsr(), f = csr & 0x1d;
#if defined(__GNUC__)
    /* Long doubles raise flags in the other unit, and so does `feraiseexcept` of glibc, by which NumPy's half floats
     * overflow; the bits are the same. */
    unsigned short status;
    __asm__ volatile("fnstsw %0" : "=a"(status));
    if (status & 0x1d) {
        f |= status & 0x1d;
        __asm__ volatile("fnclex");
    }
#endif
    if (!f) {
        return 0;
    }
    _mm_setcsr(csr & ~0x3fu);
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

/* -- instructions that are not ufuncs -------------------------------------------------------------------------------- */

/* ONE of the type of elements of so many bytes, where there is one. */
#define BY_SIZE(size, ONE)        \
    switch (size) {               \
        case 1: ONE(npy_uint8)    \
        case 2: ONE(npy_uint16)   \
        case 4: ONE(npy_uint32)   \
        case 8: ONE(npy_uint64)   \
    }

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
    BY_SIZE(size, ONE)
#undef ONE
    for (npy_intp k = 0; k < n; k++) {
        memcpy(to + k * ts, from + k * fs, size);
    }
}

/* Where the conditions lie one after another, and so do results; `x` and `y` do, or are one element. Without a branch,
 * which would be guessed wrong as often as the condition turns. */
#define DEFINE_SELECT(T)                                                                                             \
    WIDE static void select_##T(T *to, const npy_bool *c, const T *x, int xs, const T *y, int ys, npy_intp n)        \
    {                                                                                                                \
        if (xs && ys) {                                                                                              \
            for (npy_intp k = 0; k < n; k++) {                                                                       \
                T all = (T)0 - (T)(c[k] != 0);                                                                       \
                to[k] = (x[k] & all) | (y[k] & (T)~all);                                                             \
            }                                                                                                        \
            return;                                                                                                  \
        }                                                                                                            \
        T one = *x, other = *y;                                                                                      \
        for (npy_intp k = 0; xs && k < n; k++) {                                                                     \
            T all = (T)0 - (T)(c[k] != 0);                                                                           \
            to[k] = (x[k] & all) | (other & (T)~all);                                                                \
        }                                                                                                            \
        for (npy_intp k = 0; ys && k < n; k++) {                                                                     \
            T all = (T)0 - (T)(c[k] != 0);                                                                           \
            to[k] = (one & all) | (y[k] & (T)~all);                                                                  \
        }                                                                                                            \
        for (npy_intp k = 0; !xs && !ys && k < n; k++) {                                                             \
            T all = (T)0 - (T)(c[k] != 0);                                                                           \
            to[k] = (one & all) | (other & (T)~all);                                                                 \
        }                                                                                                            \
    }
DEFINE_SELECT(npy_uint8)
DEFINE_SELECT(npy_uint16)
DEFINE_SELECT(npy_uint32)
DEFINE_SELECT(npy_uint64)

static void select_(char *to, npy_intp ts, const char *c, npy_intp cs, const char *x, npy_intp xs, const char *y,
                    npy_intp ys, npy_intp n, int size)
{
    int dense = ts == size && cs == 1 && (xs == size || xs == 0) && (ys == size || ys == 0);
#define ONE(T)                                                                          \
    if (dense && n > 0) {                                                               \
        select_##T((T *)to, (const npy_bool *)c, (const T *)x, xs != 0, (const T *)y, ys != 0, n); \
        return;                                                                         \
    }                                                                                   \
    for (npy_intp k = 0; k < n; k++) {                                                  \
        T a = *(const T *)(x + k * xs), b = *(const T *)(y + k * ys);                   \
        *(T *)(to + k * ts) = *(const npy_bool *)(c + k * cs) ? a : b;                  \
    }                                                                                   \
    return;
    BY_SIZE(size, ONE)
#undef ONE
    for (npy_intp k = 0; k < n; k++) {
        memcpy(to + k * ts, c[k * cs] ? x + k * xs : y + k * ys, size);
    }
}

typedef void Cast(char *to, npy_intp ts, const char *from, npy_intp fs, npy_intp n);

#define FROM_EACH(M, TO) \
    M(TO, byte) M(TO, ubyte) M(TO, short) M(TO, ushort) M(TO, int) M(TO, uint) M(TO, long) M(TO, ulong) \
    M(TO, longlong) M(TO, ulonglong) M(TO, float) M(TO, double) M(TO, bool)
/* Whether a loop of vectors gives what one element gives, also of floats that do not fit: of integers, into floats, and
 * into those integers for which the processor has one instruction. */
#define IN_VECTORS(FROM, TO) \
    ((npy_##FROM)0.5 == 0 || (npy_##TO)0.5 != 0 || (sizeof(npy_##TO) == sizeof(npy_int) && (npy_##TO)-1.0 < 0))
#define DEFINE(TO, FROM)                                                                     \
    static void cast_##FROM##_##TO(char *to, npy_intp ts, const char *from, npy_intp fs, npy_intp n) \
    {                                                                                        \
        if (IN_VECTORS(FROM, TO) && ts == sizeof(npy_##TO) && fs == sizeof(npy_##FROM)) {    \
            for (npy_intp k = 0; k < n; k++) {                                               \
                ((npy_##TO *)to)[k] = (npy_##TO)READ_##FROM(((const npy_##FROM *)from)[k]);  \
            }                                                                                \
            return;                                                                          \
        }                                                                                    \
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

/* -- positions of extremes -------------------------------------------------------------------------------------------- */

/* `n` elements, of which the first is at `position`, against the extreme that is known: the first of equal elements wins,
 * and a NaN over everything. */
typedef void Place(const char *x, npy_intp step, char *best, npy_intp *at, npy_intp n, npy_intp position);

#define DEFINE_PLACE(NAME, OP)                                                                                     \
    static void place_##NAME##_##OP(const char *x, npy_intp step, char *best, npy_intp *at, npy_intp n,            \
                                    npy_intp position)                                                             \
    {                                                                                                              \
        npy_##NAME known = *(npy_##NAME *)best;                                                                    \
        npy_intp found = *at;                                                                                      \
        for (npy_intp k = 0; k < n; k++) {                                                                         \
            npy_##NAME v = READ_##NAME(*(const npy_##NAME *)(x + k * step));                                       \
            int over = COMPARE_##OP(v, known) | ((v != v) & (known == known));                                     \
            known = over ? v : known;                                                                              \
            found = over ? position + k : found;                                                                   \
        }                                                                                                          \
        *(npy_##NAME *)best = known;                                                                               \
        *at = found;                                                                                               \
    }
#define COMPARE_most(a, b) ((a) > (b))
#define COMPARE_least(a, b) ((a) < (b))
#define EACH_REAL(M)                                                                                                  \
    M(byte) M(ubyte) M(short) M(ushort) M(int) M(uint) M(long) M(ulong) M(longlong) M(ulonglong) M(float) M(double)   \
    M(bool)
#define DEFINE_PLACES(NAME) DEFINE_PLACE(NAME, most) DEFINE_PLACE(NAME, least)
EACH_REAL(DEFINE_PLACES)

static Place *find_place(int type, int most)
{
#define PLACE_OF(NAME)                                         \
    if (type == TYPENUM_##NAME) {                              \
        return most ? place_##NAME##_most : place_##NAME##_least; \
    }
    EACH_REAL(PLACE_OF)
    return NULL;
}

#endif
