/*
 * Allocations that fail, one after the other. All memory of the library comes from aligned_alloc, by weft_allocate; the
 * linker puts this in front of it (`failing` of meson.build).
 *
 * Threads: allocations of all threads are counted together; everything else belongs to the test's one.
 */
#ifndef WEFT_TESTS_BASE_FAILING_H
#define WEFT_TESTS_BASE_FAILING_H

#include "base/status.h"

typedef enum failing_habit {
    FAILING_REPORTS, /* says WEFT_NO_MEMORY whichever allocation fails */
    FAILING_FORGIVES /* or does without, where it can */
} failing_habit;

/* Makes the call's first allocation fail, then its second, and so on until a call goes through with all it asks for;
 * each of them alone, and with all that come after it. A call leaves nothing behind: leak checkers watch. The test
 * fails when a call that failed says anything but WEFT_NO_MEMORY. Returns how many allocations a whole call takes. */
int failing_each(weft_status (*call)(void *context, weft_error *error), void *context, failing_habit habit);

/* By hand: the allocation behind the next n fails, and with `all` every one after it. */
void failing_begin(int n, bool all);
bool failing_end(void); /* none fails from here on; whether one did */

#endif
