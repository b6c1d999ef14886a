#include "train/train.h"

#include "train/crew.h"
#include "train/fit.h"
#include "train/logits.h"
#include "train/loop.h"
#include "train/resume.h"

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

static weft_status open_sources(const weft_config *config, weft_data_source *sources, weft_data **out,
                                weft_error *error)
{
    /* No data, should they lie below data.path: what this run writes and is described by. */
    const char *const own[] = {config->run.folder, weft_config_name(config), "/dev/stdout", "/dev/stderr"};
    for (int64_t i = 0; i < config->data.sources.count; i++)
        sources[i] = (weft_data_source){config->data.sources.items[i].path, config->data.sources.items[i].weight};
    weft_data_options options = {.path = config->data.path,
                                 .sources = sources,
                                 .source_count = (int32_t)config->data.sources.count,
                                 .held_out_path = config->data.held_out_path,
                                 .format = (weft_config_format)config->data.format,
                                 .tokens = config->batch.tokens,
                                 .held_out = config->data.held_out,
                                 .seed = (uint64_t)config->run.seed,
                                 .vocabulary = config->model.vocabulary,
                                 .documents = config->data.documents != WEFT_CONFIG_DOCUMENTS_NONE,
                                 .end_of_text = config->data.end_of_text,
                                 .own = own,
                                 .own_count = sizeof own / sizeof *own};
    if (weft_data_open(&options, out, error) == WEFT_OK) return WEFT_OK;
    weft_error reason = *error;
    weft_status status = weft_config_complain(config, key_to_blame(options), error, "%s", reason.text);
    return reason.status == WEFT_INVALID ? status : (error->status = reason.status);
}

static weft_status open_data(const weft_config *config, weft_data **out, weft_error *error)
{
    weft_data_source *sources = NULL;
    TRY(weft_allocate((size_t)config->data.sources.count, sizeof *sources, &sources, error));
    weft_status status = open_sources(config, sources, out, error);
    weft_free(sources);
    return status;
}

weft_status weft_train_check(const weft_config *config, weft_text *notes, weft_error *error)
{
    weft_data *data = NULL;
    TRY(open_data(config, &data, error));
    weft_data_describe(data, notes);
    weft_data_close(data);
    return WEFT_OK;
}

typedef struct {
    weft_loop common;
    weft_loop *loops; /* (workers) */
    weft_data *data;
} trainees;

static weft_status work(void *context, int32_t rank, weft_transport *transport, weft_error *error)
{
    trainees *self = context;
    self->loops[rank] = self->common;
    if (transport->leads_machine && self->common.options->trial_steps <= 0) weft_data_watch(self->data);
    bool trains = self->common.job->use == WEFT_JOB_TRAINS;
    return (trains ? weft_loop_run : weft_loop_run_evaluation)(&self->loops[rank], rank, transport, error);
}

static void leave(void *context, int32_t rank)
{
    weft_loop_fini(&((trainees *)context)->loops[rank]);
}

/* A system that promises more memory than it has ends the process later, without a word. */
static weft_status check_memory(const weft_job *job, weft_error *error)
{
    double need = 0, there = 0;
    if (!weft_job_outgrows(job, &need, &there)) return WEFT_OK;
    weft_fail(error, WEFT_INVALID, "the workers need %.1f MiB, there are %.1f MiB here", need / 1048576,
              there / 1048576);
    weft_job_advise(job, error);
    return WEFT_INVALID;
}

static weft_status run(trainees *all, weft_error *error)
{
    const weft_job *job = all->common.job;
    weft_crew crew = {.context = all, .work = work, .leave = leave, .late = all->common.options->late};
    TRY(weft_allocate((size_t)job->workers, sizeof *all->loops, &all->loops, error));
    return weft_crew_run(job, &crew, error);
}

static weft_status open_trainees(trainees *all, weft_error *error)
{
    TRY(open_data(all->common.job->config, &all->data, error));
    all->common.data = all->data;
    all->common.fingerprint = weft_data_fingerprint(all->data);
    return WEFT_OK;
}

static void close_trainees(trainees *all)
{
    weft_data_close(all->data);
    weft_free(all->loops);
}

weft_status weft_train(const weft_job *job, const weft_train_options *options, weft_error *error)
{
    trainees all = {.common = {.job = job, .options = options}};
    weft_checkpoint *resumed = NULL;
    weft_text notes;
    weft_text_init(&notes);
    bool trial = options->trial_steps > 0;
    weft_status status = trial ? WEFT_OK : check_memory(job, error);
    if (status == WEFT_OK) status = open_trainees(&all, error);
    weft_job_notes(job, &notes);
    if (status == WEFT_OK && !trial) weft_data_describe(all.data, &notes);
    if (status == WEFT_OK && !trial) status = weft_resume_open(job, all.data, options->resume, &resumed, &notes, error);
    if (status == WEFT_OK) status = weft_text_check(&notes, error);
    all.common.resumed = resumed;
    all.common.notes = weft_text_get(&notes);
    if (status == WEFT_OK) status = run(&all, error);
    if (status == WEFT_NO_MEMORY && !trial) weft_job_advise(job, error);
    bool stopped = false;
    for (int32_t r = 0; all.loops && r < job->workers; r++) stopped |= all.loops[r].stopped;
    if (options->stopped) *options->stopped = stopped;
    weft_checkpoint_close(resumed);
    close_trainees(&all);
    weft_text_fini(&notes);
    return status;
}

static weft_status evaluate(trainees *all, weft_error *error)
{
    const weft_job *job = all->common.job;
    TRY(check_memory(job, error));
    if (job->use == WEFT_JOB_SHOWS) TRY(weft_logits_check(all->common.options->logits, error));
    TRY(open_trainees(all, error));
    if (weft_data_blocks(all->data, WEFT_DATA_HELD_OUT) == 0)
        return weft_config_complain(job->config, "data.held_out", error,
                                    "nothing is held out: name data.path=FILE to evaluate all of a file");
    return run(all, error);
}

weft_status weft_evaluate(const weft_job *job, weft_checkpoint *checkpoint, const weft_train_options *options,
                          weft_error *error)
{
    trainees all = {.common = {.job = job, .options = options, .resumed = checkpoint, .notes = ""}};
    weft_status status = evaluate(&all, error);
    close_trainees(&all);
    return status;
}
