#include "train/crossing.h"
#include "train/loop_parts.h"
#include "train/waiting.h"

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

/* The elements of a parameter that this worker writes: every element is written by one worker. */
static weft_share saved_by(const weft_worker *worker, int32_t parameter)
{
    const weft_job *job = worker->job;
    bool once = (job->shard != WEFT_SHARD_NONE || worker->at.data == 0) &&
                (weft_split_divides(job->parameters[parameter].split) || worker->at.tensor == 0);
    if (!once || job->parameters[parameter].tied || !worker->units[job->unit_of[parameter]].master)
        return (weft_share){0, 0};
    return weft_share_of(job, parameter, worker->at.data);
}

/* What this worker has of a parameter, as pieces of the whole tensor. Returns how many. */
static size_t list_pieces(const weft_worker *worker, int32_t p, weft_checkpoint_kind kind, weft_checkpoint_piece *out)
{
    const weft_parameter *parameter = &worker->job->parameters[p];
    weft_share share = saved_by(worker, p);
    weft_own own = weft_worker_own(worker, p);
    const float *const values[WEFT_CHECKPOINT_KINDS] = {own.weight, own.moment1, own.moment2};
    weft_piece pieces[WEFT_PIECES];
    if (!values[kind]) return 0; /* moments of what is frozen */
    int32_t count = weft_parameter_pieces(parameter, worker->at.tensor, share.from, share.to, pieces);
    for (int32_t i = 0; i < count; i++)
        out[i] = (weft_checkpoint_piece){.name = parameter->name,
                                         .dimensions = parameter->dimensions,
                                         .shape = parameter->shape,
                                         .from = pieces[i].from,
                                         .rows = pieces[i].rows,
                                         .columns = pieces[i].columns,
                                         .values = values[kind] + pieces[i].at - share.from};
    return (size_t)count;
}

static weft_status write_kinds(weft_loop *loop, int64_t step, weft_checkpoint_file out[WEFT_CHECKPOINT_KINDS],
                               weft_error *error)
{
    const weft_job *job = loop->job;
    weft_unloading unloading = {.worker = loop->worker};
    const weft_tensor_source source = {&unloading, weft_crossing_unload};
    weft_checkpoint_list lists[WEFT_CHECKPOINT_KINDS];
    weft_checkpoint_piece *pieces = NULL;
    size_t most = (size_t)job->parameter_count * WEFT_PIECES;
    TRY(weft_allocate(most * WEFT_CHECKPOINT_KINDS, sizeof *pieces, &pieces, error));
    for (int k = 0; k < WEFT_CHECKPOINT_KINDS; k++) {
        weft_checkpoint_piece *own = pieces + (size_t)k * most;
        size_t count = 0;
        for (int32_t p = 0; p < job->parameter_count; p++)
            count += list_pieces(loop->worker, p, (weft_checkpoint_kind)k, own + count);
        lists[k] = (weft_checkpoint_list){own, count};
    }
    weft_status status =
        weft_checkpoint_write_kinds(loop->worker->host.staging[0] ? &source : NULL, job->config->run.folder, step,
                                    loop->worker->number, job->workers, lists, out, error);
    weft_free(pieces);
    return status;
}

static weft_status publish_files(weft_loop *loop, const weft_checkpoint_state *state, const save_part *all,
                                 weft_error *error)
{
    const weft_config *config = loop->job->config;
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
        status = weft_checkpoint_publish(config->run.folder, state, weft_text_get(&dump), files, count,
                                         config->checkpoint.keep, error);
    weft_text_fini(&dump);
    weft_free(files);
    return status;
}

static weft_status publish(weft_loop *loop, int64_t step, const save_part *all, weft_error *error)
{
    weft_checkpoint_state state = {.step = step,
                                   .sequences = weft_loop_sequences(loop, step),
                                   .data_fingerprint = loop->fingerprint,
                                   .loss = loop->loss};
    double *window = NULL;
    TRY(weft_allocate(2 * (size_t)loop->skip.window, sizeof *window, &window, error));
    weft_skip_save(&loop->skip, window, window + loop->skip.window, &state.skips);
    weft_status status = publish_files(loop, &state, all, error);
    weft_free(window);
    return status;
}

/* A checkpoint under way, as this rank sees it. */
typedef struct {
    weft_loop *loop;
    int64_t step;
    save_part own, *all;
} saving;

static weft_status begin(void *context, weft_error *error)
{
    const saving *it = context;
    if (weft_checkpoint_begin(it->loop->job->config->run.folder, it->step, error) == WEFT_OK) return WEFT_OK;
    return weft_error_context(error, "rank 0");
}

static weft_status write_own(void *context, weft_error *error)
{
    saving *it = context;
    if (write_kinds(it->loop, it->step, it->own.files, error) == WEFT_OK) return WEFT_OK;
    return weft_error_context(error, "rank %d", it->loop->worker->number);
}

static weft_status publish_all(void *context, weft_error *error)
{
    const saving *it = context;
    return publish(it->loop, it->step, it->all, error);
}

static weft_status discard(void *context, weft_error *error)
{
    (void)error;
    const saving *it = context;
    weft_checkpoint_discard(it->loop->job->config->run.folder, it->step);
    return WEFT_OK;
}

/* One part of it, by this rank where it takes part, and what all say to it. */
static weft_status do_part(saving *it, bool takes_part, weft_clerk_work work, const char *what, weft_error *error)
{
    weft_worker *worker = it->loop->worker;
    weft_status status = takes_part ? weft_waiting_work(worker, what, work, it, &it->own.error) : WEFT_OK;
    if (status != WEFT_STOPPED) return agree(it->loop, &it->own, it->all, what, error);
    *error = it->own.error;
    return status;
}

/* Every rank its own tensors, into a folder that rank 0 has made and renames in the end. */
static weft_status save(saving *it, weft_error *error)
{
    bool leads = it->loop->worker->number == 0;
    TRY(do_part(it, leads, begin, "beginning of a checkpoint", error));
    TRY(do_part(it, true, write_own, "files of a checkpoint", error));
    return do_part(it, leads, publish_all, "end of a checkpoint", error);
}

static weft_status saved(void *context, weft_error *error)
{
    const saving *it = context;
    const weft_observer *observer = &it->loop->options->observer;
    return observer->saved(observer->context, it->step, error);
}

/* The folder of what was begun goes; rank 0 has the error. */
static weft_status fail(saving *it, weft_status status, weft_error *error)
{
    weft_loop *loop = it->loop;
    if (loop->worker->number != 0) return status;
    weft_status removed =
        weft_waiting_work(loop->worker, "the end of a checkpoint that failed", discard, it, &it->own.error);
    (void)removed; /* there is an error already */
    if (status == WEFT_STOPPED) return status;
    return weft_error_context(error, "the checkpoint of step %lld was not written, %s", (long long)it->step,
                              loop->resumed || loop->saved > 0 ? "the one before it stays"
                                                               : "and there is none before it");
}

weft_status weft_loop_save(weft_loop *loop, int64_t step, weft_error *error)
{
    saving it = {.loop = loop, .step = step};
    TRY(weft_allocate((size_t)loop->job->workers, sizeof *it.all, &it.all, error));
    weft_status status = save(&it, error);
    weft_free(it.all);
    if (status != WEFT_OK) return fail(&it, status, error);
    loop->saved = step;
    if (loop->worker->number != 0 || !loop->options->observer.saved) return WEFT_OK;
    return weft_loop_try(loop, "the record of a checkpoint", saved, &it, error);
}
