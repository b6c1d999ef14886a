#include "train/loop.h"

typedef struct {
    weft_error error;
    weft_checkpoint_file files[WEFT_CHECKPOINT_KINDS];
} save_part;

/* All ranks learn of the first failure, and all return. */
static weft_status agree(weft_loop *loop, save_part *own, save_part *all, const char *what, weft_error *error)
{
    TRY(weft_worker_gather(loop->worker, own, sizeof *own, all, what, error));
    for (int32_t r = 0; r < loop->job->workers; r++) {
        if (all[r].error.status == WEFT_OK) continue;
        *error = all[r].error;
        return weft_loop_known(loop, error);
    }
    return WEFT_OK;
}

static weft_status write_kind(weft_loop *loop, int64_t step, weft_checkpoint_kind kind, weft_checkpoint_file *out,
                              weft_error *error)
{
    const weft_job *job = loop->job;
    const weft_worker *worker = loop->worker;
    weft_checkpoint_piece *pieces = NULL;
    size_t count = 0;
    TRY(weft_allocate((size_t)job->parameter_count, sizeof *pieces, &pieces, error));
    for (int32_t p = 0; p < job->parameter_count; p++) {
        weft_share share = weft_worker_saves(worker, p);
        if (share.from == share.to) continue;
        const weft_parameter *parameter = &job->parameters[p];
        weft_own own = weft_worker_own(worker, p);
        const float *const values[WEFT_CHECKPOINT_KINDS] = {own.weight, own.moment1, own.moment2};
        pieces[count++] = (weft_checkpoint_piece){.name = parameter->name,
                                                  .dimensions = parameter->dimensions,
                                                  .shape = parameter->shape,
                                                  .from = share.from,
                                                  .rows = 1,
                                                  .columns = share.to - share.from,
                                                  .values = values[kind]};
    }
    weft_status status = weft_checkpoint_write(job->config->run.folder, step, kind, worker->number, job->workers,
                                               pieces, count, out, error);
    weft_free(pieces);
    return status;
}

static weft_status publish(weft_loop *loop, int64_t step, const save_part *all, weft_error *error)
{
    const weft_config *config = loop->job->config;
    weft_checkpoint_state state = {
        .step = step, .data_fingerprint = weft_data_fingerprint(loop->data), .loss = loop->loss};
    size_t ranks = (size_t)loop->job->workers;
    weft_checkpoint_file *files = NULL;
    TRY(weft_allocate(ranks * WEFT_CHECKPOINT_KINDS, sizeof *files, &files, error));
    size_t count = 0;
    for (size_t r = 0; r < ranks; r++)
        for (int k = 0; k < WEFT_CHECKPOINT_KINDS; k++)
            if (all[r].files[k].name[0]) files[count++] = all[r].files[k];
    weft_text dump;
    weft_text_init(&dump);
    weft_config_dump(config, false, &dump);
    weft_status status = weft_text_check(&dump, error);
    if (status == WEFT_OK)
        status = weft_checkpoint_publish(config->run.folder, &state, weft_text_get(&dump), files, count,
                                         config->checkpoint.keep, error);
    weft_text_fini(&dump);
    weft_free(files);
    return status;
}

/* Every rank its own tensors, into a folder that rank 0 has made. */
static weft_status write_all(weft_loop *loop, int64_t step, save_part *all, weft_error *error)
{
    save_part own = {0};
    if (loop->worker->number == 0 && weft_checkpoint_begin(loop->job->config->run.folder, step, &own.error) != WEFT_OK)
        weft_error_context(&own.error, "rank 0");
    TRY(agree(loop, &own, all, "beginning of a checkpoint", error));
    for (int k = 0; k < WEFT_CHECKPOINT_KINDS && own.error.status == WEFT_OK; k++)
        if (write_kind(loop, step, (weft_checkpoint_kind)k, &own.files[k], &own.error) != WEFT_OK)
            weft_error_context(&own.error, "rank %d", loop->worker->number);
    return agree(loop, &own, all, "files of a checkpoint", error);
}

static weft_status publish_all(weft_loop *loop, int64_t step, save_part *all, weft_error *error)
{
    save_part own = {0};
    if (loop->worker->number == 0) (void)publish(loop, step, all, &own.error);
    return agree(loop, &own, all, "end of a checkpoint", error);
}

weft_status weft_loop_save(weft_loop *loop, int64_t step, weft_error *error)
{
    save_part *all = NULL;
    bool leads = loop->worker->number == 0;
    TRY(weft_allocate((size_t)loop->job->workers, sizeof *all, &all, error));
    weft_status status = write_all(loop, step, all, error);
    if (status != WEFT_OK && leads) weft_checkpoint_discard(loop->job->config->run.folder, step);
    if (status != WEFT_OK && status != WEFT_STOPPED)
        weft_error_context(error, "the checkpoint of step %lld was not written, the one before it stays",
                           (long long)step);
    if (status == WEFT_OK) status = publish_all(loop, step, all, error);
    weft_free(all);
    if (status == WEFT_OK) loop->saved = step;
    if (status == WEFT_OK && leads && loop->options->observer.saved)
        status = loop->options->observer.saved(loop->options->observer.context, step, error);
    return status;
}
