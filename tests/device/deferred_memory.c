#include "base/memory.h"
#include "deferred_parts.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NOTHING = 0xff }; /* a byte of NaN in every element type, and of the integer -1 */

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

/* guard, block, guard; for device memory the same once more, and only the second is open. */
static weft_status map(deferred_block *block, size_t page, weft_error *error)
{
    const size_t room = round_up(block->bytes, page), part = room + 2 * page;
    const bool hidden = block->kind == WEFT_MEMORY_DEVICE;
    block->mapped = hidden ? 2 * part : part;
    block->mapping = mmap(NULL, block->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block->mapping == MAP_FAILED)
        FAIL(error, WEFT_NO_MEMORY, "device deferred: out of memory: %zu bytes asked for", block->bytes);
    block->distance = hidden ? (ptrdiff_t)part : 0;
    char *open = (char *)block->mapping + block->distance + page;
    block->address = (char *)block->mapping + page + (room - block->bytes);
    if (mprotect(open, room, PROT_READ | PROT_WRITE) != 0) {
        munmap(block->mapping, block->mapped);
        FAIL(error, WEFT_NO_MEMORY, "device deferred: out of memory: %zu bytes asked for", block->bytes);
    }
    memset(open, NOTHING, room);
    return WEFT_OK;
}

/* The block ends where a guard page begins, up to the alignment. */
weft_status deferred_allocate(weft_device *device, weft_memory_kind kind, size_t bytes, void **out, weft_error *error)
{
    deferred_device *deferred = deferred_of(device);
    *out = NULL;
    if (bytes > SIZE_MAX / 4) FAIL(error, WEFT_NO_MEMORY, "device deferred: out of memory: %zu bytes asked for", bytes);
    deferred_block *block = NULL;
    TRY(weft_allocate(1, sizeof *block, &block, error));
    block->kind = kind;
    block->bytes = round_up(bytes > 0 ? bytes : 1, weft_device_deferred.alignment);
    weft_status status = map(block, (size_t)sysconf(_SC_PAGESIZE), error);
    if (status != WEFT_OK) {
        weft_free(block);
        return status;
    }
    block->next = deferred->blocks;
    deferred->blocks = block;
    *out = block->address;
    return WEFT_OK;
}

void deferred_release(weft_device *device, void *memory)
{
    for (deferred_block *block = deferred_of(device)->blocks; block != NULL; block = block->next) {
        if (memory != block->address || block->released) continue;
        memset(block->address + block->distance, NOTHING, block->bytes);
        block->released = true;
    }
}

void deferred_forget_blocks(deferred_device *deferred)
{
    while (deferred->blocks != NULL) {
        deferred_block *block = deferred->blocks;
        deferred->blocks = block->next;
        munmap(block->mapping, block->mapped);
        weft_free(block);
    }
}

void *deferred_find(const deferred_device *deferred, weft_memory_kind kind, const void *memory)
{
    const char *at = memory;
    for (const deferred_block *block = deferred->blocks; block != NULL; block = block->next) {
        if (block->kind != kind || at < block->address || at >= block->address + block->bytes) continue;
        return block->address + block->distance + (at - block->address);
    }
    return NULL;
}
