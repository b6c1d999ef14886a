#include "fixture.h"

char root[] = "/tmp/weft-safetensors-XXXXXX", file_path[64];

int make_root(void **state)
{
    (void)state;
    if (!mkdtemp(root)) return -1;
    snprintf(file_path, sizeof file_path, "%s/file.safetensors", root);
    return 0;
}

int remove_root(void **state)
{
    (void)state;
    weft_error error;
    return weft_folder_remove(root, &error) == WEFT_OK ? 0 : -1;
}

static const float numbers[6] = {1, -2.5f, 3, 4e-30f, -0.0f, 6};
static const uint16_t halves[3] = {0x3f80, 0x4000, 0xc040};

const weft_tensor_entry samples[SAMPLES] = {
    {.name = "z.weight", .element = WEFT_FP32, .dimensions = 2, .shape = {2, 3}, .data = numbers, .bytes = 24},
    {.name = "a.nothing", .element = WEFT_FP32, .dimensions = 2, .shape = {0, 7}, .data = NULL, .bytes = 0},
    {.name = "m \"quoted\\", .element = WEFT_BF16, .dimensions = 1, .shape = {3}, .data = halves, .bytes = 6},
    {.name = "scalar", .element = WEFT_BF16, .dimensions = 0, .data = halves, .bytes = 2},
    {.name = "four", .element = WEFT_FP32, .dimensions = 4, .shape = {1, 2, 1, 3}, .data = numbers, .bytes = 24},
};

void write_samples(uint64_t *checksum, uint64_t *bytes)
{
    weft_error error;
    weft_error_clear(&error);
    if (weft_safetensors_write(file_path, samples, SAMPLES, checksum, bytes, &error) != WEFT_OK)
        fail_msg("%s", error.text);
}

weft_safetensors *accepted(void)
{
    weft_error error;
    weft_error_clear(&error);
    weft_safetensors *file = NULL;
    if (weft_safetensors_open(file_path, &file, &error) != WEFT_OK) fail_msg("%s", error.text);
    return file;
}
