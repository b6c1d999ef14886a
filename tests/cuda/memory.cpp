/* Memory of the GPUs and pinned memory of the host: blocks between guard pages, and who may touch them when. */
#include "parts.h"

#include <cstdio>
#include <cstring>
#include <map>
#include <sys/mman.h>

extern unsigned char weft_shared[];

namespace emulator
{

enum { ALIGNMENT = 256 };

/* By where they end. Freed ones keep their addresses, without memory: nothing comes to lie there. */
typedef std::map<const char *, block> block_map;
static block_map blocks, freed_blocks;
static unsigned opened; /* a mask of GPUs: what runs may touch their memory, */
static block *touched;  /* and these blocks of it have rights already */
static size_t used[MAX_GPUS];

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

static const block *find_in(const block_map &map, const void *memory)
{
    const auto after = map.upper_bound((const char *)memory);
    return after == map.end() || (const char *)memory < after->second.mapping ? nullptr : &after->second;
}

const block *block_of(const void *memory)
{
    const block *of = find_in(blocks, memory);
    return of != nullptr ? of : find_in(freed_blocks, memory);
}

static void protect(const block &of, int rights)
{
    if (mprotect(of.mapping + PAGE, of.mapped - 2 * PAGE, rights) != 0) misuse("mprotect failed: too many blocks?");
}

void open_memory(unsigned gpus)
{
    if (opened == gpus) return;
    close_memory();
    catch_touches();
    opened = gpus;
}

void close_memory(void)
{
    for (; touched != nullptr; touched = touched->next_touched) protect(*touched, PROT_NONE);
    opened = 0;
}

bool open_touched(const void *memory)
{
    block *of = const_cast<block *>(find_in(blocks, memory));
    if (of == nullptr || of->kind != memory_kind::device || (opened >> of->gpu & 1) == 0) return false;
    const ptrdiff_t at = (const char *)memory - of->mapping;
    if (at < PAGE || at >= (ptrdiff_t)of->mapped - PAGE) return false;
    protect(*of, PROT_READ | PROT_WRITE);
    of->next_touched = touched;
    touched = of;
    return true;
}

/* guard, slack, block, guard: what lies behind the block's last byte is less than ALIGNMENT. */
static cudaError_t take(void **out, size_t bytes, memory_kind kind)
{
    const int gpu = current_gpu();
    const size_t rounded = round_up(bytes, ALIGNMENT);
    *out = nullptr;
    if (bytes == 0) return cudaSuccess;
    if (fails_now(failing::allocation)) return setting().fails_with;
    if (bytes > SIZE_MAX / 4 || (kind == memory_kind::device && rounded > setting().memory - used[gpu]))
        return cudaErrorMemoryAllocation;
    const size_t room = round_up(rounded, PAGE);
    block made = {nullptr, nullptr, room + 2 * PAGE, bytes, kind, gpu, false, nullptr};
    void *mapping = mmap(nullptr, made.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) return cudaErrorMemoryAllocation;
    made.mapping = (char *)mapping;
    made.user = made.mapping + PAGE + (room - rounded);
    protect(made, PROT_READ | PROT_WRITE);
    memset(made.mapping + PAGE, POISON, room);
    if (kind == memory_kind::device) {
        used[gpu] += rounded;
        protect(made, PROT_NONE);
    }
    blocks[made.mapping + made.mapped] = made;
    *out = made.user;
    return cudaSuccess;
}

/* Nothing but what was asked for may have been written. */
static void check_slack(const block &of)
{
    protect(of, PROT_READ | PROT_WRITE);
    for (const char *at = of.mapping + PAGE; at < of.mapping + of.mapped - PAGE; at++) {
        if (at == of.user) at += of.bytes;
        if (at == of.mapping + of.mapped - PAGE) break;
        if ((unsigned char)*at != POISON) misuse("something wrote %s", describe(at).c_str());
    }
}

static cudaError_t give_back(void *memory, bool pinned, const char *caller)
{
    if (memory == nullptr) return cudaSuccess;
    const block *of = block_of(memory);
    if (of == nullptr || of->user != memory || (of->kind == memory_kind::pinned) != pinned)
        misuse("%s: %p is not what was allocated", caller, memory);
    if (of->freed) misuse("%s: %s", caller, describe(memory).c_str());
    for (int gpu = 0; gpu < gpu_count(); gpu++)
        if (pinned || gpu == of->gpu) wait_for_gpu(gpu);
    close_memory();
    if (!pinned && lost(of->gpu) != cudaSuccess) return lost(of->gpu);
    check_slack(*of);
    if (!pinned) used[of->gpu] -= round_up(of->bytes, ALIGNMENT);
    mmap(of->mapping, of->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    const char *end = of->mapping + of->mapped;
    block &freed = freed_blocks[end] = *of;
    freed.freed = true;
    blocks.erase(end);
    return cudaSuccess;
}

cudaError_t classify(const void *memory, size_t bytes, memory_kind *out_kind, int *out_gpu)
{
    const block *of = block_of(memory);
    *out_kind = of == nullptr ? memory_kind::pageable : of->kind;
    *out_gpu = of == nullptr ? -1 : of->gpu;
    if (of == nullptr) return cudaSuccess;
    if (of->freed) misuse("a copy or a fill is given %s", describe(memory).c_str());
    const size_t at = (size_t)((const char *)memory - of->user);
    return at <= of->bytes && bytes <= of->bytes - at ? cudaSuccess : cudaErrorInvalidValue;
}

bool reaches(int gpu, const void *memory)
{
    const block *of = block_of(memory);
    if (of == nullptr || of->freed) return false;
    return of->kind == memory_kind::pinned || (reached_by(gpu) >> of->gpu & 1) != 0;
}

std::string describe(const void *memory)
{
    const block *of = block_of(memory);
    char text[200];
    const ptrdiff_t shared = (const unsigned char *)memory - weft_shared;
    if (of == nullptr && shared >= 0 && shared < (SHARED_MOST / PAGE + 2) * PAGE) {
        snprintf(text, sizeof text, "byte %td of shared memory, more than its launch asked for", shared);
        return text;
    }
    if (of == nullptr) return "";
    const ptrdiff_t at = (const char *)memory - of->user, bytes = (ptrdiff_t)of->bytes;
    char place[100];
    if (at < 0) snprintf(place, sizeof place, "%td bytes before a block", -at);
    if (at >= 0 && at < bytes) snprintf(place, sizeof place, "byte %td of a block", at);
    if (at >= bytes) snprintf(place, sizeof place, "%td bytes behind the end of a block", at - bytes + 1);
    snprintf(text, sizeof text, "%s of %td bytes, %s %d%s", place, bytes,
             of->kind == memory_kind::device ? "memory of GPU" : "pinned memory by GPU", of->gpu,
             of->freed ? ", which was freed before" : "");
    return text;
}

void count_memory(emulator_counts *counts)
{
    for (const auto &entry : blocks) {
        counts->blocks++;
        counts->bytes += (int64_t)entry.second.bytes;
    }
}

} // namespace emulator

using namespace emulator;

extern "C" cudaError_t cudaMalloc(void **out, size_t bytes)
{
    const entry guard;
    const cudaError_t error = usable();
    return result(error != cudaSuccess ? error : take(out, bytes, memory_kind::device));
}

extern "C" cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned)
{
    const entry guard;
    const cudaError_t error = usable();
    return result(error != cudaSuccess ? error : take(out, bytes, memory_kind::pinned));
}

extern "C" cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    return cudaHostAlloc(out, bytes, cudaHostAllocDefault);
}

extern "C" cudaError_t cudaFree(void *memory)
{
    const entry guard;
    return result(give_back(memory, false, "cudaFree"));
}

extern "C" cudaError_t cudaFreeHost(void *memory)
{
    const entry guard;
    return result(give_back(memory, true, "cudaFreeHost"));
}

extern "C" cudaError_t cudaMemGetInfo(size_t *out_free, size_t *out_total)
{
    const entry guard;
    const cudaError_t error = usable();
    if (error != cudaSuccess) return result(error);
    *out_total = setting().memory;
    *out_free = setting().memory - used[current_gpu()];
    return cudaSuccess;
}
