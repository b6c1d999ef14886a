/* Whether a checkpoint is what the configuration in it says. */
#include "checkpoint/open.h"
#include "model/model.h"

#include <inttypes.h>
#include <string.h>

typedef struct claims {
    const weft_checkpoint *checkpoint;
    const weft_manifest *manifest;
    const weft_config *config;
    bool *known[WEFT_CHECKPOINT_KINDS]; /* (tensors of the kind) which of them the model has */
} claims;

static weft_status check_numbers(const claims *it, weft_error *error)
{
    const char *path = weft_checkpoint_path(it->checkpoint);
    const weft_config *config = it->config;
    int64_t step = it->manifest->state.step;
    int64_t workers = config->parallel.data * config->parallel.pipeline * config->parallel.tensor;
    if (step > config->run.steps)
        FAIL(error, WEFT_INVALID, "%s: says step %" PRId64 ", its own configuration run.steps %" PRId64, path, step,
             config->run.steps);
    if (it->manifest->ranks && it->manifest->ranks != workers)
        FAIL(error, WEFT_INVALID,
             "%s: its files are those of %" PRId32 " rank%s, its own configuration has %" PRId64 " worker%s", path,
             it->manifest->ranks, weft_text_plural(it->manifest->ranks), workers, weft_text_plural(workers));
    return WEFT_OK;
}

/* Reads nothing of it, which proves that it is there and has this shape. */
static weft_status check_tensor(const claims *it, weft_checkpoint_kind kind, const weft_parameter *parameter,
                                weft_error *error)
{
    const weft_pieces *list = weft_checkpoint_pieces(it->checkpoint, kind);
    TRY(weft_checkpoint_read(it->checkpoint, kind, parameter->name, parameter->dimensions, parameter->shape, 0, 1, 0,
                             NULL, error));
    it->known[kind][weft_pieces_find(list, parameter->name) - list->tensors] = true;
    return WEFT_OK;
}

/* A checkpoint of step 0 may be one that never trained. */
static weft_status check_moment(const claims *it, weft_checkpoint_kind kind, const weft_parameter *parameter,
                                weft_error *error)
{
    int64_t step = it->manifest->state.step;
    const char *path = weft_checkpoint_path(it->checkpoint), *name = weft_checkpoint_kind_name(kind);
    bool there = weft_checkpoint_has(it->checkpoint, kind, parameter->name);
    bool frozen = weft_parameter_fits(parameter->name, it->config->optimizer.frozen);
    if (there && frozen)
        FAIL(error, WEFT_INVALID, "%s: %s of \"%s\", which its own configuration does not train", path, name,
             parameter->name);
    if (!there && !frozen && step > 0)
        FAIL(error, WEFT_INVALID,
             "%s: no %s of \"%s\", which its own configuration trains: at step %" PRId64 " it must have one", path,
             name, parameter->name, step);
    return there ? check_tensor(it, kind, parameter, error) : WEFT_OK;
}

static weft_status check_parameters(const claims *it, weft_error *error)
{
    weft_parameter parameter;
    for (int64_t i = 0; weft_model_parameter(&it->config->model, i, &parameter); i++) {
        if (parameter.tied) continue; /* stored as the embedding */
        TRY(check_tensor(it, WEFT_CHECKPOINT_WEIGHTS, &parameter, error));
        TRY(check_moment(it, WEFT_CHECKPOINT_MOMENT1, &parameter, error));
        TRY(check_moment(it, WEFT_CHECKPOINT_MOMENT2, &parameter, error));
    }
    return WEFT_OK;
}

static weft_status check_known(const claims *it, weft_checkpoint_kind kind, weft_error *error)
{
    const weft_pieces *list = weft_checkpoint_pieces(it->checkpoint, kind);
    for (size_t i = 0; i < list->tensor_count; i++)
        if (!it->known[kind][i])
            FAIL(error, WEFT_INVALID, "%s: %s of \"%s\", which the model of its own configuration does not have",
                 weft_checkpoint_path(it->checkpoint), weft_checkpoint_kind_name(kind), list->tensors[i].pieces->name);
    return WEFT_OK;
}

static weft_status check_kinds(claims *it, weft_arena *arena, weft_error *error)
{
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
        size_t count = weft_checkpoint_pieces(it->checkpoint, (weft_checkpoint_kind)kind)->tensor_count;
        TRY(weft_arena_take(arena, count, sizeof *it->known[kind], &it->known[kind], error));
    }
    TRY(check_parameters(it, error));
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) TRY(check_known(it, (weft_checkpoint_kind)kind, error));
    return WEFT_OK;
}

/* Format 1 was written by runs whose every step was like the last. */
static weft_status count_sequences(const claims *it, int64_t *out, weft_error *error)
{
    const weft_config *config = it->config;
    int64_t step = it->manifest->state.step;
    int64_t batch = config->batch.microbatches * config->batch.sequences * config->parallel.data;
    if (__builtin_mul_overflow(step, batch, out) || *out > WEFT_CHECKPOINT_SEQUENCES)
        FAIL(error, WEFT_INVALID, "%s: no run can have read %" PRId64 " batches of %" PRId64 " sequences",
             weft_checkpoint_path(it->checkpoint), step, batch);
    return WEFT_OK;
}

static weft_status check(claims *it, int64_t *out_sequences, weft_error *error)
{
    weft_arena arena;
    TRY(check_numbers(it, error));
    weft_arena_init(&arena);
    weft_status status = check_kinds(it, &arena, error);
    weft_arena_fini(&arena);
    if (status == WEFT_OK && it->manifest->version == 1) status = count_sequences(it, out_sequences, error);
    return status;
}

weft_status weft_checkpoint_load_config(weft_checkpoint *checkpoint, weft_config *out, weft_error *error)
{
    const char *yaml = weft_checkpoint_config(checkpoint);
    weft_manifest *manifest = weft_checkpoint_manifest(checkpoint);
    claims it = {.checkpoint = checkpoint, .manifest = manifest, .config = out};
    TRY(weft_config_load_text(out, yaml, strlen(yaml), weft_checkpoint_path(checkpoint), NULL, 0, error));
    weft_status status = check(&it, &manifest->state.sequences, error);
    if (status != WEFT_OK) weft_config_fini(out);
    return status;
}
