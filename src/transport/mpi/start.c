/* Starting and ending MPI itself: once per process. */
#include "transport/transport.h"

#include "base/clock.h"

#include <mpi.h>
#include <string.h>

bool weft_mpi_available(void)
{
    return true;
}

static bool is_running(void)
{
    int started = 0, finished = 0;
    MPI_Initialized(&started);
    MPI_Finalized(&finished);
    return started && !finished;
}

/* The launcher of another MPI starts this program N times, each alone in a world of one. */
static weft_status check_launcher(int size, weft_error *error)
{
    const char *variable = NULL;
    int32_t launched = weft_mpi_launched(&variable);
    if (size > 1 || launched <= 1) return WEFT_OK;
    char library[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(library, &length);
    library[strcspn(library, ",\n")] = '\0';
    FAIL(error, WEFT_INVALID,
         "mpi: the launcher started %d processes (%s), but they do not find each other: this build uses %s; start it "
         "with the mpirun of the same MPI",
         (int)launched, variable, library);
}

weft_status weft_mpi_start(int32_t *out_rank, int32_t *out_size, weft_error *error)
{
    int finished = 0, provided = MPI_THREAD_SINGLE, rank = 0, size = 0;
    MPI_Finalized(&finished);
    if (finished) FAIL(error, WEFT_INVALID, "mpi: MPI has ended in this process and cannot be started again");
    int code = is_running() ? MPI_Query_thread(&provided) : MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    if (code != MPI_SUCCESS) FAIL(error, WEFT_FAILED, "mpi: MPI_Init_thread failed with code %d", code);
    if (provided < MPI_THREAD_FUNNELED)
        FAIL(error, WEFT_FAILED,
             "mpi: this MPI library does not allow threads beside the one that calls it "
             "(MPI_THREAD_FUNNELED)");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    *out_rank = rank;
    *out_size = size;
    return check_launcher(size, error);
}

enum { TAG = 0 }; /* messages between processes of the world itself: transports have communicators of their own */

static const double longest_nap = 2e-3;

static bool await(MPI_Request request, double deadline)
{
    double nap = 20e-6;
    for (;;) {
        int done = 0;
        if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return false;
        if (done) return true;
        if (weft_clock_seconds() >= deadline) return false;
        weft_clock_sleep(nap);
        nap = nap * 2 < longest_nap ? nap * 2 : longest_nap;
    }
}

static bool send(const int64_t *word, int to, double deadline)
{
    MPI_Request request = MPI_REQUEST_NULL;
    return MPI_Isend(word, 1, MPI_INT64_T, to, TAG, MPI_COMM_WORLD, &request) == MPI_SUCCESS &&
           await(request, deadline);
}

static bool receive(int64_t *word, int from, double deadline)
{
    MPI_Request request = MPI_REQUEST_NULL;
    return MPI_Irecv(word, 1, MPI_INT64_T, from, TAG, MPI_COMM_WORLD, &request) == MPI_SUCCESS &&
           await(request, deadline);
}

/* words: own, and room for another's. */
static bool agree(int64_t words[2], double deadline)
{
    int rank = 0, size = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (rank != 0) return send(&words[0], 0, deadline) && receive(&words[1], 0, deadline);
    words[1] = words[0];
    for (int i = 1; i < size; i++) {
        if (!receive(&words[0], MPI_ANY_SOURCE, deadline)) return false;
        if (words[0] < words[1]) words[1] = words[0];
    }
    for (int i = 1; i < size; i++)
        if (!send(&words[1], i, deadline)) return false;
    return true;
}

bool weft_mpi_agree(int64_t own, double seconds, int64_t *out_least)
{
    int64_t *words = NULL;
    *out_least = own;
    if (!is_running()) return true;
    if (weft_allocate(2, sizeof *words, &words, NULL) != WEFT_OK) return false;
    words[0] = own;
    /* What MPI has not let go of may still be written: after a failure it stays until the process ends. */
    if (!agree(words, weft_clock_seconds() + seconds)) return false;
    *out_least = words[1];
    weft_free(words);
    return true;
}

void weft_mpi_finish(void)
{
    if (is_running()) MPI_Finalize();
}

void weft_mpi_abort(int code)
{
    if (is_running()) MPI_Abort(MPI_COMM_WORLD, code);
}
