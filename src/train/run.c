#include "train/train.h"

#include "train/crew.h"
#include "train/fit.h"
#include "train/input.h"
#include "train/logits.h"
#include "train/loop.h"
#include "train/resume.h"

/* NULL where the run does not start from any. */
static weft_status open_start(const weft_config *config, weft_weights **out, weft_error *error)
{
    *out = NULL;
    if (!weft_start_is_wanted(config)) return WEFT_OK;
    if (weft_weights_open(config->run.start, config->model.context, out, error) == WEFT_OK) return WEFT_OK;
    return weft_config_relay(config, "run.start", error);
}

/* It was read once; what it names may be gone. */
static void note_start(const weft_config *config, weft_text *notes)
{
    if (*config->run.start && !weft_start_is_wanted(config))
        weft_text_add(notes, "run.start %s is not read: %s holds a checkpoint\n", config->run.start,
                      config->run.folder);
}

weft_status weft_train_check(const weft_config *config, weft_text *notes, weft_error *error)
{
    weft_input input;
    weft_weights *start = NULL;
    TRY(open_start(config, &start, error));
    weft_weights_close(start);
    note_start(config, notes);
    TRY(weft_input_open(&input, config, NULL, notes, error));
    if (input.data) weft_data_describe(input.data, notes);
    weft_input_close(&input);
    return WEFT_OK;
}

typedef struct {
    weft_loop common;
    weft_loop *loops; /* (workers) */
    weft_input input;
} trainees;

static weft_status work(void *context, int32_t rank, weft_transport *transport, weft_error *error)
{
    trainees *self = context;
    self->loops[rank] = self->common;
    if (transport->leads_machine && self->common.options->trial_steps <= 0) weft_data_watch(self->input.data);
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
    weft_loop *common = &all->common;
    TRY(weft_input_open(&all->input, common->job->config, common->options, NULL, error));
    common->input = &all->input;
    common->data = all->input.data;
    common->fingerprint = weft_data_fingerprint(common->data);
    return WEFT_OK;
}

static void close_trainees(trainees *all)
{
    weft_input_close(&all->input);
    weft_free(all->loops);
}

weft_status weft_train(const weft_job *job, const weft_train_options *options, weft_error *error)
{
    trainees all = {.common = {.job = job, .options = options}};
    weft_checkpoint *resumed = NULL;
    weft_weights *start = NULL;
    weft_text notes;
    weft_text_init(&notes);
    bool trial = options->trial_steps > 0;
    weft_status status = trial ? WEFT_OK : check_memory(job, error);
    if (status == WEFT_OK && !trial) status = weft_resume_open(job, options->resume, &resumed, &notes, error);
    if (status == WEFT_OK && !trial) status = open_start(job->config, &start, error);
    if (!trial) note_start(job->config, &notes);
    if (status == WEFT_OK) status = open_trainees(&all, error);
    weft_job_notes(job, &notes);
    if (status == WEFT_OK && !trial) weft_data_describe(all.common.data, &notes);
    if (status == WEFT_OK && resumed) status = weft_resume_check(job, all.common.data, resumed, error);
    if (status == WEFT_OK) status = weft_text_check(&notes, error);
    all.common.resumed = resumed;
    all.common.weights = start;
    all.common.notes = weft_text_get(&notes);
    if (status == WEFT_OK) status = run(&all, error);
    if (status == WEFT_NO_MEMORY && !trial) weft_job_advise(job, error);
    bool stopped = false;
    for (int32_t r = 0; all.loops && r < job->workers; r++) stopped |= all.loops[r].stopped;
    if (options->stopped) *options->stopped = stopped;
    weft_checkpoint_close(resumed);
    weft_weights_close(start);
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
    if (weft_data_blocks(all->input.data, WEFT_DATA_HELD_OUT) == 0)
        return weft_config_complain(job->config, "data.held_out", error,
                                    "nothing is held out: name data.path=FILE to evaluate all of a file");
    return run(all, error);
}

weft_status weft_evaluate(const weft_job *job, const weft_weights *weights, const weft_train_options *options,
                          weft_error *error)
{
    int64_t step = weft_weights_step(weights);
    trainees all = {.common = {.job = job, .options = options, .weights = weights, .start = step, .notes = ""}};
    weft_status status = evaluate(&all, error);
    close_trainees(&all);
    return status;
}
