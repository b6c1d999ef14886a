/*
 * Times what training does on the cpu device, operation by operation, at the shapes of GPT-2 124M: 1024 rows, 2
 * sequences of 512 tokens.
 *
 *     bench_operations [fp32|bf16] [threads] [word]
 *
 * Prints for each one (with a word, whose name has it; with "memory", all but products) the best milliseconds and GF/s
 * or GB/s. A product also has its share of the best one that the same run measured, and in bf16 of what the processor
 * does with pairs in registers (pairs_loop.h); all others their share of the speed of a copy that moves as many bytes.
 * The two that are compared take turns, and the median of the turns counts. Small operands walk through large arrays
 * from run to run, those of the copy too, so that none of them lies in a core's own caches.
 */
#include "base/clock.h"
#include "base/median.h"
#include "base/memory.h"
#include "device/device.h"
#include "pairs_loop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { B = 2, T = 512, C = 768, H = 12, V = 50257, N = B * T, ARRAYS = 7, COUNT = V * C, REPEATS = 5, TURNS = 7 };
/* Operands that walk do so in so many steps; the largest is as long as a step, all of them end within COUNT floats. */
enum { PLACES = 8, STEP_BYTES = 17 << 20 };
static const double SECONDS = 0.3; /* at least so long an operation is repeated */
static const double TURN_SECONDS = 0.04;

typedef struct bench {
    weft_device *device;
    const weft_device_operations *operations;
    weft_element element;
    void *array[ARRAYS]; /* N V elements of fp32 each: enough for every operand */
    void *workspace;
    int32_t *tokens;
    weft_step_scalars *scalars;
} bench;

typedef struct operation {
    const char *name;
    void (*run)(const bench *bench, const int64_t *sizes);
    int64_t sizes[3];
    double gigaflops;            /* of one run, or 0 */
    double elements, fp32_bytes; /* storage elements and bytes of other types that are read or written */
    int per_layer, per_pass;     /* how often a step runs it in each layer, and once a micro-batch */
    bool walks;                  /* none of its operands is longer than STEP_BYTES */
} operation;

static const weft_loss loss = {.rows = N, .width = V, .vocabulary = V, .parts = 1};

static weft_linear linear_of(const int64_t *sizes)
{
    return (weft_linear){.rows = N, .in = sizes[0], .out = sizes[1]};
}

static void linear_forward(const bench *b, const int64_t *sizes)
{
    weft_linear linear = linear_of(sizes);
    void *bias = sizes[2] ? b->array[3] : NULL;
    b->operations->linear_forward(b->device, NULL, &linear, b->array[0], b->array[1], bias, b->array[2], b->workspace);
}

static void linear_backward_input(const bench *b, const int64_t *sizes)
{
    weft_linear linear = linear_of(sizes);
    b->operations->linear_backward_input(b->device, NULL, &linear, b->array[0], b->array[1], b->array[2], b->workspace);
}

static void linear_backward_weight(const bench *b, const int64_t *sizes)
{
    weft_linear linear = linear_of(sizes);
    float *dbias = sizes[2] ? b->array[3] : NULL;
    b->operations->linear_backward_weight(b->device, NULL, &linear, b->array[0], b->array[1], true, b->array[2], dbias,
                                          b->workspace);
}

static const weft_attention attention = {.B = B, .T = T, .H = H, .G = H, .D = C / H};

static void attention_forward(const bench *b, const int64_t *sizes)
{
    (void)sizes;
    b->operations->attention_forward(b->device, NULL, &attention, NULL, b->array[0], b->array[1], b->array[2],
                                     b->workspace);
}

static void attention_backward(const bench *b, const int64_t *sizes)
{
    (void)sizes;
    b->operations->attention_backward(b->device, NULL, &attention, NULL, b->array[0], b->array[1], b->array[2],
                                      b->array[3], b->array[4], b->workspace);
}

static const weft_norm norm = {.kind = WEFT_LAYERNORM, .rows = N, .width = C, .epsilon = 1e-5f};

static void norm_forward(const bench *b, const int64_t *sizes)
{
    (void)sizes;
    b->operations->norm_forward(b->device, NULL, &norm, b->array[0], b->array[1], b->array[2], b->array[3], b->array[4],
                                b->array[5]);
}

static void norm_backward_input(const bench *b, const int64_t *sizes)
{
    (void)sizes;
    b->operations->norm_backward_input(b->device, NULL, &norm, b->array[0], b->array[1], b->array[2], b->array[4],
                                       b->array[5], b->array[3], b->array[3]);
}

static void norm_backward_weight(const bench *b, const int64_t *sizes)
{
    (void)sizes;
    b->operations->norm_backward_weight(b->device, NULL, &norm, b->array[0], b->array[1], b->array[4], b->array[5],
                                        true, b->array[2], b->array[3]);
}

static void activation_forward(const bench *b, const int64_t *sizes)
{
    weft_activation activation = {(weft_activation_kind)sizes[0], N, sizes[1]};
    b->operations->activation_forward(b->device, NULL, &activation, b->array[0], b->array[1]);
}

static void activation_backward(const bench *b, const int64_t *sizes)
{
    weft_activation activation = {(weft_activation_kind)sizes[0], N, sizes[1]};
    b->operations->activation_backward(b->device, NULL, &activation, b->array[0], b->array[1], b->array[2]);
}

static void rotary(const bench *b, const int64_t *sizes)
{
    (void)sizes;
    weft_rotary shape = {B, T, 2 * H, C / H, 3 * C};
    b->operations->rotary(b->device, NULL, &shape, NULL, b->array[1], b->array[2], 1, b->array[0]);
}

static void add(const bench *b, const int64_t *sizes)
{
    b->operations->add(b->device, NULL, sizes[0], b->array[0], b->array[1], b->array[2]);
}

/* The first part gets the sum. */
static void sum(const bench *b, const int64_t *sizes)
{
    const void *const *parts = (const void *const *)b->array;
    weft_element element = sizes[2] ? b->element : WEFT_FP32;
    b->operations->sum(b->device, NULL, element, sizes[0], (int32_t)sizes[1], parts, b->array[0]);
}

static void round_to_storage(const bench *b, const int64_t *sizes)
{
    b->operations->round(b->device, NULL, sizes[0], b->array[0], b->array[1]);
}

static const weft_embed embed = {.rows = N, .T = T, .C = C, .V = V};

static void embed_forward(const bench *b, const int64_t *sizes)
{
    (void)sizes;
    b->operations->embed_forward(b->device, NULL, &embed, b->tokens, NULL, b->array[0], b->array[1], b->array[2]);
}

static void embed_backward(const bench *b, const int64_t *sizes)
{
    b->operations->embed_backward(b->device, NULL, &embed, b->tokens, NULL, b->array[0], sizes[0] != 0, b->array[1],
                                  b->array[2]);
}

static void cross_entropy(const bench *b, const int64_t *sizes)
{
    (void)sizes;
    b->operations->cross_entropy(b->device, NULL, &loss, b->array[0], b->tokens, b->scalars, true, b->array[1]);
}

static void loss_part(const bench *b, const int64_t *sizes)
{
    (void)sizes;
    b->operations->loss_part(b->device, NULL, &loss, b->array[0], b->tokens, b->array[1]);
}

static void loss_finish(const bench *b, const int64_t *sizes)
{
    (void)sizes;
    b->operations->loss_finish(b->device, NULL, &loss, b->array[0], b->tokens, b->array[1], b->scalars, true,
                               b->array[2]);
}

static void square_sums(const bench *b, const int64_t *sizes)
{
    b->operations->square_sums(b->device, NULL, sizes[0], b->array[0], b->array[1]);
}

static void adamw(const bench *b, const int64_t *sizes)
{
    void *storage = b->element == WEFT_BF16 ? b->array[4] : NULL;
    b->operations->adamw(b->device, NULL, sizes[0], b->scalars, true, b->array[0], b->array[1], b->array[2],
                         b->array[3], storage);
}

static void copy(const bench *b, const int64_t *sizes)
{
    b->operations->copy(b->device, NULL, b->array[1], b->array[0], (size_t)sizes[0]);
}

static void zero(const bench *b, const int64_t *sizes)
{
    b->operations->zero(b->device, NULL, b->array[1], (size_t)sizes[0]);
}

#define PRODUCT(in, out) (2e-9 * N * (in) * (out))
#define LINEAR(in, out, bias, layer, pass)                                                                             \
    {"linear forward " #in " " #out, linear_forward, {in, out, bias}, PRODUCT(in, out), 0, 0, layer, pass, false},     \
        {"linear backward input", linear_backward_input, {in, out, bias}, PRODUCT(in, out), 0, 0, layer, pass, false}, \
    {                                                                                                                  \
        "linear backward weight", linear_backward_weight, {in, out, bias}, PRODUCT(in, out), 0, 0, layer, pass, false  \
    }
#define ATTENTION (2e-9 * B * H * (T + 1) * T / 2 * (C / H)) /* one product, only the causal part */

static const operation operation_table[] = {
    LINEAR(768, 2304, 1, 1, 0),
    LINEAR(768, 768, 1, 1, 0),
    LINEAR(768, 3072, 1, 1, 0),
    LINEAR(3072, 768, 1, 1, 0),
    LINEAR(768, 50257, 0, 0, 1),
    {"attention forward", attention_forward, {0}, 2 * ATTENTION, 0, 0, 1, 0, false},
    {"attention backward", attention_backward, {0}, 5 * ATTENTION, 0, 0, 1, 0, false},
    {"norm forward", norm_forward, {0}, 0, 2.0 * N *C, 0, 2, 1, true},
    {"norm backward input", norm_backward_input, {0}, 0, 4.0 * N *C, 0, 2, 1, true},
    {"norm backward weight", norm_backward_weight, {0}, 0, 2.0 * N *C, 0, 2, 1, true},
    {"gelu forward", activation_forward, {WEFT_GELU, 4 * C}, 0, 8.0 * N *C, 0, 1, 0, true},
    {"gelu backward", activation_backward, {WEFT_GELU, 4 * C}, 0, 12.0 * N *C, 0, 1, 0, true},
    {"swiglu forward 2048", activation_forward, {WEFT_SWIGLU, 2048}, 0, 3.0 * N * 2048, 0, 0, 0, true},
    {"swiglu backward 2048", activation_backward, {WEFT_SWIGLU, 2048}, 0, 5.0 * N * 2048, 0, 0, 0, true},
    {"rotary", rotary, {0}, 0, 4.0 * N *C, 0, 0, 0, true},
    {"add", add, {N * C}, 0, 3.0 * N *C, 0, 2, 0, true},
    {"embed forward", embed_forward, {0}, 0, 3.0 * N *C, 0, 0, 1, false},
    {"embed backward, first", embed_backward, {0}, 0, N *C, 4.0 * V *C + 12.0 * N *C, 0, 0, false},
    {"embed backward, adding", embed_backward, {1}, 0, N *C, 16.0 * N *C, 0, 1, false},
    {"cross entropy", cross_entropy, {0}, 0, 2.0 * N *V, 0, 0, 1, false},
    {"loss part", loss_part, {0}, 0, 1.0 * N *V, 0, 0, 0, false},
    {"loss finish", loss_finish, {0}, 0, 2.0 * N *V, 0, 0, 0, false},
    {"sum fp32 2", sum, {COUNT, 2, 0}, 0, 0, 12.0 * COUNT, 0, 0, false},
    {"sum fp32 4", sum, {COUNT, 4, 0}, 0, 0, 20.0 * COUNT, 0, 0, false},
    {"sum storage 2", sum, {COUNT, 2, 1}, 0, 3.0 * COUNT, 0, 0, 0, false},
    {"sum storage 4", sum, {COUNT, 4, 1}, 0, 5.0 * COUNT, 0, 0, 0, false},
    {"round", round_to_storage, {COUNT}, 0, COUNT, 4.0 * COUNT, 0, 0, false},
    {"square sums", square_sums, {COUNT}, 0, 0, 4.0 * COUNT, 0, 0, false},
    {"adamw", adamw, {COUNT}, 0, 0, 28.0 * COUNT, 0, 0, false}, /* rounded weights not counted */
    {"copy", copy, {4 * COUNT}, 0, 0, 8.0 * COUNT, 0, 0, false},
    {"zero", zero, {4 * COUNT}, 0, 0, 4.0 * COUNT, 0, 0, false},
};

/* Values that differ, about normal in size, in the element type. */
static void fill(const bench *b)
{
    for (int a = 0; a < ARRAYS; a++) {
        for (int64_t i = 0; i < (int64_t)N * V; i++) {
            float value = (float)((i + a) * 2654435761 % 4096) / 1024.0f - 2.0f;
            if (b->element == WEFT_BF16) {
                ((uint16_t *)b->array[a])[i] = weft_bf16_from_float(value);
            } else {
                ((float *)b->array[a])[i] = value;
            }
        }
    }
    for (int64_t i = 0; i < N; i++) b->tokens[i] = (int32_t)(i * 7919 % V);
}

/* Operations before may have left anything in the arrays: small finite values keep the timing honest. */
static void refill(const bench *b, const operation *entry)
{
    bool fp32 = entry->run == adamw || entry->run == square_sums || entry->run == norm_backward_weight ||
                entry->run == linear_backward_weight || entry->run == norm_backward_input ||
                entry->run == attention_backward;
    for (int a = 2; a < ARRAYS && fp32; a++) {
        for (int64_t i = 0; i < (int64_t)COUNT; i++) ((float *)b->array[a])[i] = 0.5f + (float)(i % 64) / 64.0f;
    }
}

/* Seconds of one run: where operands walk, of a run at each place. */
static double time_run(const bench *b, const operation *entry)
{
    const int places = entry->walks ? PLACES : 1;
    bench moved = *b;
    const double begin = weft_clock_seconds();
    for (int place = 0; place < places; place++) {
        for (int a = 0; a < ARRAYS; a++) moved.array[a] = (char *)b->array[a] + (size_t)place * STEP_BYTES;
        entry->run(&moved, entry->sizes);
    }
    return (weft_clock_seconds() - begin) / places;
}

/* The best of at least so many runs in at least so many seconds. */
static double time_runs(const bench *b, const operation *entry, int least, double seconds)
{
    double best = INFINITY;
    double end = weft_clock_seconds() + seconds;
    for (int i = 0; i < least || weft_clock_seconds() < end; i++) best = fmin(best, time_run(b, entry));
    return best;
}

static double time_operation(const bench *b, const operation *entry)
{
    refill(b, entry);
    entry->run(b, entry->sizes);
    return time_runs(b, entry, REPEATS, SECONDS);
}

/* Of turns with what it is compared with, the median share; 0 where there is nothing. */
static double share_of(const bench *b, const operation *entry, double done,
                       double (*rate_of_other)(const bench *, const operation *))
{
    double shares[TURNS];
    for (int i = 0; i < TURNS; i++) {
        const double rate = rate_of_other(b, entry);
        if (rate == 0.0) return 0.0;
        shares[i] = done / time_runs(b, entry, 1, TURN_SECONDS) / rate;
    }
    return weft_median(shares, TURNS);
}

static double loop_rate(const bench *b, const operation *entry)
{
    (void)entry;
    return bench_pairs_rate(b->device->threads, TURN_SECONDS);
}

static double bytes_of(const bench *b, const operation *entry)
{
    return entry->elements * (double)weft_element_bytes(b->element) + entry->fp32_bytes;
}

/* Bytes a second, read and written, of a copy that moves as many as the operation, or what the arrays hold. */
static double copy_rate(const bench *b, const operation *entry)
{
    const double bytes = fmin(bytes_of(b, entry), 2 * sizeof(float) * (double)N * V);
    const operation copying = {.run = copy, .sizes = {(int64_t)(bytes / 2)}, .walks = entry->walks};
    return bytes / time_runs(b, &copying, 1, TURN_SECONDS);
}

static weft_status setup(bench *b, const weft_device_kind *kind, const weft_device_options *options, weft_error *error)
{
    size_t workspace = kind->attention_workspace(options, &attention);
    printf("workspace: attention %.2f MB", (double)workspace * 1e-6);
    for (size_t i = 0; i < sizeof operation_table / sizeof *operation_table; i++) {
        if (operation_table[i].run != linear_forward) continue;
        weft_linear linear = linear_of(operation_table[i].sizes);
        size_t bytes = kind->linear_workspace(options, &linear);
        printf(", %lldx%lld %.2f MB", (long long)linear.in, (long long)linear.out, (double)bytes * 1e-6);
        if (bytes > workspace) workspace = bytes;
    }
    printf("\n");
    b->element = options->element;
    TRY(kind->create(options, &b->device, error));
    b->operations = b->device->operations;
    TRY(weft_allocate(workspace, 1, &b->workspace, error));
    TRY(weft_allocate(N, sizeof *b->tokens, &b->tokens, error));
    TRY(weft_allocate(1, sizeof *b->scalars, &b->scalars, error));
    for (int a = 0; a < ARRAYS; a++)
        TRY(b->operations->allocate(b->device, WEFT_MEMORY_DEVICE, sizeof(float) * N * V, &b->array[a], error));
    *b->scalars = (weft_step_scalars){.learning_rate = 1e-4f,
                                      .beta1 = 0.9f,
                                      .beta2 = 0.95f,
                                      .epsilon = 1e-8f,
                                      .weight_decay = 0.1f,
                                      .correction1 = 0.1f,
                                      .correction2 = 0.05f,
                                      .clip_factor = 1.0f,
                                      .loss_gradient_scale = 1.0f / N};
    fill(b);
    return WEFT_OK;
}

static bool is_wanted(const operation *entry, const char *word)
{
    return strcmp(word, "memory") == 0 ? entry->gigaflops == 0.0 : strstr(entry->name, word) != NULL;
}

/* Prints a row and returns the seconds of one run. */
static double report_row(const bench *b, const operation *entry, double peak)
{
    const bool product = entry->gigaflops > 0.0;
    const double seconds = time_operation(b, entry), bytes = bytes_of(b, entry);
    const double rate = product ? entry->gigaflops / seconds : bytes * 1e-9 / seconds;
    const double share = product ? rate * 1e9 / peak : share_of(b, entry, bytes, copy_rate);
    printf("%-28s %10.3f %6.1f %s %6.1f%%", entry->name, 1e3 * seconds, rate, product ? "GF/s" : "GB/s", 100.0 * share);
    const double loop =
        product && b->element == WEFT_BF16 ? share_of(b, entry, entry->gigaflops * 1e9, loop_rate) : 0.0;
    if (loop > 0.0) printf(" %8.1f%%", 100.0 * loop);
    printf("\n");
    return seconds;
}

/* A table of the operations, and, when it has all, what one micro-batch of 12 layers takes at best. */
static void report(const bench *b, double peak, const char *word)
{
    const operation copying = {"copy", copy, {4 * COUNT}, 0, 0, 8.0 * COUNT, 0, 0, false};
    double bandwidth = copying.fp32_bytes / time_operation(b, &copying), total = 0.0, flops = 0.0;
    printf("peak: %.1f GF/s, copy %.1f GB/s\n%-28s %10s %10s %7s %9s\n", peak * 1e-9, bandwidth * 1e-9, "operation",
           "ms", "rate", "share", "of loop");
    for (size_t i = 0; i < sizeof operation_table / sizeof *operation_table; i++) {
        const operation *entry = &operation_table[i];
        if (!is_wanted(entry, word)) continue;
        const double runs = 12 * entry->per_layer + entry->per_pass;
        total += runs * report_row(b, entry, peak);
        flops += runs * entry->gigaflops;
    }
    if (*word != '\0') return;
    printf("one micro-batch: %.1f ms, %.1f GF/s, %.1f%% of peak; products as counted above\n", 1e3 * total,
           flops / total, 100.0 * flops * 1e9 / total / peak);
}

int main(int count, char **arguments)
{
    const weft_device_kind *kind = weft_device_kind_find("cpu");
    weft_device_options options = {.element = count > 1 && strcmp(arguments[1], "bf16") == 0 ? WEFT_BF16 : WEFT_FP32,
                                   .threads = count > 2 ? atoi(arguments[2]) : 2};
    weft_error error = {0};
    bench b = {0};
    double peak = 0.0;
    if (kind == NULL) {
        printf("this build has no cpu device\n");
        return 1;
    }
    printf("%s, %d threads\n", weft_element_name(options.element), (int)options.threads);
    weft_status status = kind->measure_peak(&options, 1.0, &peak, &error);
    if (status == WEFT_OK) status = setup(&b, kind, &options, &error);
    if (status == WEFT_OK) {
        report(&b, peak, count > 3 ? arguments[3] : "");
        status = weft_device_check(b.device, &error);
    }
    if (status != WEFT_OK) printf("failed: %s\n", error.text);
    for (int a = 0; a < ARRAYS && b.device != NULL; a++) b.operations->release(b.device, b.array[a]);
    weft_free(b.scalars);
    weft_free(b.tokens);
    weft_free(b.workspace);
    if (b.device != NULL) b.operations->destroy(b.device);
    return status == WEFT_OK ? 0 : 1;
}
