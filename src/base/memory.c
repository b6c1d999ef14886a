#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BLOCK_BYTES = 64 * 1024, PAGE_BYTES = 2 << 20, LARGE_BYTES = 32 << 20 };

struct weft_arena_block {
    struct weft_arena_block *next;
    size_t used, size; /* of the bytes behind the header, which is WEFT_ALIGNMENT bytes long */
};

static bool round_up(size_t bytes, size_t *out)
{
    if (bytes > SIZE_MAX - PAGE_BYTES) return false;
    *out = weft_align(bytes, WEFT_ALIGNMENT);
    return true;
}

/* In large pages, of which the system hands out gigabytes several times faster; where it has none, in others. */
static void *take_large(size_t bytes)
{
    bytes = weft_align(bytes, PAGE_BYTES);
    void *memory = aligned_alloc(PAGE_BYTES, bytes);
#ifdef MADV_HUGEPAGE
    if (memory) (void)madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

weft_status weft_allocate(size_t count, size_t size, void *out_pointer, weft_error *error)
{
    void *memory = NULL;
    size_t bytes = 0;
    bool fits = !__builtin_mul_overflow(count, size, &bytes) && round_up(bytes ? bytes : 1, &bytes);
    if (fits) memory = bytes < LARGE_BYTES ? aligned_alloc(WEFT_ALIGNMENT, bytes) : take_large(bytes);
    if (memory) memset(memory, 0, bytes);
    memcpy(out_pointer, &memory, sizeof memory);
    if (!memory) FAIL(error, WEFT_NO_MEMORY, "out of memory: %zu x %zu bytes asked for", count, size);
    return WEFT_OK;
}

weft_status weft_grow(void *pointer_to_pointer, size_t *capacity, size_t need, size_t size, weft_error *error)
{
    if (need <= *capacity) return WEFT_OK;
    size_t wanted = *capacity ? *capacity : 16;
    while (wanted < need) wanted = wanted > SIZE_MAX / 2 ? need : wanted * 2;
    void *old = NULL, *grown = NULL;
    memcpy(&old, pointer_to_pointer, sizeof old);
    TRY(weft_allocate(wanted, size, &grown, error));
    if (old) memcpy(grown, old, *capacity * size);
    weft_free(old);
    memcpy(pointer_to_pointer, &grown, sizeof grown);
    *capacity = wanted;
    return WEFT_OK;
}

void weft_free(void *pointer)
{
    free(pointer);
}

void weft_arena_init(weft_arena *arena)
{
    arena->head = NULL;
}

void weft_arena_fini(weft_arena *arena)
{
    while (arena->head) {
        struct weft_arena_block *next = arena->head->next;
        weft_free(arena->head);
        arena->head = next;
    }
}

weft_status weft_arena_take(weft_arena *arena, size_t count, size_t size, void *out_pointer, weft_error *error)
{
    void *none = NULL;
    memcpy(out_pointer, &none, sizeof none);
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes) || !round_up(bytes ? bytes : 1, &bytes))
        FAIL(error, WEFT_NO_MEMORY, "out of memory: %zu x %zu bytes asked for", count, size);
    struct weft_arena_block *head = arena->head;
    if (!head || head->size - head->used < bytes) {
        size_t room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        struct weft_arena_block *block = NULL;
        TRY(weft_allocate(1, WEFT_ALIGNMENT + room, &block, error));
        *block = (struct weft_arena_block){.next = head, .size = room};
        arena->head = head = block;
    }
    void *piece = (char *)head + WEFT_ALIGNMENT + head->used;
    head->used += bytes;
    memcpy(out_pointer, &piece, sizeof piece);
    return WEFT_OK;
}

weft_status weft_arena_text(weft_arena *arena, const char *text, const char **out, weft_error *error)
{
    size_t bytes = strlen(text) + 1;
    char *copy = NULL;
    TRY(weft_arena_take(arena, bytes, 1, &copy, error));
    memcpy(copy, text, bytes);
    *out = copy;
    return WEFT_OK;
}
