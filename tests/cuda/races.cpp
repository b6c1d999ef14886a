/*
 * The race detector's view: ThreadSanitizer's interface where EMULATOR_RACES is defined, else nothing. The emulator
 * itself is not instrumented.
 */
#include "parts.h"

#include <mutex>

#ifdef EMULATOR_RACES
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsAndWritesBegin(const char *file, int line);
void AnnotateIgnoreReadsAndWritesEnd(const char *file, int line);
void AnnotateIgnoreSyncBegin(const char *file, int line);
void AnnotateIgnoreSyncEnd(const char *file, int line);
void __tsan_read_range(void *memory, unsigned long bytes);
void __tsan_write_range(void *memory, unsigned long bytes);
}
#endif

namespace emulator
{

#ifdef EMULATOR_RACES
void *logical_create(void)
{
    return __tsan_create_fiber(0);
}
void logical_destroy(void *logical)
{
    __tsan_destroy_fiber(logical);
}
void *logical_here(void)
{
    return __tsan_get_current_fiber();
}
void logical_enter(void *logical)
{
    __tsan_switch_to_fiber(logical, __tsan_switch_to_fiber_no_sync);
}
void tell(const void *token)
{
    __tsan_release((void *)token);
}
void learn(const void *token)
{
    __tsan_acquire((void *)token);
}
void seen_reading(const void *memory, size_t bytes)
{
    __tsan_read_range((void *)memory, bytes);
}
void seen_writing(const void *memory, size_t bytes)
{
    __tsan_write_range((void *)memory, bytes);
}
hidden::hidden()
{
    AnnotateIgnoreReadsAndWritesBegin(__FILE__, __LINE__);
}
hidden::~hidden()
{
    AnnotateIgnoreReadsAndWritesEnd(__FILE__, __LINE__);
}
static void synchronise_nothing(bool begin)
{
    if (begin) AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
    if (!begin) AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
}
#else
void *logical_create(void)
{
    return nullptr;
}
void logical_destroy(void *)
{
}
void *logical_here(void)
{
    return nullptr;
}
void logical_enter(void *)
{
}
void tell(const void *)
{
}
void learn(const void *)
{
}
void seen_reading(const void *, size_t)
{
}
void seen_writing(const void *, size_t)
{
}
hidden::hidden()
{
}
hidden::~hidden()
{
}
static void synchronise_nothing(bool)
{
}
#endif

/* They come round: what an old one has told was long ago. */
const char *new_token(void)
{
    enum { TOKENS = 1 << 17, APART = 8 };
    static char tokens[TOKENS * APART];
    static size_t next;
    return &tokens[next++ % TOKENS * APART];
}

static std::mutex lock;
static thread_local bool inside;

bool holds_lock(void)
{
    return inside;
}

/* The lock orders nothing that the program under test may rely on. */
entry::entry()
{
    if (inside) misuse("a function that a stream calls on the host (cudaLaunchHostFunc) calls CUDA");
    synchronise_nothing(true);
    lock.lock();
    synchronise_nothing(false);
    inside = true;
    watch_for_faults();
}

entry::~entry()
{
    close_memory();
    inside = false;
    synchronise_nothing(true);
    lock.unlock();
    synchronise_nothing(false);
}

} // namespace emulator
