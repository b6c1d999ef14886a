/* What an open checkpoint holds, for the comparison and for what proves its configuration; the proof of one that is
 * being written. Threads: any may read. */
#ifndef WEFT_CHECKPOINT_OPEN_H
#define WEFT_CHECKPOINT_OPEN_H

#include "checkpoint/manifest.h"
#include "checkpoint/pieces.h"

/* Of one kind over all files, proved. Borrowed. */
const weft_pieces *weft_checkpoint_pieces(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind);

/* Borrowed. */
weft_manifest *weft_checkpoint_manifest(weft_checkpoint *checkpoint);

/* That manifest and headers of files in this folder, finished or not, make whole tensors. Reads no values. */
weft_status weft_checkpoint_prove(const char *folder, weft_error *error) WEFT_CHECKED;

#endif
