#include "device/reference/reference.h"

/* The token's row of the table, or -1. */
static int64_t find_row(const weft_embed *embed, int32_t token)
{
    int64_t row = (int64_t)token - embed->first;
    return row >= 0 && row < embed->V ? row : -1;
}

static int64_t position_of(const weft_embed *embed, const int32_t *positions, int64_t row)
{
    return positions == NULL ? row % embed->T : positions[row];
}

void reference_embed_forward(weft_device *device, weft_stream *stream, const weft_embed *embed, const int32_t *tokens,
                             const int32_t *positions, const void *wte, const void *wpe, void *out)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const weft_element element = device->element;
    const int64_t C = embed->C;
    for (int64_t row = 0; row < embed->rows; row++) {
        int64_t from = find_row(embed, tokens[row]);
        for (int64_t c = 0; c < C; c++) {
            double value = from < 0 ? 0.0 : reference_get(element, wte, from * C + c);
            if (from >= 0 && wpe != NULL)
                value += reference_get(element, wpe, position_of(embed, positions, row) * C + c);
            reference_put(element, out, row * C + c, value);
        }
    }
    reference_end(device);
}

/* Adds in fp32, row by row: a sum in double would need a second copy of the table. */
void reference_embed_backward(weft_device *device, weft_stream *stream, const weft_embed *embed, const int32_t *tokens,
                              const int32_t *positions, const void *dout, bool accumulate, float *dwte, float *dwpe)
{
    (void)stream;
    if (!reference_begin(device)) return;
    const int64_t C = embed->C;
    if (!accumulate && dwte != NULL) memset(dwte, 0, (size_t)(embed->V * C) * sizeof *dwte);
    if (!accumulate && dwpe != NULL) memset(dwpe, 0, (size_t)(embed->T * C) * sizeof *dwpe);
    for (int64_t row = 0; row < embed->rows; row++) {
        int64_t to = find_row(embed, tokens[row]);
        for (int64_t c = 0; c < C; c++) {
            float value = (float)reference_get(device->element, dout, row * C + c);
            if (dwte != NULL && to >= 0) dwte[to * C + c] += value;
            if (dwpe != NULL) dwpe[position_of(embed, positions, row) * C + c] += value;
        }
    }
    reference_end(device);
}
