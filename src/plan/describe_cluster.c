/* Clusters from files: machines, links, measured times and what the software can do. */
#include "plan/describe.h"

#include "base/file.h"
#include "plan/members.h"
#include "plan/rings.h"
#include "program/program.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define CLUSTER(member) offsetof(weft_plan_cluster, member)

static const weft_plan_member cluster_fields[] = {
    {"nodes", WEFT_PLAN_WHOLE32, CLUSTER(nodes), 1},
    {"gpus_per_node", WEFT_PLAN_WHOLE32, CLUSTER(gpus_per_node), 1},
    {"price_per_gpu_hour", WEFT_PLAN_REAL, CLUSTER(price), 1},
    {"memory_reserved_gb", WEFT_PLAN_REAL, CLUSTER(reserved), 1e9},
    {"gpu", WEFT_PLAN_REAL, 0, 0}, /* these have readers of their own */
    {"link_in_node", WEFT_PLAN_REAL, 0, 0},
    {"link_between", WEFT_PLAN_REAL, 0, 0},
    {"software", WEFT_PLAN_REAL, 0, 0},
    {"layer_times", WEFT_PLAN_REAL, 0, 0},
    {"name", WEFT_PLAN_REAL, 0, 0},
    {NULL, 0, 0, 0},
};

static const weft_plan_member in_node_fields[] = {
    {"gb_per_s", WEFT_PLAN_REAL, CLUSTER(gpu.link), 1e9},
    {"message_us", WEFT_PLAN_REAL, CLUSTER(near_message_start), 1e-6},
    {"message_gather_gb_per_s", WEFT_PLAN_REAL, CLUSTER(message_gather), 1e9},
    {"rings", WEFT_PLAN_REAL, 0, 0},
    {"table", WEFT_PLAN_REAL, 0, 0},
    {NULL, 0, 0, 0},
};

static const weft_plan_member between_fields[] = {
    {"gb_per_s_per_node", WEFT_PLAN_REAL, CLUSTER(nic), 1e9},
    {"efficiency", WEFT_PLAN_REAL, CLUSTER(nic_efficiency), 1},
    {"start_us", WEFT_PLAN_REAL, CLUSTER(collective_start), 1e-6},
    {"message_us", WEFT_PLAN_REAL, CLUSTER(message_start), 1e-6},
    {NULL, 0, 0, 0},
};

static const weft_plan_member gpu_fields[] = {
    {"memory_gb", WEFT_PLAN_REAL, CLUSTER(gpu.memory), 1e9},
    {"peak_tflops", WEFT_PLAN_REAL, CLUSTER(gpu.peak), 1e12},
    {"memory_gb_per_s", WEFT_PLAN_REAL, CLUSTER(gpu.bandwidth), 1e9},
    {"multiprocessors", WEFT_PLAN_REAL, CLUSTER(gpu.multiprocessors), 1},
    {"product_efficiency", WEFT_PLAN_REAL, CLUSTER(gpu.products), 1},
    {"fill", WEFT_PLAN_REAL, CLUSTER(gpu.fill), 1},
    {"memory_efficiency", WEFT_PLAN_REAL, CLUSTER(gpu.traffic), 1},
    {"attention_efficiency", WEFT_PLAN_REAL, CLUSTER(gpu.attention), 1},
    {"unaligned_times", WEFT_PLAN_REAL, CLUSTER(gpu.unaligned), 1},
    {"scores_bytes", WEFT_PLAN_REAL, CLUSTER(gpu.scores), 1},
    {"loss_bytes", WEFT_PLAN_REAL, CLUSTER(gpu.loss), 1},
    {"kind", WEFT_PLAN_REAL, 0, 0},
    {NULL, 0, 0, 0},
};

static const weft_plan_member software_fields[] = {
    {"host_us_per_layer", WEFT_PLAN_REAL, CLUSTER(software.host), 1e-6},
    {"host_per_tensor", WEFT_PLAN_REAL, CLUSTER(software.tensor_host), 1},
    {"host_unfused", WEFT_PLAN_REAL, CLUSTER(software.unfused_host), 1},
    {"host_exponent", WEFT_PLAN_REAL, CLUSTER(software.combine), 1},
    {"speed", WEFT_PLAN_REAL, CLUSTER(software.speed), 1},
    {"contention", WEFT_PLAN_REAL, CLUSTER(software.contention), 1},
    {"tensor_exposed", WEFT_PLAN_REAL, CLUSTER(software.tensor_exposed), 1},
    {"data_reduce_times", WEFT_PLAN_REAL, CLUSTER(software.data_reduce), 1},
    {"step_ms", WEFT_PLAN_REAL, CLUSTER(software.step), 1e-3},
    {"stall_us", WEFT_PLAN_REAL, CLUSTER(software.stall), 1e-6},
    {"optimizer_traffic_bytes", WEFT_PLAN_REAL, CLUSTER(software.optimizer), 1},
    {"weight_bytes", WEFT_PLAN_REAL, CLUSTER(software.weight_bytes), 1},
    {"gradient_bytes", WEFT_PLAN_REAL, CLUSTER(software.gradient_bytes), 1},
    {"optimizer_bytes", WEFT_PLAN_REAL, CLUSTER(software.optimizer_bytes), 1},
    {"reduced_bytes", WEFT_PLAN_REAL, CLUSTER(software.reduced_bytes), 1},
    {"gathered_bytes", WEFT_PLAN_REAL, CLUSTER(software.gathered_bytes), 1},
    {"gather_times", WEFT_PLAN_REAL, CLUSTER(software.gather_times), 1},
    {"selective_share", WEFT_PLAN_REAL, CLUSTER(software.selective), 1},
    {"logits_bytes", WEFT_PLAN_REAL, CLUSTER(software.logits), 1},
    {"work_times", WEFT_PLAN_REAL, CLUSTER(software.work), 1},
    {"memory_slack", WEFT_PLAN_REAL, CLUSTER(software.slack), 1},
    {"adds_gradients", WEFT_PLAN_TRUTH, CLUSTER(software.adds_gradients), 1},
    {"send_shards", WEFT_PLAN_TRUTH, CLUSTER(software.shards_messages), 1},
    {"sequence_parallel", WEFT_PLAN_TRUTH, CLUSTER(software.sequence_parallel), 1},
    {"context", WEFT_PLAN_TRUTH, CLUSTER(software.context), 1},
    {"name", WEFT_PLAN_REAL, 0, 0},
    {"messages", WEFT_PLAN_REAL, 0, 0},
    {"reduce", WEFT_PLAN_REAL, 0, 0},
    {"schedules", WEFT_PLAN_REAL, 0, 0},
    {"shards", WEFT_PLAN_REAL, 0, 0},
    {"recompute", WEFT_PLAN_REAL, 0, 0},
    {NULL, 0, 0, 0},
};

static weft_status take_map(const weft_document *document, const weft_node *map, const weft_plan_member *rows,
                            weft_plan_cluster *out, weft_error *error)
{
    if (!map) return WEFT_OK;
    if (map->kind != WEFT_NODE_MAP)
        return weft_document_complain(document, map, error, "%s: a map of keys is expected here",
                                      map->key ? map->key : "cluster");
    for (const weft_node *node = map->first; node; node = node->next) {
        const weft_plan_member *row = weft_plan_member_find(rows, node->key);
        if (!row) return weft_plan_member_unknown(document, node, rows, error);
        if (row->scale != 0) TRY(weft_plan_member_set(document, node, row, out, error));
    }
    return WEFT_OK;
}

/* A name alone, or a map with one under this key. */
static weft_status take_name(const weft_document *document, const weft_node *node, const char *key, const char **out,
                             weft_error *error)
{
    const weft_node *inside = node && node->kind == WEFT_NODE_MAP ? weft_node_get(node, key) : node;
    *out = NULL;
    return inside ? weft_node_text(document, inside, out, error) : WEFT_OK;
}

/* "no 'A100' is known (nearest: 'A100-SXM-80GB')", or all there are. */
static weft_status complain_of_name(const weft_document *document, const weft_node *node, const char *key,
                                    const char *name, const char *const *names, int count, weft_error *error)
{
    char all[400] = "";
    int near = weft_text_nearest(name, names, count);
    for (int i = 0; i < count; i++) {
        size_t length = strlen(all);
        snprintf(all + length, sizeof all - length, "%s%s", i ? ", " : "", names[i]);
    }
    if (near >= 0)
        return weft_document_complain(document, node, error, "%s: no '%s' is known (nearest: '%s')", key, name,
                                      names[near]);
    return weft_document_complain(document, node, error, "%s: no '%s' is known; there are %s", key, name, all);
}

/* A kind by its name, with other numbers where they are given; a GPU without a kind must have all of its own. */
static weft_status take_gpu(const weft_document *document, const weft_node *root, weft_plan_gpu *out, weft_error *error)
{
    static const char *const needed[] = {"memory_gb", "peak_tflops", "memory_gb_per_s"};
    const weft_node *node = weft_node_get(root, "gpu");
    const char *name = NULL, *names[32];
    int count = 0;
    if (!node) return weft_document_complain(document, root, error, "gpu: which kind of GPU is missing");
    TRY(take_name(document, node, "kind", &name, error));
    for (size_t i = 0; i < sizeof needed / sizeof *needed && !name; i++)
        if (!weft_node_get(node, needed[i]))
            return weft_document_complain(document, node, error, "gpu: %s is missing, or a kind", needed[i]);
    const weft_plan_gpu *found = weft_plan_gpu_find(name ? name : "A100-SXM-80GB");
    if (found) {
        *out = *found;
        if (name) return WEFT_OK;
        snprintf(out->name, sizeof out->name, "own");
        for (size_t i = 0; i < sizeof out->origin / sizeof *out->origin; i++) out->origin[i] = WEFT_PLAN_ASSUMED;
        return WEFT_OK;
    }
    for (const weft_plan_gpu *gpu = weft_plan_gpus(); gpu->name[0] && count < 32; gpu++) names[count++] = gpu->name;
    return complain_of_name(document, node, "gpu", name, names, count, error);
}

static weft_status take_software(const weft_document *document, const weft_node *root, weft_plan_software *out,
                                 weft_error *error)
{
    const weft_node *node = weft_node_get(root, "software");
    const char *name = NULL, *names[16];
    int count = 0;
    TRY(take_name(document, node, "name", &name, error));
    const weft_plan_software *found = weft_plan_software_find(name ? name : "weft");
    if (found) {
        *out = *found;
        return WEFT_OK;
    }
    for (const weft_plan_software *s = weft_plan_softwares(); s->name[0] && count < 16; s++) names[count++] = s->name;
    return complain_of_name(document, node, "software", name, names, count, error);
}

/* One of two words. */
static weft_status take_choice(const weft_document *document, const weft_node *map, const char *key, const char *yes,
                               const char *no, bool *out, weft_error *error)
{
    const weft_node *node = weft_node_get(map, key);
    const char *word = NULL;
    if (!node) return WEFT_OK;
    TRY(weft_node_text(document, node, &word, error));
    *out = strcmp(word, yes) == 0;
    if (*out || strcmp(word, no) == 0) return WEFT_OK;
    return weft_document_complain(document, node, error, "%s: %s or %s, not '%s'", key, yes, no, word);
}

static const char *shard_name(int i)
{
    return weft_shard_names()[i];
}

static const char *recompute_name(int i)
{
    static const char *const names[WEFT_PLAN_RECOMPUTES] = {"none", "selective", "full"};
    return names[i];
}

static const char *kind_name(int i)
{
    return weft_plan_kind_name((weft_plan_kind)i);
}

/* A list of names as a set of bits. */
static weft_status take_set(const weft_document *document, const weft_node *map, const char *key,
                            const char *(*name)(int), int count, uint32_t *out, weft_error *error)
{
    const weft_node *list = weft_node_get(map, key);
    if (!list) return WEFT_OK;
    if (list->kind != WEFT_NODE_LIST || !list->first)
        return weft_document_complain(document, list, error, "%s: a list of names is expected here", key);
    *out = 0;
    for (const weft_node *node = list->first; node; node = node->next) {
        const char *word = NULL;
        int i = 0;
        TRY(weft_node_text(document, node, &word, error));
        while (i < count && strcmp(name(i), word) != 0) i++;
        if (i == count) {
            const char *names[32];
            for (int k = 0; k < count; k++) names[k] = name(k);
            return complain_of_name(document, node, key, word, names, count, error);
        }
        *out |= 1u << i;
    }
    return WEFT_OK;
}

static weft_status take_abilities(const weft_document *document, const weft_node *map, weft_plan_software *out,
                                  weft_error *error)
{
    if (!map || map->kind != WEFT_NODE_MAP) return WEFT_OK;
    TRY(take_choice(document, map, "messages", "overlapped", "blocking", &out->messages_overlap, error));
    TRY(take_choice(document, map, "reduce", "overlapped", "after", &out->reduces_overlap, error));
    TRY(take_set(document, map, "schedules", kind_name, WEFT_PLAN_KINDS, &out->kinds, error));
    TRY(take_set(document, map, "shards", shard_name, WEFT_SHARDS, &out->shards, error));
    return take_set(document, map, "recompute", recompute_name, WEFT_PLAN_RECOMPUTES, &out->recomputes, error);
}

static weft_status expect_list(const weft_document *document, const weft_node *node, weft_error *error)
{
    if (!node || node->kind == WEFT_NODE_LIST) return WEFT_OK;
    return weft_document_complain(document, node, error, "%s: a list is expected here", node->key);
}

/* rings: a list of [GPUs, start in microseconds, bus in GB/s]. */
static weft_status take_rings(const weft_document *document, const weft_node *link, weft_plan_gpu *out,
                              weft_error *error)
{
    const weft_node *list = weft_node_get(link, "rings");
    TRY(expect_list(document, list, error));
    for (const weft_node *row = list ? list->first : NULL; row; row = row->next) {
        double value[3];
        int count = 0, place = 0;
        for (const weft_node *cell = row->first; cell && count < 3; cell = cell->next)
            TRY(weft_node_number(document, cell, &value[count++], error));
        if (count < 3 || !(value[0] >= 2 && value[0] <= 1024) || !(value[1] >= 0 && value[1] < 1e9) ||
            !(value[2] > 0 && value[2] < 1e9))
            return weft_document_complain(document, row, error,
                                          "rings: [GPUs, start_us, bus_gb_per_s] is expected here");
        while (place < WEFT_PLAN_RINGS && (double)(2 << place) != value[0]) place++;
        if (place == WEFT_PLAN_RINGS)
            return weft_document_complain(document, row, error, "rings: of 2, 4, 8, ... %d GPUs, not %g",
                                          2 << (WEFT_PLAN_RINGS - 1), value[0]);
        out->rings[place] = (weft_plan_ring){value[1] * 1e-6, value[2] * 1e9};
        out->origin[3] = WEFT_PLAN_MEASURED;
    }
    return WEFT_OK;
}

/* table: a CSV file of measured all-reduces, next to the cluster's. */
static weft_status take_table(const weft_document *document, const weft_node *link, weft_plan_gpu *out,
                              weft_error *error)
{
    const weft_node *node = weft_node_get(link, "table");
    const char *file = NULL, *slash = strrchr(document->name, '/');
    char path[4096];
    if (!node) return WEFT_OK;
    TRY(weft_node_text(document, node, &file, error));
    int folder = slash && file[0] != '/' ? (int)(slash + 1 - document->name) : 0;
    if (snprintf(path, sizeof path, "%.*s%s", folder, document->name, file) >= (int)sizeof path)
        return weft_document_complain(document, node, error, "table: the path is too long");
    weft_text text;
    weft_text_init(&text);
    weft_status status = weft_file_read(path, &text, error);
    if (status == WEFT_OK) status = weft_plan_rings_read(weft_text_get(&text), text.length, path, out, error);
    weft_text_fini(&text);
    if (status != WEFT_INVALID) return status;
    return weft_error_context(error, "%s:%zu:%zu: table", document->name, node->line, node->column);
}

enum { LAYER_TIME = 5, LAYER_TIME_WITH_EDGES = 9, LAYER_TIME_WITH_SUM = 10 }; /* numbers of a row */

static weft_status take_layer_time(const weft_document *document, const weft_node *row, weft_plan_layer_time *out,
                                   weft_error *error)
{
    double value[LAYER_TIME_WITH_SUM + 1] = {0};
    int count = 0;
    for (const weft_node *cell = row->first; cell && count <= LAYER_TIME_WITH_SUM; cell = cell->next)
        TRY(weft_node_number(document, cell, &value[count++], error));
    bool sound = count == LAYER_TIME || count == LAYER_TIME_WITH_EDGES || count == LAYER_TIME_WITH_SUM;
    for (int i = 0; i < count; i++)
        if (!(value[i] >= 0 && value[i] < 1e9) || (i < LAYER_TIME_WITH_EDGES && value[i] == 0) ||
            (i < 3 && value[i] != floor(value[i])))
            sound = false;
    if (!sound)
        return weft_document_complain(document, row, error,
                                      "layer_times: [hidden, tensor, micro_batch, forward_ms, backward_ms] is expected "
                                      "here, and behind it, where "
                                      "they were measured, both of the embedding, both of the head, and what a tensor "
                                      "group adds up a layer and step");
    *out = (weft_plan_layer_time){.hidden = (int64_t)value[0],
                                  .tensor = (int32_t)value[1],
                                  .micro_batch = (int32_t)value[2],
                                  .forward = value[3] * 1e-3,
                                  .backward = value[4] * 1e-3,
                                  .embedding_forward = value[5] * 1e-3,
                                  .embedding_backward = value[6] * 1e-3,
                                  .head_forward = value[7] * 1e-3,
                                  .head_backward = value[8] * 1e-3,
                                  .sum = value[9] * 1e-3};
    return WEFT_OK;
}

static weft_status take_layer_times(const weft_document *document, const weft_node *root, weft_arena *arena,
                                    weft_plan_cluster *out, weft_error *error)
{
    const weft_node *list = weft_node_get(root, "layer_times");
    TRY(expect_list(document, list, error));
    int32_t count = 0;
    for (const weft_node *row = list ? list->first : NULL; row; row = row->next) count++;
    weft_plan_layer_time *times = NULL;
    TRY(weft_arena_take(arena, (size_t)count, sizeof *times, &times, error));
    for (const weft_node *row = list ? list->first : NULL; row; row = row->next)
        TRY(take_layer_time(document, row, &times[out->measured_count++], error));
    out->measured = times;
    return WEFT_OK;
}

/* The deepest node on the way of "a.b: message" from map on. */
static const weft_node *blame(const weft_node *map, const char *message)
{
    for (const char *at = message; map->kind == WEFT_NODE_MAP;) {
        size_t length = strcspn(at, ".: ");
        const weft_node *node = map->first;
        while (node && (strncmp(node->key, at, length) != 0 || node->key[length])) node = node->next;
        if (!node) break;
        map = node;
        if (at[length] != '.') break;
        at += length + 1;
    }
    return map;
}

static weft_status check(const weft_document *document, const weft_plan_cluster *cluster, weft_error *error)
{
    weft_error reason;
    weft_error_clear(&reason);
    if (weft_plan_cluster_check(cluster, &reason) == WEFT_OK) return WEFT_OK;
    return weft_document_complain(document, blame(document->root, reason.text), error, "%s", reason.text);
}

static void write_members(const weft_plan_member *rows, const weft_plan_cluster *cluster, weft_text *out)
{
    const char *before = "";
    for (const weft_plan_member *row = rows; row->key; row++) {
        const char *member = (const char *)cluster + row->offset;
        if (row->scale == 0) continue;
        weft_text_add(out, "%s%s: ", before, row->key);
        before = ", ";
        if (row->kind == WEFT_PLAN_TRUTH)
            weft_text_add(out, "%s", *(const bool *)(const void *)member ? "true" : "false");
        else
            weft_text_add(out, "%.10g", *(const double *)(const void *)member / row->scale);
    }
}

static void write_set(const char *key, const char *(*name)(int), int count, uint32_t set, weft_text *out)
{
    weft_text_add(out, ", %s: [", key);
    for (int i = 0, written = 0; i < count; i++)
        if (set & 1u << i) weft_text_add(out, "%s%s", written++ ? ", " : "", name(i));
    weft_text_add(out, "]");
}

static void write_software(const weft_plan_cluster *cluster, weft_text *out)
{
    const weft_plan_software *software = &cluster->software;
    weft_text_add(out, "software: {name: %s, messages: %s, reduce: %s, ", software->name,
                  software->messages_overlap ? "overlapped" : "blocking",
                  software->reduces_overlap ? "overlapped" : "after");
    write_members(software_fields, cluster, out);
    write_set("schedules", kind_name, WEFT_PLAN_KINDS, software->kinds, out);
    write_set("shards", shard_name, WEFT_SHARDS, software->shards, out);
    write_set("recompute", recompute_name, WEFT_PLAN_RECOMPUTES, software->recomputes, out);
    weft_text_add(out, "}\n");
}

static void write_rings(const weft_plan_gpu *gpu, weft_text *out)
{
    weft_text_add(out, ", rings: [");
    for (int i = 0; i < WEFT_PLAN_RINGS && gpu->rings[i].bus > 0; i++)
        weft_text_add(out, "%s[%d, %.10g, %.10g]", i ? ", " : "", 2 << i, gpu->rings[i].start * 1e6,
                      gpu->rings[i].bus / 1e9);
    weft_text_add(out, "]}\n");
}

static void write_layer_times(const weft_plan_cluster *cluster, weft_text *out)
{
    weft_text_add(out, "layer_times:\n");
    for (int32_t i = 0; i < cluster->measured_count; i++) {
        const weft_plan_layer_time *t = &cluster->measured[i];
        const double all[] = {
            t->forward,       t->backward, t->embedding_forward, t->embedding_backward, t->head_forward,
            t->head_backward, t->sum};
        weft_text_add(out, "  - [%lld, %d, %d", (long long)t->hidden, t->tensor, t->micro_batch);
        for (int k = 0; k < (t->head_forward > 0 ? 7 : 2); k++) weft_text_add(out, ", %.10g", all[k] * 1e3);
        weft_text_add(out, "]  # %s\n", t->scaled ? "by tokens, from a smaller micro-batch" : "measured");
    }
}

void weft_plan_cluster_write(const weft_plan_cluster *cluster, weft_text *out)
{
    weft_text_add(out, "name: ");
    weft_text_add_json(out, cluster->name);
    weft_text_add(out, "\ngpu: {");
    write_members(gpu_fields, cluster, out);
    weft_text_add(out, "}\nnodes: %d\ngpus_per_node: %d\nmemory_reserved_gb: %.10g\n", cluster->nodes,
                  cluster->gpus_per_node, cluster->reserved / 1e9);
    if (cluster->price > 0) weft_text_add(out, "price_per_gpu_hour: %.10g\n", cluster->price);
    weft_text_add(out, "link_in_node: {");
    write_members(in_node_fields, cluster, out);
    write_rings(&cluster->gpu, out);
    weft_text_add(out, "link_between: {");
    write_members(between_fields, cluster, out);
    weft_text_add(out, "}\n");
    write_software(cluster, out);
    if (cluster->measured_count > 0) write_layer_times(cluster, out);
}

weft_status weft_plan_cluster_read(const weft_document *document, weft_arena *arena, weft_plan_cluster *out,
                                   weft_error *error)
{
    const weft_node *root = document->root;
    weft_plan_gpu gpu;
    weft_plan_software software;
    if (root->kind != WEFT_NODE_MAP)
        return weft_document_complain(document, root, error, "a map of keys is expected here");
    TRY(take_gpu(document, root, &gpu, error));
    TRY(take_software(document, root, &software, error));
    weft_plan_cluster_init(out, &gpu, &software);
    TRY(take_map(document, root, cluster_fields, out, error));
    out->nic = gpu.nic * out->gpus_per_node; /* unless link_between says otherwise */
    const weft_node *own = weft_node_get(root, "gpu"), *program = weft_node_get(root, "software");
    if (own->kind == WEFT_NODE_MAP) TRY(take_map(document, own, gpu_fields, out, error));
    if (program && program->kind == WEFT_NODE_MAP) TRY(take_map(document, program, software_fields, out, error));
    TRY(take_map(document, weft_node_get(root, "link_in_node"), in_node_fields, out, error));
    TRY(take_map(document, weft_node_get(root, "link_between"), between_fields, out, error));
    TRY(take_abilities(document, program, &out->software, error));
    TRY(take_table(document, weft_node_get(root, "link_in_node"), &out->gpu, error));
    TRY(take_rings(document, weft_node_get(root, "link_in_node"), &out->gpu, error));
    TRY(take_layer_times(document, root, arena, out, error));
    weft_plan_title(document, weft_node_get(root, "name"), sizeof out->name, out->name);
    return check(document, out, error);
}
