/* The type of fields that are a list of sources of data, each with a weight. */
#include "config/fields.h"

#include "base/json.h"

#include <math.h>
#include <string.h>

/* The value of one key of a source. */
static weft_status read_member(weft_config *config, weft_yaml *yaml, const char *key, weft_config_source *out,
                               weft_error *error)
{
    char shown[WEFT_SHOWN_BYTES];
    if (yaml->kind != WEFT_YAML_SCALAR) return weft_yaml_refuse(yaml, "%s: expects one value", key);
    if (strcmp(key, "path") == 0) return weft_arena_text(&config->arena, yaml->value, &out->path, error);
    if (!weft_parse_double(yaml->value, &out->weight) || !(out->weight >= 0) || isinf(out->weight))
        return weft_yaml_refuse(yaml, "weight: expects a number from 0 on, not '%s'",
                                weft_config_shown(yaml->value, shown, sizeof shown));
    return WEFT_OK;
}

/* Of a mapping, at whose first event it stands; ends at its last. */
static weft_status read_source(weft_config *config, weft_yaml *yaml, weft_config_source *out, weft_error *error)
{
    static const char *const keys[] = {"path", "weight"};
    *out = (weft_config_source){.weight = 1};
    if (yaml->kind != WEFT_YAML_MAP) return weft_yaml_refuse(yaml, "a source is a mapping: {path: P, weight: W}");
    TRY(weft_yaml_next(yaml));
    for (unsigned seen = 0; yaml->kind != WEFT_YAML_MAP_END;) {
        char shown[WEFT_SHOWN_BYTES];
        int key = 0;
        if (yaml->kind != WEFT_YAML_SCALAR) return weft_yaml_refuse(yaml, "a key must be a plain word");
        while (key < 2 && strcmp(keys[key], yaml->value) != 0) key++;
        if (key == 2)
            return weft_yaml_refuse(yaml, "unknown key '%s' of a source: path and weight are known",
                                    weft_config_shown(yaml->value, shown, sizeof shown));
        if (seen >> key & 1) return weft_yaml_refuse(yaml, "duplicate key '%s'", keys[key]);
        seen |= 1U << key;
        TRY(weft_yaml_next(yaml));
        TRY(read_member(config, yaml, keys[key], out, error));
        TRY(weft_yaml_next(yaml));
    }
    if (!out->path || !*out->path) return weft_yaml_refuse(yaml, "a source needs a path");
    return WEFT_OK;
}

static weft_status read_items(weft_config *config, int index, weft_yaml *yaml, weft_config_source **items,
                              int64_t *count, weft_error *error)
{
    const weft_field *field = weft_field_get(index);
    size_t capacity = 0;
    double sum = 0;
    if (yaml->kind != WEFT_YAML_LIST)
        return weft_yaml_refuse(yaml, "%s: expects %s", field->key, weft_field_type_words(field->type));
    TRY(weft_yaml_next(yaml));
    while (yaml->kind != WEFT_YAML_LIST_END) {
        weft_config_source source;
        TRY(read_source(config, yaml, &source, error));
        if (*count >= (int64_t)field->maximum)
            return weft_yaml_refuse(yaml, "%s: more than %g sources", field->key, field->maximum);
        TRY(weft_grow(items, &capacity, (size_t)*count + 1, sizeof **items, error));
        (*items)[(*count)++] = source;
        sum += source.weight;
        TRY(weft_yaml_next(yaml));
    }
    if (*count > 0 && sum == 0) return weft_yaml_refuse(yaml, "%s: all weights are 0", field->key);
    return WEFT_OK;
}

weft_status weft_field_read_sources(weft_config *config, int index, weft_yaml *yaml, weft_error *error)
{
    weft_config_source *items = NULL, *kept = NULL;
    int64_t count = 0;
    weft_status status = read_items(config, index, yaml, &items, &count, error);
    if (status == WEFT_OK && count > 0)
        status = weft_arena_take(&config->arena, (size_t)count, sizeof *kept, &kept, error);
    if (status == WEFT_OK) {
        for (int64_t i = 0; i < count; i++) kept[i] = items[i];
        weft_config_sources *out = (void *)((char *)config + weft_field_get(index)->offset);
        *out = (weft_config_sources){kept, count};
    }
    weft_free(items);
    return status;
}

weft_status weft_field_parse_sources(weft_config *config, int index, const char *text, weft_error *error)
{
    weft_yaml yaml;
    weft_status status = weft_yaml_init(&yaml, text, strlen(text), "command line", error);
    if (status == WEFT_OK) status = weft_field_read_sources(config, index, &yaml, error);
    if (status == WEFT_OK) status = weft_yaml_end(&yaml);
    weft_yaml_fini(&yaml);
    return status;
}

void weft_field_print_sources(const weft_config_sources *sources, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_list(&json, NULL, WEFT_JSON_ROW);
    for (int64_t i = 0; i < sources->count; i++) {
        weft_json_object(&json, NULL, WEFT_JSON_ROW);
        weft_json_text(&json, "path", sources->items[i].path);
        weft_json_number(&json, "weight", sources->items[i].weight);
        weft_json_object_end(&json);
    }
    weft_json_list_end(&json);
}
