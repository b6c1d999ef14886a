/* What a configuration holds, as YAML and JSON, and what it may hold, as Markdown. */
#include "config/fields.h"

#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void add_origin(const weft_config_origin *origin, weft_text *out)
{
    switch (origin->kind) {
    case WEFT_ORIGIN_FILE:
        weft_text_add(out, "%s:%lld", origin->file, (long long)origin->line);
        break;
    case WEFT_ORIGIN_COMMAND_LINE:
        weft_text_add(out, "command line");
        break;
    case WEFT_ORIGIN_PLAN:
        weft_text_add(out, "plan");
        break;
    case WEFT_ORIGIN_START:
        weft_text_add(out, "start");
        break;
    case WEFT_ORIGIN_PRESET:
        weft_text_add(out, "preset");
        break;
    default:
        weft_text_add(out, "default");
        break;
    }
}

/* Length of the section's name in a key; 0 when it has none. */
static int section_length(const char *key)
{
    const char *dot = strchr(key, '.');
    return dot ? (int)(dot - key) : 0;
}

static bool same_section(const char *a, const char *b)
{
    int length = section_length(a);
    return length == section_length(b) && strncmp(a, b, (size_t)length) == 0;
}

void weft_config_dump(const weft_config *config, bool with_origins, weft_text *out)
{
    const char *before = "";
    for (int i = 0; i < weft_field_count(); i++) {
        const char *key = weft_field_get(i)->key;
        int section = section_length(key);
        if (config->origins[i].kind == WEFT_ORIGIN_UNSET) continue; /* data.path where there are sources */
        if (section && !same_section(key, before)) weft_text_add(out, "%.*s:\n", section, key);
        before = key;
        if (section)
            weft_text_add(out, "  %s: ", key + section + 1);
        else
            weft_text_add(out, "%s: ", key);
        weft_field_print(config, i, false, out);
        if (with_origins) {
            weft_text_add(out, "  # ");
            add_origin(&config->origins[i], out);
        }
        weft_text_add(out, "\n");
    }
}

void weft_config_dump_json(const weft_config *config, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    for (int i = 0; i < weft_field_count(); i++) {
        if (config->origins[i].kind == WEFT_ORIGIN_UNSET) continue;
        weft_text origin;
        weft_text_init(&origin);
        add_origin(&config->origins[i], &origin);
        weft_json_object(&json, weft_field_get(i)->key, WEFT_JSON_ROW);
        weft_field_print(config, i, true, weft_json_item(&json, "value"));
        weft_json_take_text(&json, "origin", &origin);
        weft_json_object_end(&json);
    }
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}

static const char *type_name(weft_field_type type)
{
    static const char *const names[WEFT_FIELD_TYPES] = {
        [WEFT_FIELD_INT] = "whole number",
        [WEFT_FIELD_DOUBLE] = "number",
        [WEFT_FIELD_BOOL] = "true or false",
        [WEFT_FIELD_TEXT] = "text",
        [WEFT_FIELD_CHOICE] = "name",
        [WEFT_FIELD_LIST] = "list of whole numbers",
        [WEFT_FIELD_SOURCES] = "list of sources",
        [WEFT_FIELD_SIZE] = "size in bytes",
    };
    return names[type];
}

static void add_default(const weft_field *field, weft_text *out)
{
    const char *value = field->defaults[0];
    if (!value)
        weft_text_add(out, "required");
    else if (field->preset && strcmp(value, field->defaults[1]) != 0)
        weft_text_add(out, "`%s` (gpt2), `%s` (llama)", value, field->defaults[1]);
    else if (*value)
        weft_text_add(out, "`%s`", value);
    else
        weft_text_add(out, "empty");
}

static void add_range(const weft_field *field, weft_text *out)
{
    if (field->type == WEFT_FIELD_CHOICE) {
        for (const char *c = field->choices; *c; c++) weft_text_add(out, *c == '|' ? ", " : "%c", *c);
    } else if (field->type == WEFT_FIELD_TEXT) {
        weft_text_add(out, field->minimum > 0 ? "not empty" : "any");
    } else if (field->type == WEFT_FIELD_BOOL) {
        weft_text_add(out, "any");
    } else {
        weft_text_add(out, "%.10g to %.10g", field->minimum, field->maximum);
    }
}

void weft_config_help(weft_text *out)
{
    weft_text_add(
        out, "# Configuration\n\n"
             "A run is described by one YAML file: sections of keys, each a plain value. On the command line\n"
             "`section.key=value` sets a key after the file; the last one wins. Unknown keys, wrong types and values\n"
             "out of range are errors. `weft config FILE.yaml` prints every value in force and where it came from.\n"
             "This page is printed by `weft help config`.\n");
    for (int i = 0; i < weft_field_count(); i++) {
        const weft_field *field = weft_field_get(i);
        int section = section_length(field->key);
        if (i == 0 || !same_section(field->key, weft_field_get(i - 1)->key)) {
            if (section)
                weft_text_add(out, "\n## %.*s\n\n", section, field->key);
            else
                weft_text_add(out, "\n## Keys without a section\n\n");
            weft_text_add(out, "| key | type | default | range | meaning |\n| --- | --- | --- | --- | --- |\n");
        }
        weft_text_add(out, "| `%s` | %s | ", field->key, type_name(field->type));
        add_default(field, out);
        weft_text_add(out, " | ");
        add_range(field, out);
        weft_text_add(out, " | %s |\n", field->help);
    }
}
