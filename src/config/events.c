#include "config/events.h"

#include <stdio.h>
#include <string.h>

#include <yaml.h>

struct weft_yaml_parser {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_parser, has_event;
};

weft_status weft_yaml_refuse(const weft_yaml *yaml, const char *format, ...)
{
    char message[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    FAIL(yaml->error, WEFT_INVALID, "%s:%zu:%zu: %s", yaml->name, yaml->line, yaml->column, message);
}

/* The parser tells of bytes that are no text by their offset alone. */
static void find_place(weft_yaml *yaml, size_t offset)
{
    yaml->line = yaml->column = 1;
    for (size_t i = 0; i < offset && i < yaml->length; i++, yaml->column++) {
        if (yaml->text[i] != '\n') continue;
        yaml->line++;
        yaml->column = 0;
    }
}

static weft_status syntax_error(weft_yaml *yaml)
{
    const yaml_parser_t *p = &yaml->parser->parser;
    const char *problem = p->problem ? p->problem : "unknown problem";
    if (p->error == YAML_MEMORY_ERROR)
        FAIL(yaml->error, WEFT_NO_MEMORY, "%s: out of memory while reading YAML", yaml->name);
    yaml->line = p->problem_mark.line + 1;
    yaml->column = p->problem_mark.column + 1;
    if (p->error == YAML_READER_ERROR) find_place(yaml, p->problem_offset);
    if (p->context) return weft_yaml_refuse(yaml, "not valid YAML: %s, %s", p->context, problem);
    return weft_yaml_refuse(yaml, "not valid YAML: %s", problem);
}

static weft_status take_event(weft_yaml *yaml)
{
    struct weft_yaml_parser *p = yaml->parser;
    if (p->has_event) yaml_event_delete(&p->event);
    p->has_event = false;
    if (!yaml_parser_parse(&p->parser, &p->event)) return syntax_error(yaml);
    p->has_event = true;
    yaml->line = p->event.start_mark.line + 1;
    yaml->column = p->event.start_mark.column + 1;
    return WEFT_OK;
}

static weft_status check_plain(const weft_yaml *yaml, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor) return weft_yaml_refuse(yaml, "anchors are not allowed here; write the value out where it is used");
    if (tag) return weft_yaml_refuse(yaml, "tags are not allowed here; the key alone gives the type");
    return WEFT_OK;
}

weft_status weft_yaml_next(weft_yaml *yaml)
{
    TRY(take_event(yaml));
    const yaml_event_t *e = &yaml->parser->event;
    yaml->value = NULL;
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        yaml->kind = WEFT_YAML_SCALAR;
        yaml->value = (const char *)e->data.scalar.value;
        yaml->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        TRY(check_plain(yaml, e->data.scalar.anchor, e->data.scalar.tag));
        if (strlen(yaml->value) != e->data.scalar.length)
            return weft_yaml_refuse(yaml, "a zero byte is not allowed here");
        return WEFT_OK;
    case YAML_SEQUENCE_START_EVENT:
        yaml->kind = WEFT_YAML_LIST;
        return check_plain(yaml, e->data.sequence_start.anchor, e->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        yaml->kind = WEFT_YAML_MAP;
        return check_plain(yaml, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
        yaml->kind = WEFT_YAML_LIST_END;
        return WEFT_OK;
    case YAML_MAPPING_END_EVENT:
        yaml->kind = WEFT_YAML_MAP_END;
        return WEFT_OK;
    default: /* the ends of documents are passed by weft_yaml_end */
        return weft_yaml_refuse(yaml, "aliases are not allowed here; write the value out");
    }
}

weft_status weft_yaml_end(weft_yaml *yaml)
{
    TRY(take_event(yaml)); /* of the document */
    TRY(take_event(yaml));
    if (yaml->parser->event.type == YAML_STREAM_END_EVENT) return WEFT_OK;
    return weft_yaml_refuse(yaml, "a second document starts here; one is allowed");
}

static weft_status start(weft_yaml *yaml)
{
    TRY(weft_text_begin(&yaml->text, &yaml->length, yaml->name, yaml->error));
    TRY(weft_allocate(1, sizeof *yaml->parser, &yaml->parser, yaml->error));
    struct weft_yaml_parser *p = yaml->parser;
    p->has_parser = yaml_parser_initialize(&p->parser);
    if (!p->has_parser) FAIL(yaml->error, WEFT_NO_MEMORY, "%s: out of memory while reading YAML", yaml->name);
    yaml_parser_set_encoding(&p->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p->parser, (const unsigned char *)yaml->text, yaml->length);
    TRY(take_event(yaml)); /* the stream */
    TRY(take_event(yaml)); /* the document, or the end of the stream */
    return p->event.type == YAML_STREAM_END_EVENT ? WEFT_OK : weft_yaml_next(yaml);
}

weft_status weft_yaml_init(weft_yaml *yaml, const char *text, size_t length, const char *name, weft_error *error)
{
    *yaml = (weft_yaml){.name = name, .text = text, .length = length, .error = error};
    return start(yaml);
}

void weft_yaml_fini(weft_yaml *yaml)
{
    if (yaml->parser && yaml->parser->has_event) yaml_event_delete(&yaml->parser->event);
    if (yaml->parser && yaml->parser->has_parser) yaml_parser_delete(&yaml->parser->parser);
    weft_free(yaml->parser);
    yaml->parser = NULL;
}
