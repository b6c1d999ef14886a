/* A file of tensors; what is accepted lies within it. */
#include "fuzz.h"

#include "tensor/safetensors.h"

static unsigned char sum; /* of all bytes that the entries name: they can be read */

static void read_all(const weft_safetensors *file, size_t size)
{
    size_t total = 0;
    for (size_t i = 0; i < weft_safetensors_count(file); i++) {
        const weft_tensor_entry *entry = weft_safetensors_get(file, i);
        const unsigned char *data = entry->data;
        int64_t elements = 1;
        for (int32_t d = 0; d < entry->dimensions; d++) elements *= entry->shape[d];
        fuzz_check((uint64_t)elements * weft_element_bytes(entry->element) == entry->bytes,
                   "a size is not its shape's");
        for (size_t k = 0; k < entry->bytes; k++) sum = (unsigned char)(sum + data[k]);
        fuzz_check(weft_safetensors_find(file, entry->name) == entry, "a tensor is not found by its name");
        total += entry->bytes;
    }
    fuzz_check(total <= size, "tensors overlap");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    weft_safetensors *file = NULL;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_safetensors_open(fuzz_file("a.safetensors", bytes, size), &file, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) read_all(file, size);
    weft_safetensors_close(file);
    return 0;
}
