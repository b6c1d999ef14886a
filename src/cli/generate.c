/* weft generate: text from a checkpoint or a folder of Hugging Face. */
#include "cli/generate.h"

#include "base/json.h"
#include "cli/verb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The prompt comes with the first token: a complaint about the checkpoint stands alone. */
static int print_token(void *context, int32_t token, bool bytes)
{
    const char **prompt = context;
    if (*prompt) fputs(*prompt, stdout);
    *prompt = NULL;
    int failed = bytes ? putchar(token) == EOF : printf(" %d", (int)token) < 0;
    return failed || fflush(stdout) != 0;
}

static int print_text(void *context, const char *bytes, size_t count)
{
    const char **prompt = context;
    if (*prompt) fputs(*prompt, stdout);
    *prompt = NULL;
    return fwrite(bytes, 1, count, stdout) != count || fflush(stdout) != 0;
}

weft_status weft_cli_generate(const char *checkpoint, const char *device, weft_sample_options options,
                              weft_error *error)
{
    const char *prompt = options.prompt;
    options.token = print_token;
    options.text = print_text;
    options.context = &prompt;
    TRY(weft_sample(checkpoint, device, &options, error));
    if (prompt) fputs(prompt, stdout); /* there was no token */
    putchar('\n');
    if (fflush(stdout) != 0 || ferror(stdout))
        FAIL(error, WEFT_FAILED, "cannot write to standard output: %s", strerror(errno));
    return WEFT_OK;
}

/* For --json the tokens are kept. */
static int keep_token(void *context, int32_t token, bool bytes)
{
    weft_text *text = context;
    char byte = token ? (char)token : (char)0xff; /* a zero byte would end the text; this one is shown as U+FFFD too */
    if (bytes)
        weft_text_add_bytes(text, &byte, 1);
    else
        weft_text_add(text, "%s%d", text->length ? " " : "", (int)token);
    return text->failed;
}

static int keep_text(void *context, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) keep_token(context, (unsigned char)bytes[i], true);
    return ((weft_text *)context)->failed;
}

static weft_status generate_json(const char *checkpoint, const char *device, weft_sample_options options,
                                 weft_error *error)
{
    weft_text made, out;
    weft_text_init(&made);
    weft_text_init(&out);
    options.token = keep_token;
    options.text = keep_text;
    options.context = &made;
    weft_status status = weft_sample(checkpoint, device, &options, error);
    if (status == WEFT_OK) {
        weft_json json = weft_json_begin(&out, WEFT_JSON_WIDE);
        weft_json_object(&json, NULL, WEFT_JSON_ROW);
        weft_json_text(&json, "prompt", options.prompt);
        weft_json_text(&json, "text", weft_text_get(&made));
        weft_json_object_end(&json);
        weft_text_add(&out, "\n");
        status = weft_text_check(&made, error);
    }
    if (status == WEFT_OK) status = weft_cli_print(&out, error);
    weft_text_fini(&made);
    weft_text_fini(&out);
    return status;
}

static void note_to_errors(const char *line)
{
    fprintf(stderr, "note: %s\n", line);
}

/* All of standard input, as it is. */
static weft_status read_prompt(weft_text *out, weft_error *error)
{
    char piece[4096];
    size_t got = 0;
    while ((got = fread(piece, 1, sizeof piece, stdin)) > 0) weft_text_add_bytes(out, piece, got);
    if (ferror(stdin)) FAIL(error, WEFT_FAILED, "cannot read standard input: %s", strerror(errno));
    TRY(weft_text_check(out, error));
    if (out->length > 0 && memchr(out->bytes, 0, out->length))
        FAIL(error, WEFT_INVALID, "the prompt on standard input holds a zero byte, which no prompt can");
    return WEFT_OK;
}

static weft_status generate(const weft_arguments *arguments, const char *prompt, weft_error *error)
{
    weft_sample_options options = {.prompt = prompt,
                                   .stop = weft_arguments_get(arguments, "stop"),
                                   .uncached = weft_arguments_has(arguments, "no-cache"),
                                   .note = note_to_errors};
    int64_t seed = 0;
    const char *device = weft_arguments_get(arguments, "device");
    TRY(weft_arguments_int(arguments, "tokens", 200, 1, 1 << 30, &options.tokens, error));
    TRY(weft_arguments_double(arguments, "temperature", 0.8, 0, 100, &options.temperature, error));
    TRY(weft_arguments_int(arguments, "top-k", 0, 0, 1 << 30, &options.top_k, error));
    TRY(weft_arguments_double(arguments, "top-p", 1, 0, 1, &options.top_p, error));
    TRY(weft_arguments_int(arguments, "seed", 1, 0, INT64_MAX, &seed, error));
    options.seed = (uint64_t)seed;
    const char *checkpoint = arguments->operands[0];
    if (weft_arguments_has(arguments, "json")) return generate_json(checkpoint, device, options, error);
    return weft_cli_generate(checkpoint, device, options, error);
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    (void)out_exit;
    const char *prompt = weft_arguments_get(arguments, "prompt");
    if (strcmp(prompt, "-") != 0) return generate(arguments, prompt, error);
    weft_text text;
    weft_text_init(&text);
    weft_status status = read_prompt(&text, error);
    if (status == WEFT_OK) status = generate(arguments, weft_text_get(&text), error);
    weft_text_fini(&text);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(
        out,
        "The operand is a run folder (its latest checkpoint), a checkpoint, a folder of Hugging Face or a GGUF file.\n"
        "For a run with data.tokenizer, a folder or file with a tokenizer and a model of bytes the prompt and the "
        "text\n"
        "to stop at are text; for others they are lists of token numbers, and token numbers are printed. Keys and\n"
        "values of up to batch.tokens tokens are kept (of a folder or file, of as many as the model can take); "
        "beyond,\n"
        "each token takes the whole window.\n");
}

static const weft_option options[] = {
    {"prompt", "TEXT", "the text to go on from; -: what standard input holds"},
    {"tokens", "N", "how many tokens to generate (200)"},
    {"temperature", "X", "0: always the most probable token; 1: as trained (0.8)"},
    {"top-k", "K", "draw among the K most probable tokens; 0: all (0)"},
    {"top-p", "X", "draw among the fewest tokens that have this share of the probability; 0, 1: all (1)"},
    {"seed", "N", "of the draws (1)"},
    {"stop", "TEXT", "end before this text comes; it is not printed"},
    {"device", "KIND", "device kind (the one the run was configured with)"},
    {"no-cache", NULL, "compute the whole window for each token, for comparison"},
    {"json", NULL, "print an object: {\"prompt\": .., \"text\": ..}"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_generate = {
    .name = "generate",
    .summary = "Generates text from a model",
    .operands = "RUN|CHECKPOINT|FOLDER|FILE.gguf",
    .options = options,
    .needed = 1,
    .least = 1,
    .most = 1,
    .details = details,
    .run = run,
};
