#include "cli/launch.h"

#include "base/clock.h"
#include "transport/transport.h"

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

static weft_status check(const weft_config *config, weft_error *error)
{
    bool mpi = config->transport == WEFT_CONFIG_MPI;
    if (!mpi && weft_mpi_launched())
        return weft_config_complain(config, "transport", error,
                                    "local, but a launcher started this process: add transport=mpi");
    int64_t workers = config->parallel.pipeline * config->parallel.data * config->parallel.tensor;
    if (mpi && !weft_mpi_launched() && workers > 1)
        return weft_config_complain(config, "transport", error,
                                    "mpi, but no launcher started this process: run mpirun -n %lld weft ...",
                                    (long long)workers);
    return WEFT_OK;
}

weft_status weft_cli_launch(const weft_config *config, int32_t *out_rank, weft_error *error)
{
    int32_t size = 0;
    *out_rank = 0;
    TRY(check(config, error));
    return config->transport == WEFT_CONFIG_MPI ? weft_mpi_start(out_rank, &size, error) : WEFT_OK;
}

/* A failed process must not leave the others waiting. The one that knows the cause speaks first. */
weft_status weft_cli_land(const weft_config *config, const char *verb, int32_t rank, weft_status status,
                          weft_error *error)
{
    if (config->transport != WEFT_CONFIG_MPI) return status;
    if (status == WEFT_OK) {
        weft_mpi_finish();
        return WEFT_OK;
    }
    bool others_know = status == WEFT_STOPPED || (status == WEFT_INVALID && rank != 0);
    if (others_know) weft_clock_sleep(3); /* whoever knows more ends this process meanwhile */
    fprintf(stderr, "weft %s: %s\n", verb, error->text);
    fflush(stdout);
    weft_mpi_abort(weft_status_exit(status));
    return status;
}
