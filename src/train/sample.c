#include "train/train.h"

#include "base/random.h"
#include "train/crossing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    float logit;
    int32_t token;
} candidate;

typedef struct {
    weft_checkpoint *checkpoint;
    weft_config config;
    weft_job *job;
    weft_local_hub *hub;
    weft_transport *transport;
    weft_worker *worker;
    candidate *candidates; /* (V) */
    int32_t *history;      /* prompt and generated tokens */
    int64_t length;
} sampler;

/* The checkpoint's own configuration, as one worker and one micro-batch of one sequence. */
static weft_status load_config(sampler *self, const char *device, weft_error *error)
{
    TRY(weft_checkpoint_load_config(self->checkpoint, &self->config, error)); /* which proves it */
    weft_config_fini(&self->config);
    char override[128];
    const char *overrides[] = {override}, *yaml = weft_checkpoint_config(self->checkpoint);
    snprintf(override, sizeof override, "device=%s", device ? device : "");
    return weft_config_load_text_for(&self->config, WEFT_CONFIG_TO_SAMPLE, yaml, strlen(yaml),
                                     weft_checkpoint_path(self->checkpoint), overrides, device ? 1 : 0, error);
}

static weft_status make_worker(sampler *self, weft_error *error)
{
    static const int32_t only[] = {0};
    static const weft_group group = {.members = only, .count = 1};
    TRY(weft_job_create_for(&self->config, WEFT_JOB_SAMPLES, &self->job, error));
    TRY(weft_local_hub_create(1, &group, 1, &self->hub, error));
    TRY(weft_local_transport_create(self->hub, 0, &self->transport, error));
    TRY(weft_worker_create(self->job, 0, self->transport, &self->worker, error));
    TRY(weft_allocate((size_t)self->config.model.vocabulary, sizeof *self->candidates, &self->candidates, error));
    return weft_worker_load(self->worker, self->checkpoint, error);
}

static int by_logit(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return (x->token > y->token) - (x->token < y->token);
}

/* Highest logits first, then a draw from the softmax of the first top_k at the temperature. */
static weft_status choose(sampler *self, const weft_sample_options *options, int64_t draw, int32_t *out,
                          weft_error *error)
{
    int64_t V = self->config.model.vocabulary, kept = options->top_k > 0 && options->top_k < V ? options->top_k : V;
    bool fp32 = self->job->options.element == WEFT_FP32;
    const void *logits = self->worker->host.logits;
    for (int64_t v = 0; v < V; v++) {
        float logit = fp32 ? ((const float *)logits)[v] : weft_bf16_to_float(((const uint16_t *)logits)[v]);
        if (!isfinite(logit))
            FAIL(error, WEFT_FAILED, "%s: the model gives no finite probability to token %lld after %lld tokens",
                 weft_checkpoint_path(self->checkpoint), (long long)v, (long long)self->length);
        self->candidates[v] = (candidate){logit, (int32_t)v};
    }
    qsort(self->candidates, (size_t)V, sizeof *self->candidates, by_logit);
    *out = self->candidates[0].token;
    if (options->temperature <= 0) return WEFT_OK;
    double total = 0, highest = self->candidates[0].logit;
    for (int64_t i = 0; i < kept; i++) total += exp((self->candidates[i].logit - highest) / options->temperature);
    double left = total * weft_random_uniform(weft_random_key_make(options->seed, "sample"), (uint64_t)draw);
    for (int64_t i = 0; i < kept && left >= 0; i++) {
        left -= exp((self->candidates[i].logit - highest) / options->temperature);
        *out = self->candidates[i].token;
    }
    return WEFT_OK;
}

/* One forward program over the last T tokens; the logits of the newest one are kept. */
static weft_status next_token(sampler *self, const weft_sample_options *options, int64_t draw, int32_t *out,
                              weft_error *error)
{
    int64_t T = self->config.batch.tokens, used = self->length < T ? self->length : T;
    weft_batch batch;
    TRY(weft_crossing_fill(self->worker, &batch, error));
    memset(batch.tokens, 0, (size_t)T * sizeof *batch.tokens);
    memset(batch.targets, 0xff, (size_t)T * sizeof *batch.targets);
    memcpy(batch.tokens, self->history + self->length - used, (size_t)used * sizeof(int32_t));
    self->worker->logits_position = used - 1;
    TRY(weft_worker_run(self->worker, true, error));
    return choose(self, options, draw, out, error);
}

static bool is_bytes(const weft_config *config)
{
    return config->model.vocabulary <= 256;
}

/* Takes one token off the prompt. */
static weft_status read_token(const weft_config *config, const char **at, int32_t *out, weft_error *error)
{
    char *end = NULL;
    long long token = is_bytes(config) ? (unsigned char)**at : strtoll(*at, &end, 10);
    if (end == *at)
        FAIL(error, WEFT_INVALID, "the prompt of a model of tokens is a list of token numbers: '%.80s' is none", *at);
    if (token < 0 || token >= config->model.vocabulary)
        FAIL(error, WEFT_INVALID, "token %lld of the prompt is outside the vocabulary of %lld", token,
             (long long)config->model.vocabulary);
    *at = end ? end + strspn(end, " \t\n") : *at + 1;
    *out = (int32_t)token;
    return WEFT_OK;
}

/* Below 11 tokens there is none for a line end. */
const char *weft_sample_prompt(const weft_config *config)
{
    const char *prompt = config->run.sample_prompt;
    return *prompt || !is_bytes(config) || config->model.vocabulary <= '\n' ? prompt : "\n";
}

weft_status weft_sample_check(const weft_config *config, const char *prompt, weft_error *error)
{
    if (!*prompt)
        FAIL(error, WEFT_INVALID, "the prompt is empty: give at least one %s", is_bytes(config) ? "byte" : "token");
    while (*prompt) {
        int32_t token = 0;
        TRY(read_token(config, &prompt, &token, error));
    }
    return WEFT_OK;
}

/* history has room for one token a character. */
static weft_status encode_prompt(sampler *self, const char *prompt, weft_error *error)
{
    TRY(weft_sample_check(&self->config, prompt, error));
    while (*prompt) TRY(read_token(&self->config, &prompt, &self->history[self->length++], error));
    return WEFT_OK;
}

static weft_status generate(sampler *self, const weft_sample_options *options, weft_error *error)
{
    TRY(weft_allocate(strlen(options->prompt) + (size_t)options->tokens, sizeof *self->history, &self->history, error));
    TRY(encode_prompt(self, options->prompt, error));
    for (int64_t i = 0; i < options->tokens; i++) {
        int32_t token = 0;
        TRY(next_token(self, options, i, &token, error));
        self->history[self->length++] = token;
        if (options->token(options->context, token, is_bytes(&self->config)) != 0) break;
    }
    return WEFT_OK;
}

weft_status weft_sample(const char *checkpoint, const char *device, const weft_sample_options *options,
                        weft_error *error)
{
    sampler self = {0};
    weft_status status = weft_checkpoint_open(checkpoint, &self.checkpoint, error);
    if (status == WEFT_OK) {
        status = load_config(&self, device, error);
        if (status == WEFT_OK) status = make_worker(&self, error);
        if (status == WEFT_OK) status = generate(&self, options, error);
        weft_worker_destroy(self.worker);
        if (self.transport) self.transport->operations->destroy(self.transport);
        weft_local_hub_destroy(self.hub);
        weft_job_destroy(self.job);
        weft_config_fini(&self.config);
    }
    weft_free(self.history);
    weft_free(self.candidates);
    weft_checkpoint_close(self.checkpoint);
    return status;
}
