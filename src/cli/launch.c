#include "cli/launch.h"

#include "base/clock.h"
#include "transport/transport.h"

#include <stdio.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signals; /* written by the handler alone; a handler has no other way to speak */

static void on_signal(int number)
{
    if (stop_signals++) _exit(128 + number);
}

const volatile sig_atomic_t *weft_cli_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &stop_signals;
}

void weft_cli_release_signals(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
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
