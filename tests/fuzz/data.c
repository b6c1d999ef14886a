/* A corpus of one file, in any format: what is accepted can be read from its first to its last token. */
#include "fuzz.h"

#include "data/data.h"

enum { T = 4, SEQUENCES = 8 };

static void read_all(const weft_data *data)
{
    int32_t tokens[T * SEQUENCES], targets[T * SEQUENCES];
    for (int part = WEFT_DATA_TRAIN; part <= WEFT_DATA_HELD_OUT; part++)
        for (int64_t first = 0, end = weft_data_blocks(data, (weft_data_part)part); first < end; first += SEQUENCES) {
            weft_error error;
            weft_error_clear(&error);
            weft_status status = weft_data_read(data, (weft_data_part)part, first, SEQUENCES,
                                                (weft_data_rows){.tokens = tokens, .targets = targets}, &error);
            fuzz_check_refusal(status, &error);
            for (int i = 0; i < T * SEQUENCES && status == WEFT_OK; i++)
                fuzz_check(tokens[i] >= 0 && tokens[i] < 300, "a token outside the vocabulary");
        }
    (void)weft_data_fingerprint(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const names[] = {"a.txt", "a.bin", "a", "a.idx", "a.npy", "a.parquet"};
    fuzz_source from = {bytes, size};
    weft_data_options options = {.tokens = T, .seed = 1, .vocabulary = 300};
    options.format = (weft_config_format)fuzz_below(&from, WEFT_CONFIG_UINT32 + 1);
    options.held_out = fuzz_below(&from, 2) ? 0.25 : 0;
    options.path = fuzz_file(names[fuzz_below(&from, 6)], from.at, from.left);
    weft_data *data = NULL;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_data_open(&options, &data, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) read_all(data);
    weft_data_close(data);
    return 0;
}
