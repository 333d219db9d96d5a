/* Loops over floats of our own, where NumPy's take longer to begin than to run: arithmetic on short rows, and sums of
 * small arrays. To NumPy's bits, but for which one of two NaN a sum or product of rows is. Part of `_fast.c`, which
 * includes it. */
#ifndef CUNUMERIC_FLOATS_H
#define CUNUMERIC_FLOATS_H

#include "../runtime/_vectors.h"

/* -- arithmetic on a row ------------------------------------------------------------------------------------------- */

/* `rows` rows of `n` elements, each so many bytes after the last: of two operands and the result. Steps of operands are
 * those of an element, or 0. The result may be an operand, element for element. */
typedef void RowLoop(char *const *data, const npy_intp *apart, npy_intp rows, const npy_intp *steps, npy_intp n);

#if defined(__GNUC__) && !defined(__clang__)
#define EACH_ON_ITS_OWN _Pragma("GCC ivdep")
#else
#define EACH_ON_ITS_OWN
#endif

#define ROW_LOOP(NAME, T, OP)                                                                                          \
    WIDE static void row_##NAME##_##T(char *const *data, const npy_intp *apart, npy_intp rows, const npy_intp *steps,  \
                                      npy_intp n)                                                                      \
    {                                                                                                                  \
        for (npy_intp row = 0; row < rows; row++) {                                                                    \
            const T *a = (const T *)(data[0] + row * apart[0]), *b = (const T *)(data[1] + row * apart[1]);            \
            T *to = (T *)(data[2] + row * apart[2]), p = *a, q = *b;                                                   \
            if (steps[0] && steps[1]) {                                                                                \
                EACH_ON_ITS_OWN                                                                                        \
                for (npy_intp k = 0; k < n; k++) {                                                                     \
                    to[k] = a[k] OP b[k];                                                                              \
                }                                                                                                      \
            }                                                                                                          \
            else if (steps[0]) {                                                                                       \
                EACH_ON_ITS_OWN                                                                                        \
                for (npy_intp k = 0; k < n; k++) {                                                                     \
                    to[k] = a[k] OP q;                                                                                 \
                }                                                                                                      \
            }                                                                                                          \
            else {                                                                                                     \
                EACH_ON_ITS_OWN                                                                                        \
                for (npy_intp k = 0; k < n; k++) {                                                                     \
                    to[k] = p OP b[steps[1] ? k : 0];                                                                  \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
#define ROW_LOOPS(NAME, OP) ROW_LOOP(NAME, double, OP) ROW_LOOP(NAME, float, OP)
ROW_LOOPS(add, +)
ROW_LOOPS(subtract, -)
ROW_LOOPS(multiply, *)
ROW_LOOPS(divide, /)

/* -- sums ---------------------------------------------------------------------------------------------------------- */

#if defined(__GNUC__)
#define SUMS_HERE 1

/* The sum of `n` elements in NumPy's order: halves down to 128 elements, of which eight sums are kept, each eight of
 * them a vector. */
#define PAIRWISE(T, BYTES)                                                                                        \
    typedef T T##_eight __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));                       \
    static inline __attribute__((always_inline)) T leaf_of_##T(const T *a, npy_intp n)                            \
    {                                                                                                             \
        T sum;                                                                                                    \
        npy_intp k = 0;                                                                                           \
        if (n < 8) {                                                                                              \
            sum = (T)-0.0;                                                                                        \
        }                                                                                                         \
        else {                                                                                                    \
            T##_eight r = *(const T##_eight *)a;                                                                  \
            for (k = 8; k < n - n % 8; k += 8) {                                                                  \
                r += *(const T##_eight *)(a + k);                                                                 \
            }                                                                                                     \
            sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));                              \
        }                                                                                                         \
        for (; k < n; k++) {                                                                                      \
            sum += a[k];                                                                                          \
        }                                                                                                         \
        return sum;                                                                                               \
    }                                                                                                             \
    WIDE static T sum_of_##T(const T *a, npy_intp n)                                                              \
    {                                                                                                             \
        if (n <= 128) {                                                                                           \
            return leaf_of_##T(a, n);                                                                             \
        }                                                                                                         \
        npy_intp half = n / 2 - n / 2 % 8;                                                                        \
        return sum_of_##T(a, half) + sum_of_##T(a + half, n - half);                                              \
    }
PAIRWISE(double, 64)
PAIRWISE(float, 32)
#else
#define SUMS_HERE 0
#define sum_of_double(a, n) 0
#define sum_of_float(a, n) 0
#endif

#endif
