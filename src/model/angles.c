/* The angles of rotary positions, and how models stretch them for contexts longer than those they were trained with. */
#include "model/layout.h"

#include <math.h>

/* What the pairs of a head's elements turn by. */
typedef struct waves {
    const weft_model_config *model;
    double half, context; /* pairs of a head; the context trained with first */
    double low, high;     /* yarn: pairs below low stay as they are, those above high are stretched in full */
} waves;

static const double circle = 6.283185307179586;

static double keep(const waves *it, double pair, double frequency)
{
    (void)it;
    (void)pair;
    return frequency;
}

/* Chen et al., arXiv 2306.15595. */
static double stretch(const waves *it, double pair, double frequency)
{
    (void)pair;
    return frequency / it->model->rotary_factor;
}

/* Waves that fit often into the context stay, those that hardly fit are stretched, and between it goes over evenly, as
 * in the checkpoints of Llama 3.1. */
static double stretch_slow(const waves *it, double pair, double frequency)
{
    const weft_model_config *model = it->model;
    double fits = it->context * frequency / circle;
    if (fits < model->rotary_low) return stretch(it, pair, frequency);
    if (fits > model->rotary_high) return frequency;
    double kept = (fits - model->rotary_low) / (model->rotary_high - model->rotary_low);
    return (1 - kept) * stretch(it, pair, frequency) + kept * frequency;
}

/* Peng et al., YaRN, arXiv 2309.00071, section 3.2. */
static double stretch_ramp(const waves *it, double pair, double frequency)
{
    double ramp = (pair - it->low) / (it->high - it->low);
    ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    return stretch(it, pair, frequency) * ramp + frequency * (1 - ramp);
}

static double (*const scalings[])(const waves *it, double pair, double frequency) = {
    [WEFT_CONFIG_SCALING_NONE] = keep,
    [WEFT_CONFIG_SCALING_LINEAR] = stretch,
    [WEFT_CONFIG_SCALING_LLAMA3] = stretch_slow,
    [WEFT_CONFIG_SCALING_YARN] = stretch_ramp,
};

/* The pair whose wave fits so many times into the context. */
static double pair_of(const waves *it, double fits)
{
    return it->half * log(it->context / (circle * fits)) / log(it->model->rotary_base);
}

static waves make_waves(const weft_stage_shape *shape, size_t half)
{
    const weft_model_config *model = shape->model;
    int64_t context = model->rotary_context > 0 ? model->rotary_context : model->context;
    waves it = {.model = model, .half = (double)half, .context = (double)context};
    if (model->rotary_scaling != WEFT_CONFIG_SCALING_YARN) return it;
    it.low = pair_of(&it, model->rotary_fast);
    it.high = pair_of(&it, model->rotary_slow);
    if (model->rotary_truncate) {
        it.low = floor(it.low);
        it.high = ceil(it.high);
    }
    it.low = fmax(it.low, 0);
    it.high = fmin(it.high, 2 * it.half - 1);
    if (it.high <= it.low) it.high = it.low + 0.001; /* a step */
    return it;
}

static double magnitude(const weft_model_config *model)
{
    if (model->rotary_scaling != WEFT_CONFIG_SCALING_YARN) return 1;
    return model->rotary_magnitude > 0 ? model->rotary_magnitude : 0.1 * log(model->rotary_factor) + 1;
}

static size_t count_angles(const weft_stage_shape *shape)
{
    if (shape->model->position != WEFT_CONFIG_ROTARY) return 0;
    return (size_t)(weft_stage_length(shape) * (weft_stage_operations_make(shape).rotary.D / 2));
}

size_t weft_stage_angle_bytes(const weft_stage_shape *shape)
{
    return 2 * count_angles(shape) * sizeof(float);
}

/* In double: pair i of position t turns by t base^(-2 i / D) (Su et al., RoFormer, arXiv 2104.09864). The halves of a
 * head are paired, as in the weights that Hugging Face ships for Llama. */
static void compute_angles(const weft_stage_shape *shape, float *out)
{
    size_t count = count_angles(shape), half = count / (size_t)weft_stage_length(shape);
    const weft_model_config *model = shape->model;
    const waves it = make_waves(shape, half);
    double scale = magnitude(model);
    for (size_t at = 0; at < count; at++) {
        double t = (double)(at / half), i = (double)(at % half);
        double frequency = pow(model->rotary_base, -i / (double)half);
        double angle = t * scalings[model->rotary_scaling](&it, i, frequency);
        out[at] = (float)(scale * cos(angle));
        out[count + at] = (float)(scale * sin(angle));
    }
}

weft_status weft_stage_angles_write(const weft_stage_shape *shape, weft_device *device, float *to, weft_error *error)
{
    size_t bytes = weft_stage_angle_bytes(shape);
    float *angles = NULL;
    TRY(weft_allocate(1, bytes, &angles, error));
    compute_angles(shape, angles);
    weft_status status = device->operations->write(device, to, angles, bytes, error);
    weft_free(angles);
    return status;
}
