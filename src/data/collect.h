/*
 * Which files are data: one that is named, or every regular file below a folder but for what is none: hidden and backup
 * files, and what belongs to runs.
 *
 * Owns: its list; paths live in its arena.  Lifetime: init to fini.  Threads: one owner.
 */
#ifndef WEFT_DATA_COLLECT_H
#define WEFT_DATA_COLLECT_H

#include "base/text.h"

typedef enum weft_left_kind {
    WEFT_LEFT_SPARE, /* hidden files, backups, downloads that are not complete */
    WEFT_LEFT_RUN,   /* of this run or of another one */
    WEFT_LEFT_OTHER, /* links to folders, which are not followed so that no walk is endless; devices, sockets, pipes */
    WEFT_LEFT_INDEX, /* index files beside the tokens that they describe; found by who reads them */
    WEFT_LEFT_KINDS
} weft_left_kind;

/* What was left out, and the first of them. */
typedef struct weft_left_out {
    int64_t files, folders;
    const char *example;
} weft_left_out;

typedef struct weft_collection {
    const char **paths; /* (count) sorted by byte */
    size_t count, capacity;
    weft_left_out left_out[WEFT_LEFT_KINDS];
    weft_arena arena;
} weft_collection;

/* own: (own_count) paths of files and folders of this run, which need not exist: they are left out of a folder,
 * whatever path leads to them; a folder that is one of them is refused, and so is one that holds another run. An entry
 * that is NULL or "" stands for nothing. WEFT_INVALID with the reason when nothing is left. On error nothing is left to
 * free. */
weft_status weft_collection_init(weft_collection *collection, const char *path, const char *const *own,
                                 size_t own_count, weft_error *error) WEFT_CHECKED;
void weft_collection_fini(weft_collection *collection);

void weft_collection_leave(weft_collection *collection, weft_left_kind kind, bool folder, const char *path);

/* A line for each kind of which something was left out: how many, why, and an example. */
void weft_collection_describe(const weft_collection *collection, weft_text *out);

#endif
