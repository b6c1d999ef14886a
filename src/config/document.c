#include "config/document.h"

#include "base/file.h"
#include "config/events.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DEEPEST = 64, MOST_MEMBERS = 4096, MOST_BYTES = 16 << 20 };

typedef struct parsing {
    weft_document *document;
    weft_yaml yaml;
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

static weft_status read_node(parsing *r, int depth, weft_node **out);

static weft_status read_key(parsing *r, const weft_node *map, int members, const char **out)
{
    if (members > MOST_MEMBERS) return weft_yaml_refuse(&r->yaml, "too many keys");
    if (r->yaml.kind != WEFT_YAML_SCALAR) return weft_yaml_refuse(&r->yaml, "a key is expected here");
    if (weft_node_get(map, r->yaml.value)) return weft_yaml_refuse(&r->yaml, "%s: is given twice", r->yaml.value);
    TRY(weft_arena_text(&r->document->arena, r->yaml.value, out, r->error));
    return weft_yaml_next(&r->yaml);
}

static weft_status read_children(parsing *r, weft_node *parent, int depth)
{
    weft_node *last = NULL, *child = NULL;
    bool map = parent->kind == WEFT_NODE_MAP;
    for (int members = 1;; members++) {
        const char *key = NULL;
        TRY(weft_yaml_next(&r->yaml));
        if (r->yaml.kind == (map ? WEFT_YAML_MAP_END : WEFT_YAML_LIST_END)) return WEFT_OK;
        if (map) TRY(read_key(r, parent, members, &key));
        TRY(read_node(r, depth, &child));
        child->key = key;
        append(parent, &last, child);
    }
}

static weft_status read_node(parsing *r, int depth, weft_node **out)
{
    const weft_yaml *yaml = &r->yaml;
    if (depth > DEEPEST) return weft_yaml_refuse(yaml, "nested too deeply");
    weft_node_kind kind = yaml->kind == WEFT_YAML_SCALAR ? WEFT_NODE_TEXT
                          : yaml->kind == WEFT_YAML_LIST ? WEFT_NODE_LIST
                                                         : WEFT_NODE_MAP;
    TRY(new_node(r->document, kind, yaml->line, yaml->column, out, r->error));
    if (kind != WEFT_NODE_TEXT) return read_children(r, *out, depth + 1);
    (*out)->quoted = yaml->quoted;
    return weft_arena_text(&r->document->arena, yaml->value, &(*out)->text, r->error);
}

static weft_status read_stream(parsing *r)
{
    weft_node *root = NULL;
    if (r->yaml.kind == WEFT_YAML_NOTHING) FAIL(r->error, WEFT_INVALID, "%s: is empty", r->yaml.name);
    TRY(read_node(r, 0, &root));
    r->document->root = root;
    return weft_yaml_end(&r->yaml);
}

static weft_status parse_yaml(weft_document *document, const char *text, size_t length, weft_error *error)
{
    parsing r = {.document = document, .error = error};
    weft_status status = weft_yaml_init(&r.yaml, text, length, document->name, error);
    if (status == WEFT_OK) status = read_stream(&r);
    weft_yaml_fini(&r.yaml);
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

/* Where the reading of a text that is known to be JSON has come to. */
typedef struct place {
    const char *at;
    size_t line;
    const char *line_begin;
} place;

/* Goes behind blanks, commas and colons, to a value or a key. */
static void skip_blanks(place *from)
{
    for (; strchr(" \t\r\n,:", *from->at) && *from->at; from->at++) {
        if (*from->at != '\n') continue;
        from->line++;
        from->line_begin = from->at + 1;
    }
}

/* Goes behind a text, a number or a word. */
static void skip_word(place *from)
{
    if (*from->at != '"') {
        from->at += strcspn(from->at, " \t\r\n,:]}");
        return;
    }
    for (from->at++; *from->at && *from->at != '"'; from->at++)
        if (*from->at == '\\' && from->at[1]) from->at++;
    if (*from->at) from->at++;
}

/* jansson keeps no places; it keeps the order, so that the text is gone through with it. */
static weft_status take_json(weft_document *document, json_t *json, place *from, int depth, weft_node **out,
                             weft_error *error)
{
    weft_node_kind kind = json_is_object(json) ? WEFT_NODE_MAP : json_is_array(json) ? WEFT_NODE_LIST : WEFT_NODE_TEXT;
    weft_node *last = NULL, *child = NULL;
    const char *key;
    json_t *value;
    size_t index;
    skip_blanks(from);
    size_t column = (size_t)(from->at - from->line_begin) + 1;
    if (depth > DEEPEST) FAIL(error, WEFT_INVALID, "%s:%zu:%zu: nested too deeply", document->name, from->line, column);
    TRY(new_node(document, kind, from->line, column, out, error));
    if (kind == WEFT_NODE_TEXT) {
        skip_word(from);
        return take_json_text(document, json, *out, error);
    }
    from->at++;
    json_object_foreach(json, key, value)
    {
        skip_blanks(from);
        skip_word(from);
        TRY(take_json(document, value, from, depth + 1, &child, error));
        TRY(weft_arena_text(&document->arena, key, &child->key, error));
        append(*out, &last, child);
    }
    json_array_foreach(json, index, value)
    {
        TRY(take_json(document, value, from, depth + 1, &child, error));
        append(*out, &last, child);
    }
    skip_blanks(from);
    from->at++;
    return WEFT_OK;
}

static weft_status parse_json(weft_document *document, const char *text, size_t length, weft_error *error)
{
    json_error_t problem;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (!json)
        FAIL(error, WEFT_INVALID, "%s:%d:%d: not valid JSON: %s", document->name, problem.line, problem.column,
             problem.text);
    weft_node *root = NULL;
    place from = {.at = text, .line = 1, .line_begin = text};
    weft_status status = take_json(document, json, &from, 0, &root, error);
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
