#include "config/document.h"

#include "base/file.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { DEEPEST = 64, MOST_MEMBERS = 4096, MOST_BYTES = 16 << 20 };

typedef struct parsing {
    weft_document *document;
    yaml_parser_t parser;
    weft_error *error;
} parsing;

static weft_status new_node(weft_document *document, weft_node_kind kind, size_t line, size_t column, weft_node **out,
                            weft_error *error)
{
    TRY(weft_arena_take(&document->arena, 1, sizeof **out, out, error));
    **out = (weft_node){.kind = kind, .line = line, .column = column};
    return WEFT_OK;
}

/* Appends a child to a list or a map; *last is the child before. */
static void append(weft_node *parent, weft_node **last, weft_node *child)
{
    if (*last)
        (*last)->next = child;
    else
        parent->first = child;
    *last = child;
}

weft_status weft_document_complain(const weft_document *document, const weft_node *node, weft_error *error,
                                   const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    FAIL(error, WEFT_INVALID, "%s:%zu:%zu: %s", document->name, node->line, node->column, message);
}

static weft_status refuse_event(const parsing *r, const yaml_event_t *event, const char *what)
{
    FAIL(r->error, WEFT_INVALID, "%s:%zu:%zu: %s", r->document->name, event->start_mark.line + 1,
         event->start_mark.column + 1, what);
}

static weft_status next_event(parsing *r, yaml_event_t *out)
{
    if (yaml_parser_parse(&r->parser, out)) return WEFT_OK;
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        FAIL(r->error, WEFT_NO_MEMORY, "%s: out of memory while reading YAML", r->document->name);
    FAIL(r->error, WEFT_INVALID, "%s:%zu:%zu: not valid YAML: %s", r->document->name, p->problem_mark.line + 1,
         p->problem_mark.column + 1, p->problem ? p->problem : "unknown problem");
}

static bool is_plain(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return !event->data.scalar.anchor && !event->data.scalar.tag &&
               strlen((const char *)event->data.scalar.value) == event->data.scalar.length;
    case YAML_SEQUENCE_START_EVENT:
        return !event->data.sequence_start.anchor && !event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return !event->data.mapping_start.anchor && !event->data.mapping_start.tag;
    default:
        return false;
    }
}

static weft_status read_node(parsing *r, const yaml_event_t *event, int depth, weft_node **out);

static weft_status read_children(parsing *r, weft_node *parent, int depth)
{
    weft_node *last = NULL;
    int members = 0;
    yaml_event_type_t end = parent->kind == WEFT_NODE_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    for (;;) {
        yaml_event_t event;
        const char *key = NULL;
        weft_node *child = NULL;
        TRY(next_event(r, &event));
        bool ended = event.type == end;
        weft_status status = WEFT_OK;
        if (!ended && parent->kind == WEFT_NODE_MAP) {
            if (++members > MOST_MEMBERS)
                status = refuse_event(r, &event, "too many keys");
            else if (event.type != YAML_SCALAR_EVENT || !is_plain(&event))
                status = refuse_event(r, &event, "a key is expected here");
            else if (weft_node_get(parent, (const char *)event.data.scalar.value))
                status = refuse_event(r, &event, "this key is given twice");
            else
                status = weft_arena_text(&r->document->arena, (const char *)event.data.scalar.value, &key, r->error);
            yaml_event_delete(&event);
            TRY(status);
            TRY(next_event(r, &event));
        }
        if (!ended) status = read_node(r, &event, depth, &child);
        yaml_event_delete(&event);
        TRY(status);
        if (ended) return WEFT_OK;
        child->key = key;
        append(parent, &last, child);
    }
}

static weft_status read_node(parsing *r, const yaml_event_t *event, int depth, weft_node **out)
{
    if (!is_plain(event)) return refuse_event(r, event, "a plain value is expected here: no anchor, alias or tag");
    if (depth > DEEPEST) return refuse_event(r, event, "nested too deeply");
    weft_node_kind kind = event->type == YAML_SCALAR_EVENT           ? WEFT_NODE_TEXT
                          : event->type == YAML_SEQUENCE_START_EVENT ? WEFT_NODE_LIST
                                                                     : WEFT_NODE_MAP;
    TRY(new_node(r->document, kind, event->start_mark.line + 1, event->start_mark.column + 1, out, r->error));
    if (kind != WEFT_NODE_TEXT) return read_children(r, *out, depth + 1);
    (*out)->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return weft_arena_text(&r->document->arena, (const char *)event->data.scalar.value, &(*out)->text, r->error);
}

static weft_status expect(parsing *r, yaml_event_type_t type, const char *otherwise)
{
    yaml_event_t event;
    TRY(next_event(r, &event));
    weft_status status = event.type == type ? WEFT_OK : refuse_event(r, &event, otherwise);
    yaml_event_delete(&event);
    return status;
}

static weft_status read_stream(parsing *r)
{
    yaml_event_t event;
    weft_node *root = NULL;
    TRY(expect(r, YAML_STREAM_START_EVENT, "not readable as YAML"));
    TRY(expect(r, YAML_DOCUMENT_START_EVENT, "a map of keys is expected here"));
    TRY(next_event(r, &event));
    weft_status status = read_node(r, &event, 0, &root);
    yaml_event_delete(&event);
    TRY(status);
    r->document->root = root;
    TRY(expect(r, YAML_DOCUMENT_END_EVENT, "nothing is expected here"));
    return expect(r, YAML_STREAM_END_EVENT, "a second document is not expected here");
}

static weft_status parse_yaml(weft_document *document, const char *text, size_t length, weft_error *error)
{
    parsing r = {.document = document, .error = error};
    if (!yaml_parser_initialize(&r.parser))
        FAIL(error, WEFT_NO_MEMORY, "%s: out of memory while reading YAML", document->name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, length);
    weft_status status = read_stream(&r);
    yaml_parser_delete(&r.parser);
    return status;
}

static weft_status take_json_text(weft_document *document, const json_t *json, weft_node *out, weft_error *error)
{
    char number[64] = "null";
    out->quoted = json_is_string(json);
    if (json_is_integer(json)) snprintf(number, sizeof number, "%lld", (long long)json_integer_value(json));
    if (json_is_real(json)) snprintf(number, sizeof number, "%.17g", json_real_value(json));
    if (json_is_boolean(json)) snprintf(number, sizeof number, "%s", json_is_true(json) ? "true" : "false");
    return weft_arena_text(&document->arena, json_is_string(json) ? json_string_value(json) : number, &out->text,
                           error);
}

/* jansson keeps no places: all nodes stand at the beginning. */
static weft_status take_json(weft_document *document, const json_t *json, int depth, weft_node **out, weft_error *error)
{
    if (depth > DEEPEST) FAIL(error, WEFT_INVALID, "%s: nested too deeply", document->name);
    weft_node_kind kind = json_is_object(json) ? WEFT_NODE_MAP : json_is_array(json) ? WEFT_NODE_LIST : WEFT_NODE_TEXT;
    TRY(new_node(document, kind, 1, 1, out, error));
    weft_node *last = NULL, *child = NULL;
    const char *key;
    json_t *value;
    size_t index;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        TRY(take_json(document, value, depth + 1, &child, error));
        TRY(weft_arena_text(&document->arena, key, &child->key, error));
        append(*out, &last, child);
    }
    json_array_foreach(json, index, value)
    {
        TRY(take_json(document, value, depth + 1, &child, error));
        append(*out, &last, child);
    }
    return kind == WEFT_NODE_TEXT ? take_json_text(document, json, *out, error) : WEFT_OK;
}

static weft_status parse_json(weft_document *document, const char *text, size_t length, weft_error *error)
{
    json_error_t problem;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (!json)
        FAIL(error, WEFT_INVALID, "%s:%d:%d: not valid JSON: %s", document->name, problem.line, problem.column,
             problem.text);
    weft_node *root = NULL;
    weft_status status = take_json(document, json, 0, &root, error);
    json_decref(json);
    document->root = root;
    return status;
}

/* Goes behind blanks; '\0' at the end. */
static char first_letter(const char *text, size_t length, size_t *at)
{
    while (*at < length && text[*at] && strchr(" \t\r\n", text[*at])) (*at)++;
    return *at < length ? text[(*at)++] : '\0';
}

/* An object whose first key is quoted, an empty one, or a list; {a: 1} is YAML. */
static bool is_json(const char *text, size_t length)
{
    size_t at = 0;
    char first = first_letter(text, length, &at), second = first_letter(text, length, &at);
    return first == '[' || (first == '{' && (second == '"' || second == '}' || second == '\0'));
}

weft_status weft_document_parse(weft_document *document, const char *text, size_t length, const char *name,
                                weft_error *error)
{
    *document = (weft_document){0};
    weft_arena_init(&document->arena);
    weft_status status = weft_arena_text(&document->arena, name, &document->name, error);
    if (status == WEFT_OK) status = weft_text_begin(&text, &length, name, error);
    if (status == WEFT_OK && length > MOST_BYTES)
        status = weft_fail(error, WEFT_INVALID, "%s: has more than %d MiB", name, MOST_BYTES >> 20);
    bool json = is_json(text, length);
    if (status == WEFT_OK)
        status = json ? parse_json(document, text, length, error) : parse_yaml(document, text, length, error);
    if (status != WEFT_OK) weft_document_fini(document);
    return status;
}

weft_status weft_document_read(weft_document *document, const char *path, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    *document = (weft_document){0};
    weft_status status = weft_file_read(path, &text, error);
    if (status == WEFT_OK) status = weft_document_parse(document, weft_text_get(&text), text.length, path, error);
    weft_text_fini(&text);
    return status;
}

void weft_document_fini(weft_document *document)
{
    weft_arena_fini(&document->arena);
    *document = (weft_document){0};
}

const weft_node *weft_node_get(const weft_node *map, const char *key)
{
    for (const weft_node *node = map && map->kind == WEFT_NODE_MAP ? map->first : NULL; node; node = node->next)
        if (strcmp(node->key, key) == 0) return node;
    return NULL;
}

static const char *name_of(const weft_node *node)
{
    return node->key ? node->key : "this";
}

weft_status weft_node_number(const weft_document *document, const weft_node *node, double *out, weft_error *error)
{
    if (node->kind == WEFT_NODE_TEXT && !node->quoted && weft_parse_double(node->text, out)) return WEFT_OK;
    return weft_document_complain(document, node, error, "%s: a number is expected here", name_of(node));
}

weft_status weft_node_truth(const weft_document *document, const weft_node *node, bool *out, weft_error *error)
{
    bool text = node->kind == WEFT_NODE_TEXT && !node->quoted;
    *out = text && strcmp(node->text, "true") == 0;
    if (*out || (text && strcmp(node->text, "false") == 0)) return WEFT_OK;
    return weft_document_complain(document, node, error, "%s: true or false is expected here", name_of(node));
}

weft_status weft_node_text(const weft_document *document, const weft_node *node, const char **out, weft_error *error)
{
    *out = node->text;
    if (node->kind == WEFT_NODE_TEXT) return WEFT_OK;
    return weft_document_complain(document, node, error, "%s: a word is expected here", name_of(node));
}
