#include "plan/machine.h"

#include <math.h>
#include <string.h>

static const weft_plan_gpu gpus[] = {
#include "plan/gpus.def"
    {.name = ""},
};

const weft_plan_gpu *weft_plan_gpus(void)
{
    return gpus;
}

const weft_plan_gpu *weft_plan_gpu_find(const char *name)
{
    for (const weft_plan_gpu *gpu = gpus; gpu->name[0]; gpu++)
        if (strcmp(gpu->name, name) == 0) return gpu;
    return NULL;
}

void weft_plan_cluster_init(weft_plan_cluster *cluster, const weft_plan_gpu *gpu, const weft_plan_software *software)
{
    *cluster = (weft_plan_cluster){.gpu = *gpu,
                                   .software = *software,
                                   .nodes = 1,
                                   .gpus_per_node = 8,
                                   .nic = 8 * gpu->nic,
                                   .nic_efficiency = 0.6,
                                   .collective_start = 30e-6,
                                   .message_start = 500e-6,
                                   .reserved = 1.5e9,
                                   .network = WEFT_PLAN_ASSUMED};
}

/* Beyond these no product of a few numbers is one any more. */
static const double smallest = 1e-12, largest = 1e24;

/* What a number of this key counts in: by the end of its name. */
static double unit_of(const char *key)
{
    static const struct {
        const char *end;
        double unit;
    } units[] = {{"_us", 1e-6}, {"us_per_layer", 1e-6}, {"_ms", 1e-3},    {"tflops", 1e12},
                 {"_gb", 1e9},  {"gb_per_s", 1e9},      {"per_node", 1e9}};
    size_t length = strlen(key);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t end = strlen(units[i].end);
        if (length > end && strcmp(key + length - end, units[i].end) == 0) return units[i].unit;
    }
    return 1;
}

static weft_status positive(const char *key, double value, weft_error *error)
{
    if (value >= smallest && value <= largest) return WEFT_OK;
    if (!(value > 0)) FAIL(error, WEFT_INVALID, "%s: %g is not a number above 0", key, value / unit_of(key));
    FAIL(error, WEFT_INVALID, "%s: is out of range", key);
}

static weft_status not_negative(const char *key, double value, weft_error *error)
{
    if (value >= 0 && value <= largest) return WEFT_OK;
    if (!(value >= 0)) FAIL(error, WEFT_INVALID, "%s: %g is not a number from 0 up", key, value / unit_of(key));
    FAIL(error, WEFT_INVALID, "%s: is out of range", key);
}

/* All numbers of a cluster that must lie above 0, and those that may be 0. */
static weft_status check_gpu(const weft_plan_gpu *gpu, weft_error *error)
{
    const struct {
        const char *key;
        double value;
    } rows[] = {{"gpu.memory_gb", gpu->memory},
                {"gpu.peak_tflops", gpu->peak},
                {"gpu.memory_gb_per_s", gpu->bandwidth},
                {"gpu.multiprocessors", gpu->multiprocessors},
                {"gpu.product_efficiency", gpu->products},
                {"gpu.memory_efficiency", gpu->traffic},
                {"gpu.attention_efficiency", gpu->attention},
                {"gpu.unaligned_times", gpu->unaligned},
                {"link_in_node.gb_per_s", gpu->link}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) TRY(positive(rows[i].key, rows[i].value, error));
    TRY(not_negative("gpu.fill", gpu->fill, error));
    TRY(not_negative("gpu.scores_bytes", gpu->scores, error));
    return not_negative("gpu.loss_bytes", gpu->loss, error);
}

static weft_status check_software(const weft_plan_software *software, weft_error *error)
{
    const struct {
        const char *key;
        double value;
    } rows[] = {{"software.host_us_per_layer", software->host},
                {"software.host_per_tensor", software->tensor_host},
                {"software.host_unfused", software->unfused_host},
                {"software.contention", software->contention},
                {"software.tensor_exposed", software->tensor_exposed},
                {"software.data_reduce_times", software->data_reduce},
                {"software.step_ms", software->step},
                {"software.stall_us", software->stall},
                {"software.optimizer_traffic_bytes", software->optimizer},
                {"software.gradient_bytes", software->gradient_bytes},
                {"software.optimizer_bytes", software->optimizer_bytes},
                {"software.reduced_bytes", software->reduced_bytes},
                {"software.gathered_bytes", software->gathered_bytes},
                {"software.gather_times", software->gather_times},
                {"software.selective_share", software->selective},
                {"software.logits_bytes", software->logits},
                {"software.work_times", software->work}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) TRY(not_negative(rows[i].key, rows[i].value, error));
    if (software->selective > 1)
        FAIL(error, WEFT_INVALID, "software.selective_share: %g is not a share, 0 to 1", software->selective);
    TRY(positive("software.speed", software->speed, error));
    TRY(positive("software.weight_bytes", software->weight_bytes, error));
    TRY(positive("software.memory_slack", software->slack, error));
    if (software->combine >= 1 && software->combine <= 100) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "software.host_exponent: %g is not between 1 and 100", software->combine);
}

weft_status weft_plan_cluster_check(const weft_plan_cluster *cluster, weft_error *error)
{
    const weft_plan_gpu *gpu = &cluster->gpu;
    if (cluster->nodes < 1 || cluster->nodes > 1 << 20)
        FAIL(error, WEFT_INVALID, "nodes: %d is not between 1 and %d", cluster->nodes, 1 << 20);
    if (cluster->gpus_per_node < 1 || cluster->gpus_per_node > 1024)
        FAIL(error, WEFT_INVALID, "gpus_per_node: %d is not between 1 and 1024", cluster->gpus_per_node);
    TRY(check_gpu(gpu, error));
    TRY(check_software(&cluster->software, error));
    TRY(positive("link_between.gb_per_s_per_node", cluster->nic, error));
    TRY(positive("link_between.efficiency", cluster->nic_efficiency, error));
    TRY(not_negative("link_between.start_us", cluster->collective_start, error));
    TRY(not_negative("link_between.message_us", cluster->message_start, error));
    TRY(not_negative("link_in_node.message_us", cluster->near_message_start, error));
    TRY(not_negative("link_in_node.message_gather_gb_per_s", cluster->message_gather, error));
    TRY(not_negative("memory_reserved_gb", cluster->reserved, error));
    TRY(not_negative("price_per_gpu_hour", cluster->price, error));
    if (cluster->reserved >= gpu->memory)
        FAIL(error, WEFT_INVALID, "memory_reserved_gb: %g leaves nothing of the %g GB of a GPU",
             cluster->reserved / 1e9, gpu->memory / 1e9);
    return WEFT_OK;
}

/* Rings that are not in the table take the next smaller one's bus, and start as much later as the next one's does. */
static weft_plan_ring find_ring(const weft_plan_gpu *gpu, int32_t members)
{
    weft_plan_ring best = {0, 0.6 * gpu->link};
    for (int i = 0; i < WEFT_PLAN_RINGS && gpu->rings[i].bus > 0; i++) {
        if (2 << i > members && i > 0) break;
        best = gpu->rings[i];
    }
    return best;
}

double weft_plan_all_reduce(const weft_plan_cluster *cluster, double bytes, int32_t members, int32_t in_node,
                            int32_t sharing)
{
    double inside = 0, across = 0;
    if (members < 2) return 0;
    if (in_node > members) in_node = members;
    if (in_node > 1) {
        weft_plan_ring ring = find_ring(&cluster->gpu, in_node);
        inside = ring.start + 2.0 * (in_node - 1) / in_node * bytes / ring.bus;
    }
    double nodes = (double)members / in_node;
    if (nodes > 1)
        across = cluster->collective_start * log2(nodes) +
                 2.0 * (members - 1) / members * bytes * sharing / (cluster->nic * cluster->nic_efficiency);
    return inside > across ? inside : across;
}
