/* Functions compiled for the vectors of several processors, of which the one at hand takes its own. */
#ifndef CUNUMERIC_VECTORS_H
#define CUNUMERIC_VECTORS_H

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

#endif
