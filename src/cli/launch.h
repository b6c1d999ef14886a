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

/* Whether a launcher started this process, alone or with others. */
bool weft_cli_launched(void);

/* After loading: where a launcher started one process alone, workers that should be several processes become its
 * threads. */
void weft_cli_settle(weft_config *config);

/* Starts the processes of a transport that has some; *out_rank is 0 where workers are threads. WEFT_INVALID when the
 * transport is not the one that the process was started for. Where others do not come within the timeout the process
 * ends. */
weft_status weft_cli_launch(const weft_config *config, int32_t *out_rank, weft_error *error) WEFT_CHECKED;

/* After a launch that went well: returns status. Processes of one run all end together and with the same exit status:
 * one of those that failed says why, and the record is empty then; where the others do not come, it ends them and may
 * not return. */
weft_status weft_cli_land(const weft_config *config, const char *verb, int32_t rank, weft_status status,
                          weft_error *error) WEFT_CHECKED;

/* Says that processes of the transport of this name (text) are missing, and ends this one: `late` of options of
 * train/. */
void weft_cli_late(void *context);

#endif
