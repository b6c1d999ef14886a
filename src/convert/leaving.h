/*
 * What models that leave have in common, as a folder or as a GGUF file. Internal to convert/.
 *
 * Owns: a source its document and text.  Lifetime: open to close.  Threads: one.
 */
#ifndef WEFT_CONVERT_LEAVING_H
#define WEFT_CONVERT_LEAVING_H

#include "base/text.h"
#include "config/document.h"

/* What a checkpoint's run came from. */
typedef struct weft_run_source {
    weft_text path;
    weft_document read;
    const char *folder;            /* RUN/source; NULL: it came from nothing */
    const weft_document *document; /* its config.json, or NULL */
} weft_run_source;

weft_status weft_run_source_open(const char *checkpoint, weft_run_source *out, weft_error *error) WEFT_CHECKED;
void weft_run_source_close(weft_run_source *source);

/* WEFT_INVALID, with the tensor and the value, for one that is not finite or above what its type holds. */
weft_status weft_values_check(const char *tensor, const float *values, int64_t count, float largest,
                              weft_error *error) WEFT_CHECKED;

#endif
