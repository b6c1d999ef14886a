/* The sizes of a sweep, as text, for batches of several sizes. */
#include "fuzz.h"

#include "cli/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char text[] =
        "{data: {path: none}, model: {layers: 1, width: 2, heads: 1, feed_forward: 2, vocabulary: 4, "
        "context: 2}, device: reference, threads: 1}";
    fuzz_source from = {bytes, size};
    char sequences[64], microbatches[64];
    const char *overrides[] = {sequences, microbatches};
    snprintf(sequences, sizeof sequences, "batch.sequences=%u", 1 + fuzz_below(&from, 64));
    snprintf(microbatches, sizeof microbatches, "batch.microbatches=%u", 1 + fuzz_below(&from, 16));
    char *list = fuzz_string(&from);
    weft_config config;
    weft_cli_sizes sizes;
    weft_error error;
    weft_error_clear(&error);
    fuzz_check(weft_config_load_text(&config, text, strlen(text), "fuzz", overrides, 2, &error) == WEFT_OK, error.text);
    weft_status status = weft_cli_sizes_init(&sizes, &config, list, &error);
    fuzz_check_refusal(status, &error);
    for (int i = 0; status == WEFT_OK && i < sizes.count; i++)
        fuzz_check(sizes.rows[i].microbatch * sizes.rows[i].microbatches ==
                       config.batch.sequences * config.batch.microbatches,
                   "a size does not divide the batch");
    if (status == WEFT_OK) weft_cli_sizes_fini(&sizes);
    weft_config_fini(&config);
    free(list);
    return 0;
}
