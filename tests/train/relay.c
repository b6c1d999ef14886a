#include "relay.h"

#include "train/crew.h"
#include "train/loop.h"

#include <stdlib.h>
#include <string.h>

typedef struct relay {
    weft_loop common;
    weft_loop *loops; /* (workers) */
} relay;

static weft_status load_and_save(weft_loop *loop, int32_t rank, weft_error *error)
{
    int64_t step = weft_checkpoint_get_state(loop->resumed)->step;
    loop->loss = weft_checkpoint_get_state(loop->resumed)->loss;
    TRY(weft_worker_create(loop->job, rank, loop->transport, &loop->worker, error));
    loop->worker->options = loop->options;
    TRY(weft_worker_load(loop->worker, loop->resumed, error));
    return weft_loop_save(loop, step, error);
}

static weft_status work(void *context, int32_t rank, weft_transport *transport, weft_error *error)
{
    relay *self = context;
    weft_loop *loop = &self->loops[rank];
    *loop = self->common;
    loop->transport = transport;
    weft_arena_init(&loop->arena);
    weft_status status = load_and_save(loop, rank, error);
    if (status != WEFT_OK && status != WEFT_STOPPED) transport->operations->stop(transport);
    return status;
}

static void leave(void *context, int32_t rank)
{
    weft_loop_fini(&((relay *)context)->loops[rank]);
}

static weft_status open_data(const weft_config *config, weft_data **out, weft_error *error)
{
    weft_data_options options = {.path = config->data.path,
                                 .held_out_path = config->data.held_out_path,
                                 .format = (weft_config_format)config->data.format,
                                 .tokens = config->batch.tokens,
                                 .held_out = config->data.held_out,
                                 .seed = (uint64_t)config->run.seed,
                                 .vocabulary = config->model.vocabulary,
                                 .documents = config->data.documents != WEFT_CONFIG_DOCUMENTS_NONE,
                                 .end_of_text = config->data.end_of_text};
    return weft_data_open(&options, out, error);
}

static weft_status run_crew(relay *self, weft_error *error)
{
    const weft_job *job = self->common.job;
    weft_crew crew = {.context = self, .work = work, .leave = leave};
    self->loops = calloc((size_t)job->workers, sizeof *self->loops);
    if (!self->loops) abort();
    weft_status status = weft_crew_run(job, &crew, error);
    free(self->loops);
    return status;
}

weft_status test_relay(const char *from, const test_run *run, const char *corpus, const test_layout *layout,
                       weft_error *error)
{
    weft_train_options options = {.resume = false};
    weft_config config;
    weft_job *job = NULL;
    weft_data *data = NULL;
    weft_checkpoint *source = NULL;
    weft_error_clear(error);
    TRY(test_layout_job(run, corpus, layout, "local", &config, &job, error));
    weft_status status = open_data(&config, &data, error);
    if (status == WEFT_OK) status = weft_checkpoint_open(from, &source, error);
    relay self = {.common = {.job = job, .options = &options, .data = data, .resumed = source}};
    if (status == WEFT_OK) self.common.fingerprint = weft_data_fingerprint(data);
    if (status == WEFT_OK) status = run_crew(&self, error);
    weft_checkpoint_close(source);
    weft_data_close(data);
    weft_job_destroy(job);
    weft_config_fini(&config);
    return status;
}
