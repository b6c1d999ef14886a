#include "fixture.h"

#include "base/file.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

const fixture fixtures[] = {
    {"gpt2", "gpt2.json", NULL, false, true},
    {"prefix", "prefix.json", NULL, true, true},
    {"llama3", "llama3.json", NULL, false, true},
    {"qwen", "qwen.json", NULL, true, true},
    {"deepseek", "deepseek.json", NULL, false, true},
    {"smollm", "smollm.json", NULL, false, true},
    {"o200k", "o200k.json", NULL, false, true},
    {"other", "other.json", NULL, true, false},
    {"ranks", "ranks.tiktoken", "llama3", false, true},
    {"ranks_other", "ranks_other.tiktoken", "\\w+|[^\\w\\s]+|\\s", false, false},
    {"pieces", "pieces.model", NULL, false, true},
    {"mapped", "mapped.model", NULL, true, true},
    {"pieces_json", "pieces_json.json", NULL, true, true},
    {"metaspace", "metaspace.json", NULL, true, true},
    {"metaspace_split", "metaspace_split.json", NULL, true, true},
};
const size_t fixture_count = sizeof fixtures / sizeof *fixtures;

enum { MOST_TEXTS = 1024 };

static weft_text texts_file;
static fixture_text texts[MOST_TEXTS];
static size_t text_count;
static weft_token_list ids[MOST_TEXTS];

const char *fixture_path(const char *file)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", TOKENIZER_FILES, file);
    return path;
}

weft_tokenizer *fixture_open(const fixture *row)
{
    weft_tokenizer *tokenizer = NULL;
    weft_error error;
    if (weft_tokenizer_create(fixture_path(row->file), row->pattern, &tokenizer, &error) != WEFT_OK)
        fail_msg("%s", error.text);
    return tokenizer;
}

static void read_file(const char *file, weft_text *out)
{
    weft_error error;
    weft_text_init(out);
    if (weft_file_read(fixture_path(file), out, &error) != WEFT_OK) fail_msg("%s", error.text);
}

static size_t load_count(const weft_text *file, size_t *at)
{
    uint32_t count;
    memcpy(&count, file->bytes + *at, sizeof count);
    *at += sizeof count;
    return count;
}

const fixture_text *fixture_texts(size_t *out_count)
{
    bool known = text_count > 0;
    if (!known) read_file("texts.bin", &texts_file);
    for (size_t at = 0; !known && text_count < MOST_TEXTS && at < texts_file.length;) {
        size_t length = load_count(&texts_file, &at);
        texts[text_count++] = (fixture_text){texts_file.bytes + at, length};
        at += length;
    }
    *out_count = text_count;
    return texts;
}

const weft_token_list *fixture_ids(const fixture *row)
{
    weft_text file;
    weft_error error;
    char name[64];
    size_t count, at = 0;
    (void)fixture_texts(&count);
    snprintf(name, sizeof name, "%s.ids", row->name);
    read_file(name, &file);
    for (size_t i = 0; i < count; i++) {
        ids[i].count = load_count(&file, &at);
        assert_int_equal(weft_grow(&ids[i].ids, &ids[i].capacity, ids[i].count + 1, sizeof(int32_t), &error), WEFT_OK);
        for (size_t k = 0; k < ids[i].count; k++, at += 2)
            ids[i].ids[k] = (unsigned char)file.bytes[at] | (unsigned char)file.bytes[at + 1] << 8;
    }
    assert_int_equal(at, file.length);
    weft_text_fini(&file);
    return ids;
}

bool fixture_is_utf8(const fixture_text *text)
{
    const unsigned char *bytes = (const unsigned char *)text->bytes;
    for (size_t at = 0; at < text->length;) {
        int used = weft_utf8_length(bytes + at, text->length - at);
        if (used == 0) return false;
        at += (size_t)used;
    }
    return true;
}

void fixture_fini(void)
{
    for (size_t i = 0; i < MOST_TEXTS; i++) weft_token_list_fini(&ids[i]);
    weft_text_fini(&texts_file);
    text_count = 0;
}
