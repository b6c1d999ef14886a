/* replay FOLDER: runs a target over every kept input, and over none at all. */
#include "fuzz.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

static weft_status run_all(const char *folder, weft_arena *arena, size_t *out_count, weft_error *error)
{
    const char **names = NULL;
    TRY(weft_folder_list(folder, arena, &names, out_count, error));
    for (size_t i = 0; i < *out_count; i++) {
        char path[4096];
        weft_text text;
        weft_text_init(&text);
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        weft_status status = weft_file_read(path, &text, error);
        if (status == WEFT_OK) LLVMFuzzerTestOneInput((const uint8_t *)weft_text_get(&text), text.length);
        weft_text_fini(&text);
        TRY(status);
    }
    return WEFT_OK;
}

int main(int count, char **words)
{
    weft_arena arena;
    weft_error error;
    size_t inputs = 0;
    if (count != 2) return 1;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    weft_arena_init(&arena);
    weft_status status = run_all(words[1], &arena, &inputs, &error);
    weft_arena_fini(&arena);
    if (status != WEFT_OK) fprintf(stderr, "%s\n", error.text);
    printf("%zu inputs\n", inputs);
    return status != WEFT_OK || inputs == 0;
}
