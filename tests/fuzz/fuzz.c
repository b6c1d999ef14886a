#include "fuzz.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

void fuzz_check(bool holds, const char *words)
{
    if (holds) return;
    fprintf(stderr, "fuzz: %s\n", words);
    abort();
}

void fuzz_check_refusal(weft_status status, const weft_error *error)
{
    if (status == WEFT_OK) return;
    fuzz_check(status == error->status, "the status is not that of the record");
    fuzz_check(status == WEFT_INVALID || status == WEFT_FAILED || status == WEFT_NO_MEMORY, error->text);
    fuzz_check(error->text[0] && !strpbrk(error->text, "\n\r"), "a refusal is not one line");
}

uint32_t fuzz_below(fuzz_source *from, uint32_t sides)
{
    uint32_t value = 0;
    for (int i = 0; i < (sides > 256 ? 2 : 1) && from->left > 0; i++, from->left--) value = value << 8 | *from->at++;
    return value % sides;
}

char *fuzz_string(fuzz_source *from)
{
    const uint8_t *zero = from->left ? memchr(from->at, 0, from->left) : NULL;
    size_t length = zero ? (size_t)(zero - from->at) : from->left;
    char *out = malloc(length + 1);
    fuzz_check(out != NULL, "out of memory");
    if (length) memcpy(out, from->at, length);
    out[length] = '\0';
    from->at += length + (zero != NULL);
    from->left -= length + (zero != NULL);
    return out;
}

static void remove_folder(void)
{
    weft_error error;
    if (weft_folder_remove(folder, &error) != WEFT_OK) fprintf(stderr, "fuzz: %s\n", error.text);
}

const char *fuzz_folder(void)
{
    if (folder[0]) return folder;
    snprintf(folder, sizeof folder, "%s/weft-fuzz-XXXXXX", weft_path_is_folder("/dev/shm") ? "/dev/shm" : "/tmp");
    fuzz_check(mkdtemp(folder) != NULL, "cannot make a folder");
    atexit(remove_folder);
    return folder;
}

const char *fuzz_file(const char *name, const uint8_t *bytes, size_t size)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    FILE *file = fopen(path, "wb");
    fuzz_check(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0, "cannot write a file");
    return path;
}
