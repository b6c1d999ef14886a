/*
 * The race detector's view: ThreadSanitizer's interface where EMULATOR_RACES is defined, else nothing. The emulator
 * itself is not instrumented.
 */
#include "parts.h"

#include <mutex>

#ifdef EMULATOR_RACES
#include <sanitizer/tsan_interface.h>
extern "C" {
void __tsan_ignore_thread_begin(void); /* its reads and writes, until the end */
void __tsan_ignore_thread_end(void);
void AnnotateIgnoreSyncBegin(const char *file, int line);
void AnnotateIgnoreSyncEnd(const char *file, int line);
void __tsan_read_range_pc(void *memory, unsigned long bytes, void *at);
void __tsan_write_range_pc(void *memory, unsigned long bytes, void *at);
/* The first race ends the process, with a status of its own. What ends one after a fault may allocate. */
const char *__tsan_default_options(void)
{
    return "halt_on_error=1:exitcode=66:report_signal_unsafe=0";
}
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
void seen_reading(const void *memory, size_t bytes, const void *at)
{
    __tsan_read_range_pc((void *)memory, bytes, at != nullptr ? (void *)at : __builtin_return_address(0));
}
void seen_writing(const void *memory, size_t bytes, const void *at)
{
    __tsan_write_range_pc((void *)memory, bytes, at != nullptr ? (void *)at : __builtin_return_address(0));
}
hidden::hidden()
{
    __tsan_ignore_thread_begin();
}
hidden::~hidden()
{
    __tsan_ignore_thread_end();
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
void seen_reading(const void *, size_t, const void *)
{
}
void seen_writing(const void *, size_t, const void *)
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
