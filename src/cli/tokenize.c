/* weft tokenize: text, JSONL and chats to a Megatron data set. */
#include "base/clock.h"
#include "base/hands.h"
#include "base/json.h"
#include "cli/launch.h"
#include "cli/verb.h"
#include "data/tokenize.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST_THREADS = 1024, LONGEST_BLOCK = 1 << 20 };

/* What is shown while it goes on. */
typedef struct {
    const volatile sig_atomic_t *wish; /* to stop */
    double begin, shown;
    bool terminal;
} show;

static bool wants_stop(void *context)
{
    return *((const show *)context)->wish != 0;
}

static void tell(void *context, const weft_tokenize_totals *totals)
{
    show *it = context;
    double now = weft_clock_seconds();
    if (!it->terminal || now - it->shown < 0.2) return;
    it->shown = now;
    weft_text line;
    weft_text_init(&line);
    if (totals->size > 0) weft_text_add(&line, "%3.0f %%, ", 100 * (double)totals->consumed / (double)totals->size);
    weft_text_add_count(&line, (int64_t)totals->documents, "document");
    fprintf(stderr, "\r%s, %.1f M tokens, %.1f MB/s ", weft_text_get(&line), (double)totals->tokens * 1e-6,
            (double)totals->text * 1e-6 / (now - it->begin + 1e-9));
    weft_text_fini(&line);
}

static weft_status read_format(const weft_arguments *arguments, weft_passages_format *out, weft_error *error)
{
    const char *format = weft_arguments_get(arguments, "format");
    *out = WEFT_PASSAGES_AUTO;
    if (!format) return WEFT_OK;
    if (strcmp(format, "text") == 0)
        *out = WEFT_PASSAGES_TEXT;
    else if (strcmp(format, "jsonl") == 0)
        *out = WEFT_PASSAGES_JSONL;
    else
        FAIL(error, WEFT_INVALID, "--format is text or jsonl, not '%s'", format);
    return WEFT_OK;
}

/* The id of a token that an option names. */
static weft_status find_token(const weft_tokenizer *tokenizer, const char *option, const char *name, size_t length,
                              int32_t *out, weft_error *error)
{
    *out = weft_tokenizer_find(tokenizer, name, length);
    if (*out < 0) FAIL(error, WEFT_INVALID, "--%s: the tokenizer has no token '%.*s'", option, (int)length, name);
    return WEFT_OK;
}

static weft_status read_end(const weft_arguments *arguments, weft_encode_options *encode, weft_error *error)
{
    const char *name = weft_arguments_get(arguments, "end-of-text");
    encode->end_of_text = -1;
    if (weft_arguments_has(arguments, "no-end-of-text")) {
        if (name) FAIL(error, WEFT_INVALID, "--end-of-text and --no-end-of-text exclude each other");
        return WEFT_OK;
    }
    if (name) return find_token(encode->tokenizer, "end-of-text", name, strlen(name), &encode->end_of_text, error);
    encode->end_of_text = weft_tokenizer_end_of_text(encode->tokenizer);
    if (encode->end_of_text < 0)
        FAIL(error, WEFT_INVALID,
             "the tokenizer does not say which token ends a text: name it with --end-of-text, or say --no-end-of-text");
    return WEFT_OK;
}

/* Names of the three tokens in front of prefix, suffix and middle: those of StarCoder, SantaCoder, Qwen, and others. */
static const char *const fill_tokens[][3] = {
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
    {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
};

static weft_status find_fill_tokens(const weft_arguments *arguments, weft_encode_options *encode, weft_error *error)
{
    int32_t *const ids[] = {&encode->fill.prefix, &encode->fill.suffix, &encode->fill.middle};
    const char *names = weft_arguments_get(arguments, "fim-tokens");
    for (size_t k = 0; k < sizeof fill_tokens / sizeof *fill_tokens && !names; k++) {
        bool all = true;
        for (int i = 0; i < 3; i++) {
            *ids[i] = weft_tokenizer_find(encode->tokenizer, fill_tokens[k][i], strlen(fill_tokens[k][i]));
            all &= *ids[i] >= 0;
        }
        if (all) return WEFT_OK;
    }
    if (!names) FAIL(error, WEFT_INVALID, "--fim-rate: name the tokens with --fim-tokens PREFIX,SUFFIX,MIDDLE");
    for (int i = 0; i < 3; i++) {
        size_t length = strcspn(names, ",");
        if (length == 0 || (i < 2) != (names[length] == ','))
            FAIL(error, WEFT_INVALID, "--fim-tokens names three tokens, PREFIX,SUFFIX,MIDDLE");
        TRY(find_token(encode->tokenizer, "fim-tokens", names, length, ids[i], error));
        names += length + 1;
    }
    return WEFT_OK;
}

static weft_status read_fill(const weft_arguments *arguments, weft_encode_options *encode, weft_error *error)
{
    weft_fill_middle *fill = &encode->fill;
    int64_t seed = 1;
    TRY(weft_arguments_double(arguments, "fim-rate", 0, 0, 1, &fill->rate, error));
    TRY(weft_arguments_double(arguments, "fim-spm-rate", 0.5, 0, 1, &fill->suffix_first, error));
    TRY(weft_arguments_int(arguments, "seed", 1, 0, INT64_MAX, &seed, error));
    fill->seed = (uint64_t)seed;
    if (fill->rate == 0) return WEFT_OK;
    if (encode->chat) FAIL(error, WEFT_INVALID, "--fim-rate and --chat exclude each other");
    return find_fill_tokens(arguments, encode, error);
}

static weft_status read_options(const weft_arguments *arguments, weft_tokenize_options *options, weft_error *error)
{
    weft_encode_options *encode = &options->encode;
    const char *chat = weft_arguments_get(arguments, "chat"), *field = weft_arguments_get(arguments, "field");
    int64_t threads = 0;
    TRY(read_format(arguments, &options->pieces.format, error));
    TRY(weft_arguments_int(arguments, "threads", weft_cores(), 1, MOST_THREADS, &threads, error));
    TRY(weft_arguments_int(arguments, "pack", 0, 1, LONGEST_BLOCK, &options->pack, error));
    if (chat) TRY(weft_chat_template_find(chat, encode->tokenizer, &encode->chat, error));
    if (chat && options->pieces.format == WEFT_PASSAGES_TEXT)
        FAIL(error, WEFT_INVALID, "--chat reads JSONL, not --format text");
    if (chat) options->pieces.format = WEFT_PASSAGES_JSONL;
    TRY(read_end(arguments, encode, error));
    TRY(read_fill(arguments, encode, error));
    options->threads = (int)threads;
    options->anew = weft_arguments_has(arguments, "anew");
    encode->field = field ? field : "text";
    encode->special = weft_arguments_has(arguments, "special");
    encode->begin = weft_arguments_has(arguments, "begin");
    return WEFT_OK;
}

static void add_count(weft_text *out, const char *before, uint64_t count, const char *noun, const char *behind)
{
    weft_text_add(out, "%s", before);
    weft_text_add_count(out, (int64_t)count, noun);
    weft_text_add(out, "%s", behind);
}

static void add_text(const weft_tokenize_totals *totals, const char *prefix, double seconds, weft_text *out)
{
    if (totals->stopped) {
        add_count(out, "stopped: the same command goes on behind ", totals->documents, "document", "\n");
    } else {
        weft_text_add(out, "%s.bin, %s.idx: ", prefix, prefix);
        add_count(out, "", totals->documents, "document", ", ");
        add_count(out, "", totals->tokens, "token", "");
        weft_text_add(out, " (%s)\n", totals->numbers);
    }
    if (totals->resumed > 0) add_count(out, "went on behind ", totals->resumed, "document", " of an earlier run\n");
    if (totals->text > 0 && totals->tokens > 0)
        weft_text_add(out, "%.1f MB of text in %.1f s: %.1f MB/s\n", (double)totals->text * 1e-6, seconds,
                      (double)totals->text * 1e-6 / seconds);
    if (totals->filled > 0) add_count(out, "", totals->filled, "filler", " behind packed documents\n");
    if (totals->left_out > 0) {
        add_count(out, "", totals->left_out, "file", " in folders left out as no text, such as ");
        weft_text_add(out, "%s (%s)\n", totals->left_example, totals->left_what);
    }
    if (totals->cut > 0) add_count(out, "", totals->cut, "document", " cut, longer than a block\n");
}

static void add_json(const weft_tokenize_totals *totals, const char *prefix, double seconds, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_ROW);
    weft_json_text(&json, "prefix", prefix);
    weft_json_truth(&json, "complete", !totals->stopped);
    weft_json_int(&json, "documents", (int64_t)totals->documents);
    weft_json_int(&json, "tokens", (int64_t)totals->tokens);
    weft_json_text(&json, "numbers", totals->numbers);
    weft_json_int(&json, "resumed_documents", (int64_t)totals->resumed);
    weft_json_int(&json, "text_bytes", (int64_t)totals->text);
    weft_json_int(&json, "fillers", (int64_t)totals->filled);
    weft_json_int(&json, "cut_documents", (int64_t)totals->cut);
    weft_json_int(&json, "left_out_files", (int64_t)totals->left_out);
    weft_json_rounded(&json, "seconds", 4, seconds);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}

static weft_status print(const weft_arguments *arguments, const weft_tokenize_totals *totals, double seconds,
                         weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    bool json = weft_arguments_has(arguments, "json");
    (json ? add_json : add_text)(totals, weft_arguments_get(arguments, "out"), seconds, &text);
    weft_status status = weft_cli_print(&text, error);
    weft_text_fini(&text);
    return status;
}

static weft_status tokenize(const weft_arguments *arguments, const weft_tokenizer *tokenizer, int *out_exit,
                            weft_error *error)
{
    static const char *const own[] = {"/dev/stdout", "/dev/stderr"}; /* no text, should they lie in a folder */
    show shown = {.begin = weft_clock_seconds(), .terminal = isatty(STDERR_FILENO)};
    weft_tokenize_options options = {.pieces = {.inputs = arguments->operands,
                                                .input_count = (size_t)arguments->operand_count,
                                                .tokenizer = tokenizer,
                                                .own = own,
                                                .own_count = sizeof own / sizeof *own},
                                     .encode = {.tokenizer = tokenizer},
                                     .prefix = weft_arguments_get(arguments, "out"),
                                     .stop = wants_stop,
                                     .tell = tell,
                                     .context = &shown};
    weft_tokenize_totals totals;
    TRY(read_options(arguments, &options, error));
    shown.wish = weft_cli_catch_signals();
    weft_status status = weft_tokenize(&options, &totals, error);
    weft_cli_release_signals();
    if (shown.shown > 0) fprintf(stderr, "\n");
    TRY(status);
    if (totals.stopped) *out_exit = 1;
    return print(arguments, &totals, weft_clock_seconds() - shown.begin, error);
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    weft_tokenizer *tokenizer = NULL;
    TRY(weft_tokenizer_create(weft_arguments_get(arguments, "tokenizer"), weft_arguments_get(arguments, "pattern"),
                              &tokenizer, error));
    weft_status status = tokenize(arguments, tokenizer, out_exit, error);
    weft_tokenizer_destroy(tokenizer);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(
        out,
        "Writes PREFIX.bin and PREFIX.idx, which Megatron-LM and data.path=PREFIX read. Each file of text and\n"
        "each line of JSONL is a document. A folder stands for the files in it; - is standard input; gzip and\n"
        "Zstandard are unpacked. Ctrl-C, a full disk or a kill leaves PREFIX.*.part and PREFIX.progress:\n"
        "the same command goes on from there. Templates of chats: %s. Patterns: %s.\n",
        weft_chat_templates(), weft_tokenizer_patterns());
}

static const weft_option options[] = {
    {"tokenizer", "PATH", "tokenizer.json, tokenizer.model, a tiktoken or GGUF file, or a folder with one"},
    {"out", "PREFIX", "write PREFIX.bin and PREFIX.idx"},
    {"format", "FORMAT", "text or jsonl (default: by the name)"},
    {"field", "NAME", "of JSONL: the string that is the text (default text)"},
    {"pattern", "NAME|REGEX", "how a tiktoken file's words are found, where its vocabulary is not known"},
    {"chat", "TEMPLATE", "JSONL holds chats: render them, and learn what the assistant says"},
    {"pack", "T", "pack documents into blocks of T tokens, none cut that fits (T = batch.tokens)"},
    {"end-of-text", "TOKEN", "put this token behind each document (default: the tokenizer's own)"},
    {"no-end-of-text", NULL, "put nothing behind documents"},
    {"begin", NULL, "put in front of each document what the tokenizer says"},
    {"special", NULL, "names of special tokens in the text are these tokens (default: text like any other)"},
    {"fim-rate", "SHARE", "so many of the documents are made to fill in the middle (default 0)"},
    {"fim-spm-rate", "SHARE", "so many of these with the suffix first (default 0.5)"},
    {"fim-tokens", "P,S,M", "the tokens in front of prefix, suffix and middle"},
    {"seed", "N", "of fill-in-the-middle (default 1)"},
    {"threads", "N", "that encode (default: all cores)"},
    {"anew", NULL, "do not go on with an earlier run, and replace what it wrote"},
    {"json", NULL, "print an object"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_tokenize = {
    .name = "tokenize",
    .summary = "Turns text, JSONL or chats into a Megatron data set of tokens",
    .operands = "FILE|FOLDER|- ...",
    .options = options,
    .needed = 2,
    .least = 1,
    .most = -1,
    .details = details,
    .run = run,
};
