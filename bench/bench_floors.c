/*
 * What a training step of GPT-2 moves and computes, operation by operation, as the model calls them, and the time below
 * which no GPU of these ceilings can do it. Nothing is run: the operations count.
 *
 * Usage: bench_floors [SEQUENCES] [GB-A-SECOND] [TFLOP-A-SECOND]; without, 32 sequences of 1024 tokens in bf16 and an
 * H200's measured ceilings. What an operation reads of small operands (biases, statistics) is left out.
 */
#include "device/kinds.h"
#include "model/model.h"
#include "model/sizes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Kinds of cost; `share` of its ceiling is assumed, not measured: products as large ones reach, own attention as 250
 * TFLOP/s, everything else as copies. */
static const struct {
    const char *name;
    double share;
    int launches; /* of a call */
} costs[] = {{"embedding", 0.8, 1},
             {"embedding's gradient", 0.3, 2},
             {"norm", 0.8, 1},
             {"norm's gradient", 0.8, 1},
             {"norm's weights", 0.5, 3},
             {"product", 0.75, 1},
             {"product's input", 0.75, 1},
             {"product's weights", 0.7, 3},
             {"activation", 0.85, 1},
             {"activation's gradient", 0.85, 1},
             {"attention", 0.32, 1},
             {"attention's gradient", 0.32, 3},
             {"addition", 0.85, 1},
             {"loss and its gradient", 0.6, 2},
             {"norm of gradients", 0.85, 1},
             {"AdamW", 0.85, 1}};
typedef enum cost_kind {
    EMBED,
    EMBED_BACKWARD,
    NORM,
    NORM_INPUT,
    NORM_WEIGHT,
    LINEAR,
    LINEAR_INPUT,
    LINEAR_WEIGHT,
    ACTIVATION,
    ACTIVATION_BACKWARD,
    ATTENTION,
    ATTENTION_BACKWARD,
    ADD,
    LOSS,
    SQUARES,
    ADAMW,
    COSTS
} cost_kind;

typedef struct tally {
    double bytes, flops;
    int64_t calls;
} tally;

typedef struct counter {
    weft_device base;
    tally tallies[COSTS];
} counter;

static void count(weft_device *device, cost_kind kind, double bytes, double flops)
{
    tally *of = &((counter *)device)->tallies[kind];
    of->bytes += bytes;
    of->flops += flops;
    of->calls++;
}

static const double storage = 2.0, fp32 = 4.0; /* bytes */

static void embed_forward(weft_device *d, weft_stream *s, const weft_embed *e, const int32_t *tokens, const int32_t *p,
                          const void *wte, const void *wpe, void *out)
{
    (void)s, (void)tokens, (void)p, (void)wte, (void)wpe, (void)out;
    count(d, EMBED, 3 * storage * (double)(e->rows * e->C), 0);
}

static void embed_backward(weft_device *d, weft_stream *s, const weft_embed *e, const int32_t *tokens, const int32_t *p,
                           const void *dout, bool accumulate, float *dwte, float *dwpe)
{
    (void)s, (void)tokens, (void)p, (void)dout, (void)dwte, (void)dwpe;
    count(d, EMBED_BACKWARD,
          2 * storage * (double)(e->rows * e->C) + (accumulate ? 2 : 1) * fp32 * (double)((e->V + e->T) * e->C), 0);
}

static double norm_bytes(const weft_norm *norm)
{
    return storage * (double)(norm->rows * norm->width);
}

static void norm_forward(weft_device *d, weft_stream *s, const weft_norm *n, const void *x, const void *w,
                         const void *b, void *out, float *mean, float *rstd)
{
    (void)s, (void)x, (void)w, (void)b, (void)out, (void)mean, (void)rstd;
    count(d, NORM, 2 * norm_bytes(n), 0);
}

static void norm_input(weft_device *d, weft_stream *s, const weft_norm *n, const void *dy, const void *x, const void *w,
                       const float *mean, const float *rstd, const void *residual, void *dx)
{
    (void)s, (void)dy, (void)x, (void)w, (void)mean, (void)rstd, (void)dx;
    count(d, NORM_INPUT, (residual ? 4 : 3) * norm_bytes(n), 0);
}

static void norm_weight(weft_device *d, weft_stream *s, const weft_norm *n, const void *dy, const void *x,
                        const float *mean, const float *rstd, bool accumulate, float *dw, float *db)
{
    (void)s, (void)dy, (void)x, (void)mean, (void)rstd, (void)accumulate, (void)dw, (void)db;
    count(d, NORM_WEIGHT, 2 * norm_bytes(n), 0);
}

static double product_flops(const weft_linear *l)
{
    return 2.0 * (double)l->rows * (double)l->in * (double)l->out;
}

static double product_bytes(const weft_linear *l, double weight)
{
    return storage * (double)l->rows * (double)(l->in + l->out) + weight * (double)l->in * (double)l->out;
}

static void linear_forward(weft_device *d, weft_stream *s, const weft_linear *l, const void *x, const void *w,
                           const void *b, void *y, void *workspace)
{
    (void)s, (void)x, (void)w, (void)b, (void)y, (void)workspace;
    count(d, LINEAR, product_bytes(l, storage), product_flops(l));
}

static void linear_input(weft_device *d, weft_stream *s, const weft_linear *l, const void *dy, const void *w, void *dx,
                         void *workspace)
{
    (void)s, (void)dy, (void)w, (void)dx, (void)workspace;
    count(d, LINEAR_INPUT, product_bytes(l, storage), product_flops(l));
}

static void linear_weight(weft_device *d, weft_stream *s, const weft_linear *l, const void *dy, const void *x,
                          bool accumulate, float *dw, float *db, void *workspace)
{
    (void)s, (void)dy, (void)x, (void)dw, (void)workspace;
    const double bias = db ? storage * (double)(l->rows * l->out) : 0; /* dy is read again */
    count(d, LINEAR_WEIGHT, product_bytes(l, accumulate ? 2 * fp32 : fp32) + bias, product_flops(l));
}

static void activation_forward(weft_device *d, weft_stream *s, const weft_activation *a, const void *x, void *out)
{
    (void)s, (void)x, (void)out;
    count(d, ACTIVATION, 2 * storage * (double)(a->rows * a->width), 0);
}

static void activation_backward(weft_device *d, weft_stream *s, const weft_activation *a, const void *x, const void *dy,
                                void *dx)
{
    (void)s, (void)x, (void)dy, (void)dx;
    count(d, ACTIVATION_BACKWARD, 3 * storage * (double)(a->rows * a->width), 0);
}

/* Of one product of scores, causal: half of all. */
static double score_flops(const weft_attention *a)
{
    return (double)a->B * (double)a->H * (double)a->T * (double)a->T * (double)a->D;
}

static double row_bytes(const weft_attention *a, double queries)
{
    return storage * (double)(a->B * a->T) * (queries * (double)(a->H * a->D) + 2.0 * (double)(a->G * a->D));
}

static void attention_forward(weft_device *d, weft_stream *s, const weft_attention *a, const int32_t *documents,
                              const void *qkv, void *out, float *kept, void *workspace)
{
    (void)s, (void)documents, (void)qkv, (void)out, (void)kept, (void)workspace;
    count(d, ATTENTION, row_bytes(a, 2), 2 * score_flops(a));
}

/* Scores and their slopes are made for dq and again for dk and dv: seven products. */
static void attention_backward(weft_device *d, weft_stream *s, const weft_attention *a, const int32_t *documents,
                               const void *qkv, const void *out, const float *kept, const void *dout, void *dqkv,
                               void *workspace)
{
    (void)s, (void)documents, (void)qkv, (void)out, (void)kept, (void)dout, (void)dqkv, (void)workspace;
    count(d, ATTENTION_BACKWARD, 3 * row_bytes(a, 2) + storage * (double)(a->B * a->T * a->H * a->D),
          7 * score_flops(a));
}

static void add(weft_device *d, weft_stream *s, int64_t n, const void *a, const void *b, void *out)
{
    (void)s, (void)a, (void)b, (void)out;
    count(d, ADD, 3 * storage * (double)n, 0);
}

static void cross_entropy(weft_device *d, weft_stream *s, const weft_loss *l, void *logits, const int32_t *targets,
                          const weft_step_scalars *scalars, bool gradient, float *out)
{
    (void)s, (void)logits, (void)targets, (void)scalars, (void)out;
    count(d, LOSS, (gradient ? 3 : 1) * storage * (double)(l->rows * l->width), 0);
}

static void release(weft_device *d, void *memory)
{
    (void)d, (void)memory; /* none was taken */
}

static const weft_device_operations operations = {
    .release = release,
    .embed_forward = embed_forward,
    .embed_backward = embed_backward,
    .norm_forward = norm_forward,
    .norm_backward_input = norm_input,
    .norm_backward_weight = norm_weight,
    .linear_forward = linear_forward,
    .linear_backward_input = linear_input,
    .linear_backward_weight = linear_weight,
    .activation_forward = activation_forward,
    .activation_backward = activation_backward,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .add = add,
    .cross_entropy = cross_entropy,
};

static weft_status fail(const char *what)
{
    fprintf(stderr, "bench_floors: %s\n", what);
    return WEFT_FAILED;
}

/* Addresses that nothing comes to. */
static void *nowhere(void)
{
    return (void *)(uintptr_t)4096;
}

/* A forward and a backward pass of all layers, then the step's end. */
static weft_status count_step(const weft_model_config *model, int64_t B, int64_t T, counter *device,
                              double *out_parameters)
{
    weft_arena arena;
    const weft_parameter *parameters = NULL;
    int32_t n = 0;
    weft_stage *stage = NULL;
    weft_error error;
    const void *storages[4096];
    float *gradients[4096];
    weft_arena_init(&arena);
    if (weft_model_parameters(model, 1, &arena, &parameters, &n, &error) != WEFT_OK || n > 4096)
        return fail(error.text);
    for (int32_t i = 0; i < n; i++) {
        storages[i] = gradients[i] = nowhere();
        if (parameters[i].tied) continue;
        *out_parameters += (double)parameters[i].elements;
        count(&device->base, SQUARES, fp32 * (double)parameters[i].elements, 0);
        count(&device->base, ADAMW, (7 * fp32 + storage) * (double)parameters[i].elements, 0);
    }
    const weft_stage_shape shape = {.model = model,
                                    .slice = {.index = 0, .width = 1},
                                    .layer_count = (int32_t)model->layers,
                                    .embedding = true,
                                    .head = true,
                                    .B = B,
                                    .T = T,
                                    .device = weft_device_kind_find("emulated"),
                                    .options = {.element = WEFT_BF16, .threads = 1}};
    const weft_stage_weights weights = {.storage = storages, .gradient = gradients};
    if (weft_stage_create(&shape, &device->base, &weights, &stage, &error) != WEFT_OK) return fail(error.text);
    const weft_step_scalars *scalars = nowhere();
    const weft_stage_buffers buffers = {.tokens = nowhere(),
                                        .targets = nowhere(),
                                        .stash = nowhere(),
                                        .work = nowhere(),
                                        .workspace = nowhere(),
                                        .loss = nowhere(),
                                        .scalars = scalars};
    weft_stage_forward(stage, NULL, &buffers);
    weft_stage_backward(stage, NULL, &buffers);
    weft_stage_destroy(stage);
    weft_arena_fini(&arena);
    return WEFT_OK;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void print_floors(const counter *device, double tokens, double bandwidth, double peak)
{
    double floor = 0, assumed = 0;
    int64_t launches = 0;
    printf("%-24s %6s %9s %9s %9s %7s %9s\n", "operation", "calls", "GB", "TFLOP", "floor ms", "share", "ms then");
    for (int i = 0; i < COSTS; i++) {
        const tally *of = &device->tallies[i];
        const double least = 1e3 * larger(of->bytes / bandwidth, of->flops / peak);
        printf("%-24s %6" PRId64 " %9.2f %9.3f %9.3f %7.2f %9.3f\n", costs[i].name, of->calls, of->bytes / 1e9,
               of->flops / 1e12, least, costs[i].share, least / costs[i].share);
        floor += least;
        assumed += least / costs[i].share;
        launches += of->calls * costs[i].launches;
    }
    printf("%-24s %6" PRId64 " %9s %9s %9.3f %7s %9.3f\n", "launches, and the step", launches, "", "", floor, "",
           assumed);
    printf("tokens a second: %.0f k at the floor, %.0f k with the shares assumed\n", tokens / floor, tokens / assumed);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        weft_model_config model;
    } models[] = {
        {"GPT-2 124M", {.layers = 12, .width = 768, .heads = 12, .feed_forward = 3072}},
        {"GPT-2 1558M", {.layers = 48, .width = 1600, .heads = 25, .feed_forward = 6400}},
    };
    const int64_t T = 1024, B = argc > 1 ? atoll(argv[1]) : 32;
    const double bandwidth = argc > 2 ? atof(argv[2]) * 1e9 : 4.3e12, peak = argc > 3 ? atof(argv[3]) * 1e12 : 790e12;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        weft_model_config model = models[i].model;
        counter device = {.base = {.operations = &operations, .element = WEFT_BF16, .threads = 1}};
        double parameters = 0;
        model.kv_heads = model.heads;
        model.head_width = model.width / model.heads;
        model.bias = model.qkv_bias = true;
        model.norm_epsilon = 1e-5;
        model.vocabulary = 50257;
        model.context = T;
        model.tied = true;
        if (count_step(&model, B, T, &device, &parameters) != WEFT_OK) return 1;
        printf("%s%s: %.0f M parameters, %" PRId64 " x %" PRId64 " tokens, bf16\n", i > 0 ? "\n" : "", models[i].name,
               parameters / 1e6, B, T);
        print_floors(&device, (double)(B * T), bandwidth, peak);
    }
    return 0;
}
