/* What a step does beside the layers: sums, the loss, the norm of the gradients and the optimizer. */
#include "operations_parts.h"

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

const test_operation step_operations[] = {
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
    {.name = NULL},
};
