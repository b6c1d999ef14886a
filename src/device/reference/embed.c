#include "device/reference/reference.h"

void reference_embed_forward(weft_device *device, weft_stream *stream, int64_t N, int64_t T, int64_t C,
                             const int32_t *tokens, const void *wte, const void *wpe, void *out)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    for (int64_t row = 0; row < N; row++) {
        for (int64_t c = 0; c < C; c++) {
            double value = reference_get(element, wte, tokens[row] * C + c);
            if (wpe != NULL) value += reference_get(element, wpe, row % T * C + c);
            reference_put(element, out, row * C + c, value);
        }
    }
    reference_end(device);
}

/* Adds in fp32, row by row: a sum in double would need a second copy of the table. */
void reference_embed_backward(weft_device *device, weft_stream *stream, int64_t N, int64_t T, int64_t C, int64_t V,
                              const int32_t *tokens, const void *dout, bool accumulate, float *dwte, float *dwpe)
{
    (void)stream;
    if (!reference_begin(device)) return;
    if (!accumulate) {
        memset(dwte, 0, (size_t)(V * C) * sizeof *dwte);
        if (dwpe != NULL) memset(dwpe, 0, (size_t)(T * C) * sizeof *dwpe);
    }
    for (int64_t row = 0; row < N; row++) {
        for (int64_t c = 0; c < C; c++) {
            float value = (float)reference_get(device->element, dout, row * C + c);
            dwte[tokens[row] * C + c] += value;
            if (dwpe != NULL) dwpe[row % T * C + c] += value;
        }
    }
    reference_end(device);
}
