/* The build has no MPI: whoever asks for it is told so. */
#include "transport/transport.h"

bool weft_mpi_available(void)
{
    return false;
}

static weft_status refuse(weft_error *error)
{
    FAIL(error, WEFT_INVALID,
         "this build of weft has no MPI: use transport=local, or install an MPI library and its "
         "headers (Debian: libopenmpi-dev) and build again");
}

weft_status weft_mpi_start(int32_t *out_rank, int32_t *out_size, weft_error *error)
{
    *out_rank = 0;
    *out_size = 1;
    return refuse(error);
}

weft_status weft_mpi_transport_create(const weft_group *groups, int32_t group_count, weft_transport **out,
                                      weft_error *error)
{
    (void)groups;
    (void)group_count;
    *out = NULL;
    return refuse(error);
}

bool weft_mpi_agree(int64_t own, double seconds, int64_t *out_least)
{
    (void)seconds;
    *out_least = own;
    return true;
}

void weft_mpi_finish(void)
{
}

void weft_mpi_abort(int code)
{
    (void)code;
}
