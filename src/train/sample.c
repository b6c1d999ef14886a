#include "train/train.h"

#include "train/crossing.h"
#include "train/draw.h"
#include "train/input.h"
#include "train/steps.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    weft_weights *weights;
    weft_config config;
    weft_job *job;
    weft_local_hub *hub;
    weft_transport *transport;
    weft_worker *worker;
    weft_steps *steps;          /* NULL: the whole window is computed for each token */
    weft_candidate *candidates; /* (V) */
    int32_t *history;           /* prompt and generated tokens */
    int64_t length;
    int64_t told;  /* up to which of them the caller knows */
    int32_t *stop; /* what ends the generation, or NULL */
    int64_t stop_length;
    weft_tokenizer *tokenizer; /* NULL: tokens are bytes, or numbers */
    weft_decoder decoder;
    weft_text rest; /* what was decoded and the caller does not know */
} sampler;

/* What the prompt is depends on the run: one that names no tokenizer is given token numbers. */
static const char *find_tokenizer(const weft_weights *weights)
{
    bool none = weft_weights_has_run(weights) && !*weft_weights_config(weights)->data.tokenizer;
    return none ? NULL : weft_weights_other_tokenizer(weights);
}

/* Their own configuration, as one worker and one micro-batch of one sequence. */
static weft_status load_config(sampler *self, const char *device, weft_error *error)
{
    enum { OVERRIDES = 3 };
    const char *overrides[OVERRIDES], *tokenizer = find_tokenizer(self->weights);
    const char *yaml = weft_weights_yaml(self->weights), *name = weft_weights_path(self->weights);
    weft_text texts[OVERRIDES];
    int count = 0;
    for (int i = 0; i < OVERRIDES; i++) weft_text_init(&texts[i]);
    if (device) weft_text_add(&texts[count++], "device=%s", device);
    if (tokenizer) weft_text_add(&texts[count++], "data.tokenizer=%s", tokenizer);
    if (!weft_weights_has_run(self->weights)) weft_text_add(&texts[count++], "data.path=none");
    weft_status status = WEFT_OK;
    for (int i = 0; i < count && status == WEFT_OK; i++) {
        status = weft_text_check(&texts[i], error);
        overrides[i] = weft_text_get(&texts[i]);
    }
    if (status == WEFT_OK)
        status = weft_config_load_text_for(&self->config, WEFT_CONFIG_TO_SAMPLE, yaml, strlen(yaml), name, overrides,
                                           count, error);
    for (int i = 0; i < OVERRIDES; i++) weft_text_fini(&texts[i]);
    return status;
}

/* A folder may have a tokenizer that weft cannot read: its model can be given token numbers. */
static weft_status open_tokenizer(sampler *self, const weft_sample_options *options, weft_error *error)
{
    char line[640];
    weft_status status = weft_input_tokenizer(&self->config, &self->tokenizer, error);
    if (status != WEFT_INVALID || weft_weights_has_run(self->weights)) return status;
    snprintf(line, sizeof line, "%.500s: goes on without a tokenizer", error->text);
    if (options->note) options->note(line);
    self->config.data.tokenizer = "";
    return WEFT_OK;
}

/* Where no training says how long sequences are, they are as long as this text will be. */
static weft_status choose_window(sampler *self, const weft_sample_options *options, weft_error *error)
{
    char value[32];
    int64_t wanted = self->length + options->tokens, most = self->config.model.context;
    if (weft_weights_has_run(self->weights)) return WEFT_OK;
    snprintf(value, sizeof value, "%lld", (long long)(wanted < most ? wanted : most));
    return weft_config_choose(&self->config, "batch.tokens", value, error);
}

static weft_status make_worker(sampler *self, const weft_sample_options *options, weft_error *error)
{
    static const int32_t only[] = {0};
    static const weft_group group = {.members = only, .count = 1};
    TRY(weft_job_create_for(&self->config, WEFT_JOB_SAMPLES, &self->job, error));
    TRY(weft_local_hub_create(1, &group, 1, &self->hub, error));
    TRY(weft_local_transport_create(self->hub, 0, &self->transport, error));
    TRY(weft_worker_create(self->job, 0, self->transport, &self->worker, error));
    TRY(weft_allocate((size_t)self->config.model.vocabulary, sizeof *self->candidates, &self->candidates, error));
    if (!options->uncached) TRY(weft_steps_create(self->worker, &self->steps, error));
    return weft_worker_start(self->worker, self->weights, error);
}

/* The probabilities of what comes behind the tokens so far are in the worker then. */
static weft_status compute(sampler *self, weft_error *error)
{
    int64_t T = self->config.batch.tokens, used = self->length < T ? self->length : T;
    weft_batch batch;
    TRY(weft_crossing_fill(self->worker, &batch, error));
    memset(batch.tokens, 0, (size_t)T * sizeof *batch.tokens);
    memset(batch.targets, 0xff, (size_t)T * sizeof *batch.targets);
    memcpy(batch.tokens, self->history + self->length - used, (size_t)used * sizeof(int32_t));
    if (self->steps && self->length <= T) return weft_steps_run(self->steps, self->length, error);
    self->worker->logits_position = used - 1;
    return weft_worker_run(self->worker, true, error);
}

static weft_status next_token(sampler *self, const weft_sample_options *options, int64_t draw, int32_t *out,
                              weft_error *error)
{
    TRY(compute(self, error));
    int64_t V = self->config.model.vocabulary;
    bool fp32 = self->job->options.element == WEFT_FP32;
    const void *logits = self->worker->host.logits;
    for (int64_t v = 0; v < V; v++) {
        float logit = fp32 ? ((const float *)logits)[v] : weft_bf16_to_float(((const uint16_t *)logits)[v]);
        if (!isfinite(logit))
            FAIL(error, WEFT_FAILED, "%s: the model gives no finite probability to token %lld after %lld token%s",
                 weft_weights_path(self->weights), (long long)v, (long long)self->length,
                 weft_text_plural(self->length));
        self->candidates[v] = (weft_candidate){logit, (int32_t)v};
    }
    *out = weft_draw(self->candidates, V, options, draw);
    return WEFT_OK;
}

static bool is_bytes(const weft_config *config)
{
    return config->model.vocabulary <= 256 && !*config->data.tokenizer;
}

/* Takes one token off a text; what: what that is, for messages. */
static weft_status read_token(const weft_config *config, const char *what, const char **at, int32_t *out,
                              weft_error *error)
{
    char *end = NULL;
    long long token = is_bytes(config) ? (unsigned char)**at : strtoll(*at, &end, 10);
    if (end == *at)
        FAIL(error, WEFT_INVALID, "the %s of a model of tokens is a list of token numbers: '%.80s' is none", what, *at);
    if (token < 0 || token >= config->model.vocabulary)
        FAIL(error, WEFT_INVALID, "token %lld of the %s is outside the vocabulary of %lld", token, what,
             (long long)config->model.vocabulary);
    *at = end ? end + strspn(end, " \t\n") : *at + 1;
    *out = (int32_t)token;
    return WEFT_OK;
}

/* Below 11 tokens there is none for a line end. */
const char *weft_sample_prompt(const weft_config *config)
{
    const char *prompt = config->run.sample_prompt;
    bool text = *config->data.tokenizer || (is_bytes(config) && config->model.vocabulary > '\n');
    return *prompt || !text ? prompt : "\n";
}

/* out has room for one token a byte of the text; NULL: it is only looked at. */
static weft_status encode(const weft_config *config, const char *what, const char *text, int32_t *out,
                          int64_t *out_count, weft_error *error)
{
    int64_t count = 0;
    bool letters = is_bytes(config) || *config->data.tokenizer;
    if (!*text) FAIL(error, WEFT_INVALID, "the %s is empty: give at least one %s", what, letters ? "byte" : "token");
    while (*text && !*config->data.tokenizer) {
        int32_t token = 0;
        TRY(read_token(config, what, &text, &token, error));
        if (out) out[count] = token;
        count++;
    }
    *out_count = count;
    return WEFT_OK;
}

weft_status weft_sample_check(const weft_config *config, const char *prompt, weft_error *error)
{
    int64_t count = 0;
    return encode(config, "prompt", prompt, NULL, &count, error);
}

static weft_status encode_prompt(sampler *self, const weft_sample_options *options, weft_error *error)
{
    const char *prompt = options->prompt;
    weft_token_list tokens = {0};
    int64_t none = 0;
    TRY(weft_sample_check(&self->config, prompt, error));
    if (options->stop) TRY(encode(&self->config, "text to stop at", options->stop, NULL, &none, error));
    weft_text_init(&self->rest);
    weft_decoder_init(&self->decoder, self->tokenizer, WEFT_DECODE_ALL);
    self->decoder.begun = true; /* by the prompt */
    weft_status status =
        weft_tokenizer_encode(self->tokenizer, prompt, strlen(prompt), WEFT_ENCODE_BARE, 1, &tokens, error);
    if (status == WEFT_OK && tokens.count == 0)
        status = weft_fail(error, WEFT_INVALID, "the tokenizer makes no token of the prompt: give more of it");
    if (status == WEFT_OK)
        status = weft_allocate(tokens.count + (size_t)options->tokens, sizeof *self->history, &self->history, error);
    for (size_t i = 0; i < tokens.count && status == WEFT_OK; i++) self->history[i] = tokens.ids[i];
    self->length = self->told = (int64_t)tokens.count;
    weft_token_list_fini(&tokens);
    return status;
}

static weft_status encode_texts(sampler *self, const weft_sample_options *options, weft_error *error)
{
    const char *prompt = options->prompt, *stop = options->stop;
    TRY(weft_allocate(strlen(prompt) + (size_t)options->tokens, sizeof *self->history, &self->history, error));
    TRY(encode(&self->config, "prompt", prompt, self->history, &self->length, error));
    self->told = self->length;
    if (!stop) return WEFT_OK;
    TRY(weft_allocate(strlen(stop) + 1, sizeof *self->stop, &self->stop, error));
    return encode(&self->config, "text to stop at", stop, self->stop, &self->stop_length, error);
}

/* How many of the last generated tokens are the beginning of what ends the generation: the most that there can be. */
static int64_t count_stopping(const sampler *self)
{
    int64_t count = self->length - self->told;
    if (count > self->stop_length) count = self->stop_length;
    while (count > 0 &&
           memcmp(self->history + self->length - count, self->stop, (size_t)count * sizeof *self->stop) != 0)
        count--;
    return count;
}

/* Tells all but the last `held` tokens. False: the caller has had enough. */
static bool tell(sampler *self, const weft_sample_options *options, int64_t held)
{
    while (self->told < self->length - held)
        if (options->token(options->context, self->history[self->told++], is_bytes(&self->config)) != 0) return false;
    return true;
}

/* Tells what was decoded, but for what may be the beginning of the text to stop at. False: that is here, or the caller
 * has had enough. */
static bool tell_text(sampler *self, const weft_sample_options *options, bool last)
{
    weft_text *rest = &self->rest;
    size_t stop = options->stop ? strlen(options->stop) : 0, known = 0;
    bool here = false;
    for (; known < rest->length && stop > 0; known++) {
        size_t left = rest->length - known, most = left < stop ? left : stop;
        if (memcmp(rest->bytes + known, options->stop, most) != 0) continue;
        here = most == stop;
        if (here || !last) break;
    }
    if (stop == 0) known = rest->length;
    bool goes_on = known == 0 || options->text(options->context, rest->bytes, known) == 0;
    if (known > 0) memmove(rest->bytes, rest->bytes + known, rest->length - known);
    rest->length -= known;
    return goes_on && !here;
}

/* A model may have more tokens than its tokenizer. */
static weft_status decode(sampler *self, int32_t token, weft_error *error)
{
    static const char unknown[] = "\xef\xbf\xbd";
    if (weft_decoder_add(&self->decoder, token, &self->rest, error) == WEFT_OK) return WEFT_OK;
    if (error->status != WEFT_INVALID) return error->status;
    weft_text_add(&self->rest, "%s", unknown);
    return weft_text_check(&self->rest, error);
}

static void note_window(const sampler *self, const weft_sample_options *options)
{
    char line[160];
    snprintf(line, sizeof line, "beyond %lld tokens (batch.tokens) the whole window is computed anew for each token",
             (long long)self->config.batch.tokens);
    if (options->note) options->note(line);
}

static weft_status generate(sampler *self, const weft_sample_options *options, weft_error *error)
{
    bool goes_on = true, noted = !self->steps;
    for (int64_t i = 0; i < options->tokens && goes_on; i++) {
        if (!noted && self->length > self->config.batch.tokens) {
            note_window(self, options);
            noted = true;
        }
        TRY(next_token(self, options, i, &self->history[self->length], error));
        self->length++;
        if (self->tokenizer) {
            TRY(decode(self, self->history[self->length - 1], error));
            goes_on = tell_text(self, options, false);
            continue;
        }
        int64_t held = count_stopping(self);
        if (self->stop && held == self->stop_length) return WEFT_OK;
        goes_on = tell(self, options, held);
    }
    if (!goes_on) return WEFT_OK;
    if (self->tokenizer) TRY(weft_decoder_finish(&self->decoder, &self->rest, error));
    (void)(self->tokenizer ? tell_text(self, options, true) : tell(self, options, 0));
    return WEFT_OK;
}

static weft_status sample(sampler *self, const weft_sample_options *options, weft_error *error)
{
    TRY(open_tokenizer(self, options, error));
    TRY((self->tokenizer ? encode_prompt : encode_texts)(self, options, error));
    TRY(choose_window(self, options, error));
    TRY(make_worker(self, options, error));
    return generate(self, options, error);
}

weft_status weft_sample(const char *path, const char *device, const weft_sample_options *options, weft_error *error)
{
    sampler self = {0};
    weft_status status = weft_weights_open(path, 0, &self.weights, error);
    if (status == WEFT_OK) status = load_config(&self, device, error);
    if (status == WEFT_OK) {
        status = sample(&self, options, error);
        weft_steps_destroy(self.steps);
        if (self.transport) self.transport->operations->destroy(self.transport); /* before the worker's device */
        weft_worker_destroy(self.worker);
        weft_local_hub_destroy(self.hub);
        weft_job_destroy(self.job);
        weft_config_fini(&self.config);
    }
    if (self.tokenizer) weft_text_fini(&self.rest);
    weft_tokenizer_destroy(self.tokenizer);
    weft_free(self.stop);
    weft_free(self.history);
    weft_free(self.candidates);
    weft_weights_close(self.weights);
    return status;
}
