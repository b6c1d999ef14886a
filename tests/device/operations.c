#include "operations.h"

#include <string.h>

static void copy_sizes(const test_operand *from, int count, test_operand *out)
{
    memcpy(out, from, (size_t)count * sizeof *out);
}

#define DESCRIBE(...)                                                                                                  \
    const test_operand list[] = {__VA_ARGS__};                                                                         \
    copy_sizes(list, (int)(sizeof list / sizeof list[0]), out);                                                        \
    return (int)(sizeof list / sizeof list[0])

/* embed: N, T, C, V, with positions (2: without the tokens' gradient), first (as many tokens lie behind the
 * table as before it), with positions of the rows */
static weft_embed embed_of(const int64_t *z)
{
    return (weft_embed){.rows = z[0], .T = z[1], .C = z[2], .V = z[3], .first = (int32_t)z[5]};
}

static int embed_forward_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"tokens", IN, INTEGER, z[0], TOKENS, z[3] + 2 * z[5]},
             {"positions", IN, INTEGER, z[6] * z[0], TOKENS, z[1]}, {"wte", IN, STORAGE, z[3] * z[2], NORMAL, 0},
             {"wpe", IN, STORAGE, (z[4] > 0) * z[1] * z[2], NORMAL, 0}, {"out", OUT, STORAGE, z[0] * z[2], NORMAL, 0});
}

static void embed_forward(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    const weft_embed embed = embed_of(z);
    device->operations->embed_forward(device, NULL, &embed, p[0], p[1], p[2], p[3], p[4]);
}

static int embed_backward_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"tokens", IN, INTEGER, z[0], TOKENS, z[3] + 2 * z[5]},
             {"positions", IN, INTEGER, z[6] * z[0], TOKENS, z[1]}, {"dout", IN, STORAGE, z[0] * z[2], NORMAL, 0},
             {"dwte", ADD, FLOAT, (z[4] < 2) * z[3] * z[2], NORMAL, 0},
             {"dwpe", ADD, FLOAT, (z[4] > 0) * z[1] * z[2], NORMAL, 0});
}

static void embed_backward(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)workspace;
    const weft_embed embed = embed_of(z);
    device->operations->embed_backward(device, NULL, &embed, p[0], p[1], p[2], accumulate, p[3], p[4]);
}

/* norm: kind, rows, width, with bias, with residual; backward weight: without the weight's gradient; heads of a token
 * (0: rows lie packed), heads' elements before them, and behind them */
static weft_norm norm_of(const int64_t *z)
{
    return (weft_norm){.kind = (weft_norm_kind)z[0],
                       .rows = z[1],
                       .width = z[2],
                       .epsilon = 1e-5f,
                       .heads = z[5],
                       .first = z[6],
                       .stride = z[5] ? z[6] + z[5] * z[2] + z[7] : 0};
}

/* Elements with what lies between the tokens' heads. */
static int64_t norm_elements(const int64_t *z)
{
    return z[5] ? z[1] / z[5] * norm_of(z).stride : z[1] * z[2];
}

static int norm_forward_operands(const int64_t *z, test_operand *out)
{
    int64_t centred = z[0] == WEFT_LAYERNORM, all = norm_elements(z);
    DESCRIBE({"x", IN, STORAGE, all, NORMAL, 0}, {"weight", IN, STORAGE, z[2], NORMAL, 0},
             {"bias", IN, STORAGE, z[3] * z[2], NORMAL, 0}, {"out", z[5] ? IN_OUT : OUT, STORAGE, all, NORMAL, 0},
             {"mean", OUT, FLOAT, centred * z[1], NORMAL, 0}, {"rstd", OUT, FLOAT, z[1], NORMAL, 0});
}

static void norm_forward(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    const weft_norm norm = norm_of(z);
    device->operations->norm_forward(device, NULL, &norm, p[0], p[1], p[2], p[3], p[4], p[5]);
}

static int norm_backward_input_operands(const int64_t *z, test_operand *out)
{
    int64_t centred = z[0] == WEFT_LAYERNORM, all = norm_elements(z);
    DESCRIBE({"dout", IN, STORAGE, all, NORMAL, 0}, {"x", IN, STORAGE, all, NORMAL, 0},
             {"weight", IN, STORAGE, z[2], NORMAL, 0}, {"mean", IN, FLOAT, centred * z[1], NORMAL, 0},
             {"rstd", IN, FLOAT, z[1], NORMAL, 0}, {"residual", IN, STORAGE, z[4] * all, NORMAL, 0},
             {"dx", z[5] ? IN_OUT : OUT, STORAGE, all, NORMAL, 0});
}

static void norm_backward_input(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    const weft_norm norm = norm_of(z);
    device->operations->norm_backward_input(device, NULL, &norm, p[0], p[1], p[2], p[3], p[4], p[5], p[6]);
}

static int norm_backward_in_place_operands(const int64_t *z, test_operand *out)
{
    int count = norm_backward_input_operands(z, out);
    out[5].role = IN_OUT;
    out[6].count = 0;
    return count;
}

static void norm_backward_in_place(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    p[6] = p[5];
    norm_backward_input(device, z, p, accumulate, workspace);
    p[6] = NULL;
}

static int norm_backward_weight_operands(const int64_t *z, test_operand *out)
{
    int64_t centred = z[0] == WEFT_LAYERNORM, all = norm_elements(z);
    DESCRIBE({"dout", IN, STORAGE, all, NORMAL, 0}, {"x", IN, STORAGE, all, NORMAL, 0},
             {"mean", IN, FLOAT, centred * z[1], NORMAL, 0}, {"rstd", IN, FLOAT, z[1], NORMAL, 0},
             {"dweight", ADD, FLOAT, !z[4] * z[2], NORMAL, 0}, {"dbias", ADD, FLOAT, z[3] * z[2], NORMAL, 0});
}

static void norm_backward_weight(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)workspace;
    const weft_norm norm = norm_of(z);
    device->operations->norm_backward_weight(device, NULL, &norm, p[0], p[1], p[2], p[3], accumulate, p[4], p[5]);
}

/* linear: rows, in, out, with bias; backward weight: without the weight's gradient */
static weft_linear linear_of(const int64_t *z)
{
    return (weft_linear){.rows = z[0], .in = z[1], .out = z[2]};
}

static size_t linear_workspace(const weft_device_kind *kind, const weft_device_options *options, const int64_t *z)
{
    const weft_linear linear = linear_of(z);
    return kind->linear_workspace(options, &linear);
}

static int linear_forward_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"x", IN, STORAGE, z[0] * z[1], NORMAL, 0}, {"w", IN, STORAGE, z[2] * z[1], NORMAL, 0},
             {"bias", IN, STORAGE, z[3] * z[2], NORMAL, 0}, {"out", OUT, STORAGE, z[0] * z[2], NORMAL, 0});
}

static void linear_forward(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    const weft_linear linear = linear_of(z);
    device->operations->linear_forward(device, NULL, &linear, p[0], p[1], p[2], p[3], workspace);
}

static int linear_backward_input_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"dout", IN, STORAGE, z[0] * z[2], NORMAL, 0}, {"w", IN, STORAGE, z[2] * z[1], NORMAL, 0},
             {"dx", OUT, STORAGE, z[0] * z[1], NORMAL, 0});
}

static void linear_backward_input(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    const weft_linear linear = linear_of(z);
    device->operations->linear_backward_input(device, NULL, &linear, p[0], p[1], p[2], workspace);
}

static int linear_backward_weight_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"dout", IN, STORAGE, z[0] * z[2], NORMAL, 0}, {"x", IN, STORAGE, z[0] * z[1], NORMAL, 0},
             {"dw", ADD, FLOAT, !z[4] * z[2] * z[1], NORMAL, 0}, {"dbias", ADD, FLOAT, z[3] * z[2], NORMAL, 0});
}

static void linear_backward_weight(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    const weft_linear linear = linear_of(z);
    device->operations->linear_backward_weight(device, NULL, &linear, p[0], p[1], accumulate, p[2], p[3], workspace);
}

/* activation: kind, rows, width */
static weft_activation activation_of(const int64_t *z)
{
    return (weft_activation){.kind = (weft_activation_kind)z[0], .rows = z[1], .width = z[2]};
}

static int64_t activation_input(const int64_t *z)
{
    return z[1] * z[2] * (z[0] == WEFT_SWIGLU ? 2 : 1);
}

static int activation_forward_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"x", IN, STORAGE, activation_input(z), NORMAL, 0}, {"out", OUT, STORAGE, z[1] * z[2], NORMAL, 0});
}

static void activation_forward(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    const weft_activation activation = activation_of(z);
    device->operations->activation_forward(device, NULL, &activation, p[0], p[1]);
}

static int activation_backward_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"x", IN, STORAGE, activation_input(z), NORMAL, 0}, {"dout", IN, STORAGE, z[1] * z[2], NORMAL, 0},
             {"dx", OUT, STORAGE, activation_input(z), NORMAL, 0});
}

static void activation_backward(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    const weft_activation activation = activation_of(z);
    device->operations->activation_backward(device, NULL, &activation, p[0], p[1], p[2]);
}

/* rotary: B, T, heads rotated, D, elements of a row beyond them, with positions of the rows */
static weft_rotary rotary_of(const int64_t *z)
{
    return (weft_rotary){.B = z[0], .T = z[1], .heads = z[2], .D = z[3], .stride = z[2] * z[3] + z[4]};
}

static int rotary_forward_operands(const int64_t *z, test_operand *out)
{
    int64_t angles = z[1] * z[3] / 2;
    DESCRIBE({"positions", IN, INTEGER, z[5] * z[0] * z[1], TOKENS, z[1]}, {"cosine", IN, FLOAT, angles, COSINE, 0},
             {"sine", IN, FLOAT, angles, SINE, 0},
             {"x", IN_OUT, STORAGE, z[0] * z[1] * (z[2] * z[3] + z[4]), NORMAL, 0});
}

static void rotary_forward(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    const weft_rotary rotary = rotary_of(z);
    device->operations->rotary(device, NULL, &rotary, p[0], p[1], p[2], 1, p[3]);
}

static int rotary_backward_operands(const int64_t *z, test_operand *out)
{
    int count = rotary_forward_operands(z, out);
    out[3].name = "dx";
    return count;
}

static void rotary_backward(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    const weft_rotary rotary = rotary_of(z);
    device->operations->rotary(device, NULL, &rotary, p[0], p[1], p[2], -1, p[3]);
}

/* attention: B, T, H, G, D, window, documents in a sequence at most */
static weft_attention attention_of(const int64_t *z)
{
    return (weft_attention){.B = z[0], .T = z[1], .H = z[2], .G = z[3], .D = z[4], .window = z[5]};
}

static size_t attention_workspace(const weft_device_kind *kind, const weft_device_options *options, const int64_t *z)
{
    const weft_attention attention = attention_of(z);
    return kind->attention_workspace(options, &attention);
}

static int attention_forward_operands(const int64_t *z, test_operand *out)
{
    int64_t rows = z[0] * z[1];
    DESCRIBE({"documents", IN, INTEGER, (z[6] > 0) * rows, RUNS, z[1] * MOST_RUNS + z[6]},
             {"qkv", IN, STORAGE, rows * (z[2] + 2 * z[3]) * z[4], NORMAL, 0},
             {"out", OUT, STORAGE, rows * z[2] * z[4], NORMAL, 0}, {"logsumexp", OUT, FLOAT, rows * z[2], NORMAL, 0});
}

static void attention_forward(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    const weft_attention attention = attention_of(z);
    device->operations->attention_forward(device, NULL, &attention, p[0], p[1], p[2], p[3], workspace);
}

/* attention_step: B, T, H, G, D, window, past MOST_RUNS + rows */
static int attention_step_operands(const int64_t *z, test_operand *out)
{
    int64_t rows = z[0] * (z[6] % MOST_RUNS);
    DESCRIBE({"qkv", IN, STORAGE, rows * (z[2] + 2 * z[3]) * z[4], NORMAL, 0},
             {"cache", IN_OUT, STORAGE, z[0] * z[1] * 2 * z[3] * z[4], NORMAL, 0},
             {"out", OUT, STORAGE, rows * z[2] * z[4], NORMAL, 0});
}

static void attention_step(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    const weft_attention attention = attention_of(z);
    device->operations->attention_step(device, NULL, &attention, z[6] / MOST_RUNS, z[6] % MOST_RUNS, p[0], p[1], p[2],
                                       workspace);
}

static int attention_backward_operands(const int64_t *z, test_operand *out)
{
    int64_t rows = z[0] * z[1];
    DESCRIBE({"documents", IN, INTEGER, (z[6] > 0) * rows, RUNS, z[1] * MOST_RUNS + z[6]},
             {"qkv", IN, STORAGE, rows * (z[2] + 2 * z[3]) * z[4], NORMAL, 0},
             {"out", IN, STORAGE, rows * z[2] * z[4], NORMAL, 0}, {"logsumexp", IN, FLOAT, rows * z[2], NORMAL, 0},
             {"dout", IN, STORAGE, rows * z[2] * z[4], NORMAL, 0},
             {"dqkv", OUT, STORAGE, rows * (z[2] + 2 * z[3]) * z[4], NORMAL, 0});
}

static void attention_backward(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    const weft_attention attention = attention_of(z);
    device->operations->attention_backward(device, NULL, &attention, p[0], p[1], p[2], p[3], p[4], p[5], workspace);
}

/* add, round, square sums: count */
static int add_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"a", IN, STORAGE, z[0], NORMAL, 0}, {"b", IN, STORAGE, z[0], NORMAL, 0},
             {"out", OUT, STORAGE, z[0], NORMAL, 0});
}

static void add(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    device->operations->add(device, NULL, z[0], p[0], p[1], p[2]);
}

/* sum: count, parts, in place of part (-1: of none) */
enum { MOST_PARTS = MAX_OPERANDS - 1 };

static int sum_operands_of(const int64_t *z, operand_type type, test_operand *out)
{
    static const char *const names[MOST_PARTS] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    for (int part = 0; part < z[1]; part++) {
        operand_role role = part == z[2] ? IN_OUT : IN;
        out[part] = (test_operand){names[part], role, type, z[0], NORMAL, 0};
    }
    out[z[1]] = (test_operand){"out", OUT, type, z[2] < 0 ? z[0] : 0, NORMAL, 0};
    return (int)z[1] + 1;
}

static int sum_operands(const int64_t *z, test_operand *out)
{
    return sum_operands_of(z, STORAGE, out);
}

static void sum(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    void *out = z[2] < 0 ? p[z[1]] : p[z[2]];
    device->operations->sum(device, NULL, device->element, z[0], (int32_t)z[1], (const void *const *)p, out);
}

static int sum_fp32_operands(const int64_t *z, test_operand *out)
{
    return sum_operands_of(z, FLOAT, out);
}

static void sum_fp32(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    void *out = z[2] < 0 ? p[z[1]] : p[z[2]];
    device->operations->sum(device, NULL, WEFT_FP32, z[0], (int32_t)z[1], (const void *const *)p, out);
}

static int round_to_storage_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"from", IN, FLOAT, z[0], NORMAL, 0}, {"out", OUT, STORAGE, z[0], NORMAL, 0});
}

static void round_to_storage(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    device->operations->round(device, NULL, z[0], p[0], p[1]);
}

static int square_sums_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"gradient", IN, FLOAT, z[0], NORMAL, 0},
             {"sums", OUT, DOUBLE, (z[0] + WEFT_NORM_BLOCK - 1) / WEFT_NORM_BLOCK, NORMAL, 0});
}

static void square_sums(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    device->operations->square_sums(device, NULL, z[0], p[0], p[1]);
}

/* place sums: blocks */
static int place_sums_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"index", IN, INTEGER, z[0], PERMUTED, 0}, {"sums", IN, DOUBLE, z[0], POSITIVE, 0},
             {"out", OUT, DOUBLE, z[0], NORMAL, 0});
}

static void place_sums(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    device->operations->place_sums(device, NULL, z[0], p[0], p[1], p[2]);
}

/* norm finish: blocks */
static int norm_finish_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"sums", IN, DOUBLE, z[0], POSITIVE, 0}, {"scalars", IN_OUT, SCALARS, 1, NORMAL, 0});
}

static void norm_finish(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    device->operations->norm_finish(device, NULL, z[0], p[0], p[1]);
}

/* judge: losses, stride */
static int judge_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"losses", IN, FLOAT, z[0] * z[1], POSITIVE, 0}, {"scalars", IN_OUT, SCALARS, 1, NORMAL, 0});
}

static void judge(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    device->operations->judge(device, NULL, z[0], z[1], p[0], p[1]);
}

/* adamw: count, with decay, with storage */
static int adamw_operands(const int64_t *z, test_operand *out)
{
    DESCRIBE({"scalars", IN, SCALARS, 1, NORMAL, 0}, {"gradient", IN, FLOAT, z[0], NORMAL, 0},
             {"weight", IN_OUT, FLOAT, z[0], NORMAL, 0}, {"moment1", IN_OUT, FLOAT, z[0], NORMAL, 0},
             {"moment2", IN_OUT, FLOAT, z[0], POSITIVE, 0}, {"storage", OUT, STORAGE, z[2] * z[0], NORMAL, 0});
}

static void adamw(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    (void)accumulate;
    (void)workspace;
    device->operations->adamw(device, NULL, z[0], p[0], z[1] != 0, p[1], p[2], p[3], p[4], p[5]);
}

/* cross entropy: N, V, then what is trained and told: rows of a sequence, whether the cross entropy is told besides, z
 * in 1e-4, smoothing in 1e-3 */
static weft_loss loss_of(const int64_t *z, const int64_t *told)
{
    return (weft_loss){.rows = z[0],
                       .width = z[1],
                       .vocabulary = z[1],
                       .parts = 1,
                       .sequence = told[0],
                       .plain = told[1] != 0,
                       .z = 1e-4 * (double)told[2],
                       .smoothing = 1e-3 * (double)told[3]};
}

static int cross_entropy_operands(const int64_t *z, test_operand *out)
{
    const weft_loss loss = loss_of(z, z + 2);
    DESCRIBE({"logits", IN, STORAGE, z[0] * z[1], NORMAL, 0}, {"targets", IN, INTEGER, z[0], TARGETS, z[1]},
             {"out", OUT, FLOAT, weft_loss_numbers(&loss), NORMAL, 0}, {"scalars", IN, SCALARS, 1, NORMAL, 0});
}

static void cross_entropy(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    const weft_loss loss = loss_of(z, z + 2);
    (void)accumulate;
    (void)workspace;
    device->operations->cross_entropy(device, NULL, &loss, p[0], p[1], NULL, false, p[2]);
}

static int cross_entropy_gradient_operands(const int64_t *z, test_operand *out)
{
    int count = cross_entropy_operands(z, out);
    out[0].role = IN_OUT;
    return count;
}

static void cross_entropy_gradient(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    const weft_loss loss = loss_of(z, z + 2);
    (void)accumulate;
    (void)workspace;
    device->operations->cross_entropy(device, NULL, &loss, p[0], p[1], p[3], true, p[2]);
}

/* loss of a slice: N, V, first, parts, then as of the whole; as many tokens lie behind the slice as before it */
static weft_loss slice_of(const int64_t *z)
{
    weft_loss loss = loss_of(z, z + 4);
    loss.first = (int32_t)z[2];
    loss.parts = (int32_t)z[3];
    loss.vocabulary = z[1] + 2 * z[2];
    return loss;
}

static int loss_part_operands(const int64_t *z, test_operand *out)
{
    const weft_loss loss = slice_of(z);
    DESCRIBE({"logits", IN, STORAGE, z[0] * z[1], NORMAL, 0}, {"targets", IN, INTEGER, z[0], TARGETS, loss.vocabulary},
             {"stats", OUT, FLOAT, weft_loss_statistics(&loss) * z[0], NORMAL, 0});
}

static void loss_part(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    const weft_loss loss = slice_of(z);
    (void)accumulate;
    (void)workspace;
    device->operations->loss_part(device, NULL, &loss, p[0], p[1], p[2]);
}

static int loss_finish_operands(const int64_t *z, test_operand *out)
{
    const weft_loss loss = slice_of(z);
    DESCRIBE({"logits", IN, STORAGE, z[0] * z[1], NORMAL, 0}, {"targets", IN, INTEGER, z[0], TARGETS, loss.vocabulary},
             {"stats", IN, FLOAT, z[3] * weft_loss_statistics(&loss) * z[0], POSITIVE, 0},
             {"out", OUT, FLOAT, weft_loss_numbers(&loss), NORMAL, 0}, {"scalars", IN, SCALARS, 1, NORMAL, 0});
}

static void loss_finish(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    const weft_loss loss = slice_of(z);
    (void)accumulate;
    (void)workspace;
    device->operations->loss_finish(device, NULL, &loss, p[0], p[1], p[2], NULL, false, p[3]);
}

static int loss_finish_gradient_operands(const int64_t *z, test_operand *out)
{
    int count = loss_finish_operands(z, out);
    out[0].role = IN_OUT;
    return count;
}

static void loss_finish_gradient(weft_device *device, const int64_t *z, void **p, bool accumulate, void *workspace)
{
    const weft_loss loss = slice_of(z);
    (void)accumulate;
    (void)workspace;
    device->operations->loss_finish(device, NULL, &loss, p[0], p[1], p[2], p[4], true, p[3]);
}

#define OPERATION(operation) .name = #operation, .describe = operation##_operands, .run = operation

/* One rounding to bf16 costs 1.7e-3 by this measure, at most 3.9e-3; one to fp32 2.5e-8. */
static const test_operation operations[] = {
    {OPERATION(embed_forward), .bounds = {1e-7, 4e-3, 0}},
    {OPERATION(embed_backward), .bounds = {1e-6, 0, 1e-6},
     .differences = {"embed_forward", "out", "dout", {{"wte", "dwte"}, {"wpe", "dwpe"}}, 1.0, 1e-5}},
    {OPERATION(norm_forward), .bounds = {1e-6, 4e-3, 1e-6}},
    {OPERATION(norm_backward_input), .bounds = {2e-6, 4e-3, 0},
     .differences = {"norm_forward", "out", "dout", {{"x", "dx"}}, 0.02, 2e-4}},
    {OPERATION(norm_backward_in_place), .bounds = {2e-6, 4e-3, 0},
     .differences = {"norm_forward", "out", "dout", {{NULL, NULL}}, 0, 0}},
    {OPERATION(norm_backward_weight), .bounds = {2e-6, 0, 2e-6},
     .differences = {"norm_forward", "out", "dout", {{"weight", "dweight"}, {"bias", "dbias"}}, 1.0, 1e-5}},
    {OPERATION(linear_forward), .workspace_bytes = linear_workspace, .bounds = {2e-6, 4e-3, 0}},
    {OPERATION(linear_backward_input), .workspace_bytes = linear_workspace, .bounds = {2e-6, 4e-3, 0},
     .differences = {"linear_forward", "out", "dout", {{"x", "dx"}}, 1.0, 1e-5}},
    {OPERATION(linear_backward_weight), .workspace_bytes = linear_workspace, .bounds = {2e-6, 0, 2e-6},
     .differences = {"linear_forward", "out", "dout", {{"w", "dw"}, {"bias", "dbias"}}, 1.0, 1e-5}},
    {OPERATION(activation_forward), .bounds = {1e-6, 4e-3, 0}},
    {OPERATION(activation_backward), .bounds = {2e-6, 4e-3, 0},
     .differences = {"activation_forward", "out", "dout", {{"x", "dx"}}, 0.05, 1e-4}},
    {OPERATION(rotary_forward), .bounds = {1e-6, 4e-3, 0}},
    {OPERATION(rotary_backward), .bounds = {1e-6, 4e-3, 0},
     .differences = {"rotary_forward", "x", "dx", {{"x", "dx"}}, 1.0, 1e-5}},
    {OPERATION(attention_forward), .workspace_bytes = attention_workspace, .bounds = {2e-6, 1e-2, 1e-5}},
    {OPERATION(attention_step), .workspace_bytes = attention_workspace, .bounds = {2e-6, 1e-2, 0}},
    {OPERATION(attention_backward), .workspace_bytes = attention_workspace, .bounds = {1e-5, 1e-2, 0},
     .differences = {"attention_forward", "out", "dout", {{"qkv", "dqkv"}}, 0.05, 2e-4}},
    {OPERATION(add), .bounds = {1e-7, 4e-3, 0}},
    {OPERATION(sum), .bounds = {0, 4e-3, 0}},
    {OPERATION(sum_fp32), .bounds = {0, 0, 0}},
    {OPERATION(round_to_storage), .bounds = {0, 4e-3, 0}},
    {OPERATION(cross_entropy), .bounds = {1e-6, 0, 1e-6}},
    {OPERATION(cross_entropy_gradient), .bounds = {2e-6, 4e-3, 1e-6},
     .differences = {"cross_entropy", "out", NULL, {{"logits", "logits"}}, 0.25, 1e-3}},
    {OPERATION(loss_part), .bounds = {1e-6, 0, 1e-6}},
    {OPERATION(loss_finish), .bounds = {1e-6, 0, 1e-6}},
    {OPERATION(loss_finish_gradient), .bounds = {2e-6, 4e-3, 1e-6}},
    {OPERATION(square_sums), .bounds = {1e-12, 0, 1e-12}},
    {OPERATION(place_sums), .bounds = {0, 0, 0}},
    {OPERATION(norm_finish), .bounds = {1e-7, 0, 1e-7}},
    {OPERATION(judge)},
    {OPERATION(adamw), .bounds = {1e-6, 4e-3, 1e-6}},
};

const test_operation *operation_find(const char *name)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (strcmp(operations[i].name, name) == 0) return &operations[i];
    }
    return NULL;
}
