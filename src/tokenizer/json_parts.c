#include "tokenizer/json_parts.h"

#include <string.h>

enum { DEEPEST = 8 };

static const char mark[] = "\xe2\x96\x81";

static const char *type_of(const json_t *json)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    return type ? type : "of no type";
}

static bool is_type(const json_t *json, const char *type)
{
    return strcmp(type_of(json), type) == 0;
}

weft_status weft_parts_truth(const json_t *json, const char *name, bool *out, weft_error *error)
{
    const json_t *value = json_object_get(json, name);
    if (!value || json_is_null(value)) return WEFT_OK;
    if (!json_is_boolean(value)) FAIL(error, WEFT_INVALID, "%s: true or false is expected here", name);
    *out = json_is_true(value);
    return WEFT_OK;
}

/* A member that is a text. */
static weft_status get_text(const json_t *json, const char *part, const char *name, const char **out, weft_error *error)
{
    *out = json_string_value(json_object_get(json, name));
    if (!*out) FAIL(error, WEFT_INVALID, "%s: %s has no text called %s", part, type_of(json), name);
    return WEFT_OK;
}

typedef weft_status part_reader(weft_tokenizer *tokenizer, const json_t *json, void *context, weft_error *error);

/* Reads a part or, where it is a Sequence, its members one after the other. */
static weft_status read_part(weft_tokenizer *tokenizer, const json_t *json, const char *part, const char *members,
                             int depth, part_reader *read, void *context, weft_error *error)
{
    if (!json || json_is_null(json)) return WEFT_OK;
    if (!json_is_object(json) || depth > DEEPEST)
        FAIL(error, WEFT_INVALID, "%s: an object with a type is expected here", part);
    if (!is_type(json, "Sequence")) return read(tokenizer, json, context, error);
    const json_t *list = json_object_get(json, members);
    if (!json_is_array(list)) FAIL(error, WEFT_INVALID, "%s: Sequence has no list called %s", part, members);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(read_part(tokenizer, json_array_get(list, i), part, members, depth + 1, read, context, error));
    return WEFT_OK;
}

static weft_status read_normalizer(weft_tokenizer *tokenizer, const json_t *json, void *context, weft_error *error)
{
    (void)context;
    weft_normalizer *normalizer = &tokenizer->normalizer;
    bool known = false;
    TRY(weft_normalizer_add_form(normalizer, type_of(json), &known, error));
    if (known) return WEFT_OK;
    const char *from = NULL, *to = NULL;
    if (is_type(json, "Prepend")) {
        TRY(get_text(json, "normalizer", "prepend", &to, error));
        return weft_normalizer_add(normalizer, WEFT_NORMAL_PREPEND, NULL, to, error);
    }
    if (is_type(json, "Replace")) {
        TRY(get_text(json, "normalizer", "content", &to, error));
        from = json_string_value(json_object_get(json_object_get(json, "pattern"), "String"));
        if (!from) FAIL(error, WEFT_INVALID, "normalizer: Replace of anything but a String is not known");
        return weft_normalizer_add(normalizer, WEFT_NORMAL_REPLACE, from, to, error);
    }
    FAIL(error, WEFT_INVALID, "normalizer: %.40s is not known", type_of(json));
}

weft_status weft_json_read_normalizer(weft_tokenizer *tokenizer, const json_t *json, weft_error *error)
{
    return read_part(tokenizer, json, "normalizer", "normalizers", 0, read_normalizer, NULL, error);
}

static weft_status read_byte_level(weft_tokenizer *tokenizer, const json_t *json, bool *byte_level, weft_error *error)
{
    bool prefix = true, expression = true;
    TRY(weft_parts_truth(json, "add_prefix_space", &prefix, error));
    TRY(weft_parts_truth(json, "use_regex", &expression, error));
    if (prefix && tokenizer->splitter.count > 0)
        FAIL(error, WEFT_INVALID, "pre_tokenizer: ByteLevel with add_prefix_space behind other steps is not known");
    if (prefix) TRY(weft_normalizer_add(&tokenizer->marker, WEFT_NORMAL_LEAD, NULL, " ", error));
    *byte_level = true;
    const weft_pattern *gpt2 = weft_pattern_by_name("gpt2");
    return expression ? weft_splitter_add_known(&tokenizer->splitter, gpt2, error) : WEFT_OK;
}

static weft_status read_split(weft_tokenizer *tokenizer, const json_t *json, weft_error *error)
{
    static const struct {
        const char *behavior;
        bool invert;
        weft_split_habit habit;
    } habits[] = {
        {"Isolated", false, WEFT_SPLIT_ISOLATED},        {"Isolated", true, WEFT_SPLIT_ISOLATED},
        {"Removed", true, WEFT_SPLIT_REMOVED},           {"MergedWithPrevious", false, WEFT_SPLIT_WITH_PREVIOUS},
        {"MergedWithNext", false, WEFT_SPLIT_WITH_NEXT},
    };
    const char *behavior = NULL;
    bool invert = false;
    TRY(get_text(json, "pre_tokenizer", "behavior", &behavior, error));
    TRY(weft_parts_truth(json, "invert", &invert, error));
    const json_t *pattern = json_object_get(json, "pattern");
    const char *expression = json_string_value(json_object_get(pattern, "Regex"));
    const char *literal = json_string_value(json_object_get(pattern, "String"));
    for (size_t i = 0; i < sizeof habits / sizeof *habits; i++) {
        if (strcmp(habits[i].behavior, behavior) != 0 || habits[i].invert != invert) continue;
        if (expression)
            return weft_splitter_add_pattern(&tokenizer->splitter, expression, WEFT_DIALECT_JSON, habits[i].habit,
                                             error);
        if (literal) return weft_splitter_add_literal(&tokenizer->splitter, literal, habits[i].habit, error);
        FAIL(error, WEFT_INVALID, "pre_tokenizer: Split has neither a Regex nor a String");
    }
    FAIL(error, WEFT_INVALID, "pre_tokenizer: Split that is %.40s%s is not known", behavior,
         invert ? " and inverted" : "");
}

static weft_status read_metaspace(weft_tokenizer *tokenizer, const json_t *json, weft_error *error)
{
    const char *replacement = NULL, *scheme = json_string_value(json_object_get(json, "prepend_scheme"));
    bool prefix = true, split = true;
    TRY(get_text(json, "pre_tokenizer", "replacement", &replacement, error));
    TRY(weft_parts_truth(json, "add_prefix_space", &prefix, error)); /* older files, without a scheme */
    TRY(weft_parts_truth(json, "split", &split, error));
    if (strcmp(replacement, mark) != 0)
        FAIL(error, WEFT_INVALID, "pre_tokenizer: Metaspace with another mark than U+2581 is not known");
    if (tokenizer->splitter.count > 0)
        FAIL(error, WEFT_INVALID, "pre_tokenizer: Metaspace behind other steps is not known");
    if (!scheme) scheme = prefix ? "always" : "never";
    TRY(weft_normalizer_add(&tokenizer->marker, WEFT_NORMAL_REPLACE, " ", mark, error));
    if (strcmp(scheme, "always") == 0)
        TRY(weft_normalizer_add(&tokenizer->marker, WEFT_NORMAL_LEAD, NULL, mark, error));
    else if (strcmp(scheme, "first") == 0)
        TRY(weft_normalizer_add(&tokenizer->marker, WEFT_NORMAL_BEGIN, NULL, mark, error));
    else if (strcmp(scheme, "never") != 0)
        FAIL(error, WEFT_INVALID, "pre_tokenizer: Metaspace with prepend_scheme %.40s is not known", scheme);
    return split ? weft_splitter_add_scanner(&tokenizer->splitter, weft_scan_each_marked, NULL, error) : WEFT_OK;
}

static weft_status read_digits(weft_tokenizer *tokenizer, const json_t *json, weft_error *error)
{
    bool each = false;
    TRY(weft_parts_truth(json, "individual_digits", &each, error));
    return weft_splitter_add_scanner(&tokenizer->splitter, each ? weft_scan_digits : weft_scan_numbers, "digits",
                                     error);
}

static weft_status read_pre_tokenizer(weft_tokenizer *tokenizer, const json_t *json, void *context, weft_error *error)
{
    bool *byte_level = context;
    if (*byte_level) FAIL(error, WEFT_INVALID, "pre_tokenizer: %.40s behind ByteLevel is not known", type_of(json));
    if (is_type(json, "ByteLevel")) return read_byte_level(tokenizer, json, byte_level, error);
    if (is_type(json, "Split")) return read_split(tokenizer, json, error);
    if (is_type(json, "Digits")) return read_digits(tokenizer, json, error);
    if (is_type(json, "Metaspace")) return read_metaspace(tokenizer, json, error);
    FAIL(error, WEFT_INVALID, "pre_tokenizer: %.40s is not known", type_of(json));
}

weft_status weft_json_read_pre_tokenizer(weft_tokenizer *tokenizer, const json_t *json, bool *out_byte_level,
                                         weft_error *error)
{
    *out_byte_level = false;
    return read_part(tokenizer, json, "pre_tokenizer", "pretokenizers", 0, read_pre_tokenizer, out_byte_level, error);
}

static weft_status read_decoder(weft_tokenizer *tokenizer, const json_t *json, void *context, weft_error *error)
{
    (void)context;
    if (is_type(json, "ByteLevel") || is_type(json, "ByteFallback") || is_type(json, "Fuse")) return WEFT_OK;
    if (is_type(json, "Replace")) {
        const char *from = json_string_value(json_object_get(json_object_get(json, "pattern"), "String"));
        const char *to = json_string_value(json_object_get(json, "content"));
        if (!from || !to || strcmp(from, mark) != 0 || strcmp(to, " ") != 0)
            FAIL(error, WEFT_INVALID, "decoder: Replace of anything but U+2581 by a blank is not known");
        tokenizer->marks_blanks = true;
        return WEFT_OK;
    }
    if (is_type(json, "Strip")) {
        const char *content = json_string_value(json_object_get(json, "content"));
        json_int_t start = json_integer_value(json_object_get(json, "start"));
        if (!content || strcmp(content, " ") != 0 || start > 1 || json_integer_value(json_object_get(json, "stop")) > 0)
            FAIL(error, WEFT_INVALID, "decoder: Strip of anything but one blank at the start is not known");
        tokenizer->drops_first_mark = start == 1;
        return WEFT_OK;
    }
    if (is_type(json, "Metaspace")) {
        const char *scheme = json_string_value(json_object_get(json, "prepend_scheme"));
        bool prefix = true;
        TRY(weft_parts_truth(json, "add_prefix_space", &prefix, error));
        tokenizer->marks_blanks = true;
        tokenizer->drops_first_mark = scheme ? strcmp(scheme, "never") != 0 : prefix;
        return WEFT_OK;
    }
    FAIL(error, WEFT_INVALID, "decoder: %.40s is not known", type_of(json));
}

weft_status weft_json_read_decoder(weft_tokenizer *tokenizer, const json_t *json, weft_error *error)
{
    return read_part(tokenizer, json, "decoder", "decoders", 0, read_decoder, NULL, error);
}

/* Adds the ids of a special token of a template. */
static weft_status add_ids(const weft_tokenizer *tokenizer, const json_t *ids, weft_token_list *out, weft_error *error)
{
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || !weft_vocabulary_has(&tokenizer->vocabulary, json_integer_value(id)))
            FAIL(error, WEFT_INVALID, "post_processor: an id that is no token's");
        TRY(weft_token_list_add(out, (int32_t)json_integer_value(id), error));
    }
    return WEFT_OK;
}

static weft_status read_template(weft_tokenizer *tokenizer, const json_t *json, weft_error *error)
{
    const json_t *single = json_object_get(json, "single"), *specials = json_object_get(json, "special_tokens");
    bool behind = false;
    if (!json_is_array(single)) FAIL(error, WEFT_INVALID, "post_processor: TemplateProcessing has no list single");
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i);
        if (json_object_get(piece, "Sequence")) {
            behind = true;
            continue;
        }
        const char *name = json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
        const json_t *ids = name ? json_object_get(json_object_get(specials, name), "ids") : NULL;
        if (!json_is_array(ids))
            FAIL(error, WEFT_INVALID, "post_processor: TemplateProcessing has a piece without ids");
        TRY(add_ids(tokenizer, ids, behind ? &tokenizer->suffix : &tokenizer->prefix, error));
    }
    return WEFT_OK;
}

static weft_status read_post_processor(weft_tokenizer *tokenizer, const json_t *json, void *context, weft_error *error)
{
    (void)context;
    if (is_type(json, "ByteLevel")) return WEFT_OK; /* moves offsets, not ids */
    if (is_type(json, "TemplateProcessing")) return read_template(tokenizer, json, error);
    FAIL(error, WEFT_INVALID, "post_processor: %.40s is not known", type_of(json));
}

weft_status weft_json_read_post_processor(weft_tokenizer *tokenizer, const json_t *json, weft_error *error)
{
    return read_part(tokenizer, json, "post_processor", "processors", 0, read_post_processor, NULL, error);
}
