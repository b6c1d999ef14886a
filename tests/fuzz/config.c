/* A configuration, then overrides, with zero bytes between. What is accepted is dumped as what reads back the same. */
#include "fuzz.h"

#include "config/config.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_OVERRIDES = 8 };

static void check_dump(const weft_config *config)
{
    weft_config again;
    weft_text first, second;
    weft_error error;
    weft_text_init(&first);
    weft_text_init(&second);
    weft_config_dump(config, false, &first);
    weft_status status = weft_config_load_text(&again, weft_text_get(&first), first.length, "dump", NULL, 0, &error);
    fuzz_check(status == WEFT_OK, "a dump is refused");
    weft_config_dump(&again, false, &second);
    fuzz_check(strcmp(weft_text_get(&first), weft_text_get(&second)) == 0, "a dump changes when it is read");
    second.length = 0;
    weft_config_dump(config, true, &second);
    weft_config_dump_json(config, &second);
    weft_config_fini(&again);
    weft_text_fini(&first);
    weft_text_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    char *text = fuzz_string(&from), *overrides[MOST_OVERRIDES];
    int count = 0;
    while (from.left > 0 && count < MOST_OVERRIDES) overrides[count++] = fuzz_string(&from);
    weft_config config;
    weft_error error;
    weft_error_clear(&error);
    weft_status status =
        weft_config_load_text(&config, text, strlen(text), "fuzz.yaml", (const char *const *)overrides, count, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) {
        check_dump(&config);
        weft_config_fini(&config);
    }
    while (count > 0) free(overrides[--count]);
    free(text);
    return 0;
}
