#include "train/logits.h"

#include "base/file.h"
#include "tensor/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct weft_logits {
    const char *path;   /* borrowed */
    char aside[4200];   /* until it is whole */
    bool made;          /* this worker's to name or to remove */
    int descriptor;     /* -1: this worker writes nothing */
    int64_t sequences;  /* of the whole file */
    int64_t vocabulary; /* of the model, of which this worker has `own` logits from `first` on */
    int64_t first, own;
    off_t logits, tokens; /* where they begin */
    weft_text header;
    float *row; /* (own) */
};

weft_status weft_logits_check(const char *path, weft_error *error)
{
    struct stat info;
    char folder[4096];
    const char *slash = strrchr(path, '/');
    int length = slash ? (int)(slash - path) + 1 : 0;
    if (strlen(path) >= sizeof folder) FAIL(error, WEFT_INVALID, "%.40s...: the name of the file is too long", path);
    if (lstat(path, &info) == 0 && !S_ISREG(info.st_mode))
        FAIL(error, WEFT_INVALID, "%s: is no regular file: name another for the logits", path);
    snprintf(folder, sizeof folder, "%.*s", length ? length : 1, length ? path : ".");
    if (!path[length] || stat(folder, &info) != 0 || !S_ISDIR(info.st_mode))
        FAIL(error, WEFT_INVALID, "%s: cannot be made: %s", path,
             path[length] ? "there is no such folder" : "a file needs a name");
    return WEFT_OK;
}

static bool has_some(const weft_loop *loop)
{
    return loop->worker->logits != NULL;
}

static weft_status outline(const weft_loop *loop, weft_logits *it, weft_error *error)
{
    int64_t T = loop->job->config->batch.tokens;
    uint64_t rows = (uint64_t)(it->sequences * T);
    const weft_tensor_outline tensors[] = {
        {"logits", "F32", 3, {it->sequences, T, it->vocabulary}, rows * (uint64_t)it->vocabulary * sizeof(float)},
        {"tokens", "I32", 2, {it->sequences, T}, rows * sizeof(int32_t)},
    };
    TRY(weft_safetensors_outline(tensors, 2, &it->header, error));
    it->logits = (off_t)it->header.length;
    it->tokens = it->logits + (off_t)tensors[0].bytes;
    return WEFT_OK;
}

static weft_status create(weft_loop *loop, int64_t sequences, weft_error *error)
{
    const weft_model_config *model = &loop->job->config->model;
    const weft_worker *worker = loop->worker;
    weft_logits *it = NULL;
    TRY(weft_allocate(1, sizeof *it, &it, error));
    loop->logits = it;
    it->path = loop->options->logits;
    it->descriptor = -1;
    it->sequences = sequences;
    it->vocabulary = model->vocabulary;
    it->first = weft_slice_vocabulary(model, (weft_slice){worker->at.tensor, loop->job->tensor}, &it->own);
    weft_text_init(&it->header);
    snprintf(it->aside, sizeof it->aside, "%s.tmp", it->path); /* it has been checked */
    TRY(weft_allocate((size_t)it->own, sizeof *it->row, &it->row, error));
    return outline(loop, it, error);
}

/* All of its length at once: others write into it side by side. */
static weft_status make_file(void *context, weft_error *error)
{
    weft_logits *it = context;
    int descriptor = -1;
    TRY(weft_file_create(it->aside, &descriptor, error));
    it->made = true;
    weft_status status = weft_file_write_all(descriptor, it->header.bytes, it->header.length, it->aside, error);
    off_t bytes = it->tokens + (it->tokens - it->logits) / (off_t)it->vocabulary;
    if (status == WEFT_OK && ftruncate(descriptor, bytes) != 0)
        status = weft_file_fail(error, it->aside, "write", errno);
    if (close(descriptor) != 0 && status == WEFT_OK) status = weft_file_fail(error, it->aside, "close", errno);
    return status;
}

static weft_status open_file(void *context, weft_error *error)
{
    weft_logits *it = context;
    it->descriptor = open(it->aside, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    return it->descriptor < 0 ? weft_file_fail(error, it->aside, "open", errno) : WEFT_OK;
}

weft_status weft_logits_begin(weft_loop *loop, int64_t sequences, weft_error *error)
{
    if (loop->job->use != WEFT_JOB_SHOWS) return WEFT_OK;
    TRY(create(loop, sequences, error));
    if (loop->worker->number == 0) TRY(weft_loop_try(loop, "a file of logits", make_file, loop->logits, error));
    TRY(weft_loop_exchange(loop, 0, "beginning of a file of logits", error));
    if (loop->troubled) return weft_loop_blame(loop, error);
    return has_some(loop) ? weft_loop_try(loop, "a file of logits", open_file, loop->logits, error) : WEFT_OK;
}

static weft_status put(const weft_logits *it, const void *bytes, size_t count, off_t at, weft_error *error)
{
    const char *from = bytes;
    while (count > 0) {
        ssize_t written = pwrite(it->descriptor, from, count, at);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return weft_file_fail(error, it->aside, "write", written < 0 ? errno : EIO);
        from += written;
        at += written;
        count -= (size_t)written;
    }
    return WEFT_OK;
}

/* Which of the worker's sequences is written, and as which of the file. */
typedef struct {
    weft_loop *loop;
    int64_t own, sequence;
} writing;

static weft_status write_logits(const writing *at, weft_error *error)
{
    const weft_loop *loop = at->loop;
    const weft_logits *it = loop->logits;
    int64_t T = loop->job->config->batch.tokens;
    const void *logits = loop->worker->host.logits;
    for (int64_t t = 0; t < T; t++) {
        int64_t from = (at->own * T + t) * it->own, to = (at->sequence * T + t) * it->vocabulary + it->first;
        const float *row = (const float *)logits + from;
        if (loop->job->options.element == WEFT_BF16) {
            for (int64_t v = 0; v < it->own; v++) it->row[v] = weft_bf16_to_float(((const uint16_t *)logits)[from + v]);
            row = it->row;
        }
        TRY(put(it, row, (size_t)it->own * sizeof *row, it->logits + to * (off_t)sizeof *row, error));
    }
    return WEFT_OK;
}

static weft_status write_tokens(const writing *at, weft_error *error)
{
    const weft_crossing *host = &at->loop->worker->host;
    int64_t T = at->loop->job->config->batch.tokens;
    off_t to = at->loop->logits->tokens + (off_t)(at->sequence * T) * (off_t)sizeof(int32_t);
    if (at->loop->worker->at.tensor != 0) return WEFT_OK;
    return put(at->loop->logits, host->batches[host->filled].tokens + at->own * T, (size_t)T * sizeof(int32_t), to,
               error);
}

typedef struct {
    weft_loop *loop;
    int64_t first; /* sequence of the batch */
} batch_writing;

static weft_status write_batch(void *context, weft_error *error)
{
    const batch_writing *it = context;
    const weft_config *config = it->loop->job->config;
    int64_t own = config->batch.microbatches * config->batch.sequences;
    writing at = {.loop = it->loop, .sequence = it->first + it->loop->worker->at.data * own};
    for (; at.own < own && at.sequence < it->loop->logits->sequences; at.own++, at.sequence++) {
        TRY(write_logits(&at, error));
        TRY(write_tokens(&at, error));
    }
    return WEFT_OK;
}

weft_status weft_logits_write(weft_loop *loop, int64_t first, weft_error *error)
{
    batch_writing it = {loop, first};
    if (!loop->logits || loop->logits->descriptor < 0) return WEFT_OK;
    return weft_loop_try(loop, "the writing of logits", write_batch, &it, error);
}

static weft_status sync_file(void *context, weft_error *error)
{
    weft_logits *it = context;
    int descriptor = it->descriptor;
    it->descriptor = -1;
    weft_status status = fsync(descriptor) != 0 ? weft_file_fail(error, it->aside, "sync", errno) : WEFT_OK;
    if (close(descriptor) != 0 && status == WEFT_OK) status = weft_file_fail(error, it->aside, "close", errno);
    return status;
}

static weft_status name_file(void *context, weft_error *error)
{
    weft_logits *it = context;
    if (rename(it->aside, it->path) != 0) return weft_file_fail(error, it->path, "write", errno);
    it->made = false;
    return WEFT_OK;
}

weft_status weft_logits_end(weft_loop *loop, weft_error *error)
{
    weft_logits *it = loop->logits;
    if (!it) return WEFT_OK;
    if (it->descriptor >= 0) TRY(weft_loop_try(loop, "the writing of logits", sync_file, it, error));
    TRY(weft_loop_exchange(loop, 0, "end of a file of logits", error));
    if (!it->made || loop->troubled || loop->stop) return WEFT_OK;
    return weft_loop_try(loop, "a file of logits", name_file, it, error);
}

void weft_logits_fini(weft_logits *it)
{
    if (!it) return;
    if (it->descriptor >= 0) close(it->descriptor);
    if (it->made) unlink(it->aside);
    weft_text_fini(&it->header);
    weft_free(it->row);
    weft_free(it);
}
