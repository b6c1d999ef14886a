/*
 * The transport cases over MPI: started by run_mpi.sh, one process a worker. Arguments: messages and
 * gathers over so many bytes travel in pieces, as those over 2^31 bytes do (0: as they do anyway); seconds of the
 * longest delay and bytes of staging, when the cases run on such transports over it. Exit status 0 when every case
 * passed on every worker.
 */
#include "transport/mpi/endpoint.h"
#include "transport_cases.h"

#include "base/clock.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool say(char *why, const char *text)
{
    snprintf(why, TRANSPORT_CASE_TEXT, "%s", text);
    return false;
}

static bool run_case(const transport_case *one, size_t limit, const transport_case_setting *setting, char *why)
{
    weft_error error;
    weft_transport *transport = NULL;
    int32_t rank = 0, size = 0;
    transport_case_groups groups;
    transport_case_site site;
    if (weft_mpi_start(&rank, &size, &error) != WEFT_OK) return say(why, error.text);
    transport_case_groups_init(&groups, size);
    if (weft_mpi_transport_create(groups.groups, TRANSPORT_CASE_GROUPS, &transport, &error) != WEFT_OK)
        return say(why, error.text);
    if (limit > 0) weft_mpi_transport_limit(transport, limit);
    if (transport_case_site_init(&site, transport, setting, &error) != WEFT_OK) return say(why, error.text);
    bool passed = one->run(site.transport, why);
    double begin = weft_clock_seconds();
    if (passed) transport_case_site_leave(&site);
    if (passed && one->after) one->after(rank);
    if (passed && !one->ends_busy) transport_case_site_fini(&site);
    if (weft_clock_seconds() - begin > 5) return say(why, "destroy hung");
    return passed;
}

static void await_file(const char *path)
{
    double begin = weft_clock_seconds();
    while (!weft_path_exists(path) && weft_clock_seconds() - begin < PATIENCE) weft_clock_sleep(0.005);
}

/* Worker 1 makes no transport call, as if it computed, from when it writes its file until worker 0's is there. */
static weft_status ask_a_silent_peer(weft_transport *t, const char *silent, const char *asked, bool *out_right,
                                     weft_error *error)
{
    weft_transport_report reports[TRANSPORT_CASE_MEMBERS];
    TRY(t->operations->barrier(t, PATIENCE, error));
    if (t->rank == 1) {
        TRY(weft_file_write(silent, "", 0, error));
        await_file(asked);
    }
    if (t->rank == 0) {
        await_file(silent);
        t->operations->interrogate(t, 0.2, reports);
        *out_right = reports[0].answered && !reports[1].answered;
        TRY(weft_file_write(asked, "", 0, error));
    }
    return t->operations->barrier(t, PATIENCE, error);
}

static bool run_silent_peer(weft_transport *t, char *why)
{
    weft_error error;
    bool right = true;
    char silent[64], asked[64];
    if (t->size == 1) return true;
    /* The parent of all workers is the launcher's own process on this machine. */
    snprintf(silent, sizeof silent, "/tmp/weft-transport-test-%ld-silent", (long)getppid());
    snprintf(asked, sizeof asked, "/tmp/weft-transport-test-%ld-asked", (long)getppid());
    weft_status status = ask_a_silent_peer(t, silent, asked, &right, &error);
    if (t->rank == 0) unlink(asked);
    if (t->rank == 0) unlink(silent);
    if (status != WEFT_OK) return say(why, error.text);
    return right || say(why, "a worker that makes no transport call seems to have answered");
}

/* Requests under way when a run ends by an error must not make destroy hang. */
static bool run_busy_end(weft_transport *t, char *why)
{
    static unsigned char in[TRANSPORT_CASE_MEMBERS], out[1 << 20], all[TRANSPORT_CASE_MEMBERS];
    weft_error error;
    weft_request request = -1;
    size_t counts[TRANSPORT_CASE_MEMBERS];
    const weft_transport_operations *o = t->operations;
    weft_status status = WEFT_OK;
    for (int32_t i = 0; i < t->size; i++) counts[i] = 1;
    for (int32_t i = 0; i < t->size && status == WEFT_OK; i++) {
        status = o->receive(t, NULL, i, 1, &in[i], 1, &request, &error);
        if (status == WEFT_OK) status = o->send(t, NULL, i, 2, out, sizeof out, &request, &error);
    }
    if (status == WEFT_OK && t->rank > 0) status = o->gather(t, NULL, 0, in, counts, all, &request, &error);
    if (status == WEFT_OK) status = o->wait(t, 0.05, &error);
    if (t->rank == 0) o->stop(t);
    if (status == WEFT_OK || status == WEFT_STOPPED) return true;
    return say(why, error.text);
}

static void end_all(int32_t rank, const char *name, const char *why)
{
    fprintf(stderr, "worker %d: case %s: %s\n", rank, name, why);
    weft_mpi_abort(1);
    exit(1);
}

int main(int argc, char **argv)
{
    static const transport_case own[] = {{.name = "silent peer", .run = run_silent_peer},
                                         {.name = "busy end", .run = run_busy_end, .ends_busy = true}};
    char why[TRANSPORT_CASE_TEXT] = "";
    size_t limit = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    transport_case_setting setting = {.longest = argc > 2 ? strtod(argv[2], NULL) : 0,
                                      .piece = argc > 3 ? strtoul(argv[3], NULL, 10) : 0};
    bool more = setting.longest > 0 || setting.piece > 0;
    int32_t rank = 0, size = 0;
    weft_error error;
    if (weft_mpi_start(&rank, &size, &error) != WEFT_OK) end_all(rank, "start", error.text);
    if (!weft_mpi_available()) end_all(rank, "available", "MPI was started, but is said to be absent");
    for (int i = 0; i < transport_case_count; i++)
        if (!(more && transport_cases[i].at_once) && !run_case(&transport_cases[i], limit, &setting, why))
            end_all(rank, transport_cases[i].name, why);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (!run_case(&own[i], limit, &setting, why)) end_all(rank, own[i].name, why);
    weft_mpi_finish();
    if (rank == 0) printf("%d workers passed %d cases\n", size, transport_case_count + 2);
    return 0;
}
