#include "plan/describe.h"

#include "base/file.h"
#include "plan/rings.h"
#include "program/program.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The name in the file, or that of the file without folders. */
static void take_title(const weft_document *document, const weft_node *name, size_t room, char *out)
{
    const char *slash = strrchr(document->name, '/'), *own = slash && slash[1] ? slash + 1 : document->name;
    bool given = name && name->kind == WEFT_NODE_TEXT && *name->text;
    snprintf(out, room, "%s", given ? name->text : own);
}

typedef enum field_kind { WHOLE32, WHOLE64, REAL, TRUTH } field_kind;

/* A key and the member that it sets, in units of the member. */
typedef struct field {
    const char *key;
    field_kind kind;
    size_t offset;
    double scale;
} field;

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

static weft_status set_number(const weft_document *document, const weft_node *node, const field *row, void *target,
                              weft_error *error)
{
    double value = 0;
    char *at = (char *)target + row->offset;
    TRY(weft_node_number(document, node, &value, error));
    if (!isfinite(value) || fabs(value) > 1e18)
        return weft_document_complain(document, node, error, "%s: %g is out of range", row->key, value);
    if (row->kind == REAL) {
        *(double *)(void *)at = value * row->scale;
        return WEFT_OK;
    }
    if (value != floor(value) || value < 0 || value > INT32_MAX)
        return weft_document_complain(document, node, error, "%s: a whole number from 0 up is expected here", row->key);
    if (row->kind == WHOLE32)
        *(int32_t *)(void *)at = (int32_t)value;
    else
        *(int64_t *)(void *)at = (int64_t)value;
    return WEFT_OK;
}

static weft_status set(const weft_document *document, const weft_node *node, const field *row, void *target,
                       weft_error *error)
{
    if (row->kind == TRUTH) return weft_node_truth(document, node, (bool *)target + row->offset, error);
    return set_number(document, node, row, target, error);
}

static const field *find_field(const field *rows, const char *key)
{
    for (; rows->key; rows++)
        if (strcmp(rows->key, key) == 0) return rows;
    return NULL;
}

static weft_status unknown(const weft_document *document, const weft_node *node, const field *rows, weft_error *error)
{
    const char *names[64];
    int count = 0;
    for (; rows->key && count < 64; rows++) names[count++] = rows->key;
    int near = weft_text_nearest(node->key, names, count);
    if (near < 0) return weft_document_complain(document, node, error, "unknown key '%s'", node->key);
    return weft_document_complain(document, node, error, "unknown key '%s' (nearest: '%s')", node->key, names[near]);
}

#define MODEL(member) offsetof(weft_plan_model, member)

/* Keys of the planner, of a configuration of weft, and of a config.json. */
static const field model_fields[] = {
    {"layers", WHOLE32, MODEL(layers), 1},
    {"num_hidden_layers", WHOLE32, MODEL(layers), 1},
    {"n_layer", WHOLE32, MODEL(layers), 1},
    {"num_layers", WHOLE32, MODEL(layers), 1},
    {"hidden", WHOLE64, MODEL(hidden), 1},
    {"width", WHOLE64, MODEL(hidden), 1},
    {"hidden_size", WHOLE64, MODEL(hidden), 1},
    {"n_embd", WHOLE64, MODEL(hidden), 1},
    {"d_model", WHOLE64, MODEL(hidden), 1},
    {"ffn", WHOLE64, MODEL(ffn), 1},
    {"feed_forward", WHOLE64, MODEL(ffn), 1},
    {"intermediate_size", WHOLE64, MODEL(ffn), 1},
    {"n_inner", WHOLE64, MODEL(ffn), 1},
    {"ffn_dim", WHOLE64, MODEL(ffn), 1},
    {"heads", WHOLE64, MODEL(heads), 1},
    {"num_attention_heads", WHOLE64, MODEL(heads), 1},
    {"n_head", WHOLE64, MODEL(heads), 1},
    {"kv_heads", WHOLE64, MODEL(kv_heads), 1},
    {"num_key_value_heads", WHOLE64, MODEL(kv_heads), 1},
    {"head_size", WHOLE64, MODEL(head_size), 1},
    {"head_dim", WHOLE64, MODEL(head_size), 1},
    {"vocabulary", WHOLE64, MODEL(vocabulary), 1},
    {"vocab_size", WHOLE64, MODEL(vocabulary), 1},
    {"sequence", WHOLE64, MODEL(sequence), 1},
    {"context", WHOLE64, MODEL(sequence), 1},
    {"max_position_embeddings", WHOLE64, MODEL(sequence), 1},
    {"n_positions", WHOLE64, MODEL(sequence), 1},
    {"gated", TRUTH, MODEL(gated), 1},
    {"tied", TRUTH, MODEL(tied), 1},
    {"tie_word_embeddings", TRUTH, MODEL(tied), 1},
    {"dropout", TRUTH, MODEL(dropout), 1},
    {"critical_batch", REAL, MODEL(critical_batch), 1},
    {NULL, 0, 0, 0},
};

/* Words that say a mixture of experts. */
static const char *const expert_keys[] = {"num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts",
                                          "experts"};

static weft_status refuse_experts(const weft_document *document, const weft_node *map, weft_error *error)
{
    for (size_t i = 0; i < sizeof expert_keys / sizeof *expert_keys; i++) {
        const weft_node *node = weft_node_get(map, expert_keys[i]);
        double count = 0;
        if (!node || node->kind != WEFT_NODE_TEXT || strcmp(node->text, "null") == 0) continue;
        if (weft_parse_double(node->text, &count) && count <= 1) continue;
        return weft_document_complain(document, node, error,
                                      "%s: mixtures of experts cannot be planned; weft trains dense models",
                                      expert_keys[i]);
    }
    return WEFT_OK;
}

static bool is_word(const weft_node *map, const char *key, const char *const *words)
{
    const weft_node *node = weft_node_get(map, key);
    if (!node || node->kind != WEFT_NODE_TEXT) return false;
    for (; *words; words++)
        if (strncmp(node->text, *words, strlen(*words)) == 0) return true;
    return false;
}

/* What follows from the kind of model when it is not said. */
static void presume(const weft_node *map, bool from_json, weft_plan_model *model)
{
    static const char *const gated_kinds[] = {"llama", "mistral", "qwen", "gemma", "phi3", "smollm", NULL};
    static const char *const gates[] = {"silu", "swiglu", "swish", "geglu", NULL};
    const char *kind = from_json ? "model_type" : "architecture";
    bool llama = is_word(map, kind, gated_kinds);
    bool gates_said = weft_node_get(map, "activation") || weft_node_get(map, "hidden_act");
    bool gate = is_word(map, "activation", gates) || is_word(map, "hidden_act", gates);
    if (!weft_node_get(map, "gated"))
        model->gated = from_json ? llama && (gate || !gates_said) : gates_said ? gate : llama;
    if (!weft_node_get(map, "tied") && !weft_node_get(map, "tie_word_embeddings")) model->tied = !llama;
    if (from_json || model->ffn > 0 || !llama) return;
    model->ffn = (8 * model->hidden / 3 + 63) / 64 * 64; /* as weft's own preset has it */
}

static weft_status take_attention(const weft_document *document, const weft_node *map, weft_plan_model *model,
                                  weft_error *error)
{
    const weft_node *node = weft_node_get(map, "attention");
    const char *word = NULL;
    if (!node) return WEFT_OK;
    TRY(weft_node_text(document, node, &word, error));
    if (strcmp(word, "unfused") != 0 && strcmp(word, "flash") != 0)
        return weft_document_complain(document, node, error, "attention: flash or unfused, not '%s'", word);
    model->attention = *word == 'u' ? WEFT_PLAN_ATTENTION_UNFUSED : WEFT_PLAN_ATTENTION_FLASH;
    return WEFT_OK;
}

/* Keys of a configuration that say nothing about time. */
static const char *const other_keys[] = {"architecture", "norm",        "position",       "activation", "bias",
                                         "norm_epsilon", "rotary_base", "init_deviation", "attention",  "name"};

static bool is_other(const char *key)
{
    for (size_t i = 0; i < sizeof other_keys / sizeof *other_keys; i++)
        if (strcmp(other_keys[i], key) == 0) return true;
    return false;
}

static weft_status take_members(const weft_document *document, const weft_node *map, bool from_json,
                                weft_plan_model *model, weft_error *error)
{
    for (const weft_node *node = map->first; node; node = node->next) {
        const field *row = find_field(model_fields, node->key);
        bool null = node->kind == WEFT_NODE_TEXT && !node->quoted && strcmp(node->text, "null") == 0;
        if (null || (!row && (from_json || is_other(node->key)))) continue;
        if (!row) return unknown(document, node, model_fields, error);
        TRY(set(document, node, row, model, error));
    }
    return WEFT_OK;
}

/* A configuration of weft says the length of a sequence elsewhere. */
static weft_status take_tokens(const weft_document *document, weft_plan_model *model, weft_error *error)
{
    static const field tokens = {"tokens", WHOLE64, MODEL(sequence), 1};
    const weft_node *node = weft_node_get(weft_node_get(document->root, "batch"), "tokens");
    if (!node || (node->kind == WEFT_NODE_TEXT && strcmp(node->text, "0") == 0)) return WEFT_OK;
    return set(document, node, &tokens, model, error);
}

/* A reason names the planner's key; the file may have another one for it, or none. */
static weft_status complain_of_model(const weft_document *document, const weft_node *map, const char *reason,
                                     weft_error *error)
{
    char key[32];
    snprintf(key, sizeof key, "%.*s", (int)strcspn(reason, ":"), reason);
    const field *row = find_field(model_fields, key);
    for (const weft_node *node = map->first; node && row; node = node->next) {
        const field *own = find_field(model_fields, node->key);
        bool null = node->kind == WEFT_NODE_TEXT && !node->quoted && strcmp(node->text, "null") == 0;
        if (own && !null && own->offset == row->offset && own->kind == row->kind)
            return weft_document_complain(document, node, error, "%s%s%s", own == row ? "" : node->key,
                                          own == row ? "" : ", which is ", reason);
    }
    return weft_document_complain(document, map, error, "%s is missing", key);
}

/* What a configuration of weft leaves out has the defaults of a configuration. */
static void presume_defaults(weft_plan_model *model)
{
    if (model->layers == 0) model->layers = 4;
    if (model->hidden == 0) model->hidden = 128;
    if (model->heads == 0) model->heads = 4;
    if (model->vocabulary == 0) model->vocabulary = 256;
    if (model->sequence == 0) model->sequence = 128;
}

weft_status weft_plan_model_read(const weft_document *document, weft_plan_model *out, weft_error *error)
{
    const weft_node *root = document->root, *map = weft_node_get(root, "model");
    *out = (weft_plan_model){0};
    if (root->kind != WEFT_NODE_MAP)
        return weft_document_complain(document, root, error, "a map of keys is expected here");
    bool from_json = weft_node_get(root, "model_type") || weft_node_get(root, "architectures");
    bool configuration = map && map->kind == WEFT_NODE_MAP;
    if (!configuration) map = root;
    TRY(refuse_experts(document, map, error));
    TRY(take_members(document, map, from_json, out, error));
    TRY(take_tokens(document, out, error));
    TRY(take_attention(document, map, out, error));
    if (configuration) presume_defaults(out);
    presume(map, from_json, out);
    take_title(document, weft_node_get(map, from_json ? "_name_or_path" : "name"), sizeof out->name, out->name);
    weft_error reason;
    weft_error_clear(&reason);
    if (weft_plan_model_complete(out, &reason) == WEFT_OK) return WEFT_OK;
    return complain_of_model(document, map, reason.text, error);
}

#define CLUSTER(member) offsetof(weft_plan_cluster, member)

static const field cluster_fields[] = {
    {"nodes", WHOLE32, CLUSTER(nodes), 1},
    {"gpus_per_node", WHOLE32, CLUSTER(gpus_per_node), 1},
    {"price_per_gpu_hour", REAL, CLUSTER(price), 1},
    {"memory_reserved_gb", REAL, CLUSTER(reserved), 1e9},
    {"gpu", REAL, 0, 0}, /* these have readers of their own */
    {"link_in_node", REAL, 0, 0},
    {"link_between", REAL, 0, 0},
    {"software", REAL, 0, 0},
    {"layer_times", REAL, 0, 0},
    {"name", REAL, 0, 0},
    {NULL, 0, 0, 0},
};

static const field in_node_fields[] = {
    {"gb_per_s", REAL, CLUSTER(gpu.link), 1e9},
    {"message_gather_gb_per_s", REAL, CLUSTER(message_gather), 1e9},
    {"rings", REAL, 0, 0},
    {"table", REAL, 0, 0},
    {NULL, 0, 0, 0},
};

static const field between_fields[] = {
    {"gb_per_s_per_node", REAL, CLUSTER(nic), 1e9},
    {"efficiency", REAL, CLUSTER(nic_efficiency), 1},
    {"start_us", REAL, CLUSTER(collective_start), 1e-6},
    {"message_us", REAL, CLUSTER(message_start), 1e-6},
    {NULL, 0, 0, 0},
};

static const field gpu_fields[] = {
    {"memory_gb", REAL, CLUSTER(gpu.memory), 1e9},
    {"peak_tflops", REAL, CLUSTER(gpu.peak), 1e12},
    {"memory_gb_per_s", REAL, CLUSTER(gpu.bandwidth), 1e9},
    {"multiprocessors", REAL, CLUSTER(gpu.multiprocessors), 1},
    {"product_efficiency", REAL, CLUSTER(gpu.products), 1},
    {"fill", REAL, CLUSTER(gpu.fill), 1},
    {"memory_efficiency", REAL, CLUSTER(gpu.traffic), 1},
    {"attention_efficiency", REAL, CLUSTER(gpu.attention), 1},
    {"unaligned_times", REAL, CLUSTER(gpu.unaligned), 1},
    {"scores_bytes", REAL, CLUSTER(gpu.scores), 1},
    {"loss_bytes", REAL, CLUSTER(gpu.loss), 1},
    {"kind", REAL, 0, 0},
    {NULL, 0, 0, 0},
};

static const field software_fields[] = {
    {"host_us_per_layer", REAL, CLUSTER(software.host), 1e-6},
    {"host_per_tensor", REAL, CLUSTER(software.tensor_host), 1},
    {"host_unfused", REAL, CLUSTER(software.unfused_host), 1},
    {"host_exponent", REAL, CLUSTER(software.combine), 1},
    {"speed", REAL, CLUSTER(software.speed), 1},
    {"contention", REAL, CLUSTER(software.contention), 1},
    {"tensor_exposed", REAL, CLUSTER(software.tensor_exposed), 1},
    {"data_reduce_times", REAL, CLUSTER(software.data_reduce), 1},
    {"step_ms", REAL, CLUSTER(software.step), 1e-3},
    {"stall_us", REAL, CLUSTER(software.stall), 1e-6},
    {"optimizer_traffic_bytes", REAL, CLUSTER(software.optimizer), 1},
    {"weight_bytes", REAL, CLUSTER(software.weight_bytes), 1},
    {"gradient_bytes", REAL, CLUSTER(software.gradient_bytes), 1},
    {"optimizer_bytes", REAL, CLUSTER(software.optimizer_bytes), 1},
    {"reduced_bytes", REAL, CLUSTER(software.reduced_bytes), 1},
    {"logits_bytes", REAL, CLUSTER(software.logits), 1},
    {"work_times", REAL, CLUSTER(software.work), 1},
    {"memory_slack", REAL, CLUSTER(software.slack), 1},
    {"adds_gradients", TRUTH, CLUSTER(software.adds_gradients), 1},
    {"send_shards", TRUTH, CLUSTER(software.shards_messages), 1},
    {"sequence_parallel", TRUTH, CLUSTER(software.sequence_parallel), 1},
    {"context", TRUTH, CLUSTER(software.context), 1},
    {"name", REAL, 0, 0},
    {"messages", REAL, 0, 0},
    {"reduce", REAL, 0, 0},
    {"schedules", REAL, 0, 0},
    {"shards", REAL, 0, 0},
    {"recompute", REAL, 0, 0},
    {NULL, 0, 0, 0},
};

static weft_status take_map(const weft_document *document, const weft_node *map, const field *rows,
                            weft_plan_cluster *out, weft_error *error)
{
    if (!map) return WEFT_OK;
    if (map->kind != WEFT_NODE_MAP)
        return weft_document_complain(document, map, error, "%s: a map of keys is expected here",
                                      map->key ? map->key : "cluster");
    for (const weft_node *node = map->first; node; node = node->next) {
        const field *row = find_field(rows, node->key);
        if (!row) return unknown(document, node, rows, error);
        if (row->scale != 0) TRY(set(document, node, row, out, error));
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
    return status;
}

static weft_status take_layer_time(const weft_document *document, const weft_node *row, weft_plan_layer_time *out,
                                   weft_error *error)
{
    double value[5];
    int count = 0;
    for (const weft_node *cell = row->first; cell && count < 5; cell = cell->next)
        TRY(weft_node_number(document, cell, &value[count++], error));
    for (int i = 0; i < count; i++)
        if (!(value[i] > 0 && value[i] < 1e9) || (i < 3 && value[i] != floor(value[i]))) count = 0;
    if (count < 5)
        return weft_document_complain(
            document, row, error,
            "layer_times: [hidden, tensor, micro_batch, forward_ms, backward_ms] is expected here");
    *out = (weft_plan_layer_time){(int64_t)value[0], (int32_t)value[1], (int32_t)value[2], value[3] * 1e-3,
                                  value[4] * 1e-3};
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

static weft_status check(const weft_document *document, const weft_plan_cluster *cluster, weft_error *error)
{
    weft_error reason;
    weft_error_clear(&reason);
    if (weft_plan_cluster_check(cluster, &reason) == WEFT_OK) return WEFT_OK;
    return weft_document_complain(document, blame(document->root, reason.text), error, "%s", reason.text);
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
    const weft_node *own = weft_node_get(root, "gpu"), *program = weft_node_get(root, "software");
    if (own->kind == WEFT_NODE_MAP) TRY(take_map(document, own, gpu_fields, out, error));
    if (program && program->kind == WEFT_NODE_MAP) TRY(take_map(document, program, software_fields, out, error));
    TRY(take_map(document, weft_node_get(root, "link_in_node"), in_node_fields, out, error));
    TRY(take_map(document, weft_node_get(root, "link_between"), between_fields, out, error));
    TRY(take_abilities(document, program, &out->software, error));
    TRY(take_table(document, weft_node_get(root, "link_in_node"), &out->gpu, error));
    TRY(take_rings(document, weft_node_get(root, "link_in_node"), &out->gpu, error));
    TRY(take_layer_times(document, root, arena, out, error));
    take_title(document, weft_node_get(root, "name"), sizeof out->name, out->name);
    return check(document, out, error);
}
