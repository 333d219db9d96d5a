/* Pieces of memory for arrays that are neither tiny, which NumPy keeps itself, nor large enough for the shelf. malloc
 * gives and takes such pieces in as much time as arithmetic on a thousand numbers takes, and not at a line of the
 * cache; here the piece that was given back last is the next one. Part of `_shelf.c`, which includes it.
 *
 * An array owns its piece as NumPy's own own theirs, with `piece_handler` to give it back. All of it happens under the
 * GIL, as NumPy gives memory back. */
#ifndef CUNUMERIC_PIECES_H
#define CUNUMERIC_PIECES_H

#define PIECE_STEP 512                 /* pieces have multiples of so many bytes */
#define PIECE_STEPS 256                /* of larger ones none is kept */
#define PIECE_MOST (2 << 20)           /* bytes that are kept: as much as the cache of a core holds */

/* What stands in the line before a piece. */
typedef struct Piece {
    struct Piece *next;               /* of those of this size that are kept */
    void *block;                      /* malloc's */
    size_t steps;
} Piece;

static Piece *pieces[PIECE_STEPS + 1];
static size_t kept;                 /* bytes that are kept */

static Piece *piece_of(void *data) { return (Piece *)((char *)data - LINE); }

static void free_pieces(void)
{
    for (size_t k = 0; k <= PIECE_STEPS; k++) {
        while (pieces[k] != NULL) {
            Piece *p = pieces[k];
            pieces[k] = p->next;
            free(p->block);
        }
    }
    kept = 0;
}

static void *piece_malloc(void *nothing, size_t size)
{
    size_t steps = size / PIECE_STEP + (size % PIECE_STEP != 0);
    if (steps <= PIECE_STEPS && pieces[steps] != NULL) {
        Piece *p = pieces[steps];
        pieces[steps] = p->next;
        kept -= steps * PIECE_STEP;
        return (char *)p + LINE;
    }
    size_t room = LINE + (size < SHIFTED_FROM ? LINE : PAGE);
    char *block = size < PY_SSIZE_T_MAX / 2 ? malloc(steps * PIECE_STEP + room) : NULL;
    if (block == NULL) {
        return NULL;
    }
    char *data = size < SHIFTED_FROM ? block + LINE + (-(npy_uintp)block & (LINE - 1)) : shifted(block + LINE, steps);
    *piece_of(data) = (Piece){NULL, block, steps};
    return data;
}

static void piece_free(void *nothing, void *data, size_t size)
{
    Piece *p = data == NULL ? NULL : piece_of(data);
    if (p == NULL) {
        return;
    }
    if (p->steps > PIECE_STEPS) {
        free(p->block);
        return;
    }
    if (kept + p->steps * PIECE_STEP > PIECE_MOST) {
        free_pieces();
    }
    p->next = pieces[p->steps];
    pieces[p->steps] = p;
    kept += p->steps * PIECE_STEP;
}

static void *piece_calloc(void *nothing, size_t count, size_t size)
{
    void *data = size != 0 && count > PY_SSIZE_T_MAX / size ? NULL : piece_malloc(NULL, count * size);
    return data == NULL ? NULL : memset(data, 0, count * size);
}

static void *piece_realloc(void *nothing, void *data, size_t size)
{
    void *to = piece_malloc(NULL, size);
    if (to != NULL && data != NULL) {
        size_t had = piece_of(data)->steps * PIECE_STEP;
        memcpy(to, data, had < size ? had : size);
        piece_free(NULL, data, had);
    }
    return to;
}

static PyDataMem_Handler piece_functions = {
    "cunumeric", 1, {NULL, piece_malloc, piece_calloc, piece_realloc, piece_free},
};
static PyObject *piece_handler;

#endif
