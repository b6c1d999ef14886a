#include "rig.h"

#include "base/random.h"

weft_model_config rig_gpt2(void)
{
    return (weft_model_config){.layers = 3,
                               .width = 16,
                               .heads = 4,
                               .kv_heads = 4,
                               .feed_forward = 32,
                               .vocabulary = 23,
                               .context = 12,
                               .norm = WEFT_CONFIG_LAYERNORM,
                               .position = WEFT_CONFIG_LEARNED,
                               .activation = WEFT_CONFIG_GELU,
                               .bias = true,
                               .tied = true,
                               .norm_epsilon = 1e-5,
                               .rotary_base = 10000,
                               .init_deviation = 0.2};
}

weft_model_config rig_llama(void)
{
    weft_model_config model = rig_gpt2();
    model.architecture = 1;
    model.kv_heads = 2;
    model.feed_forward = 24;
    model.norm = WEFT_CONFIG_RMSNORM;
    model.position = WEFT_CONFIG_ROTARY;
    model.activation = WEFT_CONFIG_SWIGLU;
    model.bias = model.tied = false;
    return model;
}

/* What families of models add to Llama or leave out, alone and together. */
static weft_model_config kin(int index)
{
    static const struct {
        bool bias, tied, qkv_bias, query_key_norm;
        int64_t kv_heads, head_width, window, rotary_scaling;
    } rows[RIG_MODELS - RIG_MIXED] = {
        {.kv_heads = 2, .head_width = 6},
        {.kv_heads = 2, .qkv_bias = true, .tied = true},
        {.kv_heads = 2, .head_width = 8, .query_key_norm = true},
        {.kv_heads = 4, .bias = true, .window = 3, .rotary_scaling = WEFT_CONFIG_SCALING_LINEAR},
        {.kv_heads = 2,
         .head_width = 2,
         .query_key_norm = true,
         .window = 5,
         .rotary_scaling = WEFT_CONFIG_SCALING_YARN},
        {.kv_heads = 4, .head_width = 6, .qkv_bias = true, .rotary_scaling = WEFT_CONFIG_SCALING_LLAMA3},
        {.kv_heads = 4, .head_width = 6, .bias = true, .tied = true, .query_key_norm = true, .window = 2},
    };
    weft_model_config model = rig_llama();
    model.kv_heads = rows[index].kv_heads;
    model.head_width = rows[index].head_width;
    model.bias = rows[index].bias;
    model.tied = rows[index].tied;
    model.qkv_bias = rows[index].qkv_bias;
    model.query_key_norm = rows[index].query_key_norm;
    model.window = rows[index].window;
    model.rotary_scaling = rows[index].rotary_scaling;
    model.rotary_factor = 4;
    model.rotary_context = 100;
    model.rotary_low = model.rotary_slow = 1;
    model.rotary_high = model.rotary_fast = 12;
    return model;
}

weft_model_config rig_mixed(int flags)
{
    if (flags >= RIG_MIXED) return kin(flags - RIG_MIXED);
    weft_model_config model = rig_gpt2();
    model.kv_heads = flags & 1 ? 2 : 4;
    model.norm = flags & 1;
    model.position = flags >> 1 & 1;
    model.activation = flags >> 2 & 1;
    model.bias = flags >> 3 & 1;
    model.tied = flags >> 4 & 1;
    return model;
}

void rig_tokens(int64_t vocabulary, int64_t count, int32_t *tokens, int32_t *targets)
{
    weft_random_key key = weft_random_key_make(3, "tokens");
    for (int64_t i = 0; i < count; i++) {
        tokens[i] = (int32_t)(weft_random_bits(key, (uint64_t)i) % (uint64_t)vocabulary);
        targets[i] = (int32_t)(weft_random_bits(key, (uint64_t)(i + count)) % (uint64_t)vocabulary);
    }
    targets[5] = targets[count - 1] = -1;
}

void *rig_allocate(const model_rig *rig, size_t bytes)
{
    void *memory = NULL, *fill = malloc(bytes + 1);
    weft_error error;
    assert_non_null(fill);
    memset(fill, 0xff, bytes + 1);
    assert_int_equal(rig->device->operations->allocate(rig->device, WEFT_MEMORY_DEVICE, bytes, &memory, &error),
                     WEFT_OK);
    if (bytes > 0) rig_write(rig, memory, fill, bytes);
    free(fill);
    return memory;
}

void rig_release(const model_rig *rig, void *memory)
{
    if (memory == NULL) return;
    assert_int_equal(rig->device->operations->stream_wait(rig->device, NULL, NULL), WEFT_OK);
    rig->device->operations->release(rig->device, memory);
}

void rig_read(const model_rig *rig, void *to, const void *from, size_t bytes)
{
    assert_int_equal(rig->device->operations->read(rig->device, to, from, bytes, NULL), WEFT_OK);
}

void rig_write(const model_rig *rig, void *to, const void *from, size_t bytes)
{
    assert_int_equal(rig->device->operations->write(rig->device, to, from, bytes, NULL), WEFT_OK);
}

void rig_check(const model_rig *rig)
{
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_device_check(rig->device, &error);
    if (status != WEFT_OK) fail_msg("%s: %s", rig->kind->name, error.text);
}

/* Norms and biases are not left at one and zero, so that a term that they multiply is not lost to the test. */
static void draw(const weft_parameter *parameter, int32_t index, float *out)
{
    weft_parameter_init(parameter, index, 5, 0, parameter->own, out);
    if (parameter->init == WEFT_INIT_NORMAL) return;
    weft_random_key key = weft_random_key_make(6, parameter->name);
    weft_piece pieces[WEFT_PIECES];
    int32_t count = weft_parameter_pieces(parameter, index, 0, parameter->own, pieces);
    for (int32_t i = 0; i < count; i++) {
        float *next = out + pieces[i].at;
        for (int64_t row = 0; row < pieces[i].rows; row++)
            for (int64_t column = 0; column < pieces[i].columns; column++) {
                int64_t element = pieces[i].from + row * parameter->shape[1] + column;
                *next++ += (float)(0.1 * weft_random_normal(key, (uint64_t)element));
            }
    }
}

bool rig_runs_on(const weft_device_kind *kind)
{
    return !kind->computes_nothing && (kind->count == NULL || kind->count() > 0);
}

void rig_init(model_rig *rig, const weft_device_kind *kind, weft_element element, const weft_model_config *model,
              int64_t B, int64_t T)
{
    rig_init_slice(rig, kind, element, model, B, T, (weft_slice){0, 1}, NULL);
}

void rig_init_slice(model_rig *rig, const weft_device_kind *kind, weft_element element, const weft_model_config *model,
                    int64_t B, int64_t T, weft_slice slice, const weft_stage_exchange *exchange)
{
    weft_error error;
    *rig = (struct model_rig){.model = *model,
                              .slice = slice,
                              .exchange = exchange,
                              .B = B,
                              .T = T,
                              .kind = kind,
                              .options = {.element = element, .threads = 1}};
    assert_int_equal(kind->create(&rig->options, &rig->device, &error), WEFT_OK);
    weft_arena_init(&rig->arena);
    assert_int_equal(weft_model_parameters(model, slice.width, &rig->arena, &rig->parameters, &rig->count, &error),
                     WEFT_OK);
    size_t count = (size_t)rig->count;
    assert_int_equal(weft_arena_take(&rig->arena, count, sizeof *rig->weight, &rig->weight, &error), WEFT_OK);
    assert_int_equal(weft_arena_take(&rig->arena, count, sizeof *rig->gradient, &rig->gradient, &error), WEFT_OK);
    assert_int_equal(weft_arena_take(&rig->arena, count, sizeof *rig->storage, &rig->storage, &error), WEFT_OK);
    for (int32_t p = 0; p < rig->count; p++) {
        const weft_parameter *parameter = &rig->parameters[p];
        size_t bytes = (size_t)parameter->own * sizeof(float);
        rig->gradient[p] = rig_allocate(rig, bytes);
        if (parameter->tied) {
            rig->weight[p] = rig->weight[0];
            rig->storage[p] = rig->storage[0];
            continue;
        }
        rig->weight[p] = rig_allocate(rig, bytes);
        rig->storage[p] = element == WEFT_FP32 ? rig->weight[p] : rig_allocate(rig, bytes / 2);
        float *values = malloc(bytes);
        assert_non_null(values);
        draw(parameter, slice.index, values);
        rig_write(rig, rig->weight[p], values, bytes);
        free(values);
    }
    rig_round(rig);
}

void rig_fini(model_rig *rig)
{
    for (int32_t p = 0; p < rig->count; p++) {
        rig_release(rig, rig->gradient[p]);
        if (rig->parameters[p].tied) continue;
        if (rig->storage[p] != rig->weight[p]) rig_release(rig, rig->storage[p]);
        rig_release(rig, rig->weight[p]);
    }
    weft_arena_fini(&rig->arena);
    rig->device->operations->destroy(rig->device);
}

void rig_round(model_rig *rig)
{
    for (int32_t p = 0; p < rig->count; p++) {
        if (rig->storage[p] == rig->weight[p]) continue;
        rig->device->operations->round(rig->device, NULL, rig->parameters[p].own, rig->weight[p], rig->storage[p]);
    }
}

static weft_stage_shape stage_shape(const model_rig *rig, const rig_plan *plan, int32_t s, bool forward_only)
{
    int32_t first = 0;
    for (int32_t i = 0; i < s; i++) first += plan->layers[i];
    return (weft_stage_shape){.model = &rig->model,
                              .slice = rig->slice,
                              .first_layer = first,
                              .layer_count = plan->layers[s],
                              .embedding = s == 0,
                              .head = s == plan->stages - 1,
                              .B = rig->B,
                              .T = rig->T,
                              .recompute = plan->recompute,
                              .forward_only = forward_only,
                              .loss = rig->loss,
                              .device = rig->kind,
                              .options = rig->options};
}

int64_t rig_numbers(const model_rig *rig)
{
    const weft_stage_shape shape = {.model = &rig->model, .B = rig->B, .T = rig->T, .loss = rig->loss};
    return weft_stage_losses(&shape);
}

/* One stage and the slots of each of its micro-batches. */
typedef struct stage_cell {
    weft_stage *stage;
    weft_stage_bytes bytes;
    weft_stage_buffers *buffers; /* (M) */
} stage_cell;

static void make_cells(model_rig *rig, const rig_plan *plan, int64_t M, bool forward_only, stage_cell *cells)
{
    size_t boundary = (size_t)(rig->B * rig->T / rig->slice.width * rig->model.width);
    boundary *= weft_element_bytes(rig->options.element);
    boundary = (boundary + rig->kind->alignment - 1) / rig->kind->alignment * rig->kind->alignment;
    for (int32_t s = 0; s < plan->stages; s++) {
        weft_stage_shape shape = stage_shape(rig, plan, s, forward_only);
        int32_t first, count;
        weft_stage_parameters(&shape, rig->parameters, rig->count, &first, &count);
        weft_stage_weights weights = {.storage = (const void *const *)(rig->storage + first),
                                      .gradient = forward_only ? NULL : rig->gradient + first,
                                      .exchange = rig->exchange};
        weft_error error;
        assert_int_equal(weft_stage_create(&shape, rig->device, &weights, &cells[s].stage, &error), WEFT_OK);
        cells[s].bytes = weft_stage_memory(&shape);
        assert_int_equal(cells[s].bytes.input, s == 0 ? 0 : boundary);
        cells[s].buffers = calloc((size_t)M, sizeof *cells[s].buffers);
        assert_non_null(cells[s].buffers);
        for (int64_t m = 0; m < M; m++) {
            weft_stage_buffers *buffers = &cells[s].buffers[m];
            buffers->stash = rig_allocate(rig, cells[s].bytes.stash);
            if (s == 0) continue;
            void *input = rig_allocate(rig, boundary);
            buffers->input = input;
            cells[s - 1].buffers[m].output = input;
            if (forward_only) continue;
            buffers->gradient_out = rig_allocate(rig, boundary);
            cells[s - 1].buffers[m].gradient = buffers->gradient_out;
        }
    }
}

static void free_cells(model_rig *rig, int32_t stages, int64_t M, stage_cell *cells)
{
    for (int32_t s = stages - 1; s >= 0; s--) {
        for (int64_t m = 0; m < M; m++) {
            rig_release(rig, cells[s].buffers[m].stash);
            rig_release(rig, cells[s].buffers[m].work);
            rig_release(rig, cells[s].buffers[m].gradient_out);
            if (s > 0) rig_release(rig, cells[s - 1].buffers[m].output);
        }
        free(cells[s].buffers);
        weft_stage_destroy(cells[s].stage);
    }
    free(cells);
}

typedef void (*stage_call)(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers);

/* One action, with a workspace of its own. */
static void act(model_rig *rig, stage_cell *cell, int64_t m, stage_call call)
{
    weft_stage_buffers *buffers = &cell->buffers[m];
    if (call == weft_stage_backward_input) buffers->work = rig_allocate(rig, cell->bytes.work);
    buffers->workspace = rig_allocate(rig, cell->bytes.workspace);
    buffers->accumulate = m > 0;
    call(cell->stage, NULL, buffers);
    rig_release(rig, buffers->workspace);
    buffers->workspace = NULL;
}

static void backward(model_rig *rig, const rig_plan *plan, int64_t M, stage_cell *cells, stage_call call)
{
    for (int64_t m = 0; m < M; m++) {
        cells[plan->stages - 1].buffers[m].loss = NULL; /* may have been read already */
        for (int32_t s = plan->stages - 1; s >= 0; s--) act(rig, &cells[s], m, call);
    }
}

static void *to_device(const model_rig *rig, const int32_t *values, int64_t count)
{
    void *memory = rig_allocate(rig, (size_t)count * sizeof *values);
    rig_write(rig, memory, values, (size_t)count * sizeof *values);
    return memory;
}

static void poison_gradients(model_rig *rig)
{
    for (int32_t p = 0; p < rig->count; p++) {
        size_t bytes = (size_t)rig->parameters[p].own * sizeof(float);
        void *poison = rig_allocate(rig, bytes);
        rig->device->operations->copy(rig->device, NULL, rig->gradient[p], poison, bytes);
        rig_release(rig, poison);
    }
}

void rig_step(model_rig *rig, const rig_plan *plan, int64_t M, const int32_t *tokens, const int32_t *targets,
              float *losses)
{
    int64_t N = rig->B * rig->T, counted = 0;
    for (int64_t i = 0; i < M * N; i++) counted += targets[i] >= 0;
    stage_cell *cells = calloc((size_t)plan->stages, sizeof *cells);
    assert_non_null(cells);
    make_cells(rig, plan, M, false, cells);
    void *device_tokens = to_device(rig, tokens, M * N), *device_targets = to_device(rig, targets, M * N);
    int32_t *documents = rig->documents ? to_device(rig, rig->documents, M * N) : NULL;
    int32_t *positions = rig->positions ? to_device(rig, rig->positions, M * N) : NULL;
    int64_t numbers = rig_numbers(rig);
    float *loss = rig_allocate(rig, (size_t)(M * numbers) * sizeof *loss);
    const weft_step_scalars scalars = {.loss_gradient_scale = 1.0f / (float)counted};
    weft_step_scalars *device_scalars = rig_allocate(rig, sizeof scalars);
    rig_write(rig, device_scalars, &scalars, sizeof scalars);
    poison_gradients(rig);
    for (int64_t m = 0; m < M; m++) {
        cells[0].buffers[m].tokens = (const int32_t *)device_tokens + m * N;
        weft_stage_buffers *last = &cells[plan->stages - 1].buffers[m];
        last->targets = (const int32_t *)device_targets + m * N;
        last->loss = loss + m * numbers;
        last->scalars = device_scalars;
        for (int32_t s = 0; s < plan->stages; s++) {
            cells[s].buffers[m].documents = documents ? documents + m * N : NULL;
            cells[s].buffers[m].positions = positions ? positions + m * N : NULL;
        }
        for (int32_t s = 0; s < plan->stages; s++) act(rig, &cells[s], m, weft_stage_forward);
    }
    if (plan->split) {
        backward(rig, plan, M, cells, weft_stage_backward_input);
        backward(rig, plan, M, cells, weft_stage_backward_weight);
    } else {
        backward(rig, plan, M, cells, weft_stage_backward);
    }
    rig_read(rig, losses, loss, (size_t)(M * numbers) * sizeof *losses);
    rig_check(rig);
    rig_release(rig, device_scalars);
    rig_release(rig, loss);
    if (positions) rig_release(rig, positions);
    if (documents) rig_release(rig, documents);
    rig_release(rig, device_targets);
    rig_release(rig, device_tokens);
    free_cells(rig, plan->stages, M, cells);
}

void rig_join_tied(model_rig *rig)
{
    const weft_parameter *last = &rig->parameters[rig->count - 1];
    if (!last->tied) return;
    const void *parts[] = {rig->gradient[0], rig->gradient[rig->count - 1]};
    rig->device->operations->sum(rig->device, NULL, WEFT_FP32, last->elements, 2, parts, rig->gradient[0]);
}

static void forward_only(model_rig *rig, const rig_plan *plan, const int32_t *tokens, weft_stage_buffers last)
{
    stage_cell *cells = calloc((size_t)plan->stages, sizeof *cells);
    assert_non_null(cells);
    make_cells(rig, plan, 1, true, cells);
    void *device_tokens = to_device(rig, tokens, rig->B * rig->T);
    cells[0].buffers->tokens = device_tokens;
    weft_stage_buffers *end = cells[plan->stages - 1].buffers;
    end->targets = last.targets;
    end->loss = last.loss;
    end->logits = last.logits;
    end->logits_position = last.logits_position;
    for (int32_t s = 0; s < plan->stages; s++) act(rig, &cells[s], 0, weft_stage_forward);
    rig_check(rig);
    rig_release(rig, device_tokens);
    free_cells(rig, plan->stages, 1, cells);
}

float rig_loss(model_rig *rig, const rig_plan *plan, const int32_t *tokens, const int32_t *targets)
{
    void *device_targets = to_device(rig, targets, rig->B * rig->T);
    float *loss = rig_allocate(rig, (size_t)rig_numbers(rig) * sizeof *loss), value;
    forward_only(rig, plan, tokens, (weft_stage_buffers){.targets = device_targets, .loss = loss});
    rig_read(rig, &value, loss, sizeof value);
    rig_release(rig, loss);
    rig_release(rig, device_targets);
    return value;
}

void rig_logits(model_rig *rig, const rig_plan *plan, const int32_t *tokens, int64_t position, float *out)
{
    int64_t count = rig->B * rig->model.vocabulary;
    size_t bytes = (size_t)count * weft_element_bytes(rig->options.element);
    void *logits = rig_allocate(rig, bytes);
    forward_only(rig, plan, tokens, (weft_stage_buffers){.logits = logits, .logits_position = position});
    rig_read(rig, out, logits, bytes);
    if (rig->options.element == WEFT_BF16) {
        const uint16_t *halves = (const uint16_t *)(const void *)out;
        for (int64_t i = count - 1; i >= 0; i--) out[i] = weft_bf16_to_float(halves[i]);
    }
    rig_release(rig, logits);
}
