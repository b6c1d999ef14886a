/* The mpi transport's row of the table of kinds, in builds without MPI too: there its functions say so. */
#include "transport/kinds.h"

#include "base/clock.h"

struct weft_transport_world {
    const weft_group *groups;
    int32_t group_count;
};

static weft_status open(int32_t size, const weft_group *groups, int32_t group_count, weft_transport_world **out,
                        weft_error *error)
{
    (void)size;
    TRY(weft_allocate(1, sizeof **out, out, error));
    **out = (weft_transport_world){groups, group_count};
    return WEFT_OK;
}

static void close(weft_transport_world *world)
{
    weft_free(world);
}

/* Of this process's one worker nobody is left. */
static void halt(weft_transport_world *world)
{
    (void)world;
}

static weft_status create(weft_transport_world *world, int32_t rank, weft_transport **out, weft_error *error)
{
    (void)rank;
    return weft_mpi_transport_create(world->groups, world->group_count, out, error);
}

static const weft_transport_processes processes = {
    .launched = weft_mpi_launched,
    .start = weft_mpi_start,
    .agree = weft_mpi_agree,
    .finish = weft_mpi_finish,
    .abort = weft_mpi_abort,
    .launcher = "mpirun -n",
};

const weft_transport_kind weft_transport_mpi = {
    .name = "mpi",
    .summary = "processes under mpirun or srun",
    .processes = &processes,
    .clock = weft_clock_identity,
    .open = open,
    .close = close,
    .halt = halt,
    .create = create,
};
