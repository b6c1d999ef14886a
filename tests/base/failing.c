#include "failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { NEVER = INT32_MAX };

static atomic_int left = NEVER; /* allocations until the one that fails; below 0: behind it */
static atomic_bool lasting;

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if (atomic_load(&left) == NEVER) return __real_aligned_alloc(alignment, size);
    int now = atomic_fetch_sub(&left, 1);
    return now == 0 || (now < 0 && atomic_load(&lasting)) ? NULL : __real_aligned_alloc(alignment, size);
}

void failing_begin(int n, bool all)
{
    atomic_store(&lasting, all);
    atomic_store(&left, n);
}

bool failing_end(void)
{
    return atomic_exchange(&left, NEVER) < 0;
}

int failing_each(weft_status (*call)(void *context, weft_error *error), void *context, failing_habit habit)
{
    for (int n = 0, way = 0;; n += way, way = !way) {
        weft_error error;
        weft_error_clear(&error);
        failing_begin(n, way);
        weft_status status = call(context, &error);
        bool failed = failing_end();
        if (!failed && status != WEFT_OK) fail_msg("with all its memory: %s", error.text);
        if (!failed) return n;
        if (status == WEFT_OK && habit == FAILING_FORGIVES) continue;
        if (status != WEFT_NO_MEMORY || error.status != status)
            fail_msg("allocation %d: status %d, %s", n + 1, (int)status, error.text);
    }
}
