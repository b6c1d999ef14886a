#include "train/waiting.h"

#include "base/clock.h"
#include "transport/kinds.h"

#include <stdio.h>
#include <string.h>

static const double pause_longest = 0.1;     /* seconds between looks at the clock and at the wish to stop */
static const double stop_patience = 0.3;     /* seconds without progress after which a wish to stop is answered */
static const double least_patience = 2;      /* seconds for others to answer: they drive messages between operations */
static const double share_of_patience = 0.1; /* or so much of the timeout, if that is more */
static const double share_asked_again = 0.1; /* of the timeout, until those who ran something are asked again */
static const double second_look = 1;         /* seconds, if that is less: until those who waited are asked again */
static const double attendance = 0.01;       /* seconds that others wait for an answer while this worker works */

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
    if (worker->patience.told_stop || !options || !options->stop || !*options->stop || !options->observer.note) return;
    if (worker->number != 0 && !weft_transport_kind_get(worker->job->config->transport)->processes)
        return; /* the observer is rank 0's */
    worker->patience.told_stop = true;
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
            const weft_transport_report *report = &worker->patience.reports[r];
            if (report->answered != (pass == 1)) continue;
            int wrote =
                snprintf(out + used, size - used, "; rank %d: %s", r, report->answered ? report->text : "no answer");
            used += wrote > 0 ? (size_t)wrote : 0;
        }
    }
}

static bool runs_something(const weft_transport_report *report)
{
    char sign[16];
    snprintf(sign, sizeof sign, ", %s ", weft_waiting_runs);
    return strstr(report->text, sign) != NULL;
}

typedef enum { SILENT, RUNNING, WAITING, STILL } outlook;

/* Of all other ranks: one does not answer; else one runs something; else all wait, or wait for what they did when asked
 * before. */
static outlook look_round(weft_worker *worker, double seconds)
{
    int32_t workers = worker->job->workers;
    weft_transport_report *now = worker->patience.reports, *before = worker->patience.reports + workers;
    memcpy(before, now, (size_t)workers * sizeof *now);
    worker->transport->operations->interrogate(worker->transport, seconds, now);
    bool answered = true, running = false, same = true;
    for (int32_t r = 0; r < workers; r++) {
        if (r == worker->number) continue;
        answered &= now[r].answered;
        running |= runs_something(&now[r]);
        same &= strcmp(now[r].text, before[r].text) == 0;
    }
    return !answered ? SILENT : running ? RUNNING : same ? STILL : WAITING;
}

/* A rank that comes from work of its own waits for a moment too: all must be seen to do so twice. */
static weft_status inquire(weft_worker *worker, const char *what, double *since, weft_error *error)
{
    double limit = worker->job->config->timeout, patience = share_of_patience * limit;
    outlook seen = look_round(worker, patience > least_patience ? patience : least_patience);
    double now = weft_clock_seconds(), again = share_asked_again * limit;
    if (seen == RUNNING) {
        *since = now - limit + again;
        return WEFT_OK;
    }
    if (seen == WAITING || (seen == STILL && worker->patience.doubted != *since)) {
        worker->patience.doubted = *since;
        worker->patience.asks_again = now + (again < second_look ? again : second_look);
        return WEFT_OK;
    }
    char others[WEFT_ERROR_TEXT / 2] = "";
    describe_others(worker, others, sizeof others);
    FAIL(error, WEFT_TIMEOUT, "rank %d, step %lld: nothing moved for %.0f s while waiting for %s%s", worker->number,
         (long long)worker->step, limit, what, others);
}

weft_status weft_waiting_pause(weft_worker *worker, const char *what, double *since, weft_error *error)
{
    double now = weft_clock_seconds(), asks = *since + worker->job->config->timeout;
    if (now - *since > stop_patience) tell_stop(worker, what);
    if (worker->patience.doubted == *since) asks = worker->patience.asks_again;
    if (now > asks) return inquire(worker, what, since, error);
    double left = asks - now;
    return worker->transport->operations->wait(worker->transport, left < pause_longest ? left : pause_longest, error);
}

weft_status weft_waiting_work(weft_worker *worker, const char *what, weft_clerk_work work, void *context,
                              weft_error *error)
{
    weft_waiting_publish(worker, "a program", weft_waiting_runs, what);
    if (!worker->clerk) return work(context, error);
    weft_error met;
    weft_device *device = worker->device;
    void (*between)(void *) = device->between;
    device->between = NULL; /* what the clerk copies drives nothing */
    /* The transport asks the device no more once it has seen the end of what the last program gave it. */
    weft_status status = WEFT_OK, driven = worker->transport->operations->progress(worker->transport, &met);
    weft_clerk_begin(worker->clerk, work, context, error);
    while (!weft_clerk_wait(worker->clerk, attendance, &status))
        if (driven == WEFT_OK) driven = worker->transport->operations->progress(worker->transport, &met);
    device->between = between;
    if (status != WEFT_OK || driven == WEFT_OK) return status;
    if (error) *error = met;
    return driven;
}

void weft_waiting_attend(weft_worker *worker)
{
    if (!worker->transport->driven) return;
    double now = weft_clock_seconds();
    if (now - worker->patience.attended < attendance) return;
    worker->patience.attended = now;
    weft_error met; /* the next call that waits meets it again */
    weft_status status = worker->transport->operations->progress(worker->transport, &met);
    (void)status;
}

static void attend(void *context)
{
    weft_waiting_attend(context);
}

void weft_waiting_attach(weft_worker *worker)
{
    worker->device->between = attend;
    worker->device->between_context = worker;
}
