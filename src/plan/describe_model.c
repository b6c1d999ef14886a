/* Models from files. */
#include "plan/describe.h"

#include "base/text.h"
#include "plan/members.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MODEL(member) offsetof(weft_plan_model, member)

/* Keys of the planner, of a configuration of weft, and of a config.json. */
static const weft_plan_member model_fields[] = {
    {"layers", WEFT_PLAN_WHOLE32, MODEL(layers), 1},
    {"num_hidden_layers", WEFT_PLAN_WHOLE32, MODEL(layers), 1},
    {"n_layer", WEFT_PLAN_WHOLE32, MODEL(layers), 1},
    {"num_layers", WEFT_PLAN_WHOLE32, MODEL(layers), 1},
    {"hidden", WEFT_PLAN_WHOLE64, MODEL(hidden), 1},
    {"width", WEFT_PLAN_WHOLE64, MODEL(hidden), 1},
    {"hidden_size", WEFT_PLAN_WHOLE64, MODEL(hidden), 1},
    {"n_embd", WEFT_PLAN_WHOLE64, MODEL(hidden), 1},
    {"d_model", WEFT_PLAN_WHOLE64, MODEL(hidden), 1},
    {"ffn", WEFT_PLAN_WHOLE64, MODEL(ffn), 1},
    {"feed_forward", WEFT_PLAN_WHOLE64, MODEL(ffn), 1},
    {"intermediate_size", WEFT_PLAN_WHOLE64, MODEL(ffn), 1},
    {"n_inner", WEFT_PLAN_WHOLE64, MODEL(ffn), 1},
    {"ffn_dim", WEFT_PLAN_WHOLE64, MODEL(ffn), 1},
    {"heads", WEFT_PLAN_WHOLE64, MODEL(heads), 1},
    {"num_attention_heads", WEFT_PLAN_WHOLE64, MODEL(heads), 1},
    {"n_head", WEFT_PLAN_WHOLE64, MODEL(heads), 1},
    {"kv_heads", WEFT_PLAN_WHOLE64, MODEL(kv_heads), 1},
    {"num_key_value_heads", WEFT_PLAN_WHOLE64, MODEL(kv_heads), 1},
    {"head_size", WEFT_PLAN_WHOLE64, MODEL(head_size), 1},
    {"head_width", WEFT_PLAN_WHOLE64, MODEL(head_size), 1},
    {"head_dim", WEFT_PLAN_WHOLE64, MODEL(head_size), 1},
    {"vocabulary", WEFT_PLAN_WHOLE64, MODEL(vocabulary), 1},
    {"vocab_size", WEFT_PLAN_WHOLE64, MODEL(vocabulary), 1},
    {"sequence", WEFT_PLAN_WHOLE64, MODEL(sequence), 1},
    {"context", WEFT_PLAN_WHOLE64, MODEL(sequence), 1},
    {"max_position_embeddings", WEFT_PLAN_WHOLE64, MODEL(sequence), 1},
    {"n_positions", WEFT_PLAN_WHOLE64, MODEL(sequence), 1},
    {"gated", WEFT_PLAN_TRUTH, MODEL(gated), 1},
    {"tied", WEFT_PLAN_TRUTH, MODEL(tied), 1},
    {"tie_word_embeddings", WEFT_PLAN_TRUTH, MODEL(tied), 1},
    {"dropout", WEFT_PLAN_TRUTH, MODEL(dropout), 1},
    {"critical_batch", WEFT_PLAN_REAL, MODEL(critical_batch), 1},
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

/* Keys of a configuration's model that say nothing about time, and those that are read apart. */
static bool is_other(const char *key)
{
    static const char section[] = "model.", *const keys[] = {
#define FIELD(key, ...) key,
#define PRESET(key, ...) key,
#include "config/fields.def"
#undef FIELD
#undef PRESET
                                                "model.attention", "model.name"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strncmp(keys[i], section, strlen(section)) == 0 && strcmp(keys[i] + strlen(section), key) == 0) return true;
    return false;
}

static weft_status take_members(const weft_document *document, const weft_node *map, bool from_json,
                                weft_plan_model *model, weft_error *error)
{
    for (const weft_node *node = map->first; node; node = node->next) {
        const weft_plan_member *row = weft_plan_member_find(model_fields, node->key);
        bool null = node->kind == WEFT_NODE_TEXT && !node->quoted && strcmp(node->text, "null") == 0;
        if (null || (!row && (from_json || is_other(node->key)))) continue;
        if (!row) return weft_plan_member_unknown(document, node, model_fields, error);
        TRY(weft_plan_member_set(document, node, row, model, error));
    }
    return WEFT_OK;
}

/* A configuration of weft says the length of a sequence elsewhere. */
static weft_status take_tokens(const weft_document *document, weft_plan_model *model, weft_error *error)
{
    static const weft_plan_member tokens = {"tokens", WEFT_PLAN_WHOLE64, MODEL(sequence), 1};
    const weft_node *node = weft_node_get(weft_node_get(document->root, "batch"), "tokens");
    if (!node || (node->kind == WEFT_NODE_TEXT && strcmp(node->text, "0") == 0)) return WEFT_OK;
    return weft_plan_member_set(document, node, &tokens, model, error);
}

/* A reason names the planner's key; the file may have another one for it, or none. */
static weft_status complain_of_model(const weft_document *document, const weft_node *map, const char *reason,
                                     weft_error *error)
{
    char key[32];
    snprintf(key, sizeof key, "%.*s", (int)strcspn(reason, ":"), reason);
    const weft_plan_member *row = weft_plan_member_find(model_fields, key);
    for (const weft_node *node = map->first; node && row; node = node->next) {
        const weft_plan_member *own = weft_plan_member_find(model_fields, node->key);
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
    weft_plan_title(document, weft_node_get(map, from_json ? "_name_or_path" : "name"), sizeof out->name, out->name);
    weft_error reason;
    weft_error_clear(&reason);
    if (weft_plan_model_complete(out, &reason) == WEFT_OK) return WEFT_OK;
    return complain_of_model(document, map, reason.text, error);
}
