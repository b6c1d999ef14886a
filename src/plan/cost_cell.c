/* One layer, the head and the embedding of one micro-batch on one worker, by closed forms. */
#include "plan/cost.h"

#include <math.h>

/* What the forms need again and again. */
typedef struct sizes {
    const weft_plan_model *model;
    const weft_plan_cluster *cluster;
    double n, h, f, a, k, d, s, V; /* docs/plan.md; n: tokens of a micro-batch on one worker */
    double b, t, c, r;             /* r: over how many workers norms and sums are divided */
    double g;                      /* matrices that go into the feed-forward net */
    int32_t tensor;
    bool aligned;
} sizes;

/* (M, K) x (K, N): few outputs do not fill the device; little work an element is bound by memory. */
static double product(const sizes *z, double M, double N, double K)
{
    const weft_plan_gpu *gpu = &z->cluster->gpu;
    double outputs = M * N, filled = outputs / (outputs + gpu->fill * gpu->multiprocessors * 16384);
    double rate = gpu->peak * gpu->products * z->cluster->software.speed * filled;
    double time = 2 * M * N * K / rate, traffic = 2 * (M * K + K * N + M * N) / (gpu->bandwidth * gpu->traffic);
    return (time > traffic ? time : traffic) * (z->aligned ? 1 : gpu->unaligned);
}

static double traffic(const sizes *z, double bytes)
{
    return bytes / (z->cluster->gpu.bandwidth * z->cluster->gpu.traffic);
}

typedef struct shape {
    double outputs, inputs; /* columns of the weight matrix of one worker */
} shape;

enum { PRODUCTS = 4 };

static void layer_shapes(const sizes *z, shape out[PRODUCTS])
{
    out[0] = (shape){(z->a + 2 * z->k) * z->d / z->t, z->h};
    out[1] = (shape){z->h, z->a * z->d / z->t};
    out[2] = (shape){z->f * z->g / z->t, z->h};
    out[3] = (shape){z->h, z->f / z->t};
}

/* Forward; backward takes 1.5 times the traffic and twice the products of the unfused, 2.5 times the fused. */
static double attention_core(const sizes *z, bool backward)
{
    const weft_plan_gpu *gpu = &z->cluster->gpu;
    double heads = z->b * z->a / z->t, rows = z->s / z->c;
    if (z->model->attention == WEFT_PLAN_ATTENTION_FLASH)
        return 2 * heads * rows * z->s * z->d / (gpu->peak * gpu->attention) * (backward ? 2.5 : 1);
    double scores = product(z, heads * rows, z->s, z->d), values = product(z, heads * rows, z->d, z->s);
    double softmax = traffic(z, gpu->scores * heads * rows * z->s);
    return backward ? 2 * (scores + values) + 1.5 * softmax : scores + values + softmax;
}

static double all_reduce(const sizes *z)
{
    int32_t in_node = z->tensor < z->cluster->gpus_per_node ? z->tensor : z->cluster->gpus_per_node;
    return z->tensor > 1 ? weft_plan_all_reduce(z->cluster, 2 * z->n * z->h, z->tensor, in_node, 1) : 0;
}

/* Device and host work side by side, but neither quite hides the other. */
static double host_adds(const sizes *z, double device, double host)
{
    double q = z->cluster->software.combine;
    if (!(host > 0)) return 0;
    return pow(pow(device, q) + pow(host, q), 1 / q) - device;
}

static double host_time(const sizes *z)
{
    const weft_plan_software *software = &z->cluster->software;
    double host = software->host * (1 + software->tensor_host * log2(z->t));
    bool odd = fmod(z->b * z->a / z->t, 4) != 0;
    return z->model->attention == WEFT_PLAN_ATTENTION_UNFUSED && odd ? host + software->unfused_host * software->host
                                                                     : host;
}

static double layer_forward(const sizes *z)
{
    shape shapes[PRODUCTS];
    layer_shapes(z, shapes);
    double time = attention_core(z, false);
    for (int i = 0; i < PRODUCTS; i++) time += product(z, z->n, shapes[i].outputs, shapes[i].inputs);
    return time + traffic(z, z->n * z->h * (22 / z->r + 12 / z->t + 4 * z->f * z->g / (z->h * z->t)));
}

static void make_layer(const sizes *z, weft_plan_recompute recompute, weft_plan_cell *out)
{
    shape shapes[PRODUCTS];
    layer_shapes(z, shapes);
    double exposed = z->cluster->software.tensor_exposed, reduce = exposed * all_reduce(z), host = host_time(z);
    weft_plan_pass *forward = &out->forward, *input = &out->backward_input, *weight = &out->backward_weight;
    forward->device = layer_forward(z);
    forward->tensor = 2 * reduce;
    input->device =
        attention_core(z, true) + traffic(z, z->n * z->h * (30 / z->r + 16 / z->t + 6 * z->f * z->g / (z->h * z->t)));
    for (int i = 0; i < PRODUCTS; i++) {
        input->device += product(z, z->n, shapes[i].inputs, shapes[i].outputs);
        weight->device += product(z, shapes[i].inputs, shapes[i].outputs, z->n);
    }
    bool full = recompute == WEFT_PLAN_RECOMPUTE_FULL;
    input->tensor = (full ? 4 : 2) * reduce;
    if (full) input->recompute = forward->device;
    if (recompute == WEFT_PLAN_RECOMPUTE_SELECTIVE) {
        double core = attention_core(z, false), share = z->cluster->software.selective;
        input->recompute = core + share * (forward->device - core);
    }
    forward->host = host_adds(z, forward->device + forward->tensor, host);
    double backward = input->device + input->recompute + input->tensor + weight->device;
    double adds = host_adds(z, backward, (full ? 3 : 2) * host);
    weight->host = backward > 0 ? adds * weight->device / backward : 0;
    input->host = adds - weight->host;
}

static void make_edges(const sizes *z, weft_plan_cell *out)
{
    double step = 128 * z->t, columns = ceil(z->V / step) * step / z->t;
    double loss = traffic(z, z->cluster->gpu.loss * z->n * columns), reduce = all_reduce(z);
    out->head_forward.device = product(z, z->n, columns, z->h) + loss;
    out->head_backward.device = product(z, z->n, z->h, columns) + product(z, z->h, columns, z->n) + loss;
    out->embedding_forward.device = out->embedding_backward.device = traffic(z, 12 * z->n * z->h);
    out->embedding_forward.tensor = out->embedding_backward.tensor = reduce;
    out->head_parameters = out->embedding_parameters = columns * z->h;
}

static void make_memory(const sizes *z, weft_plan_recompute recompute, weft_plan_cell *out)
{
    const weft_plan_software *software = &z->cluster->software;
    bool flash = z->model->attention == WEFT_PLAN_ATTENTION_FLASH;
    double mask = z->model->dropout ? 2 : 0;
    double core = flash ? 4 * z->n * z->a / z->t : 5 * z->a / z->t * z->n * z->s;
    double body = z->n * (8 * z->h / z->r + (4 * z->a + 4 * z->k) * z->d / z->t + (2 * z->g + 2) * z->f / z->t +
                          mask * z->h / z->r);
    bool full = recompute == WEFT_PLAN_RECOMPUTE_FULL;
    out->input_bytes = 2 * z->n * z->h / z->r;
    out->saved_bytes = full ? out->input_bytes : body + core;
    if (recompute == WEFT_PLAN_RECOMPUTE_SELECTIVE) out->saved_bytes = (1 - software->selective) * body;
    /* Of one layer at a time: what is computed again, else the gradient of the scores before and after dropout. */
    double scores = flash ? 0 : 4 * z->a / z->t * z->n * z->s;
    out->again_bytes = full ? software->work * (body + core) : scores;
    if (recompute == WEFT_PLAN_RECOMPUTE_SELECTIVE) out->again_bytes += core;
    out->logits_bytes = software->logits * z->n * z->V / z->t;
    double sent = software->shards_messages ? z->t : 1;
    out->message_bytes = 2 * z->n * z->h / sent;
    double rate = z->cluster->message_gather;
    if (sent > 1 && !(z->r > 1))
        out->message_gather = rate > 0 ? 2 * z->n * z->h * (z->t - 1) / z->t / rate : all_reduce(z) / 2;
    out->layer_parameters = weft_plan_layer_parameters(z->model) / z->t;
}

static void scale(weft_plan_pass *pass, double times)
{
    pass->device *= times;
    pass->recompute *= times;
    pass->tensor *= times;
    pass->host *= times;
}

static void take_shape(const sizes *z, weft_plan_cell *out)
{
    for (int32_t i = 0; i < z->cluster->shape_count; i++) {
        const weft_plan_shape_times *known = &z->cluster->shapes[i];
        if (known->hidden != z->model->hidden || known->tokens != (int64_t)z->n || known->tensor != z->tensor) continue;
        scale(&out->forward, known->times);
        scale(&out->backward_input, known->times);
        scale(&out->backward_weight, known->times);
    }
}

static void take_edges(const weft_plan_layer_time *time, weft_plan_cell *out)
{
    out->layer_sum = time->sum;
    if (!(time->head_forward > 0)) return;
    out->embedding_forward = (weft_plan_pass){.device = time->embedding_forward};
    out->embedding_backward = (weft_plan_pass){.device = time->embedding_backward};
    out->head_forward = (weft_plan_pass){.device = time->head_forward};
    out->head_backward = (weft_plan_pass){.device = time->head_backward};
}

static void take_measured(const sizes *z, int32_t micro_batch, weft_plan_recompute recompute, weft_plan_cell *out)
{
    const weft_plan_cluster *cluster = z->cluster;
    for (int32_t i = 0; i < cluster->measured_count; i++) {
        const weft_plan_layer_time *time = &cluster->measured[i];
        if (time->hidden != z->model->hidden || time->tensor != z->tensor || time->micro_batch != micro_batch) continue;
        double backward = out->backward_input.device + out->backward_weight.device;
        double share = backward > 0 ? out->backward_input.device / backward : 0.5;
        double again = out->forward.device > 0 ? out->backward_input.recompute / out->forward.device : 0;
        out->forward = (weft_plan_pass){.device = time->forward};
        out->backward_input = (weft_plan_pass){.device = share * time->backward};
        if (recompute != WEFT_PLAN_RECOMPUTE_NONE) out->backward_input.recompute = again * time->forward;
        out->backward_weight = (weft_plan_pass){.device = (1 - share) * time->backward};
        take_edges(time, out);
        out->measured = true;
        return;
    }
}

static bool is_aligned(const weft_plan_model *model, int32_t tensor)
{
    return model->hidden % 64 == 0 && model->hidden % (64 * (int64_t)tensor) == 0;
}

void weft_plan_cell_make(const weft_plan_model *model, const weft_plan_cluster *cluster, int32_t tensor,
                         int32_t context, int32_t micro_batch, weft_plan_recompute recompute, bool sequence_parallel,
                         weft_plan_cell *out)
{
    sizes z = {.model = model,
               .cluster = cluster,
               .n = (double)micro_batch * (double)model->sequence / context,
               .h = (double)model->hidden,
               .f = (double)model->ffn,
               .a = (double)model->heads,
               .k = (double)model->kv_heads,
               .d = (double)model->head_size,
               .s = (double)model->sequence,
               .V = (double)model->vocabulary,
               .b = micro_batch,
               .t = tensor,
               .c = context,
               .r = sequence_parallel ? tensor : 1,
               .g = model->gated ? 2 : 1,
               .tensor = tensor,
               .aligned = is_aligned(model, tensor)};
    *out = (weft_plan_cell){.sample_flops = weft_plan_sample_flops(model)};
    make_layer(&z, recompute, out);
    make_edges(&z, out);
    make_memory(&z, recompute, out);
    take_shape(&z, out);
    take_measured(&z, micro_batch, recompute, out);
}
