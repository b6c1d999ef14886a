#include "train/input.h"

#include "base/hands.h"
#include "data/cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_fingerprint(const weft_tokenizer *tokenizer, char out[24])
{
    snprintf(out, 24, "%016" PRIx64, weft_tokenizer_fingerprint(tokenizer));
}

static weft_status check_tokenizer(const weft_config *config, const weft_tokenizer *tokenizer, weft_error *error)
{
    char own[24];
    const char *known = config->data.tokenizer_fingerprint;
    int64_t size = weft_tokenizer_vocabulary(tokenizer);
    print_fingerprint(tokenizer, own);
    if (*known && strcmp(known, own) != 0)
        return weft_config_complain(config, "data.tokenizer", error,
                                    "%s has the fingerprint %s, not %s (data.tokenizer_fingerprint): name the "
                                    "tokenizer that the run began with",
                                    config->data.tokenizer, own, known);
    if (size > config->model.vocabulary)
        return weft_config_complain(config, "model.vocabulary", error,
                                    "is %" PRId64 ", but data.tokenizer %s has %" PRId64
                                    " tokens: set it to that or more",
                                    config->model.vocabulary, config->data.tokenizer, size);
    return WEFT_OK;
}

weft_status weft_input_tokenizer(const weft_config *config, weft_tokenizer **out, weft_error *error)
{
    const char *path = config->data.tokenizer;
    *out = NULL;
    if (!*path) return WEFT_OK;
    if (weft_tokenizer_create(path, config->data.tokenizer_pattern, out, error) != WEFT_OK)
        return weft_config_relay(config, "data.tokenizer", error);
    if (check_tokenizer(config, *out, error) == WEFT_OK) return WEFT_OK;
    weft_tokenizer_destroy(*out);
    *out = NULL;
    return error->status;
}

weft_status weft_train_settle(weft_config *config, weft_error *error)
{
    char own[24];
    weft_tokenizer *tokenizer = NULL;
    TRY(weft_input_tokenizer(config, &tokenizer, error));
    if (!tokenizer) return WEFT_OK;
    print_fingerprint(tokenizer, own);
    weft_tokenizer_destroy(tokenizer);
    return weft_arena_text(&config->arena, own, &config->data.tokenizer_fingerprint, error);
}

/* Special tokens stand for no text, nor do ids that the tokenizer does not know. */
static weft_status measure_tokens(weft_input *input, int64_t vocabulary, weft_error *error)
{
    weft_text text;
    weft_error ignored;
    if (!input->tokenizer) return WEFT_OK;
    TRY(weft_arena_take(&input->arena, (size_t)vocabulary, sizeof *input->lengths, &input->lengths, error));
    weft_text_init(&text);
    weft_decoder decoder;
    weft_decoder_init(&decoder, input->tokenizer, WEFT_DECODE_BYTES | WEFT_DECODE_SKIP_SPECIAL);
    decoder.begun = true; /* no token is at the beginning of a text */
    for (int32_t id = 0; id < vocabulary; id++) {
        text.length = 0;
        input->lengths[id] = weft_decoder_add(&decoder, id, &text, &ignored) == WEFT_OK ? (int32_t)text.length : 0;
    }
    weft_status status = weft_text_check(&text, error);
    weft_text_fini(&text);
    return status;
}

/* One opening of an input. */
typedef struct {
    weft_input *input;
    const weft_config *config;
    const weft_train_options *options;
    weft_text *notes;
    const char *const *own;
    size_t own_count;
    bool lacks;                /* tokens that are not made here */
    weft_tokenize_totals made; /* of the text that is tokenised now */
} entry;

static bool wants_stop(void *context)
{
    const weft_train_options *options = ((const entry *)context)->options;
    return options && options->stop && *options->stop;
}

static void tell(void *context, const weft_tokenize_totals *totals)
{
    entry *self = context;
    const weft_train_options *options = self->options;
    self->made = *totals;
    if (options && options->observer.tokenised) options->observer.tokenised(options->observer.context, totals);
}

static void tell_made(const entry *self, const char *path, const char *prefix)
{
    const weft_observer *observer = &self->options->observer;
    weft_text line;
    if (!observer->note) return;
    weft_text_init(&line);
    weft_text_add(&line, "%s: ", path);
    weft_text_add_count(&line, (int64_t)self->made.documents, "document");
    weft_text_add(&line, ", ");
    weft_text_add_count(&line, (int64_t)self->made.tokens, "token");
    weft_text_add(&line, ", kept in %s", prefix);
    observer->note(observer->context, weft_text_get(&line));
    if (self->made.left_out > 0) {
        line.length = 0;
        weft_text_add(&line, "%s: ", path);
        weft_text_add_count(&line, (int64_t)self->made.left_out, "file");
        weft_text_add(&line, " left out as no text, such as %s (%s)", self->made.left_example, self->made.left_what);
        observer->note(observer->context, weft_text_get(&line));
    }
    weft_text_fini(&line);
}

/* Text becomes the tokens that a cache holds of it. */
static weft_status find_tokens(entry *self, const char *key, const char *path, const char **out, weft_error *error)
{
    *out = path;
    if (!self->input->tokenizer || !*path) return WEFT_OK;
    self->made = (weft_tokenize_totals){0};
    weft_cache_options cache = {.path = path,
                                .format = (weft_config_format)self->config->data.format,
                                .own = self->own,
                                .own_count = self->own_count,
                                .tokenizer = self->input->tokenizer,
                                .folder = self->config->data.cache,
                                .threads = weft_cores(),
                                .make = self->options != NULL,
                                .stop = wants_stop,
                                .tell = tell,
                                .context = self};
    if (weft_cache_find(&cache, &self->input->arena, out, error) != WEFT_OK)
        return error->status == WEFT_INVALID ? weft_config_relay(self->config, key, error) : error->status;
    if (*out && self->made.documents > 0) tell_made(self, path, *out);
    if (*out) return WEFT_OK;
    self->lacks = true;
    weft_text_add(self->notes, "%s: %s is tokenised when the run starts\n", key, path);
    return WEFT_OK;
}

/* Of all paths, before any is opened. */
static weft_status find_all(entry *self, weft_data_source *sources, weft_data_options *options, weft_error *error)
{
    const weft_config *config = self->config;
    bool listed = config->data.sources.count > 0;
    for (int64_t i = 0; i < config->data.sources.count; i++) {
        const weft_config_source *source = &config->data.sources.items[i];
        sources[i].weight = source->weight;
        TRY(find_tokens(self, "data.sources", source->path, &sources[i].path, error));
    }
    if (!listed) TRY(find_tokens(self, "data.path", config->data.path, &options->path, error));
    options->sources = sources;
    options->source_count = (int32_t)config->data.sources.count;
    return find_tokens(self, "data.held_out_path", config->data.held_out_path, &options->held_out_path, error);
}

static bool opens(const weft_data_options *options)
{
    weft_data *data = NULL;
    weft_error ignored;
    bool opened = weft_data_open(options, &data, &ignored) == WEFT_OK;
    weft_data_close(data);
    return opened;
}

/* The key without which the data could be opened. */
static const char *key_to_blame(weft_data_options options)
{
    const char *key = *options.held_out_path ? "data.held_out_path" : "data.held_out";
    options.held_out_path = "";
    options.held_out = 0;
    const char *other = options.source_count > 0 ? "data.sources" : "data.path";
    return opens(&options) ? key : other;
}

/* What ends a document besides files and indexes. */
static int64_t end_of_text(const weft_input *input, const weft_config *config)
{
    if (config->data.end_of_text >= 0 || !input->tokenizer) return config->data.end_of_text;
    return weft_tokenizer_end_of_text(input->tokenizer);
}

static weft_status open_data(entry *self, weft_data_source *sources, weft_error *error)
{
    const weft_config *config = self->config;
    bool text = self->input->tokenizer && config->data.format == WEFT_CONFIG_TEXT; /* and tokens now */
    weft_data_options options = {.path = config->data.path,
                                 .held_out_path = config->data.held_out_path,
                                 .format = text ? WEFT_CONFIG_MEGATRON : (weft_config_format)config->data.format,
                                 .tokens = config->batch.tokens,
                                 .held_out = config->data.held_out,
                                 .seed = (uint64_t)config->run.seed,
                                 .vocabulary = config->model.vocabulary,
                                 .documents = config->data.documents != WEFT_CONFIG_DOCUMENTS_NONE,
                                 .end_of_text = end_of_text(self->input, config),
                                 .own = self->own,
                                 .own_count = self->own_count};
    TRY(find_all(self, sources, &options, error));
    if (self->lacks || weft_data_open(&options, &self->input->data, error) == WEFT_OK) return WEFT_OK;
    return weft_config_relay(config, key_to_blame(options), error);
}

weft_status weft_input_open(weft_input *input, const weft_config *config, const weft_train_options *options,
                            weft_text *notes, weft_error *error)
{
    /* No data, should they lie below data.path: what this run writes and is described by. */
    const char *const own[] = {config->run.folder, weft_config_name(config), "/dev/stdout", "/dev/stderr",
                               config->data.cache};
    entry self = {.input = input,
                  .config = config,
                  .options = options,
                  .notes = notes,
                  .own = own,
                  .own_count = sizeof own / sizeof *own};
    weft_data_source *sources = NULL;
    *input = (weft_input){0};
    weft_arena_init(&input->arena);
    weft_status status = weft_input_tokenizer(config, &input->tokenizer, error);
    if (status == WEFT_OK) status = measure_tokens(input, config->model.vocabulary, error);
    if (status == WEFT_OK) status = weft_allocate((size_t)config->data.sources.count, sizeof *sources, &sources, error);
    if (status == WEFT_OK) status = open_data(&self, sources, error);
    weft_free(sources);
    if (status != WEFT_OK) weft_input_close(input);
    return status;
}

void weft_input_close(weft_input *input)
{
    weft_data_close(input->data);
    weft_tokenizer_destroy(input->tokenizer);
    weft_arena_fini(&input->arena);
    *input = (weft_input){0};
}
