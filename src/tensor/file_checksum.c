#include "tensor/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h> /* the same sums, with the widest instructions that there are */
#endif

enum { PIECE = 256 * 1024 }; /* bytes that are read at once; they stay in cache until they are hashed */

static weft_status hash_file(const char *path, int descriptor, XXH3_state_t *hash, uint64_t *out_bytes,
                             weft_error *error)
{
    char *piece = NULL;
    TRY(weft_allocate(PIECE, 1, &piece, error));
    ssize_t got;
    XXH3_64bits_reset(hash);
    while ((got = read(descriptor, piece, PIECE)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        XXH3_64bits_update(hash, piece, (size_t)got);
        *out_bytes += (uint64_t)got;
    }
    weft_status status = WEFT_OK;
    if (got < 0)
        status =
            weft_fail(error, WEFT_FAILED, "%s: cannot read at byte %" PRIu64 ": %s", path, *out_bytes, strerror(errno));
    weft_free(piece);
    return status;
}

weft_status weft_file_checksum(const char *path, uint64_t *out, uint64_t *out_bytes, weft_error *error)
{
    int descriptor;
    uint64_t bytes = 0;
    TRY(weft_file_open(path, &descriptor, error));
    XXH3_state_t *hash = XXH3_createState();
    weft_status status = hash ? hash_file(path, descriptor, hash, &bytes, error)
                              : weft_fail(error, WEFT_NO_MEMORY, "out of memory for a checksum");
    if (status == WEFT_OK) *out = XXH3_64bits_digest(hash);
    if (status == WEFT_OK && out_bytes) *out_bytes = bytes;
    XXH3_freeState(hash);
    close(descriptor);
    return status;
}
