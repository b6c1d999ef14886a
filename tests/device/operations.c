/* The layers of a model, and the table of all operations. */
#include "operations_parts.h"

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

const test_operation layer_operations[] = {
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
    {.name = NULL},
};

const test_operation *operation_find(const char *name)
{
    const test_operation *const tables[] = {layer_operations, step_operations};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const test_operation *row = tables[i]; row->name != NULL; row++)
            if (strcmp(row->name, name) == 0) return row;
    }
    return NULL;
}
