/*
 * How a verb that runs workers starts and ends: as threads of this process or as one of the processes of a launcher,
 * and what signals ask of it.  Threads: main's.
 */
#ifndef WEFT_CLI_LAUNCH_H
#define WEFT_CLI_LAUNCH_H

#include "config/config.h"

#include <signal.h>

/* From now on SIGINT, SIGTERM, SIGUSR1 and SIGHUP set what is returned; one that comes a second or more after the first
 * ends the process. SIGINT and SIGHUP stay ignored where they were. */
const volatile sig_atomic_t *weft_cli_catch_signals(void);
/* From now on they end the process at once. */
void weft_cli_release_signals(void);

/* Starts MPI for transport mpi; *out_rank is 0 for transport local. WEFT_INVALID when the transport is not the one that
 * the process was started for. */
weft_status weft_cli_launch(const weft_config *config, int32_t *out_rank, weft_error *error) WEFT_CHECKED;

/* After a launch that went well: returns status. Under MPI all processes end together; one that failed says why and
 * takes the others with it, and may not return. */
weft_status weft_cli_land(const weft_config *config, const char *verb, int32_t rank, weft_status status,
                          weft_error *error) WEFT_CHECKED;

#endif
