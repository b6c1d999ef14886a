/*
 * A file, or standard input, read from front to end; gzip and Zstandard (known by their first bytes) as what they hold.
 *
 * Owns: its descriptor and buffers.  Lifetime: open to close.  Threads: one.
 */
#ifndef WEFT_DATA_INFLATE_H
#define WEFT_DATA_INFLATE_H

#include "base/memory.h"

typedef struct weft_inflate weft_inflate;

/* Asked every now and then while standard input gives nothing; NULL: never. */
typedef struct weft_inflate_patience {
    bool (*stop)(void *context);
    void *context;
} weft_inflate_patience;

/* path: "-" is standard input. WEFT_INVALID when it cannot be opened, is neither regular nor standard input, or is
 * compressed in another way. WEFT_STOPPED, here and below: patience is at its end. */
weft_status weft_inflate_open(const char *path, weft_inflate_patience patience, weft_inflate **out,
                              weft_error *error) WEFT_CHECKED;
void weft_inflate_close(weft_inflate *inflate); /* accepts NULL */

/* Up to count bytes; fewer only at the end. WEFT_INVALID when what is compressed is damaged or cut short, WEFT_FAILED
 * when the system cannot read: both name the file. */
weft_status weft_inflate_read(weft_inflate *inflate, void *bytes, size_t count, size_t *out_got,
                              weft_error *error) WEFT_CHECKED;

uint64_t weft_inflate_consumed(const weft_inflate *inflate); /* bytes of the file itself, for progress */

#endif
