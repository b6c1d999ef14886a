/*
 * Checkpoints of one worker: how fast one is saved beside a plain file of as many bytes that is written and synced, and
 * read back from the system's cache, checked and put into the worker's memory, beside a copy of as many bytes in
 * memory.
 *
 * Usage: bench_checkpoint FOLDER [MEBIBYTES [THREADS [ROUNDS]]]: one of about so many (1536) is made there and removed,
 * the best of five rounds is told; the worker takes a third more memory, and has two threads.
 */
#include "base/clock.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "train/job.h"
#include "train/worker.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, LAYER_MEBIBYTES = 144 /* 12 x 1024^2 parameters of 12 bytes */ };

static char folder[4000], path[4096];
static weft_config config;
static weft_job *job;
static weft_worker *worker;
static size_t total;

static void check(weft_status status, const weft_error *error)
{
    if (status == WEFT_OK) return;
    fprintf(stderr, "bench_checkpoint: %s\n", error->text);
    if (weft_folder_remove(folder, NULL) != WEFT_OK) fprintf(stderr, "bench_checkpoint: %s is left\n", folder);
    exit(1);
}

static void make_worker(int64_t layers, int64_t threads)
{
    weft_error error;
    weft_text yaml;
    weft_local_hub *hub = NULL;
    weft_transport *transport = NULL;
    weft_text_init(&yaml);
    weft_text_add(&yaml,
                  "run: {steps: 1, folder: %s}\ndata: {path: none}\nbatch: {sequences: 1, tokens: 16}\n"
                  "model: {layers: %" PRId64
                  ", width: 1024, heads: 16, vocabulary: 256, context: 16}\nthreads: %" PRId64 "\n",
                  folder, layers, threads);
    check(weft_config_load_text(&config, weft_text_get(&yaml), yaml.length, "memory", NULL, 0, &error), &error);
    weft_text_fini(&yaml);
    check(weft_job_create(&config, &job, &error), &error);
    check(weft_local_hub_create(1, NULL, 0, &hub, &error), &error);
    check(weft_local_transport_create(hub, 0, &transport, &error), &error);
    check(weft_worker_create(job, 0, transport, &worker, &error), &error);
    total = WEFT_CHECKPOINT_KINDS * sizeof(float) * (size_t)job->elements;
}

static size_t list(weft_checkpoint_kind kind, weft_checkpoint_piece *out)
{
    size_t count = 0;
    for (int32_t p = 0; p < job->parameter_count; p++) {
        const weft_parameter *parameter = &job->parameters[p];
        weft_own own = weft_worker_own(worker, p);
        const float *const values[] = {own.weight, own.moment1, own.moment2};
        if (parameter->tied) continue;
        out[count++] = (weft_checkpoint_piece){.name = parameter->name,
                                               .dimensions = parameter->dimensions,
                                               .shape = parameter->shape,
                                               .rows = 1,
                                               .columns = parameter->elements,
                                               .values = values[kind]};
    }
    return count;
}

static double time_save(int64_t step)
{
    weft_error error;
    weft_text dump;
    weft_checkpoint_piece *pieces = NULL;
    weft_checkpoint_list lists[WEFT_CHECKPOINT_KINDS];
    weft_checkpoint_file files[WEFT_CHECKPOINT_KINDS];
    const weft_checkpoint_state state = {.step = step, .sequences = step};
    size_t count = (size_t)job->parameter_count;
    check(weft_allocate(WEFT_CHECKPOINT_KINDS * count, sizeof *pieces, &pieces, &error), &error);
    for (size_t k = 0; k < WEFT_CHECKPOINT_KINDS; k++) {
        size_t listed = list((weft_checkpoint_kind)k, pieces + k * count);
        lists[k] = (weft_checkpoint_list){pieces + k * count, listed};
    }
    weft_text_init(&dump);
    weft_config_dump(&config, false, &dump);
    double begin = weft_clock_seconds();
    check(weft_checkpoint_begin(folder, step, &error), &error);
    check(weft_checkpoint_write_kinds(NULL, folder, step, 0, 1, lists, files, &error), &error);
    check(weft_checkpoint_publish(folder, &state, weft_text_get(&dump), files, WEFT_CHECKPOINT_KINDS, 0, &error),
          &error);
    double seconds = weft_clock_seconds() - begin;
    weft_text_fini(&dump);
    weft_free(pieces);
    return seconds;
}

/* As dd does with conv=fsync, from the worker's memory. */
static double time_file(void)
{
    weft_error error;
    const unsigned char *memory = worker->blocks[WEFT_MEMORY_DEVICE];
    int descriptor = -1;
    double begin = weft_clock_seconds();
    check(weft_file_create(path, &descriptor, &error), &error);
    for (size_t at = 0; at < total; at += BLOCK)
        check(weft_file_write_all(descriptor, memory + at, total - at < BLOCK ? total - at : BLOCK, path, &error),
              &error);
    if (fsync(descriptor) != 0) exit(1);
    close(descriptor);
    double seconds = weft_clock_seconds() - begin;
    unlink(path);
    return seconds;
}

static double time_open(weft_checkpoint **out)
{
    weft_error error;
    double begin = weft_clock_seconds();
    check(weft_checkpoint_open(folder, out, &error), &error);
    return weft_clock_seconds() - begin;
}

static double time_load(const weft_checkpoint *checkpoint)
{
    weft_error error;
    double begin = weft_clock_seconds();
    check(weft_worker_load(worker, checkpoint, &error), &error);
    return weft_clock_seconds() - begin;
}

/* Within the worker's memory, of one half over the other, twice: what was there comes back from the checkpoint. */
static double time_copy(void)
{
    unsigned char *memory = worker->blocks[WEFT_MEMORY_DEVICE];
    double begin = weft_clock_seconds();
    for (int i = 0; i < 2; i++) memcpy(memory + total / 2, memory, total / 2);
    return weft_clock_seconds() - begin;
}

/* In turn, so that each meets the same disk and the same neighbours. */
static void measure(int64_t rounds)
{
    weft_error error;
    double file = INFINITY, saved = file, copied = file, opened = file, loaded = file;
    for (int64_t round = 1; round <= rounds; round++) {
        weft_checkpoint *checkpoint = NULL;
        file = fmin(file, time_file());
        saved = fmin(saved, time_save(round));
        copied = fmin(copied, time_copy());
        opened = fmin(opened, time_open(&checkpoint));
        loaded = fmin(loaded, time_load(checkpoint));
        weft_checkpoint_close(checkpoint);
        check(weft_folder_remove(folder, &error), &error);
    }
    double gigabytes = (double)total * 1e-9;
    printf("         GB/s  beside it  ratio\n");
    printf("saved   %5.2f  %9.2f  %5.2f  a file written and synced\n", gigabytes / saved, gigabytes / file,
           file / saved);
    printf("resumed %5.2f  %9.2f  %5.2f  a copy in memory\n", gigabytes / (opened + loaded), gigabytes / copied,
           copied / (opened + loaded));
    printf("checked %5.2f, loaded %5.2f\n", gigabytes / opened, gigabytes / loaded);
}

int main(int argc, char **argv)
{
    int64_t mebibytes = 1536, threads = 2, rounds = 5;
    if (argc < 2 || (argc > 2 && !weft_parse_int(argv[2], &mebibytes)) ||
        (argc > 3 && !weft_parse_int(argv[3], &threads)) || (argc > 4 && !weft_parse_int(argv[4], &rounds)) ||
        mebibytes < LAYER_MEBIBYTES) {
        fprintf(stderr, "usage: bench_checkpoint FOLDER [MEBIBYTES, at least %d [THREADS [ROUNDS]]]\n",
                LAYER_MEBIBYTES);
        return 2;
    }
    snprintf(folder, sizeof folder, "%s/weft-bench-checkpoint-%ld", argv[1], (long)getpid());
    snprintf(path, sizeof path, "%s.file", folder);
    make_worker(mebibytes / LAYER_MEBIBYTES, threads);
    printf("a checkpoint of %.0f MiB\n", (double)total / 1048576);
    measure(rounds);
    worker->transport->operations->destroy(worker->transport);
    weft_worker_destroy(worker);
    weft_job_destroy(job);
    weft_config_fini(&config);
    return 0;
}
