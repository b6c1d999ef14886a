/* weft tokenize of a hostile file, packed or not, with the options that the first bytes say: it is refused and leaves
 * nothing, or becomes a data set that weft reads, with as many tokens and documents as it says. */
#include "fuzz.h"
#include "tiny.h"

#include "base/file.h"
#include "data/corpus.h"
#include "data/tokenize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { ROOM = 1 << 16 };

static const char *const endings[] = {".idx",      ".bin",       ".mask",         ".progress", ".bin.part",
                                      ".idx.part", ".mask.part", ".lengths.part", ".lock.part"};
enum { ENDINGS = sizeof endings / sizeof *endings };

static const char *place(const char *ending)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/out%s", fuzz_folder(), ending);
    return path;
}

static size_t pack(uint32_t kind, const uint8_t *bytes, size_t size, uint8_t out[ROOM])
{
    if (kind == 2) {
        size_t length = ZSTD_compress(out, ROOM, bytes, size, 1);
        fuzz_check(!ZSTD_isError(length), "no room");
        return length;
    }
    z_stream stream = {
        .next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)size, .next_out = out, .avail_out = ROOM};
    fuzz_check(deflateInit2(&stream, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK, "no gzip");
    fuzz_check(deflate(&stream, Z_FINISH) == Z_STREAM_END, "no room");
    deflateEnd(&stream);
    return stream.total_out;
}

/* The bytes that are left, as they are, packed, or packed and then damaged. */
static const char *put_input(fuzz_source *from)
{
    static const char *const names[] = {"in.txt", "in.jsonl", "in"};
    static uint8_t packed[ROOM];
    const char *name = names[fuzz_below(from, 3)];
    uint32_t kind = fuzz_below(from, 4), at = fuzz_below(from, 4096), flip = fuzz_below(from, 256);
    size_t most = ROOM / 2;
    if (kind == 0 || from->left > most) return fuzz_file(name, from->at, from->left);
    size_t length = pack(kind, from->at, from->left, packed);
    if (kind == 3) packed[at % length] ^= (uint8_t)flip;
    return fuzz_file(name, packed, kind == 3 && flip == 0 ? at % length : length);
}

static void read_options(fuzz_source *from, weft_tokenize_options *options)
{
    static const int64_t blocks[] = {0, 2, 16};
    weft_encode_options *encode = &options->encode;
    options->pieces.format = (weft_passages_format)fuzz_below(from, 3);
    options->pieces.tokenizer = encode->tokenizer = tiny_tokenizer();
    uint32_t chat = fuzz_below(from, TINY_TEMPLATES + 1), flags = fuzz_below(from, 16);
    if (chat > 0) {
        encode->chat = tiny_template(chat - 1);
        options->pieces.format = WEFT_PASSAGES_JSONL;
    }
    encode->field = "text";
    encode->special = flags & 1;
    encode->begin = flags & 2;
    encode->end_of_text = flags & 4 ? -1 : TINY_END;
    if (flags & 8 && !encode->chat)
        encode->fill = (weft_fill_middle){0.5, 0.5, TINY_FIM_PREFIX, TINY_FIM_MIDDLE, TINY_FIM_SUFFIX, 3};
    options->pack = blocks[fuzz_below(from, 3)];
    options->threads = 1;
}

static void check_data(const weft_tokenize_totals *totals, bool masked)
{
    weft_corpus corpus;
    weft_error error;
    uint64_t documents = 0, at = 0;
    weft_error_clear(&error);
    fuzz_check(weft_path_exists(place(".mask")) == masked, "a mask where none is due, or none where one is");
    if (totals->tokens == 0) return;
    weft_status status = weft_corpus_init(&corpus, &(weft_corpus_options){.path = place("")}, &error);
    fuzz_check(status == WEFT_OK, error.text);
    fuzz_check(corpus.tokens == totals->tokens + totals->filled, "tokens are missing");
    for (; at < corpus.tokens; documents++)
        fuzz_check(weft_corpus_next_document(&corpus, at, &at, &error) == WEFT_OK, error.text);
    fuzz_check(documents <= totals->documents + totals->filled || totals->cut > 0, "documents from nowhere");
    for (at = 0; at < corpus.tokens; at++) {
        int32_t none = 0, token = -1;
        status = weft_corpus_read(&corpus, at, 0, weft_tokenizer_vocabulary(tiny_tokenizer()), &none, &token, &error);
        fuzz_check(status == WEFT_OK, error.text);
    }
    weft_corpus_fini(&corpus);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    weft_tokenize_options options = {.prefix = NULL};
    weft_tokenize_totals totals;
    weft_error error;
    char prefix[160];
    weft_error_clear(&error);
    read_options(&from, &options);
    const char *input = put_input(&from);
    snprintf(prefix, sizeof prefix, "%s", place(""));
    options.prefix = prefix;
    options.pieces.inputs = &input;
    options.pieces.input_count = 1;
    weft_status status = weft_tokenize(&options, &totals, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) check_data(&totals, options.encode.chat || options.pack > 0);
    for (int i = 0; i < ENDINGS; i++) {
        bool there = unlink(place(endings[i])) == 0;
        fuzz_check(!there || (status == WEFT_OK && i < 3), "something is left");
    }
    unlink(input);
    return 0;
}
