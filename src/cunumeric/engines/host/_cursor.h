/* Rows that one loop does, straight from where their operands lie: a short row takes longer to prepare for `run_chunk` than
 * to compute. Where the operands of a block stand is kept from row to row. Part of `_work.h`. */
#ifndef CUNUMERIC_CURSOR_H
#define CUNUMERIC_CURSOR_H

#include "_program.h"

#define FRUITLESS_MOST 2
#define ASIDE 512       /* elements */
#define LEAVES_MOST 64  /* of a chunk */

typedef struct {
    int kind;           /* how its rows are done; UNKNOWN at first */
    const Group *group;
    const Instruction *one;
    int n, result;      /* operands; which of them is written to a row that is held back, or -1 */
    npy_intp row, left; /* the row where the operands stand, and how many follow at their steps */
    char **at;
    npy_intp *step, *by;  /* between elements; between rows */
} Cursor;

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
    int quiet;          /* no flags are raised */
    Cursor *cursors;    /* per block */
    char **places;      /* memory for what these hold */
    npy_intp *steps;
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

/* An instruction on elements that lie there. */
static inline int instruct_at(const Instruction *i, Worker *w, char **data, npy_intp *strides, npy_intp n)
{
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

enum { UNKNOWN, WHOLE, SINGLE, LONG };

/* How the rows of the block are done: by the compiled loop that has all its instructions; by NumPy's loop, where there is
 * one instruction; or the long way. */
static int find_kind(Worker *w, const Block *b, Cursor *c)
{
    const Instruction *i = b->instructions;
    c->kind = LONG;
    if (b->ndim != 2 || b->along != NULL || !b->ninstructions) {
        return LONG;
    }
    const Group *g = w->compiled ? i->group : NULL;
    int few = b->shape[1] <= w->run->program->chunk;
    if (g != NULL && g->whole && (g->asides ? b->shape[1] <= ASIDE : few)) {
        c->kind = WHOLE;
        c->group = g;
    }
    else if (g == NULL && few && b->ninstructions == 1 && i->op <= CAST) {
        c->kind = SINGLE;
        c->one = i;
    }
    if (c->kind != LONG && c->at == NULL) {
        c->n = c->kind == WHOLE ? g->noperands : i->nargs;
        c->at = w->places;
        c->step = w->steps;
        c->by = w->steps + c->n;
        w->places += c->n;
        w->steps += 2 * c->n;
        c->result = -1;
    }
    return c->kind;
}

static inline Cursor *cursor_of(Worker *w, const Block *b)
{
    return w->cursors + (b - w->run->program->blocks);
}

/* Whether a row of the block is one loop's. */
static inline int is_quick(Worker *w, const Block *b)
{
    Cursor *c = cursor_of(w, b);
    return (c->kind == UNKNOWN ? find_kind(w, b, c) : c->kind) != LONG;
}

/* From now on nothing is compiled for this worker. What was compiled goes the long way. */
static void give_up(Worker *w)
{
    w->compiled = 0;
    for (int k = 0; k < w->run->program->nblocks; k++) {
        if (w->cursors[k].kind == WHOLE) {
            w->cursors[k].kind = LONG;
        }
    }
}

/* Let the operands stand at a row. */
static void seat(Worker *w, const Block *b, Cursor *c, npy_intp row)
{
    const Run *r = w->run;
    const View *views = r->views[b - r->program->blocks];
    c->row = row;
    c->left = NPY_MAX_INTP;
    for (int k = 0; k < c->n; k++) {
        int reg = c->kind == WHOLE ? c->group->regs[k] : c->one->regs[k], load = -1;
        c->by[k] = 0;
        if (reg < 0) {
            continue; /* of a sum */
        }
        for (int l = 0; l < b->nloads; l++) {
            load = b->load_regs[l] == reg ? l : load;
        }
        if (load >= 0) {
            c->at[k] = row_at(r, b, load, row, &c->left);
            c->step[k] = views[load].strides[1];
            c->by[k] = b->rings[load] < 0 ? views[load].strides[0] : r->program->rings[b->rings[load]].pitch;
        }
        else {
            c->at[k] = w->at[reg];
            c->step[k] = reg == b->result ? r->program->size_of[reg] : w->step[reg];
            c->result = reg == b->result ? k : c->result;
        }
    }
}

/* A group on the row where the cursor stands. 0: flags were raised, or the loop does not suit, and the row is to be done
 * the long way. */
static int quick_group(Worker *w, const Group *g, Cursor *c, npy_intp n)
{
    npy_intp little[2] = {1, n}, *step = c->step, steps[GROUP_MOST];
    char **at = c->at, *places[GROUP_MOST], *aside = w->aside;
    if (!streams_alike(g, at)) {
        return 0;
    }
    if (g->asides) {
        memcpy(places, at, c->n * sizeof(*at));
        memcpy(steps, step, c->n * sizeof(*step));
        at = places;
        step = steps;
        for (int k = 0; k < g->noperands; k++) {
            if (g->aside[k]) {
                at[k] = aside;
                step[k] = g->aside[k];
                aside += ASIDE * g->aside[k];
            }
        }
    }
    if (g->sum >= 0) {
        w->nleaves = n < 8 ? 0 : leaves_for(w, n);
        at[g->sum] = (char *)(w->nleaves ? w->leaves : little);
        at[g->sum + 1] = (char *)w->sums;
    }
    if (g->interest && !w->quiet) {
        raised();
    }
    g->kernel(at, step, n);
    w->quiet = g->interest != 0;
    if (g->interest && (raised() & g->interest)) {
        return 0;
    }
    for (int k = 0; g->asides && k < g->noperands; k++) {
        if (g->aside[k]) {
            copy(c->at[k], c->step[k], at[k], g->aside[k], n, g->aside[k]);
        }
    }
    return 1;
}

/* A row of a block that is one loop's: 1; 0: it is to be done the long way; -1: an error. */
static int quick_row(Worker *w, const Block *b, npy_intp row, char *held)
{
    Cursor *c = cursor_of(w, b);
    npy_intp n = b->shape[1];
    int done = 1;
    if (c->row != row || c->left <= 0) {
        seat(w, b, c, row);
    }
    if (held != NULL && c->result >= 0) {
        c->at[c->result] = held;
    }
    w->nleaves = 0;
    if (c->kind == WHOLE) {
        done = quick_group(w, c->group, c, n);
    }
    else {
        const Instruction *i = c->one;
        char *at[ARGS];
        memcpy(at, c->at, c->n * sizeof(*at)); /* NumPy's loops may move them */
        if (i->watch && !w->quiet) {
            raised();
        }
        done = instruct_at(i, w, at, c->step, n) < 0 ? -1 : 1;
        w->quiet &= i->op == COPY || i->watch;
        if (i->watch) {
            int f = raised();
            w->quiet = 1;
            w->flags[b->first] |= f;
        }
    }
    for (int k = 0; k < c->n; k++) {
        c->at[k] += c->by[k];
    }
    c->row++;
    c->left--;
    return done;
}

#endif
