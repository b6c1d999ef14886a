#include "train/waiting.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

static const double pause_longest = 0.1;     /* seconds between looks at the clock and at the wish to stop */
static const double stop_patience = 0.3;     /* seconds without progress after which a wish to stop is answered */
static const double answer_patience = 2;     /* seconds for others to answer: they drive messages between operations */
static const double share_asked_again = 0.1; /* of the timeout, until those who computed are asked again */

const char weft_waiting_runs[] = "runs", weft_waiting_waits[] = "waits for";

void weft_waiting_publish(weft_worker *worker, const char *last, const char *verb, const char *what)
{
    char text[WEFT_TRANSPORT_REPORT];
    snprintf(text, sizeof text, "step %lld, last finished %s, %s %s", (long long)worker->step, last, verb, what);
    worker->transport->operations->publish(worker->transport, text);
}

/* A launcher that lost a process asks the others to stop, and kills them a second later: this may be the last word. */
static void tell_stop(weft_worker *worker, const char *what)
{
    const weft_train_options *options = worker->options;
    if (worker->told_stop || !options || !options->stop || !*options->stop || !options->observer.note) return;
    if (worker->number != 0 && worker->job->config->transport == WEFT_CONFIG_LOCAL)
        return; /* the observer is rank 0's */
    worker->told_stop = true;
    char line[256];
    snprintf(line, sizeof line, "rank %d, step %lld: asked to stop while waiting for %s", worker->number,
             (long long)worker->step, what);
    options->observer.note(options->observer.context, line);
}

/* Those that do not answer first: they are the likely cause, and the text may be cut. */
static void describe_others(const weft_worker *worker, char *out, size_t size)
{
    size_t used = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t r = 0; r < worker->job->workers && used < size; r++) {
            const weft_transport_report *report = &worker->reports[r];
            if (report->answered != (pass == 1)) continue;
            int wrote =
                snprintf(out + used, size - used, "; rank %d: %s", r, report->answered ? report->text : "no answer");
            used += wrote > 0 ? (size_t)wrote : 0;
        }
    }
}

static bool somebody_computes(const weft_worker *worker)
{
    char sign[16];
    snprintf(sign, sizeof sign, ", %s ", weft_waiting_runs);
    for (int32_t r = 0; r < worker->job->workers; r++)
        if (r != worker->number && worker->reports[r].answered && strstr(worker->reports[r].text, sign)) return true;
    return false;
}

weft_status weft_waiting_pause(weft_worker *worker, const char *what, double *since, weft_error *error)
{
    const weft_transport_operations *transport = worker->transport->operations;
    double limit = worker->job->config->timeout, idle = weft_clock_seconds() - *since;
    if (idle > stop_patience) tell_stop(worker, what);
    if (idle <= limit)
        return transport->wait(worker->transport, limit - idle < pause_longest ? limit - idle : pause_longest, error);
    transport->interrogate(worker->transport, answer_patience, worker->reports);
    if (somebody_computes(worker)) {
        *since = weft_clock_seconds() - (1 - share_asked_again) * limit;
        return WEFT_OK;
    }
    char others[WEFT_ERROR_TEXT / 2] = "";
    describe_others(worker, others, sizeof others);
    FAIL(error, WEFT_TIMEOUT, "rank %d, step %lld: nothing moved for %.0f s while waiting for %s%s", worker->number,
         (long long)worker->step, limit, what, others);
}
