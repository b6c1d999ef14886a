#include "tokenizer/normalize.h"

#include "base/utf8.h"

#include <string.h>

/* The byte after the first one of a character must lie in a range of its own: Unicode 15, table 3-7. */
static bool may_follow(unsigned char first, unsigned char second)
{
    unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return second >= least && second <= most;
}

size_t weft_utf8_broken(const unsigned char *c, size_t room, bool *out_complete)
{
    size_t whole = c[0] >= 0xc2 && c[0] < 0xe0   ? 2
                   : c[0] >= 0xe0 && c[0] < 0xf0 ? 3
                   : c[0] >= 0xf0 && c[0] < 0xf5 ? 4
                                                 : 1;
    size_t used = 1;
    while (used < whole && used < room && (used == 1 ? may_follow(c[0], c[1]) : (c[used] & 0xc0) == 0x80)) used++;
    *out_complete = used == whole || used < room;
    return used;
}

/* Bytes from the beginning that are well-formed UTF-8. */
static size_t count_well(const unsigned char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        uint64_t eight;
        if (length - at >= sizeof eight) {
            memcpy(&eight, text + at, sizeof eight);
            if (!(eight & 0x8080808080808080u)) {
                at += sizeof eight;
                continue;
            }
        }
        int bytes = weft_utf8_length(text + at, length - at);
        if (bytes == 0) break;
        at += (size_t)bytes;
    }
    return at;
}

weft_status weft_utf8_mend(const unsigned char **text, size_t *length, bool each_byte, weft_text *out,
                           weft_error *error)
{
    size_t well = count_well(*text, *length), at = 0;
    if (well == *length) return WEFT_OK;
    out->length = 0;
    while (at < *length) {
        bool complete;
        weft_text_add_bytes(out, *text + at, well);
        at += well;
        if (at == *length) break;
        at += each_byte ? 1 : weft_utf8_broken(*text + at, *length - at, &complete);
        weft_text_add(out, "\xef\xbf\xbd");
        well = count_well(*text + at, *length - at);
    }
    if (out->failed) {
        weft_text_fini(out); /* for the next text */
        FAIL(error, WEFT_NO_MEMORY, "out of memory while a text is made UTF-8");
    }
    *text = (const unsigned char *)weft_text_get(out);
    *length = out->length;
    return WEFT_OK;
}
