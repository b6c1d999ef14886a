#include "model/stage.h"

void *weft_run_region(const weft_run *run, weft_region region, int32_t index)
{
    const weft_layout *layout = &run->stage->layout;
    weft_layout_group group = weft_region_group(region);
    const weft_layout_place *place = &run->places[group];
    size_t instance = (size_t)(index % place->instances);
    return run->memory[place->memory] + place->base + instance * layout->group_bytes[group] + layout->offset[region];
}

/* The first stage stores the embedding's output; the others' first input lies in the neighbour's slot. */
static void *boundary(const weft_run *run, weft_region region, int32_t index)
{
    return weft_run_region(run, region, index - (run->stage->shape.embedding ? 0 : 1));
}

static bool first_boundary(const weft_run *run, int32_t index)
{
    return index == 0 && !run->stage->shape.embedding;
}

static bool last_boundary(const weft_run *run, int32_t index)
{
    return index == run->stage->shape.layer_count && !run->stage->shape.head;
}

const void *weft_run_input(const weft_run *run, int32_t index)
{
    return first_boundary(run, index) ? run->buffers->input : boundary(run, WEFT_REGION_INPUT, index);
}

void *weft_run_input_target(const weft_run *run, int32_t index)
{
    return last_boundary(run, index) ? run->buffers->output : boundary(run, WEFT_REGION_INPUT, index);
}

const void *weft_run_gradient(const weft_run *run, int32_t index)
{
    return last_boundary(run, index) ? run->buffers->gradient : boundary(run, WEFT_REGION_INPUT_GRADIENT, index);
}

void *weft_run_gradient_target(const weft_run *run, int32_t index)
{
    return first_boundary(run, index) ? run->buffers->gradient_out : boundary(run, WEFT_REGION_INPUT_GRADIENT, index);
}

size_t weft_run_qkv_bytes(const weft_run *run)
{
    const weft_linear *qkv = &run->stage->operations.qkv;
    return (size_t)(qkv->rows * qkv->out) * weft_element_bytes(run->stage->shape.options.element);
}

int32_t weft_stage_parameter(const weft_stage_shape *shape, const weft_parameter_order *order, weft_parameter_kind kind,
                             int32_t layer)
{
    if (order->place[kind] < 0) return -1;
    weft_section section = weft_parameter_section(kind);
    int32_t first = 0;
    if (section != WEFT_SECTION_EMBEDDING && shape->embedding) first += order->count[WEFT_SECTION_EMBEDDING];
    if (section == WEFT_SECTION_LAYER) first += layer * order->count[WEFT_SECTION_LAYER];
    if (section == WEFT_SECTION_TAIL) first += shape->layer_count * order->count[WEFT_SECTION_LAYER];
    return first + order->place[kind];
}

static int32_t parameter_index(const weft_run *run, weft_parameter_kind kind, int32_t layer)
{
    return weft_stage_parameter(&run->stage->shape, &run->stage->order, kind, layer);
}

const void *weft_run_summed_bias(const weft_run *run, weft_parameter_kind kind, int32_t layer)
{
    return run->stage->shape.slice.index == 0 ? weft_run_weight(run, kind, layer) : NULL;
}

const void *weft_run_weight(const weft_run *run, weft_parameter_kind kind, int32_t layer)
{
    int32_t index = parameter_index(run, kind, layer);
    return index < 0 ? NULL : run->weights->storage[index];
}

float *weft_run_weight_gradient(const weft_run *run, weft_parameter_kind kind, int32_t layer)
{
    int32_t index = parameter_index(run, kind, layer);
    return index < 0 ? NULL : run->weights->gradient[index];
}

static weft_status check_shape(const weft_stage_shape *shape, weft_error *error)
{
    const weft_model_config *model = shape->model;
    TRY(weft_model_check(model, error));
    if (shape->B < 1 || shape->T < 1)
        FAIL(error, WEFT_INVALID, "a micro-batch needs at least one sequence of one token");
    TRY(weft_slice_check(model, shape->B * shape->T, shape->slice.width, error));
    if (model->position == WEFT_CONFIG_LEARNED && weft_stage_length(shape) > model->context)
        FAIL(error, WEFT_INVALID, "sequences of %lld tokens are longer than model.context, which is %lld",
             (long long)weft_stage_length(shape), (long long)model->context);
    if (shape->cache > 0 && (!shape->forward_only || shape->cache < shape->T))
        FAIL(error, WEFT_INVALID, "a cache of %lld tokens is for forward passes of at most as many",
             (long long)shape->cache);
    if (shape->first_layer < 0 || shape->layer_count < 0 || shape->first_layer > model->layers - shape->layer_count)
        FAIL(error, WEFT_INVALID, "a stage of layers %d to %d does not fit model.layers, which is %lld",
             shape->first_layer, shape->first_layer + shape->layer_count - 1, (long long)model->layers);
    return WEFT_OK;
}

/* Those of whoever made the stage, or its own. */
static weft_status take_angles(weft_stage *stage, weft_error *error)
{
    weft_device *device = stage->device;
    const float *angles = stage->weights.angles;
    size_t bytes = weft_stage_angle_bytes(&stage->shape);
    if (bytes == 0 || stage->shape.layer_count == 0) return WEFT_OK;
    if (!angles) {
        void *memory = NULL;
        TRY(device->operations->allocate(device, WEFT_MEMORY_DEVICE, bytes, &memory, error));
        angles = stage->own_angles = memory;
        TRY(weft_stage_angles_write(&stage->shape, device, stage->own_angles, error));
    }
    stage->cosine = angles;
    stage->sine = angles + bytes / sizeof *angles / 2;
    return WEFT_OK;
}

weft_status weft_stage_create(const weft_stage_shape *shape, weft_device *device, const weft_stage_weights *weights,
                              weft_stage **out, weft_error *error)
{
    *out = NULL;
    TRY(check_shape(shape, error));
    weft_stage *stage = NULL;
    TRY(weft_allocate(1, sizeof *stage, &stage, error));
    stage->shape = *shape;
    stage->device = device;
    stage->weights = *weights;
    stage->layout = weft_layout_make(shape);
    stage->order = weft_parameter_order_make(shape->model);
    stage->operations = weft_stage_operations_make(shape);
    weft_status status = take_angles(stage, error);
    if (status != WEFT_OK) {
        weft_stage_destroy(stage);
        return status;
    }
    *out = stage;
    return WEFT_OK;
}

void weft_stage_destroy(weft_stage *stage)
{
    if (stage == NULL) return;
    stage->device->operations->release(stage->device, stage->own_angles);
    weft_free(stage);
}

static weft_run begin(const weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers, weft_pass pass)
{
    return (weft_run){
        .stage = stage,
        .op = stage->device->operations,
        .device = stage->device,
        .stream = stream,
        .buffers = buffers,
        .weights = buffers->weights ? buffers->weights : &stage->weights,
        .places = stage->layout.places[pass],
        .memory = {[WEFT_MEMORY_STASH] = buffers->stash,
                   [WEFT_MEMORY_WORK] = buffers->work,
                   [WEFT_MEMORY_SPACE] = buffers->workspace},
        .workspace = buffers->workspace,
    };
}

/* Of one tensor-parallel worker's rows of width C. */
static int64_t own_elements(const weft_stage *stage)
{
    return stage->operations.norm.rows * stage->operations.norm.width;
}

/* A stage of nothing hands on what it got. */
static bool nothing(const weft_stage *stage)
{
    return stage->shape.layer_count == 0 && !stage->shape.embedding && !stage->shape.head;
}

static void pass_on(const weft_run *run, void *to, const void *from)
{
    run->op->copy(run->device, run->stream, to, from, run->stage->layout.group_bytes[WEFT_GROUP_INPUT]);
}

const void *weft_run_gather(const weft_run *run, const void *own)
{
    const weft_stage *stage = run->stage;
    const weft_stage_exchange *exchange = stage->weights.exchange;
    if (!exchange) return own;
    void *whole = weft_run_region(run, WEFT_REGION_EXCHANGE, 0);
    size_t element = weft_element_bytes(stage->shape.options.element);
    exchange->gather(exchange->context, run->stream, own, (size_t)own_elements(stage) * element, whole);
    return whole;
}

void *weft_run_part(const weft_run *run, void *own)
{
    return run->stage->weights.exchange ? weft_run_region(run, WEFT_REGION_EXCHANGE, 0) : own;
}

void weft_run_sum(const weft_run *run, void *own)
{
    const weft_stage_exchange *exchange = run->stage->weights.exchange;
    if (!exchange) return;
    const void *whole = weft_run_region(run, WEFT_REGION_EXCHANGE, 0);
    exchange->reduce(exchange->context, run->stream, whole, (size_t)own_elements(run->stage), own);
}

static void embed_forward(const weft_run *run)
{
    void *own = weft_run_input_target(run, 0);
    run->op->embed_forward(run->device, run->stream, &run->stage->operations.embed, run->buffers->tokens,
                           run->buffers->positions, weft_run_weight(run, WEFT_EMBEDDING_TOKEN, 0),
                           weft_run_weight(run, WEFT_EMBEDDING_POSITION, 0), weft_run_part(run, own));
    weft_run_sum(run, own);
}

void weft_run_clear_padding(const weft_run *run, float *gradient)
{
    const weft_stage_shape *shape = &run->stage->shape;
    const weft_embed *embed = &run->stage->operations.embed;
    weft_model_sizes sizes = weft_model_sizes_divide(shape->model, shape->slice.width);
    int64_t share = sizes.width[WEFT_WIDTH_VOCABULARY];
    if (gradient == NULL || run->buffers->accumulate || share == embed->V) return;
    size_t padding = (size_t)((share - embed->V) * embed->C) * sizeof *gradient;
    run->op->zero(run->device, run->stream, gradient + embed->V * embed->C, padding);
}

static void embed_backward(const weft_run *run)
{
    const weft_embed *embed = &run->stage->operations.embed;
    float *token = weft_run_weight_gradient(run, WEFT_EMBEDDING_TOKEN, 0);
    float *position = weft_run_weight_gradient(run, WEFT_EMBEDDING_POSITION, 0);
    int64_t unused = run->stage->shape.model->context - embed->T;
    if (token == NULL && position == NULL) return;
    if (position != NULL && !run->buffers->accumulate && unused > 0) {
        /* The operation writes the positions in use only. */
        run->op->zero(run->device, run->stream, position + embed->T * embed->C,
                      (size_t)(unused * embed->C) * sizeof *position);
    }
    run->op->embed_backward(run->device, run->stream, embed, run->buffers->tokens, run->buffers->positions,
                            weft_run_gather(run, weft_run_gradient(run, 0)), run->buffers->accumulate, token, position);
    weft_run_clear_padding(run, token);
}

void weft_stage_forward(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers)
{
    weft_run run = begin(stage, stream, buffers, WEFT_PASS_FORWARD);
    const weft_stage_shape *shape = &stage->shape;
    if (nothing(stage)) pass_on(&run, buffers->output, buffers->input);
    if (shape->embedding) embed_forward(&run);
    for (int32_t layer = 0; layer < shape->layer_count; layer++) weft_layer_forward(&run, layer, true);
    bool one = buffers->logits != NULL && buffers->logits_position >= 0;
    if (shape->head && one) weft_head_sample(&run);
    if (shape->head && !one && shape->cache == 0) weft_head_forward(&run);
}

void weft_stage_backward(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers)
{
    weft_run run = begin(stage, stream, buffers, WEFT_PASS_BACKWARD);
    const weft_stage_shape *shape = &stage->shape;
    if (nothing(stage)) pass_on(&run, buffers->gradient_out, buffers->gradient);
    if (shape->head) {
        weft_head_backward_input(&run);
        weft_head_backward_weight(&run);
    }
    for (int32_t layer = shape->layer_count - 1; layer >= 0; layer--) {
        weft_layer_backward_input(&run, layer);
        weft_layer_backward_weight(&run, layer);
    }
    if (shape->embedding) embed_backward(&run);
}

void weft_stage_backward_input(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers)
{
    weft_run run = begin(stage, stream, buffers, WEFT_PASS_SPLIT);
    if (nothing(stage)) pass_on(&run, buffers->gradient_out, buffers->gradient);
    if (stage->shape.head) weft_head_backward_input(&run);
    for (int32_t layer = stage->shape.layer_count - 1; layer >= 0; layer--) weft_layer_backward_input(&run, layer);
}

void weft_stage_backward_weight(weft_stage *stage, weft_stream *stream, const weft_stage_buffers *buffers)
{
    weft_run run = begin(stage, stream, buffers, WEFT_PASS_SPLIT);
    if (stage->shape.head) weft_head_backward_weight(&run);
    for (int32_t layer = stage->shape.layer_count - 1; layer >= 0; layer--) weft_layer_backward_weight(&run, layer);
    if (stage->shape.embedding) embed_backward(&run);
}
