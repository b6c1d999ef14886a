#include "cli/sweep.h"

#include "transport/kinds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_SIZES = 64, MOST_NAMED = 12, MOST_MICROBATCHES = 1048576 };

static weft_status take_size(const char **at, int64_t *out, weft_error *error)
{
    char word[24];
    size_t length = strcspn(*at, ",");
    int wrote = snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word), *at);
    if (wrote >= (int)sizeof word || !weft_parse_int(word, out) || *out < 1)
        FAIL(error, WEFT_INVALID,
             "microbatch: expects sizes from 1 up with commas between, such as 1,2,4,8; not '%.40s'", *at);
    *at += length;
    if (**at && !*++*at) FAIL(error, WEFT_INVALID, "microbatch: expects a size after the last comma");
    return WEFT_OK;
}

static int by_size(const void *a, const void *b)
{
    const weft_sweep_row *x = a, *y = b;
    return (x->microbatch > y->microbatch) - (x->microbatch < y->microbatch);
}

static weft_status read_list(weft_cli_sizes *sizes, const char *list, weft_error *error)
{
    const char *at = list;
    TRY(weft_arena_take(&sizes->arena, MOST_SIZES, sizeof *sizes->rows, &sizes->rows, error));
    do {
        if (sizes->count == MOST_SIZES) FAIL(error, WEFT_INVALID, "microbatch: more than %d sizes", MOST_SIZES);
        TRY(take_size(&at, &sizes->rows[sizes->count++].microbatch, error));
    } while (*at);
    qsort(sizes->rows, (size_t)sizes->count, sizeof *sizes->rows, by_size);
    for (int i = 1; i < sizes->count; i++)
        if (sizes->rows[i].microbatch == sizes->rows[i - 1].microbatch)
            FAIL(error, WEFT_INVALID, "microbatch: %lld is there twice", (long long)sizes->rows[i].microbatch);
    return WEFT_OK;
}

static bool would_do(int64_t batch, int64_t size)
{
    return batch % size == 0 && batch / size <= MOST_MICROBATCHES;
}

/* The smallest sizes that would do, for a message. */
static void name_divisors(int64_t batch, weft_text *out)
{
    int named = 0;
    for (int64_t size = 1; size <= batch && size <= MOST_MICROBATCHES; size++) {
        if (!would_do(batch, size)) continue;
        if (named == MOST_NAMED) {
            weft_text_add(out, ", ...");
            return;
        }
        weft_text_add(out, "%s%lld", named++ ? ", " : "", (long long)size);
    }
}

/* The batch, or of it what each data-parallel pipeline has. */
static weft_status divide(weft_cli_sizes *sizes, const weft_config *config, weft_error *error)
{
    int64_t batch = config->batch.sequences * config->batch.microbatches;
    for (int i = 0; i < sizes->count; i++) {
        weft_sweep_row *row = &sizes->rows[i];
        row->microbatches = batch / row->microbatch;
        if (would_do(batch, row->microbatch)) continue;
        weft_text divisors;
        weft_text_init(&divisors);
        name_divisors(batch, &divisors);
        weft_fail(error, WEFT_INVALID,
                  "microbatch: %lld does not divide the batch of %lld sequence%s%s (batch.sequences %lld x "
                  "batch.microbatches %lld); these do: %s",
                  (long long)row->microbatch, (long long)batch, weft_text_plural(batch),
                  config->parallel.data > 1 ? " of each pipeline" : "", (long long)config->batch.sequences,
                  (long long)config->batch.microbatches, weft_text_get(&divisors));
        weft_text_fini(&divisors);
        return error->status;
    }
    return WEFT_OK;
}

/* The plan of the same job without a limit, so that what does not fit has its figures too. */
static weft_status make_job(weft_cli_sizes *sizes, int i, const weft_config *config, weft_error *error)
{
    weft_config *own = &sizes->configs[i];
    *own = *config;
    own->batch.sequences = sizes->rows[i].microbatch;
    own->batch.microbatches = sizes->rows[i].microbatches;
    own->memory_limit = 0;
    own->run.timelines = 0;
    if (weft_job_create(own, &sizes->jobs[i], error) == WEFT_OK) return WEFT_OK;
    return weft_error_context(error, "at %lld sequence%s a micro-batch", (long long)own->batch.sequences,
                              weft_text_plural(own->batch.sequences));
}

/* Workers that are threads share this machine's memory. A system that promises more than it has would not refuse. */
static double machine_bytes(const weft_config *config)
{
    long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    bool known = !weft_transport_kind_get(config->transport)->processes && pages > 0 && bytes > 0;
    return known ? (double)pages * (double)bytes : HUGE_VAL;
}

static weft_status check_memory(weft_cli_sizes *sizes, int i, const weft_config *config, weft_error *error)
{
    const weft_job *job = sizes->jobs[i];
    weft_sweep_row *row = &sizes->rows[i];
    size_t *memory = NULL, largest = 0;
    double total = 0, machine = machine_bytes(config);
    char reason[160] = "";
    TRY(weft_arena_take(&sizes->arena, (size_t)job->ranks, sizeof *memory, &memory, error));
    for (int32_t rank = 0; rank < job->ranks; rank++) {
        memory[rank] = job->memory[rank].total;
        total += (double)memory[rank] * job->data * job->tensor;
        if (memory[rank] > largest) largest = memory[rank];
    }
    row->memory = memory;
    if (config->memory_limit > 0 && largest > (size_t)config->memory_limit)
        snprintf(reason, sizeof reason, "the largest worker needs %.1f MiB, memory_limit is %.1f MiB",
                 (double)largest / 1048576, (double)config->memory_limit / 1048576);
    else if (total > machine)
        snprintf(reason, sizeof reason, "all workers need %.1f MiB, this machine has %.1f MiB", total / 1048576,
                 machine / 1048576);
    if (!*reason) return WEFT_OK;
    row->outcome = WEFT_SWEEP_TOO_LARGE;
    return weft_arena_text(&sizes->arena, reason, &row->reason, error);
}

static weft_status init(weft_cli_sizes *sizes, const weft_config *config, const char *list, weft_error *error)
{
    TRY(read_list(sizes, list, error));
    TRY(divide(sizes, config, error));
    size_t count = (size_t)sizes->count;
    TRY(weft_arena_take(&sizes->arena, count, sizeof *sizes->configs, &sizes->configs, error));
    TRY(weft_arena_take(&sizes->arena, count, sizeof *sizes->jobs, &sizes->jobs, error));
    for (int i = 0; i < sizes->count; i++) {
        TRY(make_job(sizes, i, config, error));
        TRY(check_memory(sizes, i, config, error));
    }
    return WEFT_OK;
}

weft_status weft_cli_sizes_init(weft_cli_sizes *sizes, const weft_config *config, const char *list, weft_error *error)
{
    *sizes = (weft_cli_sizes){0};
    weft_arena_init(&sizes->arena);
    weft_status status = init(sizes, config, list, error);
    if (status != WEFT_OK) weft_cli_sizes_fini(sizes);
    return status;
}

void weft_cli_sizes_fini(weft_cli_sizes *sizes)
{
    for (int i = 0; sizes->jobs && i < sizes->count; i++) weft_job_destroy(sizes->jobs[i]);
    weft_arena_fini(&sizes->arena);
    *sizes = (weft_cli_sizes){0};
}
