/* weft data: what a file, a folder or a Megatron data set holds. */
#include "base/json.h"
#include "cli/verb.h"
#include "data/corpus.h"
#include "tokenizer/tokenizer.h"

#include <inttypes.h>
#include <string.h>

enum { FIRST_TOKENS = 48 };

typedef struct {
    uint64_t files, tokens, documents, masked; /* masked: files with a mask */
    uint32_t largest;
    size_t first_count;
    int32_t first[FIRST_TOKENS + 1];
    weft_text text;  /* what the first tokens are; empty: not known */
    weft_text notes; /* files that were left out */
} facts;

static weft_status read_format(const weft_arguments *arguments, weft_config_format *out, weft_error *error)
{
    static const char *const names[] = {"auto", "text", "nanogpt", "llmc", "uint32", "megatron"};
    const char *format = weft_arguments_get(arguments, "format");
    *out = WEFT_CONFIG_AUTO;
    for (int i = 0; format && i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(names[i], format) != 0) continue;
        *out = (weft_config_format)i;
        return WEFT_OK;
    }
    if (!format) return WEFT_OK;
    FAIL(error, WEFT_INVALID, "--format is auto, text, nanogpt, llmc, uint32 or megatron, not '%s'", format);
}

static weft_status find_largest(const weft_corpus *corpus, facts *out, weft_error *error)
{
    unsigned char *buffer = NULL;
    TRY(weft_allocate(WEFT_CORPUS_CHECK_BYTES, 1, &buffer, error));
    weft_corpus_check check = {.vocabulary = INT32_MAX, .buffer = buffer, .largest = &out->largest};
    weft_status status = weft_corpus_check_tokens(corpus, &check, error);
    weft_free(buffer);
    return status;
}

/* Of text the bytes; of tokens what the tokenizer makes of them. */
static weft_status decode_first(const weft_arguments *arguments, const weft_corpus *corpus, facts *out,
                                weft_error *error)
{
    const char *path = weft_arguments_get(arguments, "tokenizer");
    weft_tokenizer *tokenizer = NULL;
    if (weft_corpus_layout_is_text(corpus->layout)) {
        for (size_t i = 0; i < out->first_count; i++) {
            char byte = (char)out->first[i];
            weft_text_add_bytes(&out->text, &byte, 1);
        }
        return weft_text_check(&out->text, error);
    }
    if (!path) return WEFT_OK;
    TRY(weft_tokenizer_create(path, weft_arguments_get(arguments, "pattern"), &tokenizer, error));
    weft_status status = weft_tokenizer_decode(tokenizer, out->first, out->first_count, 0, &out->text, error);
    weft_tokenizer_destroy(tokenizer);
    return status;
}

static weft_status find_facts(const weft_arguments *arguments, const weft_corpus *corpus, facts *out, weft_error *error)
{
    out->files = corpus->count;
    out->tokens = corpus->tokens;
    out->documents = weft_corpus_documents(corpus);
    for (size_t i = 0; i < corpus->count; i++) out->masked += corpus->files[i].masked;
    TRY(find_largest(corpus, out, error));
    out->first_count = corpus->tokens <= FIRST_TOKENS ? (size_t)corpus->tokens - 1 : FIRST_TOKENS; /* and one more */
    TRY(weft_corpus_read(corpus, 0, out->first_count, INT32_MAX, out->first, out->first + out->first_count, error));
    weft_corpus_describe(corpus, &out->notes);
    TRY(weft_text_check(&out->notes, error));
    return decode_first(arguments, corpus, out, error);
}

static void add_text(const weft_corpus *corpus, const facts *found, weft_text *out)
{
    weft_text_add(out, "%s", corpus->layout->name);
    if (found->files > 1) weft_text_add(out, " in %" PRIu64 " files", found->files);
    weft_text_add(out,
                  "\ntokens         %" PRIu64 "\ndocuments      %" PRIu64 "\nlargest token  %" PRIu32
                  " (model.vocabulary of %" PRIu32 " or more)\n",
                  found->tokens, found->documents, found->largest, found->largest + 1);
    if (found->masked > 0)
        weft_text_add(out, "masked         what is not to be learnt, by a .mask beside the tokens\n");
    weft_text_add(out, "begins         ");
    if (found->text.length > 0) {
        weft_text_add_json(out, weft_text_get(&found->text));
    } else {
        for (size_t i = 0; i < found->first_count && i < 12; i++) weft_text_add(out, "%d ", found->first[i]);
        weft_text_add(out, "...");
    }
    weft_text_add(out, "\n%s", weft_text_get(&found->notes));
}

static void add_json(const weft_corpus *corpus, const facts *found, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_ROW);
    weft_json_text(&json, "layout", corpus->layout->name);
    weft_json_int(&json, "files", (int64_t)found->files);
    weft_json_int(&json, "tokens", (int64_t)found->tokens);
    weft_json_int(&json, "documents", (int64_t)found->documents);
    weft_json_int(&json, "largest_token", found->largest);
    weft_json_truth(&json, "masked", found->masked > 0);
    weft_json_list(&json, "first_tokens", WEFT_JSON_ROW);
    for (size_t i = 0; i < found->first_count; i++) weft_json_int(&json, NULL, found->first[i]);
    weft_json_list_end(&json);
    weft_json_text(&json, "first_text", found->text.length > 0 ? weft_text_get(&found->text) : NULL);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}

static weft_status report(const weft_arguments *arguments, const weft_corpus *corpus, weft_error *error)
{
    facts found = {0};
    weft_text text;
    weft_text_init(&text);
    weft_text_init(&found.text);
    weft_text_init(&found.notes);
    weft_status status = find_facts(arguments, corpus, &found, error);
    if (status == WEFT_OK) {
        (weft_arguments_has(arguments, "json") ? add_json : add_text)(corpus, &found, &text);
        status = weft_cli_print(&text, error);
    }
    weft_text_fini(&found.notes);
    weft_text_fini(&found.text);
    weft_text_fini(&text);
    return status;
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    static const char *const own[] = {"/dev/stdout", "/dev/stderr"}; /* as of weft train */
    weft_corpus corpus;
    weft_corpus_options options = {.path = arguments->operands[0], .own = own, .own_count = sizeof own / sizeof *own};
    (void)out_exit;
    TRY(read_format(arguments, &options.format, error));
    TRY(weft_corpus_init(&corpus, &options, error));
    weft_status status = report(arguments, &corpus, error);
    weft_corpus_fini(&corpus);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(
        out, "Reads all of it: what is printed is what weft train would read by the same data.path and data.format.\n"
             "A Megatron data set is named by its prefix.\n");
}

static const weft_option options[] = {
    {"format", "FORMAT", "as data.format: auto, text, nanogpt, llmc, uint32 or megatron (default auto)"},
    {"tokenizer", "PATH", "show the first tokens as text"},
    {"pattern", "NAME|REGEX", "how a tiktoken file's words are found, where its vocabulary is not known"},
    {"json", NULL, "print an object"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_data = {
    .name = "data",
    .summary = "Says what a file, a folder or a Megatron data set holds",
    .operands = "FILE|FOLDER|PREFIX",
    .options = options,
    .least = 1,
    .most = 1,
    .details = details,
    .run = run,
};
