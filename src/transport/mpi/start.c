/* Starting and ending MPI itself: once per process. */
#include "transport/transport.h"

#include <inttypes.h>
#include <mpi.h>
#include <stdlib.h>
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
    static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    if (size > 1) return WEFT_OK;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *value = getenv(variables[i]);
        int launched = value ? atoi(value) : 1;
        if (launched <= 1) continue;
        char library[MPI_MAX_LIBRARY_VERSION_STRING] = "";
        int length = 0;
        MPI_Get_library_version(library, &length);
        library[strcspn(library, ",\n")] = '\0';
        FAIL(error, WEFT_INVALID,
             "mpi: the launcher started %d processes (%s), but they do not find each other: this build uses %s; start "
             "it with the mpirun of the same MPI",
             launched, variables[i], library);
    }
    return WEFT_OK;
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

void weft_mpi_finish(void)
{
    if (is_running()) MPI_Finalize();
}

void weft_mpi_abort(int code)
{
    if (is_running()) MPI_Abort(MPI_COMM_WORLD, code);
}
