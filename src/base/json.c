#include "base/json.h"

#include "base/utf8.h"

#include <math.h>
#include <string.h>

weft_json weft_json_begin(weft_text *out, weft_json_style style)
{
    return (weft_json){.out = out, .style = style};
}

static void start_line(weft_json *json)
{
    weft_text_add_bytes(json->out, "\n", 1);
    for (int i = 0; json->style == WEFT_JSON_WIDE && i < json->depth; i++) weft_text_add_bytes(json->out, "  ", 2);
}

static void add_quoted(weft_json *json, const char *value)
{
    if (json->style == WEFT_JSON_SCRIPT)
        weft_text_add_script(json->out, value);
    else
        weft_text_add_json(json->out, value);
}

weft_text *weft_json_item(weft_json *json, const char *key)
{
    bool wide = json->style == WEFT_JSON_WIDE, lines = json->lines & 1;
    if (json->later) weft_text_add_bytes(json->out, ", ", wide && !lines ? 2 : 1);
    if (lines) start_line(json);
    json->later = true;
    if (!key) return json->out;
    add_quoted(json, key);
    weft_text_add_bytes(json->out, ": ", wide ? 2 : 1);
    return json->out;
}

static void open(weft_json *json, const char *key, const char *bracket, weft_json_layout layout)
{
    weft_text_add_bytes(weft_json_item(json, key), bracket, 1);
    json->later = false;
    json->depth++;
    json->lines = json->lines << 1 | (layout == WEFT_JSON_LINES);
}

static void shut(weft_json *json, const char *bracket)
{
    bool lines = json->lines & 1;
    json->depth--;
    json->lines >>= 1;
    if (lines && json->later) start_line(json);
    weft_text_add_bytes(json->out, bracket, 1);
    json->later = true;
}

void weft_json_object(weft_json *json, const char *key, weft_json_layout layout)
{
    open(json, key, "{", layout);
}

void weft_json_list(weft_json *json, const char *key, weft_json_layout layout)
{
    open(json, key, "[", layout);
}

void weft_json_object_end(weft_json *json)
{
    shut(json, "}");
}

void weft_json_list_end(weft_json *json)
{
    shut(json, "]");
}

void weft_json_text(weft_json *json, const char *key, const char *value)
{
    weft_json_item(json, key);
    if (value)
        add_quoted(json, value);
    else
        weft_text_add_bytes(json->out, "null", 4);
}

void weft_json_take_text(weft_json *json, const char *key, weft_text *value)
{
    weft_json_text(json, key, weft_text_get(value));
    json->out->failed = json->out->failed || value->failed;
    weft_text_fini(value);
}

void weft_json_int(weft_json *json, const char *key, int64_t value)
{
    weft_text_add_int(weft_json_item(json, key), value);
}

void weft_json_number(weft_json *json, const char *key, double value)
{
    weft_text *out = weft_json_item(json, key);
    if (isfinite(value))
        weft_text_add_double(out, value);
    else
        weft_text_add_bytes(out, "null", 4);
}

void weft_json_rounded(weft_json *json, const char *key, int digits, double value)
{
    weft_text *out = weft_json_item(json, key);
    if (isfinite(value))
        weft_text_add_number(out, digits, value);
    else
        weft_text_add_bytes(out, "null", 4);
}

void weft_json_truth(weft_json *json, const char *key, bool value)
{
    weft_text_add_bytes(weft_json_item(json, key), value ? "true" : "false", value ? 4 : 5);
}

void weft_json_null(weft_json *json, const char *key)
{
    weft_text_add_bytes(weft_json_item(json, key), "null", 4);
}
