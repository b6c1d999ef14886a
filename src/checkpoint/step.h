/*
 * Folders of a run: step-00000100 holds a complete checkpoint; .tmp behind the name one that is being written or
 * removed; .old one that was complete and is just being replaced by another of the same step.
 *
 * Threads: any; there is no state.
 */
#ifndef WEFT_CHECKPOINT_STEP_H
#define WEFT_CHECKPOINT_STEP_H

#include "base/text.h"

#define WEFT_STEP_TMP ".tmp"
#define WEFT_STEP_OLD ".old"

/* Replaces out's text by FOLDER/step-XXXXXXXX + suffix. */
weft_status weft_step_path(const char *folder, int64_t step, const char *suffix, weft_text *out,
                           weft_error *error) WEFT_CHECKED;

/* Whether name is exactly step-XXXXXXXX + suffix. */
bool weft_step_parse(const char *name, const char *suffix, int64_t *out_step);

/* Whether the folder holds a manifest. */
bool weft_step_is_complete(const char *path);

/* Whether there is a name in the folder that a checkpoint has, complete or not. Asks for no memory. */
bool weft_step_any(const char *folder);

/* Replaces out's text by the path of the latest complete checkpoint; out is empty when there is none. WEFT_INVALID when
 * a later one is there and has no manifest: complete ones only get that name, so it has been damaged. */
weft_status weft_step_latest(const char *folder, weft_text *out, weft_error *error) WEFT_CHECKED;

#endif
