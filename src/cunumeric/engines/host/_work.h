/* A thread's share of a run: bands of rows, chunk by chunk, instruction by instruction or in compiled loops; the partial
 * results of a reduction; rows that follow each other (skewed) or are held back (delayed). */
#ifndef CUNUMERIC_WORK_H
#define CUNUMERIC_WORK_H

#include "_cursor.h"
#include <sched.h>

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
            if (++w->fruitless >= FRUITLESS_MOST) {
                give_up(w);
            }
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
    return instruct_at(i, w, data, strides, n);
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
    w->quiet = 0;
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
    if (!w->quiet) {
        raised();
    }
    if (reduce(w, group, n) < 0) {
        return -1;
    }
    int f = raised();
    w->quiet = 1;
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

/* Row `row` of a block of at least two axes, line by line. */
static int one_row(Worker *w, const Block *b, int last, npy_intp row, char *held)
{
    last = last && w->run->program->reduce != NULL;
    npy_intp group = last ? row / w->run->group : 0;
    if (is_quick(w, b)) {
        int done = quick_row(w, b, row, held), partial = w->run->program->partial;
        if (done) {
            for (int k = 0; last && k < b->nloads; k++) {
                if (b->load_regs[k] == partial) { /* memory itself is reduced */
                    w->at[partial] = row_at(w->run, b, k, row, NULL);
                    w->step[partial] = w->run->views[b - w->run->program->blocks][k].strides[1];
                }
            }
            return done < 0 ? -1 : last ? join_chunk(w, group, b->shape[1]) : 0;
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
                if (p->nblocks > 1 && !is_quick(w, b)) {
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
            if (to - from > 1 && !is_quick(w, b)) {
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
