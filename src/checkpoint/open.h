/* What an open checkpoint holds, for the comparison. Threads: any may read. */
#ifndef WEFT_CHECKPOINT_OPEN_H
#define WEFT_CHECKPOINT_OPEN_H

#include "checkpoint/checkpoint.h"

/* The tensors of one kind over all files, sorted by name; no name twice. Borrowed. */
const weft_tensor_entry *const *weft_checkpoint_tensors(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind,
                                                        size_t *out_count);

/* "(2, 3)" */
void weft_shape_print(const weft_tensor_entry *entry, weft_text *out);

#endif
