/*
 * Chats as the texts that models are given: named templates, and which part of them is to be learnt. Templates are
 * those of the models' own tokenizer_config.json (docs/tokenize.md).
 *
 * A rendered chat is a list of parts: the name of a special token, or text. The answer of the assistant and the token
 * that ends it are learnt, nothing else.
 *
 * Owns: nothing; templates are constant.  Threads: any.
 */
#ifndef WEFT_DATA_CHAT_H
#define WEFT_DATA_CHAT_H

#include "tokenizer/tokenizer.h"

typedef struct weft_chat_template weft_chat_template;

const char *weft_chat_templates(void); /* "chatml, qwen, ...": their names */

/* By its name; WEFT_INVALID: there is none, or the tokenizer lacks a token that it needs. */
weft_status weft_chat_template_find(const char *name, const weft_tokenizer *tokenizer, const weft_chat_template **out,
                                    weft_error *error) WEFT_CHECKED;

const char *weft_chat_template_name(const weft_chat_template *form);

typedef struct weft_chat_part {
    size_t offset, length; /* in the text */
    bool special, learnt;
} weft_chat_part;

/* Starts as {0}; may be used again and again. */
typedef struct weft_chat_parts {
    weft_text text;
    weft_chat_part *parts; /* (count) */
    size_t count, capacity;
} weft_chat_parts;

void weft_chat_parts_fini(weft_chat_parts *parts);

/* One line of JSONL: {"messages": [{"role", "content"}, ...]} or ShareGPT's {"conversations": [{"from", "value"},
 * ...]}. WEFT_INVALID says what does not fit, without the line's place. */
weft_status weft_chat_render(const weft_chat_template *form, const char *line, size_t length, weft_chat_parts *out,
                             weft_error *error) WEFT_CHECKED;

/* Appends the string `field` of the object that a line of JSONL is. WEFT_INVALID as above. */
weft_status weft_record_text(const char *line, size_t length, const char *field, weft_text *out,
                             weft_error *error) WEFT_CHECKED;

#endif
