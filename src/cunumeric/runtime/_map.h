/* A table by address: what a window has met. For the optional extensions. */
#ifndef CUNUMERIC_MAP_H
#define CUNUMERIC_MAP_H

#include <stdlib.h>
#include <string.h>
#include <numpy/arrayobject.h>

typedef struct {
    const void *key;
    npy_intp value;
} Entry;

typedef struct {
    Entry *entries;
    size_t mask, used;
} Map;

static Entry *map_find(const Map *m, const void *key)
{
    size_t at = ((size_t)key >> 4) * 0x9E3779B97F4A7C15ULL >> 20 & m->mask;
    while (m->entries[at].key != NULL && m->entries[at].key != key) {
        at = (at + 1) & m->mask;
    }
    return m->entries + at;
}

/* Forget everything, and keep the room where it is not much. */
static void map_empty(Map *m)
{
    if (m->mask > 4095) {
        free(m->entries);
        *m = (Map){NULL, 0, 0};
    }
    else if (m->used) {
        memset(m->entries, 0, (m->mask + 1) * sizeof(Entry));
        m->used = 0;
    }
}

static int map_put(Map *m, const void *key, npy_intp value)
{
    if (2 * (m->used + 1) > m->mask) {
        Map larger = {NULL, m->mask ? 2 * m->mask + 1 : 255, 0};
        larger.entries = calloc(larger.mask + 1, sizeof(Entry));
        if (larger.entries == NULL) {
            return -1;
        }
        for (size_t k = 0; m->used && k <= m->mask; k++) {
            if (m->entries[k].key != NULL) {
                *map_find(&larger, m->entries[k].key) = m->entries[k];
            }
        }
        free(m->entries);
        larger.used = m->used;
        *m = larger;
    }
    Entry *e = map_find(m, key);
    m->used += e->key == NULL;
    *e = (Entry){key, value};
    return 0;
}

/* The entry of `key`; NULL: none. */
static Entry *map_get(const Map *m, const void *key)
{
    Entry *e = m->used ? map_find(m, key) : NULL;
    return e == NULL || e->key == NULL ? NULL : e;
}

#endif
