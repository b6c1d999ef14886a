/*
 * Rotary positions in GGUF files: keys below ARCHITECTURE.rope, and for models like Llama 3.1, which have none, a
 * tensor of the factors by which the waves of each pair become longer.
 */
#include "convert/gguf_kinds.h"

#include <math.h>
#include <string.h>

static const double circle = 6.283185307179586;

enum { MOST_PAIRS = 4096 };

/* How a model of the kind llama3 stretches. */
typedef struct bend {
    double base, factor, low, high, context;
} bend;

static double factor_of(const bend *by, double pair, double pairs)
{
    double fits = by->context * pow(by->base, -pair / pairs) / circle;
    if (fits < by->low) return by->factor;
    if (fits > by->high) return 1;
    double kept = (fits - by->low) / (by->high - by->low);
    return 1 / ((1 - kept) / by->factor + kept);
}

void weft_gguf_wave_factors(const weft_model_config *model, int64_t pairs, float *out)
{
    double context = (double)(model->rotary_context > 0 ? model->rotary_context : model->context);
    const bend by = {model->rotary_base, model->rotary_factor, model->rotary_low, model->rotary_high, context};
    for (int64_t i = 0; i < pairs; i++) out[i] = (float)factor_of(&by, (double)i, (double)pairs);
}

static bool fits(const bend *by, const float *factors, int64_t pairs)
{
    for (int64_t i = 0; i < pairs; i++) {
        double expected = factor_of(by, (double)i, (double)pairs), got = (double)factors[i];
        if (!(fabs(got - expected) <= 1e-5 * expected)) return false;
    }
    return true;
}

/* Llama's own numbers, with any context that is a power of 2. */
static bool find_usual(bend *by, const float *factors, int64_t pairs)
{
    by->low = 1;
    by->high = 4;
    for (by->context = 1; by->context <= 0x1p24; by->context *= 2)
        if (fits(by, factors, pairs)) return true;
    return false;
}

/* Between the two frequencies, how much is kept is linear in the frequency: two pairs tell the line. low is 1, since
 * only ratios matter. */
static bool find_line(bend *by, const float *factors, int64_t pairs)
{
    double frequency[2] = {0, 0}, kept[2] = {0, 0};
    int found = 0;
    for (int64_t i = 0; i < pairs; i++) {
        double share = (1 / (double)factors[i] - 1 / by->factor) / (1 - 1 / by->factor);
        if (!(share > 1e-4 && share < 1 - 1e-4)) continue;
        int at = found++ > 0; /* the first and the last */
        frequency[at] = pow(by->base, -(double)i / (double)pairs) / circle;
        kept[at] = share;
    }
    if (found < 2) return false;
    double slope = (kept[0] - kept[1]) / (frequency[0] - frequency[1]), low = slope * frequency[0] - kept[0];
    double high = 1 + 1 / low, context = round(slope / low);
    if (!(high > 1 && high < 1e6 && context >= 1 && context <= 0x1p30)) return false;
    *by = (bend){by->base, by->factor, 1, round(high * 1000) / 1000, context}; /* as people write it */
    if (by->high > 1 && fits(by, factors, pairs)) return true;
    by->high = high;
    return fits(by, factors, pairs);
}

static void write_bend(const bend *by, weft_json *json)
{
    weft_json_object(json, "rope_scaling", WEFT_JSON_LINES);
    weft_json_text(json, "rope_type", "llama3");
    weft_json_number(json, "factor", by->factor);
    weft_json_number(json, "low_freq_factor", by->low);
    weft_json_number(json, "high_freq_factor", by->high);
    weft_json_int(json, "original_max_position_embeddings", (int64_t)by->context);
    weft_json_object_end(json);
}

/* From the factors of rope_freqs.weight to what makes them. */
static weft_status read_bend(const weft_gguf *file, const weft_gguf_tensor *tensor, double base, int64_t pairs,
                             weft_json *json, weft_error *error)
{
    float factors[MOST_PAIRS];
    const char *path = weft_gguf_path(file);
    if (tensor->dimensions != 1 || tensor->shape[0] != pairs || pairs < 1 || pairs > MOST_PAIRS)
        FAIL(error, WEFT_INVALID, "%s: tensor \"%s\" has not half a head's width", path, tensor->name);
    weft_gguf_to_float(tensor, 0, pairs, factors);
    bend by = {.base = base, .factor = (double)factors[pairs - 1]};
    bool known = by.factor >= 1 && isfinite(by.factor);
    if (known && !find_usual(&by, factors, pairs) && !find_line(&by, factors, pairs)) known = false;
    if (!known)
        FAIL(error, WEFT_INVALID, "%s: tensor \"%s\" stretches positions in a way that weft does not know", path,
             tensor->name);
    write_bend(&by, json);
    return WEFT_OK;
}

static weft_status get_number(const weft_gguf *file, const weft_gguf_architecture *architecture, const char *name,
                              double absent, double *out, weft_error *error)
{
    const weft_gguf_value *value = weft_gguf_key(file, architecture, name);
    *out = absent;
    if (value) TRY(weft_gguf_number(file, value, out, error));
    if (value && !(*out > 0 && isfinite(*out)))
        FAIL(error, WEFT_INVALID, "%s: %s: must be greater than 0", weft_gguf_path(file), value->key);
    return WEFT_OK;
}

/* "none", "linear" or "yarn"; a factor without a type is linear. */
static weft_status get_type(const weft_gguf *file, const weft_gguf_architecture *architecture, const char **out,
                            weft_error *error)
{
    static const char *const types[] = {"none", "linear", "yarn"};
    const weft_gguf_value *value = weft_gguf_key(file, architecture, "rope.scaling.type");
    weft_gguf_text text = {"linear", 6};
    if (value) TRY(weft_gguf_string(file, value, &text, error));
    for (int i = 0; i < 3; i++) {
        *out = types[i];
        if (weft_gguf_text_is(text, types[i])) return WEFT_OK;
    }
    FAIL(error, WEFT_INVALID, "%s: %s: weft knows none, linear and yarn, not '%.*s'", weft_gguf_path(file), value->key,
         (int)(text.length < 40 ? text.length : 40), text.bytes);
}

/* By how much cosine and sine are multiplied: llama.cpp's own factor is on top of what follows from the stretch; what
 * the converter wrote is the whole. */
static weft_status write_magnitude(const weft_gguf *file, const weft_gguf_architecture *architecture, double factor,
                                   weft_json *json, weft_error *error)
{
    double usual = factor > 1 ? 0.1 * log(factor) + 1 : 1, whole = 0, top = 0, less = 0;
    TRY(get_number(file, architecture, "rope.scaling.yarn_attn_factor", usual, &whole, error));
    TRY(get_number(file, architecture, "rope.scaling.attn_factor", 1, &top, error));
    TRY(get_number(file, architecture, "rope.scaling.yarn_log_multiplier", 0, &less, error));
    double magnitude = whole * top / (factor > 1 ? 0.1 * less * log(factor) + 1 : 1);
    if (magnitude != usual) weft_json_rounded(json, "attention_factor", 9, magnitude);
    return WEFT_OK;
}

static weft_status write_yarn(const weft_gguf *file, const weft_gguf_architecture *architecture, double factor,
                              weft_json *json, weft_error *error)
{
    static const char *const names[][2] = {{"original_max_position_embeddings", "rope.scaling.original_context_length"},
                                           {"beta_fast", "rope.scaling.yarn_beta_fast"},
                                           {"beta_slow", "rope.scaling.yarn_beta_slow"}};
    double extent = 0;
    TRY(get_number(file, architecture, "rope.scaling.yarn_ext_factor", 1, &extent, error));
    if (extent != 1)
        FAIL(error, WEFT_INVALID, "%s: %s.rope.scaling.yarn_ext_factor: weft knows 1 only", weft_gguf_path(file),
             architecture->name);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const weft_gguf_value *value = weft_gguf_key(file, architecture, names[i][1]);
        if (value) TRY(weft_gguf_copy_number(file, value, names[i][0], json, error));
    }
    return write_magnitude(file, architecture, factor, json, error);
}

static weft_status write_scaling(const weft_gguf *file, const weft_gguf_architecture *architecture, const char *type,
                                 double factor, weft_json *json, weft_error *error)
{
    weft_json_object(json, "rope_scaling", WEFT_JSON_LINES);
    weft_json_text(json, "rope_type", type);
    weft_text_add_float(weft_json_item(json, "factor"), (float)factor);
    if (strcmp(type, "yarn") == 0) TRY(write_yarn(file, architecture, factor, json, error));
    weft_json_object_end(json);
    return WEFT_OK;
}

/* llama.cpp multiplies by it whatever the kind; weft has that in yarn alone. */
static weft_status check_magnitude(const weft_gguf *file, const weft_gguf_architecture *architecture, bool yarn,
                                   weft_error *error)
{
    double magnitude = 1;
    TRY(get_number(file, architecture, "rope.scaling.attn_factor", 1, &magnitude, error));
    if (yarn || magnitude == 1) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "%s: %s.rope.scaling.attn_factor: weft knows 1 only but for yarn", weft_gguf_path(file),
         architecture->name);
}

weft_status weft_gguf_rotary(const weft_gguf *file, const weft_gguf_architecture *architecture, int64_t pairs,
                             weft_json *json, weft_error *error)
{
    double base = 0, factor = 0;
    const char *type = NULL;
    const weft_gguf_value *theta = weft_gguf_key(file, architecture, "rope.freq_base");
    const weft_gguf_tensor *bent = weft_gguf_find(file, "rope_freqs.weight");
    TRY(get_number(file, architecture, "rope.freq_base", 10000, &base, error));
    if (theta) TRY(weft_gguf_copy_number(file, theta, "rope_theta", json, error));
    TRY(get_number(file, architecture, "rope.scale_linear", 1, &factor, error));
    TRY(get_number(file, architecture, "rope.scaling.factor", factor, &factor, error));
    TRY(get_type(file, architecture, &type, error));
    bool stretched = strcmp(type, "none") != 0 && factor != 1;
    TRY(check_magnitude(file, architecture, stretched && strcmp(type, "yarn") == 0, error));
    if (stretched && bent)
        FAIL(error, WEFT_INVALID, "%s: stretches positions twice, by rope.scaling.factor and by \"%s\"",
             weft_gguf_path(file), bent->name);
    if (bent) return read_bend(file, bent, base, pairs, json, error);
    return stretched ? write_scaling(file, architecture, type, factor, json, error) : WEFT_OK;
}
