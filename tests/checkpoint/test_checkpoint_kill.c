/* Kills a writer at random moments: a run folder always opens as one complete checkpoint, no older than the last seen.
 */
#include "base/clock.h"
#include "base/random.h"
#include "checkpoint/checkpoint.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 30, MOST_ROUNDS = 100, ENOUGH_STEPS = 5, FLOATS = 3000, RANKS = 2, KEEP = 2 };

/* Every number of a checkpoint is its step; two ranks hold a part each. */
static weft_status save(const char *folder, int64_t step, weft_error *error)
{
    static float values[FLOATS];
    for (int i = 0; i < FLOATS; i++) values[i] = (float)step;
    const int64_t shape[] = {FLOATS};
    weft_checkpoint_file files[RANKS * WEFT_CHECKPOINT_KINDS];
    weft_checkpoint_state state = {.step = step, .sequences = step};
    TRY(weft_checkpoint_begin(folder, step, error));
    for (int i = 0; i < RANKS; i++) {
        weft_checkpoint_piece part = {"w", 1, shape, FLOATS / RANKS * i, 1, FLOATS / RANKS, values};
        const weft_checkpoint_list lists[WEFT_CHECKPOINT_KINDS] = {{&part, 1}, {&part, 1}, {&part, 1}};
        TRY(weft_checkpoint_write_kinds(NULL, folder, step, i, RANKS, lists, files + i * WEFT_CHECKPOINT_KINDS, error));
    }
    return weft_checkpoint_publish(folder, &state, "steps: many\n", files, RANKS * WEFT_CHECKPOINT_KINDS, KEEP, error);
}

static weft_status check(const char *folder, int64_t *out_step, weft_error *error)
{
    static float values[FLOATS];
    const int64_t shape[] = {FLOATS};
    weft_checkpoint *checkpoint = NULL;
    TRY(weft_checkpoint_open(folder, &checkpoint, error));
    weft_status status = WEFT_OK;
    *out_step = weft_checkpoint_get_state(checkpoint)->step;
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS && status == WEFT_OK; kind++) {
        status =
            weft_checkpoint_read(checkpoint, (weft_checkpoint_kind)kind, "w", 1, shape, 0, 1, FLOATS, values, error);
        for (int i = 0; i < FLOATS && status == WEFT_OK; i++)
            if (values[i] != (float)*out_step)
                status = weft_fail(error, WEFT_FAILED, "a number of another step: %g", (double)values[i]);
    }
    weft_checkpoint_close(checkpoint);
    return status;
}

/* Starts over with the step it finds, as a replacement, then goes on. Ends only by a signal, or 3 after an error. */
static void write_for_ever(const char *folder, int64_t step)
{
    weft_error error;
    while (save(folder, step, &error) == WEFT_OK) step++;
    fprintf(stderr, "writer: %s\n", error.text);
    _exit(3);
}

static weft_status one_round(const char *folder, int64_t nanoseconds, int64_t *step, weft_error *error)
{
    pid_t writer = fork();
    if (writer < 0) FAIL(error, WEFT_FAILED, "cannot fork");
    if (writer == 0) write_for_ever(folder, *step);
    weft_clock_sleep((double)nanoseconds * 1e-9);
    kill(writer, SIGKILL);
    int outcome = 0;
    waitpid(writer, &outcome, 0);
    if (!WIFSIGNALED(outcome)) FAIL(error, WEFT_FAILED, "the writer ended by itself");
    int64_t before = *step;
    TRY(check(folder, step, error));
    if (*step < before) FAIL(error, WEFT_FAILED, "step %" PRId64 " is lost, %" PRId64 " is the latest", before, *step);
    return WEFT_OK;
}

/* Moments are drawn over the time that a few checkpoints take here; more when the machine turns out slower. */
static weft_status all_rounds(const char *folder, weft_error *error)
{
    weft_random_key key = weft_random_key_make(11, "kill");
    int64_t step = 1, begun = weft_clock_nanoseconds();
    TRY(save(folder, step, error));
    double span = 4 * (double)(weft_clock_nanoseconds() - begun);
    for (uint64_t round = 0; round < MOST_ROUNDS && (round < ROUNDS || step < ENOUGH_STEPS); round++) {
        TRY(one_round(folder, (int64_t)(weft_random_uniform(key, round) * span), &step, error));
        if (step < ENOUGH_STEPS) span *= 1.1;
    }
    if (step < ENOUGH_STEPS) FAIL(error, WEFT_FAILED, "no writer got far enough to say anything");
    return WEFT_OK;
}

int main(void)
{
    char folder[] = "/tmp/weft-kill-XXXXXX";
    weft_error error;
    if (!mkdtemp(folder)) return 1;
    weft_status status = all_rounds(folder, &error);
    if (status != WEFT_OK)
        fprintf(stderr, "%s\n", error.text);
    else
        status = weft_folder_remove(folder, &error);
    return status == WEFT_OK ? 0 : 1;
}
