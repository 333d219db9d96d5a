/* Reductions along axes, and positions of extremes (along.py): lines are met in the order of memory, and their chunks
 * join accumulators. These are registers like others, and what joins them are instructions, so that they are compiled with
 * those before; here is where lines begin and end, and what takes more than one chunk. */
#ifndef CUNUMERIC_ALONG_H
#define CUNUMERIC_ALONG_H

#include "_work.h"

#define AHEAD_MOST (1 << 15)  /* bytes of a line */
/* GCC drops calls of functions that do nothing but this. */
#if defined(__GNUC__) || defined(__clang__)
#define READ_AHEAD(at)            \
    __builtin_prefetch(at, 0, 2); \
    __asm__ volatile("")
#else
#define READ_AHEAD(at)
#endif

/* A sum in the accumulator's type: that of two single precision numbers is exact in double, and rounded once. */
static inline double add(double a, double b, int size)
{
    return size == 4 ? (float)(a + b) : a + b;
}

/* The sum of `n` elements from those of its parts; the next part is left in `at`. */
static double join(npy_intp n, npy_intp most, const double **at, int size)
{
    if (n <= most) {
        return *(*at)++;
    }
    npy_intp half = n / 2;
    half -= half % 8;
    double first = join(half, most, at, size);
    return add(first, join(n - half, most, at, size), size);
}

/* What lines have added up to joins their accumulator. */
static void settle(Worker *w, int size)
{
    if (w->nlines == 0) {
        return;
    }
    double total = 0;
    int seen = 0;
    for (int k = 0; w->nlines >> k; k++) {
        if (w->nlines >> k & 1) {
            total = seen ? add(w->levels[k], total, size) : w->levels[k];
            seen = 1;
        }
    }
    w->nlines = 0;
    if (size == 4) {
        *(float *)w->target += (float)total;
    }
    else {
        *(double *)w->target += total;
    }
}

/* A chunk of a line whose sum is pairwise, within the line and over the lines that follow each other. */
static int sum_chunk(const Instruction *i, Worker *w, npy_intp n)
{
    int size = i->size;
    double sum;
    if (w->nleaves) {
        const void *at = w->sums;
        sum = size == 8 ? sum64(n, (const double **)&at) : sum32(n, (const float **)&at);
    }
    else {
        union {
            double d;
            float f;
        } found;
        if (size == 8) {
            found.d = -0.0;  /* which changes no sum */
        }
        else {
            found.f = -0.0f;
        }
        char *data[3] = {(char *)&found, w->at[i->regs[1]], (char *)&found};
        npy_intp strides[3] = {0, w->step[i->regs[1]], 0};
        if (i->loop(i->context, data, &n, strides, i->aux) < 0) {
            return -1;
        }
        sum = size == 8 ? found.d : found.f;
    }
    w->run_sums[w->run_at] = sum;
    if (w->run_at + 1 < w->nruns) {
        return 0;
    }
    const double *at = w->run_sums;
    sum = join(w->runs_of, w->run->program->chunk, &at, size);
    if (w->at[i->regs[0]] != w->target) {
        settle(w, size);
        w->target = w->at[i->regs[0]];
    }
    int k = 0;
    for (; w->nlines >> k & 1; k++) {
        sum = add(w->levels[k], sum, size);
    }
    w->levels[k] = sum;
    w->nlines++;
    return 0;
}

/* Positions of extremes of a chunk: registers are its elements, the extremes and their positions. `size`: elements of a
 * row that has an extreme of its own; 0: one for all. */
static void place(const Instruction *i, Worker *w, npy_intp n)
{
    const char *x = w->at[i->regs[0]];
    char *best = w->at[i->regs[1]];
    npy_intp *at = (npy_intp *)w->at[i->regs[2]];
    npy_intp step = w->step[i->regs[0]], row = i->size ? i->size : n, position = i->size ? 0 : w->position;
    for (npy_intp done = 0; done < n; done += row) {
        if (row >= 16 && i->packed == step) {
            npy_intp k = 0;
            i->extreme((void *)x, row, &k, NULL);
            i->place(x + k * step, step, best, at, 1, position + k);
        }
        else {
            i->place(x, step, best, at, row, position);
        }
        x += row * step;
        best += w->step[i->regs[1]];
        at++;
    }
}

/* Accumulators that are met for the first time, filled with what they begin with. */
static void begin_accumulators(const Worker *w, const Block *b, npy_intp start, npy_intp n)
{
    const View *views = w->run->views[b - w->run->program->blocks];
    for (int k = 0; k < b->nloads; k++) {
        const Met *m = b->along->met + k;
        if (m->size == 0) {
            continue;
        }
        npy_intp first = m->per ? start / m->per : 0, count = b->along->fresh ? b->along->fresh : n / m->per;
        char *to = w->line[k] + first * views[k].strides[b->ndim - 1];
        copy(to, m->size, m->start, 0, count, m->size);
    }
}

/* Where bands are of the last axis, and few elements are joined at a time, a line begins elsewhere than the one before
 * ended, and is not read before it is asked for: so ask for the elements of the next one, into the second cache. */
static inline void read_ahead(const Worker *w, const Block *b, npy_intp n)
{
    const View *views = w->run->views[b - w->run->program->blocks];
    for (int k = 0; k < b->nloads; k++) {
        npy_intp bytes = n * views[k].strides[b->ndim - 1], next = views[k].strides[b->ndim - 2];
        if (b->along->met[k].size || next == 0 || bytes > AHEAD_MOST) {
            continue;
        }
        for (npy_intp at = 0; at < bytes; at += 64) {
            READ_AHEAD(w->at[b->load_regs[k]] + next + at);
        }
    }
}

/* Elements from `start` on of a line; `fresh`: the first that joins its accumulators. */
static int line_along(Worker *w, const Block *b, npy_intp start, npy_intp n, npy_intp position, int fresh)
{
    const Program *p = w->run->program;
    const View *views = w->run->views[b - p->blocks];
    int axis = b->ndim - 1;
    if (b->along->pairwise && w->runs_of != n) {
        npy_intp most = 2 * (n / (p->chunk / 2 - 8) + 2);
        free(w->runs);
        free(w->run_sums);
        w->runs = malloc(most * sizeof(npy_intp));
        w->run_sums = malloc(most * sizeof(double));
        if (w->runs == NULL || w->run_sums == NULL) {
            return -1;
        }
        w->nruns = cut(n, p->chunk, w->runs);
        w->runs_of = n;
    }
    if (fresh) {
        begin_accumulators(w, b, start, n);
    }
    w->run_at = 0;
    npy_intp m;
    for (npy_intp done = 0; done < n; done += m, w->run_at++) {
        m = b->along->pairwise ? w->runs[w->run_at] : n - done < p->chunk ? n - done : p->chunk;
        for (int k = 0; k < b->nloads; k++) {
            npy_intp per = b->along->met[k].per;
            npy_intp at = per == 1 ? start + done : per ? (start + done) / per : 0;
            w->at[b->load_regs[k]] = w->line[k] + at * views[k].strides[axis];
        }
        if (w->ahead) {
            read_ahead(w, b, m);
        }
        w->position = position + (start + done) * b->along->positions[axis];
        if (run_chunk(w, b, m) < 0) {
            return -1;
        }
        if (w->again) {
            return 0;
        }
    }
    return 0;
}

/* The lines of a band, from `lo` to `hi` on the axis of the bands. */
static int band_along(Worker *w, const Block *b, npy_intp band, npy_intp lo, npy_intp hi)
{
    const Along *a = b->along;
    const View *views = w->run->views[0];
    int last = b->ndim - 1;
    npy_intp begin[DIMS] = {0}, end[DIMS], index[DIMS];
    memcpy(end, b->shape, sizeof(end));
    begin[a->axis] = lo;
    end[a->axis] = hi;
    memcpy(index, begin, sizeof(index));
    w->target = NULL;
    w->nlines = 0;
    for (int d = 0; d >= 0;) {
        npy_intp position = 0;
        int fresh = 1;
        for (int k = 0; k < b->nloads; k++) {
            w->line[k] = views[k].data + band * a->met[k].band;
            for (d = 0; d < last; d++) {
                w->line[k] += index[d] * views[k].strides[d];
            }
        }
        for (d = 0; d < last; d++) {
            position += index[d] * a->positions[d];
            fresh = fresh && (!a->reduced[d] || index[d] == begin[d]);
        }
        if (line_along(w, b, begin[last], end[last] - begin[last], position, fresh) < 0) {
            return -1;
        }
        if (w->again) {
            return 0;
        }
        for (d = last - 1; d >= 0 && ++index[d] == end[d]; d--) {
            index[d] = begin[d];
        }
    }
    if (a->pairwise) {
        raised();
        settle(w, a->pairwise);
        w->flags[b->first + b->ninstructions - 1] |= raised();
    }
    return 0;
}

static int work_along(Worker *w)
{
    Run *r = w->run;
    Program *p = r->program;
    const Block *b = p->blocks;
    npy_intp band, lo;
    begin_block(w, b, b->ndim - 1);
    w->ahead = b->ndim > 1 && b->along->axis == b->ndim - 1 && b->along->fresh == 0;
    while ((band = next_band(r, &lo)) >= 0) {
        npy_intp hi = lo + p->rows < p->high ? lo + p->rows : p->high;
        if (band_along(w, b, band, lo, hi) < 0) {
            return -1;
        }
        if (w->again) {
            /* Instruction by instruction, which says whose flags they are. */
            int compiled = w->compiled;
            w->compiled = w->again = 0;
            if (band_along(w, b, band, lo, hi) < 0) {
                return -1;
            }
            w->compiled = compiled;
        }
    }
    return 0;
}

#endif
