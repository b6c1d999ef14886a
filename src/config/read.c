/* Reads the YAML of a configuration as events: keys by the field table, each value with its line and column. */
#include "config/fields.h"

#include <stdio.h>
#include <string.h>

#include <yaml.h>

enum { KEY_BYTES = 128 };

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one being looked at; deleted by the next */
    bool has_event;
    weft_config *config;
    const char *text, *name;
    size_t length;
    weft_error *error;
} reader;

static weft_status refuse(const reader *r, const char *format, ...) WEFT_PRINTF(2, 3);

/* An error at the place of the current event. */
static weft_status refuse(const reader *r, const char *format, ...)
{
    char message[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    FAIL(r->error, WEFT_INVALID, "%s:%zu:%zu: %s", r->name, r->event.start_mark.line + 1,
         r->event.start_mark.column + 1, message);
}

static weft_status syntax_error(const reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "unknown problem";
    if (p->error == YAML_MEMORY_ERROR) FAIL(r->error, WEFT_NO_MEMORY, "%s: out of memory while reading YAML", r->name);
    size_t line = p->problem_mark.line + 1, column = p->problem_mark.column + 1;
    if (p->error == YAML_READER_ERROR) {
        size_t offset = p->problem_offset < r->length ? p->problem_offset : r->length;
        line = column = 1;
        for (size_t i = 0; i < offset; i++, column++) {
            if (r->text[i] != '\n') continue;
            line++;
            column = 0;
        }
    }
    if (p->context)
        FAIL(r->error, WEFT_INVALID, "%s:%zu:%zu: not valid YAML: %s, %s", r->name, line, column, p->context, problem);
    FAIL(r->error, WEFT_INVALID, "%s:%zu:%zu: not valid YAML: %s", r->name, line, column, problem);
}

static void drop_event(reader *r)
{
    if (r->has_event) yaml_event_delete(&r->event);
    r->has_event = false;
}

static weft_status next(reader *r)
{
    drop_event(r);
    if (!yaml_parser_parse(&r->parser, &r->event)) return syntax_error(r);
    r->has_event = true;
    const yaml_event_t *e = &r->event;
    if (e->type == YAML_ALIAS_EVENT) return refuse(r, "aliases are not allowed here; write the value out");
    bool anchored = (e->type == YAML_SCALAR_EVENT && e->data.scalar.anchor) ||
                    (e->type == YAML_SEQUENCE_START_EVENT && e->data.sequence_start.anchor) ||
                    (e->type == YAML_MAPPING_START_EVENT && e->data.mapping_start.anchor);
    if (anchored) return refuse(r, "anchors are not allowed here; write the value out where it is used");
    bool tagged = (e->type == YAML_SCALAR_EVENT && e->data.scalar.tag) ||
                  (e->type == YAML_SEQUENCE_START_EVENT && e->data.sequence_start.tag) ||
                  (e->type == YAML_MAPPING_START_EVENT && e->data.mapping_start.tag);
    if (tagged) return refuse(r, "tags are not allowed here; the key alone gives the type");
    if (e->type == YAML_SCALAR_EVENT && strlen((const char *)e->data.scalar.value) != e->data.scalar.length)
        return refuse(r, "a zero byte is not allowed here");
    return WEFT_OK;
}

static const char *scalar(const reader *r)
{
    return (const char *)r->event.data.scalar.value;
}

static weft_status refuse_unknown(const reader *r, const char *key)
{
    char shown[WEFT_SHOWN_BYTES];
    const char *nearest = weft_field_nearest(key);
    weft_config_shown(key, shown, sizeof shown);
    if (nearest) return refuse(r, "unknown key '%s' (nearest: '%s')", shown, nearest);
    return refuse(r, "unknown key '%s': there is no such key ('weft help config' lists all)", shown);
}

/* The elements of a sequence, joined as the command line would write them. Ends on the sequence's end. */
static weft_status read_sequence(reader *r, const weft_field *field, weft_text *joined)
{
    TRY(next(r));
    while (r->event.type != YAML_SEQUENCE_END_EVENT) {
        char shown[WEFT_SHOWN_BYTES];
        int64_t number = 0;
        if (r->event.type != YAML_SCALAR_EVENT)
            return refuse(r, "%s: expects %s, not a list of lists or mappings", field->key,
                          weft_field_type_words(field->type));
        if (!weft_parse_int(scalar(r), &number))
            return refuse(r, "%s: expects %s, not '%s'", field->key, weft_field_type_words(field->type),
                          weft_config_shown(scalar(r), shown, sizeof shown));
        weft_text_add(joined, "%s%s", joined->length ? "," : "", scalar(r));
        TRY(next(r));
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
    origin->line = (int64_t)r->event.start_mark.line + 1;
    origin->column = (int64_t)r->event.start_mark.column + 1;
    if (r->event.type == YAML_SCALAR_EVENT) return weft_field_set(r->config, index, scalar(r), r->error);
    bool is_list = r->event.type == YAML_SEQUENCE_START_EVENT;
    if (is_list && field->type == WEFT_FIELD_LIST) return read_list(r, index);
    return refuse(r, "%s: expects %s, not a %s", field->key, weft_field_type_words(field->type),
                  is_list ? "list" : "mapping");
}

/* Copies the current key, with its section in front, and finds its field; -1 when there is none.
 * Refuses a field that was there before. */
static weft_status take_key(reader *r, const char *section, char key[KEY_BYTES], int *out_index)
{
    if (r->event.type != YAML_SCALAR_EVENT) return refuse(r, "a key must be a plain word");
    int length = snprintf(key, KEY_BYTES, "%s%s%s", section, *section ? "." : "", scalar(r));
    int index = length < KEY_BYTES ? weft_field_find(key) : -1;
    const weft_config_origin *before = index < 0 ? NULL : &r->config->origins[index];
    if (before && before->kind == WEFT_ORIGIN_FILE)
        return refuse(r, "duplicate key '%s' (first at line %lld)", key, (long long)before->line);
    *out_index = index;
    return WEFT_OK;
}

/* The current event starts the mapping of a section. */
static weft_status read_section(reader *r, const char *section)
{
    TRY(next(r));
    while (r->event.type != YAML_MAPPING_END_EVENT) {
        char key[KEY_BYTES];
        int index = -1;
        TRY(take_key(r, section, key, &index));
        if (index < 0) return refuse_unknown(r, key);
        TRY(next(r));
        TRY(read_value(r, index));
        TRY(next(r));
    }
    return WEFT_OK;
}

/* A section may be empty ("run:" and nothing) or a mapping. seen: names of the sections before, one after another. */
static weft_status read_section_value(reader *r, const char *section, weft_text *seen)
{
    char entry[KEY_BYTES + 2];
    snprintf(entry, sizeof entry, "/%s/", section);
    if (strstr(weft_text_get(seen), entry)) return refuse(r, "duplicate key '%s'", section);
    weft_text_add(seen, "%s", entry);
    TRY(weft_text_check(seen, r->error));
    TRY(next(r));
    bool empty = r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.length == 0;
    if (r->event.type == YAML_MAPPING_START_EVENT) return read_section(r, section);
    if (!empty) return refuse(r, "%s: expects a mapping of keys", section);
    return WEFT_OK;
}

static weft_status read_root(reader *r, weft_text *seen)
{
    if (r->event.type != YAML_MAPPING_START_EVENT) return refuse(r, "expects keys such as 'model:' at the top");
    TRY(next(r));
    while (r->event.type != YAML_MAPPING_END_EVENT) {
        char key[KEY_BYTES];
        int index = -1;
        TRY(take_key(r, "", key, &index));
        if (index < 0 && weft_field_is_section(key)) {
            TRY(read_section_value(r, key, seen));
        } else if (index < 0) {
            return refuse_unknown(r, key);
        } else {
            TRY(next(r));
            TRY(read_value(r, index));
        }
        TRY(next(r));
    }
    return WEFT_OK;
}

static weft_status read_stream(reader *r)
{
    TRY(next(r));
    TRY(next(r));
    if (r->event.type == YAML_STREAM_END_EVENT)
        FAIL(r->error, WEFT_INVALID, "%s: is empty; data.path at least is needed", r->name);
    TRY(next(r));
    weft_text seen;
    weft_text_init(&seen);
    weft_status status = read_root(r, &seen);
    weft_text_fini(&seen);
    TRY(status);
    TRY(next(r));
    TRY(next(r));
    if (r->event.type != YAML_STREAM_END_EVENT) return refuse(r, "a second document starts here; one is allowed");
    return WEFT_OK;
}

weft_status weft_config_read_yaml(weft_config *config, const char *text, size_t length, const char *name,
                                  weft_error *error)
{
    TRY(weft_text_begin(&text, &length, name, error));
    reader r = {.config = config, .text = text, .name = name, .length = length, .error = error};
    if (!yaml_parser_initialize(&r.parser)) FAIL(error, WEFT_NO_MEMORY, "%s: out of memory while reading YAML", name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, length);
    weft_status status = read_stream(&r);
    drop_event(&r);
    yaml_parser_delete(&r.parser);
    return status;
}
