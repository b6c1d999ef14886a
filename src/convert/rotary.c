/*
 * Rotary positions in config.json: rope_theta and rope_scaling since the beginning, both in rope_parameters since
 * transformers 5.
 */
#include "convert/family.h"

#include <math.h>
#include <string.h>

#define MODEL(member) offsetof(weft_model_config, member)
#define NUMBER(name, member, absent)                                                                                   \
    {                                                                                                                  \
        name, #member, WEFT_KEY_NUMBER, MODEL(member), absent, absent                                                  \
    }

const weft_family_key weft_rotary_keys[] = {
    NUMBER("factor", rotary_factor, NULL),
    {"original_max_position_embeddings", "rotary_context", WEFT_KEY_WHOLE, MODEL(rotary_context), "0", "0"},
    NUMBER("low_freq_factor", rotary_low, NULL),
    NUMBER("high_freq_factor", rotary_high, NULL),
    NUMBER("beta_fast", rotary_fast, "32"),
    NUMBER("beta_slow", rotary_slow, "1"),
    {"truncate", "rotary_truncate", WEFT_KEY_TRUTH, MODEL(rotary_truncate), "true", "true"},
    NUMBER("attention_factor", rotary_magnitude, "0"),
    {NULL, NULL, 0, 0, NULL, NULL},
};

static const weft_family_key base = NUMBER("rope_theta", rotary_base, "10000");

#undef MODEL
#undef NUMBER

/* Which of them each kind has, in the order of weft_config_scaling. */
static const struct {
    const char *name;
    unsigned keys; /* bits */
} scalings[] = {{"default", 0}, {"linear", 1}, {"llama3", 15}, {"yarn", 1 | 2 | 16 | 32 | 64 | 128}};
enum { SCALINGS = sizeof scalings / sizeof *scalings };

bool weft_rotary_has(int64_t scaling, const char *name)
{
    for (int i = 0; weft_rotary_keys[i].name; i++)
        if (strcmp(weft_rotary_keys[i].name, name) == 0) return scalings[scaling].keys >> i & 1;
    return false;
}

bool weft_rotary_is_key(const char *name)
{
    static const char *const names[] = {"rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

/* A member that is there and no null. */
static const weft_node *get(const weft_node *map, const char *key)
{
    const weft_node *node = map ? weft_node_get(map, key) : NULL;
    return node && !weft_node_is_null(node) ? node : NULL;
}

static weft_status find_scaling(const weft_document *document, const weft_node *map, int *out, weft_error *error)
{
    const weft_node *type = get(map, "rope_type");
    const char *name = "default";
    if (!type) type = get(map, "type");
    if (type) TRY(weft_node_text(document, type, &name, error));
    for (*out = 0; *out < SCALINGS; ++*out)
        if (strcmp(scalings[*out].name, name) == 0) return WEFT_OK;
    return weft_document_complain(document, type, error,
                                  "rope_type: weft knows default, linear, llama3 and yarn, not "
                                  "'%.40s'",
                                  name);
}

/* Nothing may be in the map that the kind does not have. */
static weft_status check_members(const weft_document *document, const weft_node *map, int scaling, weft_error *error)
{
    static const char *const others[] = {"rope_type", "type", "rope_theta", "partial_rotary_factor"};
    for (const weft_node *node = map ? map->first : NULL; node; node = node->next) {
        bool known = weft_node_is_null(node) || weft_rotary_has(scaling, node->key);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) known |= strcmp(others[i], node->key) == 0;
        bool mscale = strcmp(node->key, "mscale") == 0 || strcmp(node->key, "mscale_all_dim") == 0;
        if (known || (mscale && scaling == WEFT_CONFIG_SCALING_YARN)) continue;
        return weft_document_complain(document, node, error,
                                      "%s: weft does not know what this key does to positions of type %s", node->key,
                                      scalings[scaling].name);
    }
    return WEFT_OK;
}

static weft_status check_whole_heads(const weft_document *document, const weft_node *map, weft_error *error)
{
    const weft_node *node = get(map, "partial_rotary_factor");
    double share = 1;
    if (node) TRY(weft_node_number(document, node, &share, error));
    if (share == 1) return WEFT_OK;
    return weft_document_complain(document, node, error, "partial_rotary_factor: weft turns whole heads only");
}

/* By how much yarn multiplies where two factors say it, as DeepSeek has it. */
static weft_status read_scales(const weft_document *document, const weft_node *map, weft_text *yaml, weft_error *error)
{
    const weft_node *one = get(map, "mscale"), *all = get(map, "mscale_all_dim"), *factor = get(map, "factor");
    double scale = 0, whole = 0, by = 1;
    if (one) TRY(weft_node_number(document, one, &scale, error));
    if (all) TRY(weft_node_number(document, all, &whole, error));
    if (factor) TRY(weft_node_number(document, factor, &by, error));
    if (scale == 0 || whole == 0 || get(map, "attention_factor")) return WEFT_OK;
    double magnitude = (0.1 * scale * log(by) + 1) / (0.1 * whole * log(by) + 1);
    if (!(by >= 1 && magnitude > 0 && magnitude < 1000))
        return weft_document_complain(document, one, error, "mscale: out of range");
    weft_text_add(yaml, "  rotary_magnitude: ");
    weft_text_add_double(yaml, magnitude);
    weft_text_add(yaml, "\n");
    return WEFT_OK;
}

static weft_status read_stretch(const weft_document *document, const weft_node *map, int scaling, weft_text *yaml,
                                weft_error *error)
{
    weft_text scales;
    weft_text_init(&scales);
    weft_status status = read_scales(document, map, &scales, error);
    weft_text_add(yaml, "  rotary_scaling: %s\n%s", scalings[scaling].name, weft_text_get(&scales));
    for (const weft_family_key *key = weft_rotary_keys; key->name && status == WEFT_OK; key++) {
        const char *value = NULL;
        if (!weft_rotary_has(scaling, key->name)) continue;
        if (scales.length > 0 && strcmp(key->key, "rotary_magnitude") == 0) continue;
        status = weft_family_value(document, map, key, &value, error);
        if (status == WEFT_OK) weft_text_add(yaml, "  %s: %s\n", key->key, value);
    }
    weft_text_fini(&scales);
    return status;
}

weft_status weft_rotary_read(const weft_document *document, weft_text *yaml, weft_error *error)
{
    const weft_node *root = document->root, *map = get(root, "rope_parameters");
    const weft_node *theta = get(map, "rope_theta") ? map : root;
    const char *value = NULL;
    int scaling = 0;
    if (!map) map = get(root, "rope_scaling");
    if (map && map->kind != WEFT_NODE_MAP)
        return weft_document_complain(document, map, error, "%s: a map of keys is expected here", map->key);
    TRY(find_scaling(document, map, &scaling, error));
    TRY(check_members(document, map, scaling, error));
    TRY(check_whole_heads(document, map, error));
    TRY(check_whole_heads(document, root, error));
    TRY(weft_family_value(document, theta, &base, &value, error));
    weft_text_add(yaml, "  rotary_base: %s\n", value);
    return scaling == WEFT_CONFIG_SCALING_NONE ? WEFT_OK : read_stretch(document, map, scaling, yaml, error);
}
