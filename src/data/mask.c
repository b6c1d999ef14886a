#include "data/mask.h"

#include <inttypes.h>
#include <string.h>

enum { CHUNK = 4096 }; /* bytes of bits at once */

static const char magic[8] = {'w', 'e', 'f', 't', 'm', 'a', 's', 'k'};

void weft_mask_head(uint64_t tokens, unsigned char out[WEFT_MASK_HEAD])
{
    memcpy(out, magic, sizeof magic);
    for (size_t i = 0; i < 8; i++) out[sizeof magic + i] = (unsigned char)(tokens >> 8 * i);
}

bool weft_mask_is(const unsigned char *head, size_t count)
{
    return count >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

weft_status weft_mask_open(weft_files *reader, const char *path, uint64_t tokens, size_t *out_file, weft_error *error)
{
    weft_excerpt excerpt;
    unsigned char head[WEFT_MASK_HEAD];
    weft_mask_head(tokens, head);
    TRY(weft_files_add(reader, path, out_file, &excerpt, error));
    if (excerpt.size < sizeof head || !weft_mask_is(excerpt.pages[WEFT_EXCERPT_FIRST].bytes, sizeof head))
        FAIL(error, WEFT_INVALID, "%s: not a mask of tokens: it begins with 'weftmask' and their number", path);
    if (memcmp(excerpt.pages[WEFT_EXCERPT_FIRST].bytes, head, sizeof head) != 0 ||
        excerpt.size != sizeof head + (tokens + 7) / 8)
        FAIL(error, WEFT_INVALID, "%s: not of the %" PRIu64 " tokens of the .bin beside it: make both anew", path,
             tokens);
    return WEFT_OK;
}

weft_status weft_mask_apply(weft_files *reader, size_t file, uint64_t first, size_t count, int32_t *targets,
                            weft_error *error)
{
    unsigned char bits[CHUNK];
    for (size_t done = 0; done < count;) {
        uint64_t byte = (first + done) / 8;
        size_t most = 8 * CHUNK - (size_t)((first + done) % 8), now = count - done < most ? count - done : most;
        size_t bytes = (size_t)((first + done + now - 1) / 8 - byte) + 1;
        TRY(weft_files_read(reader, file, WEFT_MASK_HEAD + byte, bytes, 0, bits, error));
        for (size_t i = 0; i < now; i++) {
            uint64_t token = first + done + i;
            if (!(bits[token / 8 - byte] >> token % 8 & 1)) targets[done + i] = -1;
        }
        done += now;
    }
    return WEFT_OK;
}
