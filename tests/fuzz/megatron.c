/* A Megatron data set of an index, a mask and tokens that are anything at all: what is accepted can be read from its
 * first to its last token, document by document. */
#include "fuzz.h"

#include "data/corpus.h"
#include "data/data.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { T = 4, SEQUENCES = 8, TOKENS = T * SEQUENCES, VOCABULARY = 300 };

typedef struct {
    int32_t tokens[TOKENS], targets[TOKENS], begins[TOKENS];
} batch;

static void check_batch(const batch *read, bool documents)
{
    for (int i = 0; i < TOKENS; i++) {
        int at = i % T;
        fuzz_check(read->tokens[i] >= 0 && read->tokens[i] < VOCABULARY, "a token outside the vocabulary");
        fuzz_check(read->targets[i] >= -1 && read->targets[i] < VOCABULARY, "a target outside the vocabulary");
        if (!documents) continue;
        fuzz_check(read->begins[i] >= 0 && read->begins[i] <= at, "a document that begins later");
        fuzz_check(at == 0 || read->begins[i] == read->begins[i - 1] || read->begins[i] == at, "a document goes back");
        if (at + 1 < T && read->begins[i + 1] == at + 1)
            fuzz_check(read->targets[i] == -1, "a target in another document");
    }
}

static void read_all(const weft_data *data, bool documents)
{
    batch read;
    for (int part = WEFT_DATA_TRAIN; part <= WEFT_DATA_HELD_OUT; part++)
        for (int64_t first = 0, end = weft_data_blocks(data, (weft_data_part)part); first < end; first += SEQUENCES) {
            weft_error error;
            weft_error_clear(&error);
            weft_data_rows rows = {read.tokens, read.targets, documents ? read.begins : NULL};
            weft_status status = weft_data_read(data, (weft_data_part)part, first, SEQUENCES, rows, &error);
            fuzz_check(status == WEFT_OK, error.text); /* small data are looked at when they are opened */
            check_batch(&read, documents);
        }
}

/* A file of so many of the bytes, or none at all. */
static const char *put(const char *name, fuzz_source *from, size_t size)
{
    if (size > from->left) size = from->left;
    const char *path = fuzz_file(name, from->at, size);
    from->at += size;
    from->left -= size;
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    weft_data_options options = {.tokens = T, .seed = 1, .vocabulary = VOCABULARY};
    uint32_t flags = fuzz_below(&from, 8), mask = fuzz_below(&from, 128), index = fuzz_below(&from, 1024);
    options.documents = flags & 1;
    options.format = flags & 2 ? WEFT_CONFIG_MEGATRON : WEFT_CONFIG_AUTO;
    options.held_out = flags & 4 ? 0.25 : 0;
    options.end_of_text = (int64_t)fuzz_below(&from, 256) - 1;
    char path[160];
    snprintf(path, sizeof path, "%s/a", fuzz_folder());
    put("a.idx", &from, index);
    const char *masked = put("a.mask", &from, mask);
    if (mask == 0) unlink(masked);
    put("a.bin", &from, from.left);
    options.path = path;
    weft_data *data = NULL;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_data_open(&options, &data, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) read_all(data, options.documents);
    weft_data_close(data);
    return 0;
}
