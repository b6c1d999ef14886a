/*
 * A watch over calls that may never return and that nothing can break off: MPI's own while another process is missing.
 * When they take too long it says so from a thread of its own, and whoever is told ends the process.
 *
 * Owns: its thread.  Lifetime: start to end.  Threads: started and ended by one; late is called by the watch's own.
 */
#ifndef WEFT_TRANSPORT_WATCH_H
#define WEFT_TRANSPORT_WATCH_H

#include "base/status.h"

typedef struct weft_watch weft_watch;

/* Calls late(context) when it has not been ended within so many seconds. */
weft_status weft_watch_start(double seconds, void (*late)(void *context), void *context, weft_watch **out,
                             weft_error *error) WEFT_CHECKED;
void weft_watch_end(weft_watch *watch); /* accepts NULL; late is not called afterwards */

#endif
