#include "cli/launch.h"

#include "base/clock.h"
#include "transport/kinds.h"
#include "transport/watch.h"

#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* A handler has no other way to speak, and reads nothing else. It may run in several threads at the same time. */
static volatile sig_atomic_t stop_wished;
static _Atomic int64_t first_wish; /* when it came, in weft_clock_nanoseconds; 0: not yet */

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a signal handler must not wait for a lock");

static const int64_t one_wish = 1000000000; /* nanoseconds: timeout(1) and launchers signal a process and its group */

/* What ends a run in good order, and whether a run that was started with it ignored goes on ignoring it: nohup does
 * that, and a shell for what runs in the background. */
static const struct {
    int number;
    bool courtesy;
} stop_signals[] = {{SIGINT, true}, {SIGTERM, false}, {SIGHUP, true}, {SIGUSR1, false}};

enum { STOP_SIGNALS = sizeof stop_signals / sizeof *stop_signals };

static const double patience = 3; /* seconds for other processes to end too */

static void on_signal(int number)
{
    int64_t now = weft_clock_nanoseconds(), first = 0;
    stop_wished = 1;
    if (atomic_compare_exchange_strong(&first_wish, &first, now)) return;
    if (now - first >= one_wish) _exit(128 + number);
}

const volatile sig_atomic_t *weft_cli_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < STOP_SIGNALS; i++) {
        bool ignored = sigaction(stop_signals[i].number, NULL, &before) == 0 && before.sa_handler == SIG_IGN;
        if (!ignored || !stop_signals[i].courtesy) sigaction(stop_signals[i].number, &action, NULL);
    }
    return &stop_wished;
}

void weft_cli_release_signals(void)
{
    struct sigaction now;
    for (int i = 0; i < STOP_SIGNALS; i++)
        if (sigaction(stop_signals[i].number, NULL, &now) == 0 && now.sa_handler == on_signal)
            signal(stop_signals[i].number, SIG_DFL);
}

static int64_t count_workers(const weft_config *config)
{
    return config->parallel.pipeline * config->parallel.data * config->parallel.tensor;
}

bool weft_cli_launched(void)
{
    int32_t count = 0;
    return weft_transport_launched(&count, NULL) != NULL;
}

/* NULL: workers are threads. */
static const weft_transport_processes *processes_of(const weft_config *config)
{
    return weft_transport_kind_get(config->transport)->processes;
}

void weft_cli_settle(weft_config *config)
{
    const weft_transport_processes *processes = processes_of(config);
    if (!processes || count_workers(config) <= 1 || processes->launched(NULL) != 1) return;
    config->transport = 0; /* the kind that needs no launcher */
    fprintf(stderr, "note: the launcher started one process: its %lld workers are threads, as with transport=%s\n",
            (long long)count_workers(config), weft_transport_kind_get(0)->name);
}

static weft_status check(const weft_config *config, weft_error *error)
{
    const char *variable = NULL;
    int32_t count = 0;
    const weft_transport_kind *kind = weft_transport_kind_get(config->transport);
    const weft_transport_kind *launched = weft_transport_launched(&count, &variable);
    if (!kind->processes && count > 1)
        return weft_config_complain(config, "transport", error,
                                    "%s, but a launcher started %d processes (%s): add transport=%s, or start one, "
                                    "which runs all workers as threads",
                                    kind->name, (int)count, variable, launched->name);
    if (kind->processes && count == 0 && count_workers(config) > 1)
        return weft_config_complain(config, "transport", error,
                                    "%s, but no launcher started this process: run %s %lld weft ..., or set it to %s "
                                    "for threads of one process",
                                    kind->name, kind->processes->launcher, (long long)count_workers(config),
                                    weft_transport_kind_get(0)->name);
    return WEFT_OK;
}

void weft_cli_late(void *context)
{
    fprintf(stderr,
            "weft: %s: not all processes that the launcher started have come within the timeout: one hangs before weft "
            "runs in it, or cannot be reached\n",
            (const char *)context);
    _exit(1);
}

weft_status weft_cli_launch(const weft_config *config, int32_t *out_rank, weft_error *error)
{
    int32_t size = 0;
    weft_watch *watch = NULL;
    const weft_transport_kind *kind = weft_transport_kind_get(config->transport);
    *out_rank = 0;
    TRY(check(config, error));
    if (!kind->processes) return WEFT_OK;
    TRY(weft_watch_start(config->timeout, weft_cli_late, (void *)(uintptr_t)kind->name, &watch, error));
    weft_status status = kind->processes->start(out_rank, &size, error);
    weft_watch_end(watch);
    return status;
}

/* Who speaks when processes fail together: one that has spoken, else the first that knows a cause, else any. */
enum { SPOKEN, CAUSE, ECHO, SILENT };

/* What a process tells the others at the end. The least word is that of the one that speaks for all. */
static int64_t word_of(int voice, int32_t rank, int exit_status)
{
    return ((int64_t)voice << 32 | rank) << 8 | exit_status;
}

static void say(const char *verb, const weft_error *error)
{
    fflush(stdout);
    fprintf(stderr, "weft %s: %s\n", verb, error->text);
}

/* Mistakes in files and configurations mostly are every process's. */
static int voice_of(weft_status status, int32_t rank)
{
    if (status == WEFT_OK) return SILENT;
    if (status == WEFT_STOPPED) return ECHO;
    return status == WEFT_INVALID && rank != 0 ? CAUSE : SPOKEN;
}

static void leave(void *exit_status)
{
    _exit(*(int *)exit_status);
}

/* With messages under way that nobody receives, it may wait for ever. */
static void finish(const weft_transport_processes *processes, int *exit_status)
{
    weft_watch *watch = NULL;
    weft_error ignored;
    fflush(stdout);
    if (weft_watch_start(patience, leave, exit_status, &watch, &ignored) != WEFT_OK) leave(exit_status);
    processes->finish();
    weft_watch_end(watch);
}

/* A failed process must not leave the others waiting, nor end them by force while they end by themselves: launchers
 * print pages about that, behind the message that matters. */
weft_status weft_cli_land(const weft_config *config, const char *verb, int32_t rank, weft_status status,
                          weft_error *error)
{
    const weft_transport_processes *processes = processes_of(config);
    if (!processes) return status;
    int voice = voice_of(status, rank), exit_status = weft_status_exit(status);
    if (voice == SPOKEN) say(verb, error);
    int64_t own = word_of(voice, rank, exit_status), first = own;
    bool together = processes->agree(own, status == WEFT_OK ? HUGE_VAL : patience, &first);
    bool speaks = voice == CAUSE || voice == ECHO;
    if (speaks && (!together || first == own)) say(verb, error);
    if (!together) {
        processes->abort(exit_status ? exit_status : 1);
        return status;
    }
    exit_status = (int)(first & 0xff);
    if (exit_status == 0) {
        processes->finish();
        return WEFT_OK;
    }
    finish(processes, &exit_status);
    weft_error_clear(error); /* it has been said */
    return exit_status == 2 ? WEFT_INVALID : WEFT_FAILED;
}
