#include "model/layout.h"

/* OWN: of a tensor-parallel worker. The last three: single numbers, of the loss. */
typedef enum row_count { TOKENS, OWN, SEQUENCES, STATISTICS, ALL_STATISTICS, LOSSES } row_count;

typedef struct region_row {
    weft_layout_group group;
    row_count rows;
    weft_width width;
    bool fp32; /* else the storage element */
} region_row;

#define KEPT WEFT_GROUP_KEPT
#define GRADIENT WEFT_GROUP_GRADIENT
#define SCRATCH WEFT_GROUP_SCRATCH

static const region_row regions[WEFT_REGIONS] = {
    [WEFT_REGION_INPUT] = {WEFT_GROUP_INPUT, OWN, WEFT_WIDTH_HIDDEN, false},
    [WEFT_REGION_INPUT_GRADIENT] = {WEFT_GROUP_INPUT_GRADIENT, OWN, WEFT_WIDTH_HIDDEN, false},
    [WEFT_REGION_EXCHANGE] = {WEFT_GROUP_EXCHANGE, TOKENS, WEFT_WIDTH_HIDDEN, false},
    [WEFT_REGION_MEAN1] = {KEPT, OWN, WEFT_WIDTH_NONE, true},
    [WEFT_REGION_RSTD1] = {KEPT, OWN, WEFT_WIDTH_NONE, true},
    [WEFT_REGION_QKV] = {KEPT, TOKENS, WEFT_WIDTH_QKV, false},
    [WEFT_REGION_RAW_QKV] = {KEPT, TOKENS, WEFT_WIDTH_NORMED_QKV, false},
    [WEFT_REGION_QUERY_RSTD] = {KEPT, TOKENS, WEFT_WIDTH_NORMED_QUERIES, true},
    [WEFT_REGION_KEY_RSTD] = {KEPT, TOKENS, WEFT_WIDTH_NORMED_KEYS, true},
    [WEFT_REGION_ATTENTION] = {KEPT, TOKENS, WEFT_WIDTH_ATTENTION, false},
    [WEFT_REGION_LOGSUMEXP] = {KEPT, TOKENS, WEFT_WIDTH_HEADS, true},
    [WEFT_REGION_MIDDLE] = {KEPT, OWN, WEFT_WIDTH_HIDDEN, false},
    [WEFT_REGION_MEAN2] = {KEPT, OWN, WEFT_WIDTH_NONE, true},
    [WEFT_REGION_RSTD2] = {KEPT, OWN, WEFT_WIDTH_NONE, true},
    [WEFT_REGION_UP] = {KEPT, TOKENS, WEFT_WIDTH_UP, false},
    [WEFT_REGION_DUP] = {GRADIENT, TOKENS, WEFT_WIDTH_UP, false},
    [WEFT_REGION_DNORM2] = {GRADIENT, OWN, WEFT_WIDTH_HIDDEN, false},
    [WEFT_REGION_DMIDDLE] = {GRADIENT, OWN, WEFT_WIDTH_HIDDEN, false},
    [WEFT_REGION_DNORMED] = {GRADIENT, TOKENS, WEFT_WIDTH_NORMED_QKV, false},
    [WEFT_REGION_DQKV] = {GRADIENT, TOKENS, WEFT_WIDTH_QKV, false},
    [WEFT_REGION_DNORM1] = {GRADIENT, OWN, WEFT_WIDTH_HIDDEN, false},
    [WEFT_REGION_NARROW] = {SCRATCH, OWN, WEFT_WIDTH_NARROW, false},
    [WEFT_REGION_WIDE] = {SCRATCH, TOKENS, WEFT_WIDTH_FORWARD, false},
    [WEFT_REGION_HEAD_MEAN] = {WEFT_GROUP_HEAD_KEPT, OWN, WEFT_WIDTH_NONE, true},
    [WEFT_REGION_HEAD_RSTD] = {WEFT_GROUP_HEAD_KEPT, OWN, WEFT_WIDTH_NONE, true},
    [WEFT_REGION_LOGITS] = {WEFT_GROUP_HEAD_KEPT, TOKENS, WEFT_WIDTH_VOCABULARY, false},
    [WEFT_REGION_HEAD_DNORM] = {WEFT_GROUP_HEAD_GRADIENT, OWN, WEFT_WIDTH_HIDDEN, false},
    [WEFT_REGION_HEAD_NORM] = {WEFT_GROUP_HEAD_SCRATCH, OWN, WEFT_WIDTH_HIDDEN, false},
    [WEFT_REGION_HEAD_ROWS] = {WEFT_GROUP_HEAD_SCRATCH, SEQUENCES, WEFT_WIDTH_HIDDEN, false},
    [WEFT_REGION_HEAD_STATISTICS] = {WEFT_GROUP_HEAD_SCRATCH, STATISTICS, WEFT_WIDTH_NONE, true},
    [WEFT_REGION_HEAD_ALL_STATISTICS] = {WEFT_GROUP_HEAD_SCRATCH, ALL_STATISTICS, WEFT_WIDTH_NONE, true},
    [WEFT_REGION_HEAD_LOSS] = {WEFT_GROUP_HEAD_SCRATCH, LOSSES, WEFT_WIDTH_NONE, true},
};

#undef KEPT
#undef GRADIENT
#undef SCRATCH

typedef enum copies { NONE = 0, ONE = 1, TWO = 2, ALL } copies;

typedef struct place_row {
    weft_memory memory;
    copies instances;
} place_row;

typedef enum stage_mode { KEEP, RECOMPUTE, FORWARD_ONLY, MODES } stage_mode;

#define STASH(n)                                                                                                       \
    {                                                                                                                  \
        WEFT_MEMORY_STASH, n                                                                                           \
    }
#define WORK(n)                                                                                                        \
    {                                                                                                                  \
        WEFT_MEMORY_WORK, n                                                                                            \
    }
#define SPACE(n)                                                                                                       \
    {                                                                                                                  \
        WEFT_MEMORY_SPACE, n                                                                                           \
    }
#define NOWHERE                                                                                                        \
    {                                                                                                                  \
        WEFT_MEMORY_NONE, NONE                                                                                         \
    }

/* Columns as in weft_layout_group. A full backward pass needs two input gradients: a layer's product of its weights
 * reads the one above while the one below is written. A forward run's layers overwrite their input by their output. */
static const place_row places[MODES][WEFT_PASSES][WEFT_GROUPS] =
    {
        [KEEP] =
            {
                [WEFT_PASS_FORWARD] = {STASH(ALL), NOWHERE, SPACE(ONE), STASH(ALL), NOWHERE, SPACE(ONE), STASH(ONE),
                                       NOWHERE, SPACE(ONE)},
                [WEFT_PASS_BACKWARD] = {STASH(ALL), SPACE(TWO), SPACE(ONE), STASH(ALL), SPACE(ONE), SPACE(ONE),
                                        STASH(ONE), SPACE(ONE), SPACE(ONE)},
                [WEFT_PASS_SPLIT] = {STASH(ALL), WORK(ALL), SPACE(ONE), STASH(ALL), WORK(ALL), SPACE(ONE),
                                     STASH(ONE), WORK(ONE), SPACE(ONE)},
            },
        [RECOMPUTE] =
            {
                [WEFT_PASS_FORWARD] = {STASH(ALL), NOWHERE, SPACE(ONE), SPACE(ONE), NOWHERE, SPACE(ONE), SPACE(ONE),
                                       NOWHERE, SPACE(ONE)},
                [WEFT_PASS_BACKWARD] =
                    {STASH(ALL), SPACE(TWO), SPACE(ONE), SPACE(ONE), SPACE(ONE), SPACE(ONE), SPACE(ONE), SPACE(ONE),
                     SPACE(ONE)},
                [WEFT_PASS_SPLIT] = {STASH(ALL), WORK(ALL), SPACE(ONE), WORK(ALL), WORK(ALL), SPACE(ONE), WORK(ONE),
                                     WORK(ONE), SPACE(ONE)},
            },
        [FORWARD_ONLY] =
            {
                [WEFT_PASS_FORWARD] = {STASH(ONE), NOWHERE, SPACE(ONE), STASH(ONE), NOWHERE, SPACE(ONE), STASH(ONE),
                                       NOWHERE, SPACE(ONE)},
            },
};

#undef STASH
#undef WORK
#undef SPACE
#undef NOWHERE

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

weft_layout_group weft_region_group(weft_region region)
{
    return regions[region].group;
}

static int32_t slice_width(const weft_stage_shape *shape)
{
    return shape->slice.width > 1 ? shape->slice.width : 1;
}

int64_t weft_stage_rows(const weft_stage_shape *shape)
{
    return shape->B * shape->T / slice_width(shape);
}

weft_stage_operations weft_stage_operations_make(const weft_stage_shape *shape)
{
    const weft_model_config *model = shape->model;
    weft_model_sizes sizes = weft_model_sizes_divide(model, shape->slice.width);
    int64_t N = shape->B * shape->T, C = sizes.width[WEFT_WIDTH_HIDDEN], F = sizes.width[WEFT_WIDTH_FORWARD];
    int64_t qkv = sizes.width[WEFT_WIDTH_QKV], D = sizes.D, A = sizes.width[WEFT_WIDTH_ATTENTION], vocabulary = 0;
    int64_t first = weft_slice_vocabulary(model, shape->slice, &vocabulary);
    int64_t length = weft_stage_length(shape);
    int64_t window = model->window < length ? model->window : 0; /* a longer one hides nothing */
    float epsilon = (float)model->norm_epsilon;
    const weft_stage_loss *loss = &shape->loss;
    return (weft_stage_operations){
        .norm = {.kind = model->norm == WEFT_CONFIG_RMSNORM ? WEFT_RMSNORM : WEFT_LAYERNORM,
                 .rows = weft_stage_rows(shape),
                 .width = C,
                 .epsilon = epsilon},
        .query_norm = {WEFT_RMSNORM, N * sizes.H, D, epsilon, sizes.H, 0, qkv},
        .key_norm = {WEFT_RMSNORM, N * sizes.G, D, epsilon, sizes.G, A, qkv},
        .embed = {N, shape->T, C, vocabulary, (int32_t)first},
        .qkv = {N, C, qkv},
        .output = {N, A, C},
        .up = {N, C, sizes.width[WEFT_WIDTH_UP]},
        .down = {N, F, C},
        .head = {N, C, vocabulary},
        .attention = {.B = shape->B, .T = length, .H = sizes.H, .G = sizes.G, .D = D, .window = window},
        .rotary = {shape->B, shape->T, sizes.H + sizes.G, D, qkv},
        .activation = {model->activation == WEFT_CONFIG_SWIGLU ? WEFT_SWIGLU : WEFT_GELU, N, F},
        .loss = {.rows = N,
                 .width = vocabulary,
                 .vocabulary = model->vocabulary,
                 .first = (int32_t)first,
                 .parts = slice_width(shape),
                 .z = shape->forward_only ? 0 : loss->z,
                 .smoothing = shape->forward_only ? 0 : loss->smoothing,
                 .plain = loss->z > 0 || loss->smoothing > 0,
                 .sequence = loss->by_sequence ? shape->T : 0},
    };
}

static size_t linear_workspace(const weft_stage_shape *shape, weft_linear linear, int64_t rows)
{
    linear.rows = rows;
    return shape->device->linear_workspace(&shape->options, &linear);
}

static size_t layer_space(const weft_stage_shape *shape)
{
    weft_stage_operations operations = weft_stage_operations_make(shape);
    const weft_linear *products[] = {&operations.qkv, &operations.output, &operations.up, &operations.down};
    size_t most = shape->device->attention_workspace(&shape->options, &operations.attention);
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        most = larger(most, linear_workspace(shape, *products[i], products[i]->rows));
    return most;
}

/* The first slice has the smallest share of the vocabulary and the last the largest. */
static size_t head_space(const weft_stage_shape *shape)
{
    size_t most = 0;
    for (int32_t slice = 0; slice<slice_width(shape); slice += slice_width(shape)> 1 ? slice_width(shape) - 1 : 1) {
        weft_stage_shape of = *shape;
        of.slice.index = slice;
        weft_linear head = weft_stage_operations_make(&of).head;
        most = larger(most, linear_workspace(shape, head, head.rows));
        most = larger(most, linear_workspace(shape, head, shape->B)); /* sampling */
    }
    return most;
}

weft_stage_space weft_stage_space_ask(const weft_stage_shape *shape)
{
    return (weft_stage_space){true, layer_space(shape), head_space(shape)};
}

/* The most that one operation of the stage needs of the device's own workspace. */
static size_t device_workspace(const weft_stage_shape *shape)
{
    const weft_stage_space *space = &shape->space;
    size_t layer = 0, head = 0;
    if (shape->layer_count > 0) layer = space->known ? space->layer : layer_space(shape);
    if (shape->head) head = space->known ? space->head : head_space(shape);
    return weft_align(larger(layer, head), shape->device->alignment);
}

static void measure_groups(const weft_stage_shape *shape, weft_layout *layout)
{
    weft_model_sizes sizes = weft_model_sizes_divide(shape->model, shape->slice.width);
    size_t element = weft_element_bytes(shape->options.element), rows = (size_t)(shape->B * shape->T);
    size_t own = (size_t)weft_stage_rows(shape), slices = (size_t)slice_width(shape);
    weft_loss loss = weft_stage_operations_make(shape).loss;
    size_t statistics = slices > 1 ? rows * (size_t)weft_loss_statistics(&loss) : 0;
    const size_t row_counts[] = {[TOKENS] = rows,
                                 [OWN] = own,
                                 [SEQUENCES] = (size_t)shape->B,
                                 [STATISTICS] = statistics,
                                 [ALL_STATISTICS] = slices * statistics,
                                 [LOSSES] = (size_t)weft_loss_numbers(&loss)};
    for (int r = 0; r < WEFT_REGIONS; r++) {
        const region_row *row = &regions[r];
        size_t bytes = row_counts[row->rows] * (size_t)sizes.width[row->width] * (row->fp32 ? sizeof(float) : element);
        if (r == WEFT_REGION_LOGITS && shape->cache > 0)
            bytes = 0; /* those that are wanted have a place of their own */
        layout->offset[r] = layout->group_bytes[row->group];
        layout->group_bytes[row->group] += weft_align(bytes, shape->device->alignment);
    }
}

/* How often each group occurs in the stage. The boundary to another stage lies in its own slot. */
static void count_groups(const weft_stage_shape *shape, int32_t count[WEFT_GROUPS])
{
    int32_t layers = shape->layer_count, boundaries = layers + shape->embedding + shape->head - 1;
    for (int g = 0; g < WEFT_GROUPS; g++) count[g] = g >= WEFT_GROUP_HEAD_KEPT ? shape->head : layers;
    count[WEFT_GROUP_EXCHANGE] = slice_width(shape) > 1;
    count[WEFT_GROUP_INPUT] = count[WEFT_GROUP_INPUT_GRADIENT] = boundaries > 0 ? boundaries : 0;
}

/* Lays the groups from first up to last one after another; at: the bytes used so far of each memory. */
static void place_range(const weft_layout *layout, const int32_t count[WEFT_GROUPS], const place_row rules[WEFT_GROUPS],
                        int first, int last, size_t at[WEFT_MEMORIES], weft_layout_place out[WEFT_GROUPS])
{
    for (int g = first; g < last; g++) {
        int32_t wanted = (int32_t)rules[g].instances;
        int32_t instances = wanted == ALL || wanted > count[g] ? count[g] : wanted;
        out[g] = (weft_layout_place){rules[g].memory, instances, at[rules[g].memory]};
        at[rules[g].memory] += (size_t)instances * layout->group_bytes[g];
    }
}

/* Lays out one pass. Head and layers are never at work together: where nothing of the layers stays, they share. */
static void place_groups(const weft_layout *layout, const int32_t count[WEFT_GROUPS],
                         const place_row rules[WEFT_GROUPS], const size_t start[WEFT_MEMORIES],
                         weft_layout_place out[WEFT_GROUPS], size_t most[WEFT_MEMORIES])
{
    size_t at[WEFT_MEMORIES], shared[WEFT_MEMORIES];
    memcpy(at, start, sizeof at);
    place_range(layout, count, rules, 0, WEFT_GROUP_KEPT, at, out);
    memcpy(shared, at, sizeof shared);
    place_range(layout, count, rules, WEFT_GROUP_KEPT, WEFT_GROUP_HEAD_KEPT, at, out);
    bool stays[WEFT_MEMORIES] = {false};
    for (int g = WEFT_GROUP_KEPT; g < WEFT_GROUP_HEAD_KEPT; g++) {
        if (rules[g].instances == ALL) stays[rules[g].memory] = true;
    }
    for (int m = 0; m < WEFT_MEMORIES; m++) {
        most[m] = larger(most[m], at[m]);
        if (!stays[m]) at[m] = shared[m];
    }
    place_range(layout, count, rules, WEFT_GROUP_HEAD_KEPT, WEFT_GROUPS, at, out);
    for (int m = 0; m < WEFT_MEMORIES; m++) most[m] = larger(most[m], at[m]);
}

weft_layout weft_layout_make(const weft_stage_shape *shape)
{
    weft_layout layout = {.offset = {0}};
    int32_t count[WEFT_GROUPS];
    measure_groups(shape, &layout);
    count_groups(shape, count);
    stage_mode mode = shape->forward_only ? FORWARD_ONLY : shape->recompute ? RECOMPUTE : KEEP;
    size_t start[WEFT_MEMORIES] = {0}, most[WEFT_MEMORIES] = {0};
    start[WEFT_MEMORY_SPACE] = device_workspace(shape);
    for (int pass = 0; pass < WEFT_PASSES; pass++)
        place_groups(&layout, count, places[mode][pass], start, layout.places[pass], most);
    size_t boundary = layout.group_bytes[WEFT_GROUP_INPUT];
    layout.bytes = (weft_stage_bytes){.input = shape->embedding ? 0 : boundary,
                                      .stash = most[WEFT_MEMORY_STASH],
                                      .work = most[WEFT_MEMORY_WORK],
                                      .workspace = most[WEFT_MEMORY_SPACE]};
    return layout;
}

int64_t weft_stage_losses(const weft_stage_shape *shape)
{
    weft_loss loss = weft_stage_operations_make(shape).loss;
    return weft_loss_numbers(&loss);
}

weft_stage_bytes weft_stage_memory(const weft_stage_shape *shape)
{
    return weft_layout_make(shape).bytes;
}

size_t weft_stage_cache_bytes(const weft_stage_shape *shape)
{
    weft_attention attention = weft_stage_operations_make(shape).attention;
    size_t elements = (size_t)(attention.B * shape->cache * 2 * attention.G * attention.D);
    size_t layer = weft_align(elements * weft_element_bytes(shape->options.element), shape->device->alignment);
    return (size_t)shape->layer_count * layer;
}
