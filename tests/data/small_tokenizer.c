#include "small_tokenizer.h"

/* The letter that stands for a byte in a vocabulary of bytes (GPT-2's encoder.py). */
static void add_byte(weft_text *out, int byte)
{
    bool plain = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    int code = byte, shifted = 0;
    for (int b = 0; b < byte; b++) shifted += !((b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae);
    if (!plain) code = 256 + shifted;
    if (code < 0x80)
        weft_text_add(out, code == '"' || code == '\\' ? "\\%c" : "%c", code);
    else
        weft_text_add(out, "%c%c", 0xc0 | code >> 6, 0x80 | (code & 0x3f));
}

void small_tokenizer_write(const char *const *specials, int count, weft_text *out)
{
    static const char *const merges[][2] = {{"t", "h"}, {"th", "e"}, {"i", "n"}, {"\304\240", "the"}};
    weft_text_add(out, "{\"model\": {\"type\": \"BPE\", \"vocab\": {");
    for (int byte = 0; byte < 256; byte++) {
        weft_text_add(out, "\"");
        add_byte(out, byte);
        weft_text_add(out, "\": %d, ", byte);
    }
    for (int i = 0; i < 4; i++)
        weft_text_add(out, "%s\"%s%s\": %d", i ? ", " : "", merges[i][0], merges[i][1], 256 + i);
    weft_text_add(out, "}, \"merges\": [");
    for (int i = 0; i < 4; i++) weft_text_add(out, "%s\"%s %s\"", i ? ", " : "", merges[i][0], merges[i][1]);
    weft_text_add(out, "]}, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, "
                       "\"decoder\": {\"type\": \"ByteLevel\"}, \"added_tokens\": [");
    for (int i = 0; i < count; i++)
        weft_text_add(out,
                      "%s{\"id\": %d, \"content\": \"%s\", \"special\": true, \"normalized\": false, "
                      "\"lstrip\": false, \"rstrip\": false, \"single_word\": false}",
                      i ? ", " : "", SMALL_SPECIALS + i, specials[i]);
    weft_text_add(out, "]}\n");
}
