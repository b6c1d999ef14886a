#include "device/reference/reference.h"

#include "base/memory.h"
#include "device/at_once.h"
#include "device/kinds.h"

#include <math.h>

void reference_end(weft_device *device)
{
    reference_device *reference = (reference_device *)device;
    if (device->between == NULL || reference->in_between) return;
    reference->in_between = true;
    device->between(device->between_context);
    reference->in_between = false;
}

/* The nearest float would be rounded a second time to bf16: a tie made by the first rounding would go the wrong way.
 * Cutting towards zero and marking the last bit keeps on which side of the tie the value lay. */
static float round_to_odd(double value)
{
    float nearest = (float)value;
    if ((double)nearest == value || !isfinite(nearest)) return nearest;
    float cut = fabs((double)nearest) > fabs(value) ? nextafterf(nearest, 0.0f) : nearest;
    uint32_t bits;
    memcpy(&bits, &cut, sizeof bits);
    bits |= 1u;
    memcpy(&cut, &bits, sizeof bits);
    return cut;
}

void reference_put(weft_element element, void *base, int64_t index, double value)
{
    if (element == WEFT_FP32) {
        ((float *)base)[index] = (float)value;
    } else {
        ((uint16_t *)base)[index] = weft_bf16_from_float(round_to_odd(value));
    }
}

void reference_load(weft_element element, const void *base, int64_t begin, int64_t count, double *out)
{
    for (int64_t i = 0; i < count; i++) out[i] = reference_get(element, base, begin + i);
}

void reference_store(weft_element element, void *base, int64_t begin, int64_t count, const double *from)
{
    for (int64_t i = 0; i < count; i++) reference_put(element, base, begin + i, from[i]);
}

static void destroy(weft_device *device)
{
    weft_free(device);
}

static const weft_device_operations operations = {
    .destroy = destroy,
    .allocate = reference_allocate,
    .release = reference_release,
    .copy = reference_copy,
    .zero = reference_zero,
    WEFT_AT_ONCE_OPERATIONS,
    .embed_forward = reference_embed_forward,
    .embed_backward = reference_embed_backward,
    .norm_forward = reference_norm_forward,
    .norm_backward_input = reference_norm_backward_input,
    .norm_backward_weight = reference_norm_backward_weight,
    .linear_forward = reference_linear_forward,
    .linear_backward_input = reference_linear_backward_input,
    .linear_backward_weight = reference_linear_backward_weight,
    .activation_forward = reference_activation_forward,
    .activation_backward = reference_activation_backward,
    .rotary = reference_rotary,
    .attention_forward = reference_attention_forward,
    .attention_step = reference_attention_step,
    .attention_backward = reference_attention_backward,
    .add = reference_add,
    .sum = reference_sum,
    .round = reference_round,
    .cross_entropy = reference_cross_entropy,
    .loss_part = reference_loss_part,
    .loss_finish = reference_loss_finish,
    .square_sums = reference_square_sums,
    .place_sums = reference_place_sums,
    .norm_finish = reference_norm_finish,
    .judge = reference_judge,
    .adamw = reference_adamw,
};

static weft_status create(const weft_device_options *options, weft_device **out, weft_error *error)
{
    *out = NULL;
    if (options->threads < 1) {
        FAIL(error, WEFT_INVALID, "device reference: threads is %d, must be at least 1", (int)options->threads);
    }
    reference_device *reference = NULL;
    TRY(weft_allocate(1, sizeof *reference, &reference, error));
    reference->base.operations = &operations;
    reference->base.element = options->element;
    reference->base.threads = options->threads;
    *out = &reference->base;
    return WEFT_OK;
}

/* No peak is measured: a share of the peak of plain loops would say nothing. */
const weft_device_kind weft_device_reference = {
    .name = "reference",
    .summary = "plain C on one thread, slow and obviously right",
    .host_reaches = true,
    .alignment = WEFT_ALIGNMENT,
    .sum_chunk = (size_t)1 << 17,
    .create = create,
    .linear_workspace = reference_linear_workspace,
    .attention_workspace = reference_attention_workspace,
};
