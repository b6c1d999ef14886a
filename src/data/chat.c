#include "data/chat.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* In a form %r is the role, %c the content; {NAME} is a special token; what stands between these two is learnt. */
#define LEARN "\1"
#define LEARNT "\2"

struct weft_chat_template {
    const char *name;
    const char *begin;            /* in front of the chat */
    const char *message, *answer; /* of the assistant: answer */
    const char *system;           /* the first message where the chat has none; NULL: none is put there */
    bool trims;                   /* blanks round the content go */
    bool pairs;                   /* user and assistant take turns; what the system says goes in front of the user */
    const char *only_with;        /* a special token that tells this version from the next of the same name; NULL */
};

static const weft_chat_template templates[] = {
    {"chatml", "", "{<|im_start|>}%r\n%c{<|im_end|>}\n", "{<|im_start|>}%r\n" LEARN "%c{<|im_end|>}" LEARNT "\n", NULL,
     false, false, NULL},
    {"qwen", "", "{<|im_start|>}%r\n%c{<|im_end|>}\n", "{<|im_start|>}%r\n" LEARN "%c{<|im_end|>}" LEARNT "\n",
     "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", false, false, NULL},
    {"llama3", "{<|begin_of_text|>}", "{<|start_header_id|>}%r{<|end_header_id|>}\n\n%c{<|eot_id|>}",
     "{<|start_header_id|>}%r{<|end_header_id|>}\n\n" LEARN "%c{<|eot_id|>}" LEARNT, NULL, true, false, NULL},
    {"mistral", "{<s>}", "{[INST]}%c{[/INST]}", LEARN "%c{</s>}" LEARNT, NULL, true, true, "[INST]"},
    {"mistral", "{<s>}", "[INST] %c [/INST]", LEARN "%c{</s>}" LEARNT, NULL, true, true, NULL},
};
enum { TEMPLATES = sizeof templates / sizeof *templates };

const char *weft_chat_templates(void)
{
    return "chatml, qwen, llama3, mistral";
}

static int32_t find_special(const weft_tokenizer *tokenizer, const char *name, size_t length)
{
    int32_t id = weft_tokenizer_find(tokenizer, name, length);
    return id >= 0 && weft_tokenizer_is_special(tokenizer, id) ? id : -1;
}

/* The special tokens of a form are all there. */
static weft_status check_form(const weft_chat_template *form, const char *text, const weft_tokenizer *tokenizer,
                              weft_error *error)
{
    for (const char *open = strchr(text, '{'); open; open = strchr(open + 1, '{')) {
        size_t length = strcspn(open + 1, "}");
        if (find_special(tokenizer, open + 1, length) < 0)
            FAIL(error, WEFT_INVALID, "template %s needs the special token %.*s, which the tokenizer does not have",
                 form->name, (int)length, open + 1);
    }
    return WEFT_OK;
}

weft_status weft_chat_template_find(const char *name, const weft_tokenizer *tokenizer, const weft_chat_template **out,
                                    weft_error *error)
{
    for (int i = 0; i < TEMPLATES; i++) {
        const weft_chat_template *form = &templates[i];
        const char *only = form->only_with;
        if (strcmp(form->name, name) != 0 || (only && find_special(tokenizer, only, strlen(only)) < 0)) continue;
        TRY(check_form(form, form->begin, tokenizer, error));
        TRY(check_form(form, form->message, tokenizer, error));
        TRY(check_form(form, form->answer, tokenizer, error));
        *out = form;
        return WEFT_OK;
    }
    FAIL(error, WEFT_INVALID, "no template is called '%s'; there are %s", name, weft_chat_templates());
}

const char *weft_chat_template_name(const weft_chat_template *form)
{
    return form->name;
}

void weft_chat_parts_fini(weft_chat_parts *parts)
{
    weft_text_fini(&parts->text);
    weft_free(parts->parts);
    *parts = (weft_chat_parts){0};
}

/* Text that is learnt begins a part of its own, since a model that answers begins there, too; other text goes on. */
static weft_status add_part(weft_chat_parts *out, const char *text, size_t length, bool special, bool learnt,
                            weft_error *error)
{
    weft_chat_part *last = out->count > 0 ? &out->parts[out->count - 1] : NULL;
    if (length == 0) return WEFT_OK;
    if (!special && last && !last->special && last->learnt == learnt) {
        last->length += length;
    } else {
        TRY(weft_grow(&out->parts, &out->capacity, out->count + 1, sizeof *out->parts, error));
        out->parts[out->count++] = (weft_chat_part){out->text.length, length, special, learnt};
    }
    weft_text_add_bytes(&out->text, text, length);
    return weft_text_check(&out->text, error);
}

/* role and content: (role_length), (length) */
typedef struct {
    const char *role, *content;
    size_t role_length, length;
} turn;

static weft_status fill_form(const char *form, const turn *said, weft_chat_parts *out, weft_error *error)
{
    bool learnt = false;
    for (const char *at = form; *at;) {
        size_t plain = strcspn(at, "{%" LEARN LEARNT), used = 1;
        TRY(add_part(out, at, plain, false, learnt, error));
        at += plain;
        if (*at == '{') {
            used = strcspn(at, "}") + 1;
            TRY(add_part(out, at + 1, used - 2, true, learnt, error));
        } else if (*at == '%') {
            used = 2;
            bool role = at[1] == 'r';
            TRY(add_part(out, role ? said->role : said->content, role ? said->role_length : said->length, false, learnt,
                         error));
        } else if (*at == '\0') {
            used = 0;
        } else {
            learnt = *at == *LEARN;
        }
        at += used;
    }
    return WEFT_OK;
}

static weft_status parse_line(const char *line, size_t length, json_t **out, weft_error *error)
{
    json_error_t reason;
    *out = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &reason);
    if (!*out) FAIL(error, WEFT_INVALID, "is not JSON: %s (column %d)", reason.text, reason.column);
    if (json_is_object(*out)) return WEFT_OK;
    json_decref(*out);
    FAIL(error, WEFT_INVALID, "is no JSON object");
}

weft_status weft_record_text(const char *line, size_t length, const char *field, weft_text *out, weft_error *error)
{
    json_t *record = NULL;
    TRY(parse_line(line, length, &record, error));
    const json_t *text = json_object_get(record, field);
    bool is_text = json_is_string(text);
    if (is_text) weft_text_add_bytes(out, json_string_value(text), json_string_length(text));
    json_decref(record);
    if (!is_text)
        FAIL(error, WEFT_INVALID, "has no text: no string \"%s\" (weft tokenize --field names another)", field);
    return weft_text_check(out, error);
}

/* ShareGPT's names of roles, and others that are used. */
static const char *const role_names[][2] = {
    {"human", "user"}, {"gpt", "assistant"}, {"model", "assistant"}, {"chatgpt", "assistant"}, {"bing", "assistant"}};

static void trim(turn *said)
{
    static const char blanks[] = " \t\r\n\v\f";
    while (said->length > 0 && memchr(blanks, said->content[0], sizeof blanks - 1)) {
        said->content++;
        said->length--;
    }
    while (said->length > 0 && memchr(blanks, said->content[said->length - 1], sizeof blanks - 1)) said->length--;
}

static weft_status read_turn(const weft_chat_template *form, const json_t *message, size_t number, turn *out,
                             weft_error *error)
{
    const json_t *role = json_object_get(message, "role"), *content = json_object_get(message, "content");
    if (!role) role = json_object_get(message, "from");
    if (!content) content = json_object_get(message, "value");
    if (!json_is_string(role) || !json_is_string(content))
        FAIL(error, WEFT_INVALID, "message %zu has no string \"role\" and \"content\", or \"from\" and \"value\"",
             number);
    *out = (turn){json_string_value(role), json_string_value(content), json_string_length(role),
                  json_string_length(content)};
    for (size_t i = 0; i < sizeof role_names / sizeof *role_names; i++)
        if (strcmp(out->role, role_names[i][0]) == 0) out->role = role_names[i][1];
    out->role_length = strlen(out->role);
    if (form->trims) trim(out);
    return WEFT_OK;
}

static bool is_role(const turn *said, const char *role)
{
    return strcmp(said->role, role) == 0;
}

static weft_status add_turn(const weft_chat_template *form, const turn *said, weft_chat_parts *out, weft_error *error)
{
    return fill_form(is_role(said, "assistant") ? form->answer : form->message, said, out, error);
}

/* What the system says, a blank line, and what the user says, as one message. */
static weft_status add_joined(const weft_chat_template *form, const turn *system, const turn *user,
                              weft_chat_parts *out, weft_error *error)
{
    weft_text both;
    weft_text_init(&both);
    weft_text_add_bytes(&both, system->content, system->length);
    weft_text_add_bytes(&both, "\n\n", 2);
    weft_text_add_bytes(&both, user->content, user->length);
    turn said = {"user", weft_text_get(&both), 4, both.length};
    weft_status status = weft_text_check(&both, error);
    if (status == WEFT_OK) status = add_turn(form, &said, out, error);
    weft_text_fini(&both);
    return status;
}

static weft_status render_pairs(const weft_chat_template *form, const json_t *messages, weft_chat_parts *out,
                                weft_error *error)
{
    turn system = {0}, said;
    size_t count = json_array_size(messages), first = 0;
    TRY(read_turn(form, json_array_get(messages, 0), 1, &said, error));
    if (is_role(&said, "system")) {
        system = said;
        first = 1;
    }
    for (size_t i = first; i < count; i++) {
        TRY(read_turn(form, json_array_get(messages, i), i + 1, &said, error));
        const char *wanted = (i - first) % 2 == 0 ? "user" : "assistant";
        if (!is_role(&said, wanted))
            FAIL(error, WEFT_INVALID, "message %zu is of \"%s\": template %s wants one of \"%s\" there", i + 1,
                 said.role, form->name, wanted);
        bool joined = i == first && system.content;
        TRY(joined ? add_joined(form, &system, &said, out, error) : add_turn(form, &said, out, error));
    }
    return WEFT_OK;
}

static weft_status render_turns(const weft_chat_template *form, const json_t *messages, weft_chat_parts *out,
                                weft_error *error)
{
    for (size_t i = 0; i < json_array_size(messages); i++) {
        turn said, system = {"system", form->system, 6, form->system ? strlen(form->system) : 0};
        TRY(read_turn(form, json_array_get(messages, i), i + 1, &said, error));
        if (i == 0 && form->system && !is_role(&said, "system")) TRY(add_turn(form, &system, out, error));
        TRY(add_turn(form, &said, out, error));
    }
    return WEFT_OK;
}

static weft_status render(const weft_chat_template *form, const json_t *record, weft_chat_parts *out, weft_error *error)
{
    const json_t *messages = json_object_get(record, "messages");
    if (!messages) messages = json_object_get(record, "conversations");
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        FAIL(error, WEFT_INVALID, "is no chat: no list \"messages\" or \"conversations\"");
    out->text.length = out->count = 0;
    TRY(fill_form(form->begin, NULL, out, error));
    return (form->pairs ? render_pairs : render_turns)(form, messages, out, error);
}

weft_status weft_chat_render(const weft_chat_template *form, const char *line, size_t length, weft_chat_parts *out,
                             weft_error *error)
{
    json_t *record = NULL;
    TRY(parse_line(line, length, &record, error));
    weft_status status = render(form, record, out, error);
    json_decref(record);
    return status;
}
