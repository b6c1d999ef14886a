/* Reads the YAML of a configuration as events: keys by the field table, each value with its line and column. */
#include "config/fields.h"

#include <stdio.h>
#include <string.h>

enum { KEY_BYTES = 128 };

typedef struct reader {
    weft_yaml yaml;
    weft_config *config;
    weft_error *error;
} reader;

static weft_status refuse_unknown(const reader *r, const char *key)
{
    char shown[WEFT_SHOWN_BYTES];
    const char *nearest = weft_field_nearest(key);
    weft_config_shown(key, shown, sizeof shown);
    if (nearest) return weft_yaml_refuse(&r->yaml, "unknown key '%s' (nearest: '%s')", shown, nearest);
    return weft_yaml_refuse(&r->yaml, "unknown key '%s': there is no such key ('weft help config' lists all)", shown);
}

/* The elements of a sequence, joined as the command line would write them. Ends on the sequence's end. */
static weft_status read_sequence(reader *r, const weft_field *field, weft_text *joined)
{
    TRY(weft_yaml_next(&r->yaml));
    while (r->yaml.kind != WEFT_YAML_LIST_END) {
        char shown[WEFT_SHOWN_BYTES];
        int64_t number = 0;
        if (r->yaml.kind != WEFT_YAML_SCALAR)
            return weft_yaml_refuse(&r->yaml, "%s: expects %s, not a list of lists or mappings", field->key,
                                    weft_field_type_words(field->type));
        if (!weft_parse_int(r->yaml.value, &number))
            return weft_yaml_refuse(&r->yaml, "%s: expects %s, not '%s'", field->key,
                                    weft_field_type_words(field->type),
                                    weft_config_shown(r->yaml.value, shown, sizeof shown));
        weft_text_add(joined, "%s%s", joined->length ? "," : "", r->yaml.value);
        TRY(weft_yaml_next(&r->yaml));
    }
    return weft_text_check(joined, r->error);
}

static weft_status read_list(reader *r, int index)
{
    weft_text joined;
    weft_text_init(&joined);
    weft_status status = read_sequence(r, weft_field_get(index), &joined);
    if (status == WEFT_OK) status = weft_field_set(r->config, index, weft_text_get(&joined), r->error);
    weft_text_fini(&joined);
    return status;
}

/* The current event is the value of field index. */
static weft_status read_value(reader *r, int index)
{
    const weft_field *field = weft_field_get(index);
    weft_config_origin *origin = &r->config->origins[index];
    origin->kind = WEFT_ORIGIN_FILE;
    origin->line = (int64_t)r->yaml.line;
    origin->column = (int64_t)r->yaml.column;
    if (r->yaml.kind == WEFT_YAML_SCALAR) return weft_field_set(r->config, index, r->yaml.value, r->error);
    bool is_list = r->yaml.kind == WEFT_YAML_LIST;
    if (is_list && field->type == WEFT_FIELD_LIST) return read_list(r, index);
    if (is_list && field->type == WEFT_FIELD_SOURCES)
        return weft_field_read_sources(r->config, index, &r->yaml, r->error);
    return weft_yaml_refuse(&r->yaml, "%s: expects %s, not a %s", field->key, weft_field_type_words(field->type),
                            is_list ? "list" : "mapping");
}

/* Copies the current key, with its section in front, and finds its field; -1 when there is none.
 * Refuses a field that was there before. */
static weft_status take_key(reader *r, const char *section, char key[KEY_BYTES], int *out_index)
{
    if (r->yaml.kind != WEFT_YAML_SCALAR) return weft_yaml_refuse(&r->yaml, "a key must be a plain word");
    int length = snprintf(key, KEY_BYTES, "%s%s%s", section, *section ? "." : "", r->yaml.value);
    int index = length < KEY_BYTES ? weft_field_find(key) : -1;
    const weft_config_origin *before = index < 0 ? NULL : &r->config->origins[index];
    if (before && before->kind == WEFT_ORIGIN_FILE)
        return weft_yaml_refuse(&r->yaml, "duplicate key '%s' (first at line %lld)", key, (long long)before->line);
    *out_index = index;
    return WEFT_OK;
}

/* The current event starts the mapping of a section. */
static weft_status read_section(reader *r, const char *section)
{
    TRY(weft_yaml_next(&r->yaml));
    while (r->yaml.kind != WEFT_YAML_MAP_END) {
        char key[KEY_BYTES];
        int index = -1;
        TRY(take_key(r, section, key, &index));
        if (index < 0) return refuse_unknown(r, key);
        TRY(weft_yaml_next(&r->yaml));
        TRY(read_value(r, index));
        TRY(weft_yaml_next(&r->yaml));
    }
    return WEFT_OK;
}

/* A section may be empty ("run:" and nothing) or a mapping. seen: names of the sections before, one after another. */
static weft_status read_section_value(reader *r, const char *section, weft_text *seen)
{
    char entry[KEY_BYTES + 2];
    snprintf(entry, sizeof entry, "/%s/", section);
    if (strstr(weft_text_get(seen), entry)) return weft_yaml_refuse(&r->yaml, "duplicate key '%s'", section);
    weft_text_add(seen, "%s", entry);
    TRY(weft_text_check(seen, r->error));
    TRY(weft_yaml_next(&r->yaml));
    bool empty = r->yaml.kind == WEFT_YAML_SCALAR && !*r->yaml.value;
    if (r->yaml.kind == WEFT_YAML_MAP) return read_section(r, section);
    if (!empty) return weft_yaml_refuse(&r->yaml, "%s: expects a mapping of keys", section);
    return WEFT_OK;
}

static weft_status read_root(reader *r, weft_text *seen)
{
    if (r->yaml.kind != WEFT_YAML_MAP) return weft_yaml_refuse(&r->yaml, "expects keys such as 'model:' at the top");
    TRY(weft_yaml_next(&r->yaml));
    while (r->yaml.kind != WEFT_YAML_MAP_END) {
        char key[KEY_BYTES];
        int index = -1;
        TRY(take_key(r, "", key, &index));
        if (index < 0 && weft_field_is_section(key)) {
            TRY(read_section_value(r, key, seen));
        } else if (index < 0) {
            return refuse_unknown(r, key);
        } else {
            TRY(weft_yaml_next(&r->yaml));
            TRY(read_value(r, index));
        }
        TRY(weft_yaml_next(&r->yaml));
    }
    return WEFT_OK;
}

static weft_status read_stream(reader *r)
{
    if (r->yaml.kind == WEFT_YAML_NOTHING)
        FAIL(r->error, WEFT_INVALID, "%s: is empty; data.path at least is needed", r->yaml.name);
    weft_text seen;
    weft_text_init(&seen);
    weft_status status = read_root(r, &seen);
    weft_text_fini(&seen);
    return status == WEFT_OK ? weft_yaml_end(&r->yaml) : status;
}

weft_status weft_config_read_yaml(weft_config *config, const char *text, size_t length, const char *name,
                                  weft_error *error)
{
    reader r = {.config = config, .error = error};
    weft_status status = weft_yaml_init(&r.yaml, text, length, name, error);
    if (status == WEFT_OK) status = read_stream(&r);
    weft_yaml_fini(&r.yaml);
    return status;
}
