/* A thread's share of a run: bands of rows, chunk by chunk, instruction by instruction or in compiled loops; the partial
 * results of a reduction; rows that follow each other (skewed) or are held back (delayed). */
#ifndef CUNUMERIC_WORK_H
#define CUNUMERIC_WORK_H

#include "_program.h"
#include <sched.h>

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
    npy_intp leaves_of; /* elements that have these leaves; 0: none are known */
    double sums[LEAVES_MOST];
    /* Of a reduction along axes: */
    int ahead;          /* whether to ask for the next line's elements */
    int again;          /* flags were raised in a compiled loop: the band begins anew, without */
    npy_intp position;  /* of the chunk at work in the reduced axes */
    npy_intp runs_of, nruns, run_at, *runs;  /* how a line of so many elements is cut into chunks, and which is at work */
    double *run_sums;
    char *target;       /* the accumulator that lines at work join, all in `levels` */
    npy_intp nlines;
    double levels[64];  /* sums of 2 to the power of k lines, where bit k of their number is set */
} Worker;

static int sum_chunk(const Instruction *i, Worker *w, npy_intp n);
static void place(const Instruction *i, Worker *w, npy_intp n);

/* NumPy adds pairwise: a run of more than 128 elements is the sum of its halves (cut at a multiple of eight). Leaves are
 * the runs that are not cut. Here the tree is cut where no part is longer than `most`: the parts' lengths, in order. */
#define LEAF 128
static npy_intp cut(npy_intp n, npy_intp most, npy_intp *to)
{
    if (n <= most) {
        *to = n;
        return 1;
    }
    npy_intp half = n / 2;
    half -= half % 8;
    npy_intp first = cut(half, most, to);
    return first + cut(n - half, most, to + first);
}

/* The sum of a run from those of its leaves; the next leaf is left in `at`. */
static double sum64(npy_intp n, const double **at)
{
    if (n <= LEAF) {
        return *(*at)++;
    }
    npy_intp half = n / 2;
    half -= half % 8;
    double first = sum64(half, at);
    return first + sum64(n - half, at);
}

static float sum32(npy_intp n, const float **at)
{
    if (n <= LEAF) {
        return *(*at)++;
    }
    npy_intp half = n / 2;
    half -= half % 8;
    float first = sum32(half, at);
    return first + sum32(n - half, at);
}

/* How many leaves so many elements have; a row's are as the row's before. */
static int leaves_for(Worker *w, npy_intp n)
{
    if (w->leaves_of != n) {
        w->leaves_of = n;
        w->leaves[0] = cut(n, LEAF, w->leaves + 1);
    }
    return (int)w->leaves[0];
}

/* Whether the vectors of what is written past the caches begin alike. */
static inline int streams_alike(const Group *g, char *const *at)
{
    for (int k = 1; k < g->nstreams; k++) {
        if (((size_t)at[g->streams[k]] ^ (size_t)at[g->streams[0]]) & 63) {
            return 0;
        }
    }
    return 1;
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
    int sums = g->sum >= 0 && n >= 8, leaf = 0, nleaves = sums ? leaves_for(w, n) : 0;
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
    if (!streams_alike(g, at)) {
        return 0;
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
            w->again = 1;
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

static inline int instruct(const Instruction *i, Worker *w, npy_intp n)
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
        case SUM:
            return sum_chunk(i, w, n);
        case PLACE:
            place(i, w, n);
            return 0;
        case ROWS: {
            npy_intp row = i->size;
            strides[0] = strides[2] = 0;
            for (npy_intp done = 0; done < n; done += row) {
                if (i->loop(i->context, data, &row, strides, i->aux) < 0) {
                    return -1;
                }
                data[0] = data[2] = data[0] + w->step[i->regs[0]];
                data[1] += row * strides[1];
            }
            return 0;
        }
        default:
            i->cast(data[1], strides[1], data[0], strides[0], n);
            return 0;
    }
}

/* The sum of `n` doubles' distances from `center`, or of the squares of those: blocks of 128, in lanes that compilers make
 * vectors of. */
static double distances(const char *from, npy_intp step, npy_intp n, double center, int squared)
{
    double total = 0;
    for (npy_intp done = 0; done < n; done += 128) {
        npy_intp m = n - done < 128 ? n - done : 128, k = 0;
        double lanes[8] = {0};
        const double *x = (const double *)(from + done * step);
        for (; step == sizeof(double) && squared && k + 8 <= m; k += 8) {
            for (int j = 0; j < 8; j++) {
                lanes[j] += (x[k + j] - center) * (x[k + j] - center);
            }
        }
        for (; step == sizeof(double) && !squared && k + 8 <= m; k += 8) {
            for (int j = 0; j < 8; j++) {
                lanes[j] += x[k + j] - center;
            }
        }
        for (; k < m; k++) {
            double d = *(const double *)(from + (done + k) * step) - center;
            lanes[k & 7] += squared ? d * d : d;
        }
        total += ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    }
    return total;
}

/* `n` more elements joined to what is known of others (`native.MOMENTS`). The center is their mean, rounded; what it lacks
 * is in the sum of distances, so that means that are large beside the distances lose nothing. */
static void add_moments(double *known, int seen, const char *from, npy_intp step, npy_intp n)
{
    double center = distances(from, step, n, 0, 0) / n;
    double rest = distances(from, step, n, center, 0), squares = distances(from, step, n, center, 1);
    if (!seen) {
        memset(known, 0, 4 * sizeof(double));
        known[1] = center;
    }
    double shift = center - known[1];
    known[0] += n;
    known[2] += rest + n * shift;
    known[3] += squares + shift * (2 * rest + n * shift);
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
    if (p->pairwise == 2) {
        add_moments((double *)total, r->seen[w->partial], from, step, n);
        r->seen[w->partial] = 1;
        return 0;
    }
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

/* All instructions of a block on `m` elements, where the registers point. */
static int run_chunk(Worker *w, const Block *b, npy_intp m)
{
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
            if (b->along != NULL) {
                return 0;
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
    return 0;
}

/* What was computed of a row or a part of one, joined to the reduction. */
static int join_chunk(Worker *w, npy_intp group, npy_intp n)
{
    raised();
    if (reduce(w, group, n) < 0) {
        return -1;
    }
    int f = raised();
    if (f) {
        w->flags[w->run->program->ninstructions] |= f;
    }
    return 0;
}

/* A run of elements on an axis; `row`: where the delayed row's memory begins, or NULL. */
static int span(Worker *w, const Block *b, int last, int axis, npy_intp start, npy_intp n, npy_intp group, char *row)
{
    Program *p = w->run->program;
    const View *views = w->run->views[b - p->blocks];
    for (npy_intp done = 0; done < n; done += p->chunk) {
        npy_intp m = n - done < p->chunk ? n - done : p->chunk;
        for (int k = 0; k < b->nloads; k++) {
            w->at[b->load_regs[k]] = w->line[k] + (start + done) * views[k].strides[axis];
        }
        if (row != NULL) {
            w->at[b->result] = row + done * p->size_of[b->result];
        }
        if (run_chunk(w, b, m) < 0) {
            return -1;
        }
        if (last && p->reduce != NULL && join_chunk(w, group, m) < 0) {
            return -1;
        }
    }
    return 0;
}

static void begin_block(Worker *w, const Block *b, int axis)
{
    const View *views = w->run->views[b - w->run->program->blocks];
    for (int k = 0; k < b->nloads; k++) {
        w->step[b->load_regs[k]] = views[k].strides[axis];
        w->line[k] = views[k].data;
    }
    if (b->result >= 0) {
        w->step[b->result] = w->run->program->size_of[b->result];
    }
}

/* Where row `row` of the block's load `k` lies; `most`: rows from there on that follow at the stride of its view. */
static inline char *row_at(const Run *r, const Block *b, int k, npy_intp row, npy_intp *most)
{
    const View *view = r->views[b - r->program->blocks] + k;
    int ring = b->rings[k];
    if (ring < 0) {
        return view->data + row * view->strides[0];
    }
    npy_intp turned = (b->ring_row[k] + row) % r->ring_rows[ring];
    if (most != NULL && *most > r->ring_rows[ring] - turned) {
        *most = r->ring_rows[ring] - turned;
    }
    return r->ring_memory[ring] + turned * r->program->rings[ring].pitch + b->ring_at[k];
}

/* The compiled loop that is all of a row of the block, or NULL. */
static inline const Group *loop_of_row(const Worker *w, const Block *b)
{
    const Group *g = w->compiled && b->ninstructions && b->ndim == 2 ? b->instructions->group : NULL;
    npy_intp most = g == NULL ? 0 : g->asides ? ASIDE : w->run->program->chunk;
    return g != NULL && g->whole && b->along == NULL && b->shape[1] <= most ? g : NULL;
}

/* A row by its compiled loop, straight from where its operands lie: a short one takes longer to prepare for `run_chunk`
 * than to compute. 0: flags were raised, and it is to be done over. */
static int quick_row(Worker *w, const Block *b, const Group *g, npy_intp row, char *held)
{
    const Run *r = w->run;
    const View *views = r->views[b - r->program->blocks];
    npy_intp n = b->shape[1], step[GROUP_MOST], steps[GROUP_MOST], little[2] = {1, n};
    char *at[GROUP_MOST], *to[GROUP_MOST], *aside = w->aside;
    for (int k = 0; k < g->noperands; k++) {
        int load = g->loads[k], reg = g->regs[k];
        if (load >= 0) {
            at[k] = row_at(r, b, load, row, NULL);
            step[k] = views[load].strides[1];
        }
        else if (reg >= 0) {
            at[k] = held != NULL && reg == b->result ? held : w->at[reg];
            step[k] = reg == b->result ? r->program->size_of[reg] : w->step[reg];
        }
        if (g->aside[k]) {
            to[k] = at[k];
            steps[k] = step[k];
            at[k] = aside;
            step[k] = g->aside[k];
            aside += ASIDE * g->aside[k];
        }
    }
    if (!streams_alike(g, at)) {
        return 0;
    }
    w->nleaves = 0;
    if (g->sum >= 0) {
        w->nleaves = n < 8 ? 0 : leaves_for(w, n);
        at[g->sum] = (char *)(w->nleaves ? w->leaves : little);
        at[g->sum + 1] = (char *)w->sums;
    }
    if (g->interest) {
        raised();
    }
    g->kernel(at, step, n);
    if (g->interest && (raised() & g->interest)) {
        return 0;
    }
    for (int k = 0; g->asides && k < g->noperands; k++) {
        if (g->aside[k]) {
            copy(to[k], steps[k], at[k], g->aside[k], n, g->aside[k]);
        }
    }
    return 1;
}

/* Row `row` of a block of at least two axes, line by line. */
static int one_row(Worker *w, const Block *b, int last, npy_intp row, char *held)
{
    const Group *g = loop_of_row(w, b);
    last = last && w->run->program->reduce != NULL;
    npy_intp group = last ? row / w->run->group : 0;
    if (g != NULL) {
        if (quick_row(w, b, g, row, held)) {
            int partial = w->run->program->partial;
            for (int k = 0; last && k < b->nloads; k++) {
                if (b->load_regs[k] == partial) { /* memory itself is reduced */
                    w->at[partial] = row_at(w->run, b, k, row, NULL);
                    w->step[partial] = w->run->views[b - w->run->program->blocks][k].strides[1];
                }
            }
            return last ? join_chunk(w, group, b->shape[1]) : 0;
        }
        begin_block(w, b, b->ndim - 1);
    }
    const View *views = w->run->views[b - w->run->program->blocks];
    npy_intp index[DIMS] = {0}, lines = 1;
    for (int k = 1; k < b->ndim - 1; k++) {
        lines *= b->shape[k];
    }
    for (npy_intp line = 0; line < lines; line++) {
        for (int k = 0; k < b->nloads; k++) {
            char *at = row_at(w->run, b, k, row, NULL);
            for (int d = 1; d < b->ndim - 1; d++) {
                at += index[d] * views[k].strides[d];
            }
            w->line[k] = at;
        }
        if (span(w, b, last, b->ndim - 1, 0, b->shape[b->ndim - 1], group, held) < 0) {
            return -1;
        }
        for (int d = b->ndim - 2; d >= 1 && ++index[d] == b->shape[d]; d--) {
            index[d] = 0;
        }
    }
    return 0;
}

/* The next band that nobody has begun, and its first row; -1 where there is none. */
static npy_intp next_band(Run *r, npy_intp *low)
{
    npy_intp band = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED);
    *low = r->program->low + band * r->program->rows;
    return band < r->bands ? band : -1;
}

static int work_bands(Worker *w)
{
    Run *r = w->run;
    Program *p = r->program;
    npy_intp band, lo;
    while ((band = next_band(r, &lo)) >= 0) {
        npy_intp hi = lo + p->rows < p->high ? lo + p->rows : p->high;
        const Block *b = p->blocks;
        if (b->ndim == 1) {
            for (int k = 0; k < p->nblocks; k++) {
                b = p->blocks + k;
                npy_intp first = lo > b->base ? lo - b->base : 0;
                npy_intp end = hi - b->base < b->shape[0] ? hi - b->base : b->shape[0];
                begin_block(w, b, 0);
                if (first < end && span(w, b, k == p->nblocks - 1, 0, first, end - first, band, NULL) < 0) {
                    return -1;
                }
            }
            continue;
        }
        begin_block(w, b, b->ndim - 1);
        /* Blocks meet in the same rows: a row is in the first cache when the next block needs it. */
        for (npy_intp at = lo; at < hi; at++) {
            for (int k = 0; k < p->nblocks; k++) {
                b = p->blocks + k;
                npy_intp row = at - b->base;
                if (row < 0 || row >= b->shape[0]) {
                    continue;
                }
                if (p->nblocks > 1 && loop_of_row(w, b) == NULL) {
                    begin_block(w, b, b->ndim - 1);
                }
                if (one_row(w, b, k == p->nblocks - 1, row, NULL) < 0) {
                    return -1;
                }
            }
        }
    }
    return 0;
}

static void write_row(Run *r, const Block *b, npy_intp row, const char *from)
{
    Program *p = r->program;
    const View *out = r->out + (b - p->blocks);
    int size = p->size_of[b->result];
    copy(out->data + row * out->strides[0], out->strides[1], from, size, b->shape[1], size);
}

/* Wait until all bands before have done so many blocks; 0 where the run has failed. Bands before `done` are whole. */
static int follow(Run *r, npy_intp band, int blocks)
{
    int turns = 0;
    npy_intp at = __atomic_load_n(&r->done, __ATOMIC_ACQUIRE);
    for (; at < band; at++) {
        while (__atomic_load_n(r->progress + at, __ATOMIC_ACQUIRE) < blocks) {
            if (__atomic_load_n(&r->failed, __ATOMIC_RELAXED)) {
                return 0;
            }
            if (++turns > 2000) {
                sched_yield();
            }
#if defined(__SSE2__)
            else {
                _mm_pause();
            }
#endif
        }
    }
    return 1;
}

/* A band is whole: `done` moves past all that are. */
static void end_band(Run *r)
{
    npy_intp at = __atomic_load_n(&r->done, __ATOMIC_ACQUIRE);
    while (at < r->bands && __atomic_load_n(r->progress + at, __ATOMIC_ACQUIRE) == r->program->nblocks) {
        if (__atomic_compare_exchange_n(&r->done, &at, at + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            at++;
        }
    }
}

/* Rows `first` to `end` of a block whose rows are single elements: one run along them. */
static int tall(Worker *w, const Block *b, npy_intp first, npy_intp end)
{
    npy_intp most;
    begin_block(w, b, 0);
    for (npy_intp row = first; row < end; row += most) {
        most = end - row;
        for (int k = 0; k < b->nloads; k++) {
            w->line[k] = row_at(w->run, b, k, row, &most);
        }
        if (span(w, b, 0, 0, 0, most, 0, NULL) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The rows of a block that holds rows back, in their time. */
static int held_rows(Worker *w, int k, npy_intp first, npy_intp end)
{
    Run *r = w->run;
    Program *p = r->program;
    const Block *b = p->blocks + k;
    char *rows = r->held_rows[k];
    size_t size = (size_t)b->shape[1] * p->size_of[b->result];
    begin_block(w, b, b->ndim - 1);
    for (npy_intp row = first; row < end; row++) {
        if (row < b->shape[0] && one_row(w, b, 0, row, rows + row % (b->held + 1) * size) < 0) {
            return -1;
        }
        if (row >= b->held) {
            write_row(r, b, row - b->held, rows + (row - b->held) % (b->held + 1) * size);
        }
    }
    return 0;
}

/* Blocks `from` to `to` of one lag in a band of time, row by row: a row is in the first cache when the next one needs
 * it. */
static int by_turns(Worker *w, int from, int to, npy_intp lo, npy_intp hi)
{
    Program *p = w->run->program;
    if (to - from == 1) {
        begin_block(w, p->blocks + from, p->blocks[from].ndim - 1);
    }
    for (npy_intp time = lo; time < hi; time++) {
        for (int k = from; k < to; k++) {
            const Block *b = p->blocks + k;
            npy_intp row = time - b->lag - b->base;
            if (row < 0 || row >= b->shape[0]) {
                continue;
            }
            if (to - from > 1 && loop_of_row(w, b) == NULL) {
                begin_block(w, b, b->ndim - 1);
            }
            if (one_row(w, b, k == p->nblocks - 1, row, NULL) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* Blocks behind one another (graph/skew.py): bands of time, which is row and lag; threads follow through the bands. A
 * block needs what those before it have done in the bands before; and where it holds rows back, what it has done itself. */
static int work_skewed(Worker *w, int parts)
{
    Run *r = w->run;
    Program *p = r->program;
    npy_intp band, lo;
    while ((band = next_band(r, &lo)) >= 0) {
        npy_intp hi = lo + p->rows;
        int k = 0, failed = !follow(r, band - parts + 1, p->nblocks);  /* rings have room for so many bands at work */
        while (k < p->nblocks && !failed) {
            const Block *b = p->blocks + k;
            int next = k + 1, ordered = b->held >= 0, narrow = b->tall;
            while (!ordered && !narrow && next < p->nblocks && p->blocks[next].turn && !p->blocks[next].tall) {
                next++;
            }
            if (!follow(r, band, ordered ? next : k)) {
                return -1;
            }
            npy_intp first = lo - b->lag - b->base, end = hi - b->lag - b->base;
            npy_intp most = b->shape[0] + (b->held > 0 ? b->held : 0);
            first = first > 0 ? first : 0;
            end = end < most ? end : most;
            failed = (b->held >= 0 ? held_rows(w, k, first, end)
                      : narrow     ? tall(w, b, first, end)
                                   : by_turns(w, k, next, lo, hi)) < 0;
            k = next;
            __atomic_store_n(r->progress + band, k, __ATOMIC_RELEASE);
        }
        if (failed) {
            __atomic_store_n(&r->failed, 1, __ATOMIC_RELAXED);
            return -1;
        }
        end_band(r);
    }
    return 0;
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
    begin_block(w, b, b->ndim - 1);
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

#endif
