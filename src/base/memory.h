/*
 * Heap allocation with an error record, and an arena.
 *
 * Every allocation of the library goes through weft_allocate, so that a test can make the n-th one fail (by linking
 * its own malloc in front) and so that the step loop can be shown to allocate nothing.
 *
 * Owns: an arena owns every piece it gave out.  Lifetime: until weft_arena_fini.  Threads: an arena belongs to one.
 */
#ifndef WEFT_BASE_MEMORY_H
#define WEFT_BASE_MEMORY_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { WEFT_ALIGNMENT = 64 }; /* bytes: of all memory that is given out here */

/* bytes rounded up to a multiple of alignment. */
static inline size_t weft_align(size_t bytes, size_t alignment)
{
    return (bytes + alignment - 1) / alignment * alignment;
}

/* Zeroed memory for count objects of size bytes, aligned; *out is NULL on error. Free with weft_free. */
weft_status weft_allocate(size_t count, size_t size, void *out_pointer, weft_error *error) WEFT_CHECKED;

/* Grows *pointer (from weft_grow or NULL) so that it holds at least need objects; doubles. Free with weft_free. */
weft_status weft_grow(void *pointer_to_pointer, size_t *capacity, size_t need, size_t size,
                      weft_error *error) WEFT_CHECKED;

void weft_free(void *pointer); /* accepts NULL */

typedef struct weft_arena {
    struct weft_arena_block *head;
} weft_arena;

void weft_arena_init(weft_arena *arena);
void weft_arena_fini(weft_arena *arena); /* frees everything */
weft_status weft_arena_take(weft_arena *arena, size_t count, size_t size, void *out_pointer,
                            weft_error *error) WEFT_CHECKED;
weft_status weft_arena_text(weft_arena *arena, const char *text, const char **out,
                            weft_error *error) WEFT_CHECKED; /* a copy */

#endif
