/*
 * The JSON header of a safetensors file. Internal to tensor/.
 *
 * A header is a map of names to maps of dtype, shape and data_offsets, besides texts under "__metadata__"; anything
 * else is refused where it begins, so that nothing can be nested. Nothing is allocated: a first reading proves all and
 * counts, a second one fills what the caller has taken, which is in proportion to the header.
 *
 * Owns: nothing.  Threads: any.
 */
#ifndef WEFT_TENSOR_SAFETENSORS_HEADER_H
#define WEFT_TENSOR_SAFETENSORS_HEADER_H

#include "tensor/safetensors.h"

enum { WEFT_SAFETENSORS_LENGTH = 8 }; /* bytes in front of the header, which state its length */

typedef struct weft_safetensors_header {
    const char *path;           /* of the file, for messages */
    const unsigned char *bytes; /* of the header */
    size_t length;
    const unsigned char *data; /* what follows the header in the file */
    size_t data_bytes;
} weft_safetensors_header;

/* What a header holds: how many tensors, and of how many bytes their names are, with a zero byte behind each. */
typedef struct weft_safetensors_counts {
    size_t tensors, name_bytes;
} weft_safetensors_counts;

/* entries and names NULL: proves that the data of each tensor lies in the file and is as large as dtype and shape say,
 * and counts. Else the same again, and fills entries: (counts->tensors), in the header's order, with names in names:
 * (counts->name_bytes). A name may be there twice. WEFT_INVALID names file and byte, or tensor. */
weft_status weft_safetensors_header_read(const weft_safetensors_header *header, weft_tensor_entry *entries, char *names,
                                         weft_safetensors_counts *counts, weft_error *error) WEFT_CHECKED;

#endif
