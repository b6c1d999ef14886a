#include "transport/mpi/endpoint.h"

#include "base/clock.h"
#include "base/random.h"

#include <limits.h>
#include <string.h>

enum { PIECE_LIMIT = 1 << 30 };

static const double farewell = 10; /* seconds that destroy waits for the others */

void weft_mpi_transport_limit(weft_transport *transport, size_t bytes)
{
    weft_mpi *mpi = (weft_mpi *)transport;
    mpi->piece_limit = mpi->collective_limit = bytes;
}

static weft_status progress(weft_transport *transport, weft_error *error)
{
    TRY(weft_mpi_drive((weft_mpi *)transport, error));
    return weft_mpi_check_stop((weft_mpi *)transport, error);
}

static weft_status wait(weft_transport *transport, double seconds, weft_error *error)
{
    weft_mpi *mpi = (weft_mpi *)transport;
    double deadline = weft_clock_seconds() + weft_transport_clamp(seconds);
    for (;;) {
        weft_mpi_listen(mpi);
        TRY(progress(transport, error));
        if (mpi->moved || weft_clock_seconds() >= deadline) break;
        weft_mpi_nap(mpi, deadline);
    }
    mpi->moved = false;
    return WEFT_OK;
}

static void free_communicators(weft_mpi *mpi)
{
    for (int32_t i = 0; i < mpi->group_count; i++)
        if (mpi->groups[i].communicator != MPI_COMM_NULL) MPI_Comm_free(&mpi->groups[i].communicator);
    MPI_Comm_free(&mpi->messages);
    MPI_Comm_free(&mpi->control.communicator);
}

static void free_tables(weft_mpi *mpi)
{
    for (size_t i = 0; i < mpi->request_count; i++) weft_free(mpi->requests[i].table);
    for (int32_t i = 0; i < mpi->group_count; i++) {
        for (size_t k = 0; k < mpi->groups[i].spare_count; k++) weft_free(mpi->groups[i].spare[k]);
        weft_free(mpi->groups[i].spare);
    }
    weft_free(mpi->groups);
    weft_free(mpi->members);
    weft_free(mpi->requests);
    weft_free(mpi->handles);
    weft_free(mpi->parts);
    weft_free(mpi->indices);
    weft_free(mpi->statuses);
}

/* After an error or a stop nothing here waits for another worker: communicators are left to the end of the process. */
static void destroy(weft_transport *transport)
{
    weft_mpi *mpi = (weft_mpi *)transport;
    if (!mpi) return;
    bool together =
        !mpi->broken && mpi->control.stopped_by < 0 && weft_mpi_barrier(transport, farewell, NULL) == WEFT_OK;
    weft_mpi_withdraw(mpi);
    weft_mpi_control_fini(mpi);
    weft_mpi_bells_fini(mpi, together);
    if (together) free_communicators(mpi);
    free_tables(mpi);
    weft_free(mpi);
}

static const weft_transport_operations mpi_operations = {
    .destroy = destroy,
    .send = weft_mpi_send,
    .receive = weft_mpi_receive,
    .gather = weft_mpi_gather,
    .test = weft_mpi_test,
    .progress = progress,
    .wait = wait,
    .barrier = weft_mpi_barrier,
    .publish = weft_mpi_publish,
    .interrogate = weft_mpi_interrogate,
    .stop = weft_mpi_stop,
};

static weft_status copy_groups(weft_mpi *mpi, const weft_group *groups, int32_t group_count, weft_error *error)
{
    size_t total = 0;
    for (int32_t i = 0; i < group_count; i++) total += (size_t)groups[i].count;
    TRY(weft_allocate(total, sizeof *mpi->members, &mpi->members, error));
    TRY(weft_allocate((size_t)group_count, sizeof *mpi->groups, &mpi->groups, error));
    int32_t *members = mpi->members;
    for (int32_t i = 0; i < group_count; i++) {
        weft_mpi_group *group = &mpi->groups[i];
        group->communicator = MPI_COMM_NULL;
        group->group = (weft_group){.members = members, .count = groups[i].count};
        group->place = weft_transport_place(&groups[i], mpi->base.rank);
        memcpy(members, groups[i].members, (size_t)groups[i].count * sizeof *members);
        members += groups[i].count;
    }
    mpi->group_count = group_count;
    return WEFT_OK;
}

static int make_communicator(MPI_Group world, weft_mpi_group *group, int tag)
{
    MPI_Group members = MPI_GROUP_NULL;
    int code = MPI_Group_incl(world, group->group.count, group->group.members, &members);
    if (code != MPI_SUCCESS) return code;
    code = MPI_Comm_create_group(MPI_COMM_WORLD, members, tag, &group->communicator);
    MPI_Group_free(&members);
    if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(group->communicator, MPI_ERRORS_RETURN);
    return code;
}

/* A number of who is in which group. */
static uint64_t number_of_groups(const weft_mpi *mpi)
{
    uint64_t number = 0;
    for (int32_t i = 0; i < mpi->group_count; i++) {
        const weft_group *group = &mpi->groups[i].group;
        number = weft_random_bits(weft_random_key_make(number, "group"), (uint64_t)group->count);
        for (int32_t m = 0; m < group->count; m++)
            number = weft_random_bits(weft_random_key_make(number, "member"), (uint64_t)group->members[m]);
    }
    return number;
}

/* Members of other groups would wait for each other for ever. Which these are depends on where the stages are, too. */
static weft_status compare_groups(weft_mpi *mpi, weft_error *error)
{
    uint64_t own = number_of_groups(mpi), *all = NULL;
    TRY(weft_allocate((size_t)mpi->base.size, sizeof *all, &all, error));
    int code = MPI_Allgather(&own, 1, MPI_UINT64_T, all, 1, MPI_UINT64_T, mpi->messages);
    int32_t other = 1;
    while (code == MPI_SUCCESS && other < mpi->base.size && all[other] == all[0]) other++;
    weft_free(all);
    if (code != MPI_SUCCESS) return weft_mpi_fail(mpi, code, "comparing the groups", error);
    if (other == mpi->base.size) return WEFT_OK;
    FAIL(error, WEFT_INVALID,
         "rank %d has other stages than rank 0, or other groups of workers: all processes need the same weft and "
         "configuration",
         (int)other);
}

/* Every worker goes through its groups in ascending order, so that the members of each meet. */
static weft_status connect_groups(weft_mpi *mpi, weft_error *error)
{
    MPI_Group world = MPI_GROUP_NULL;
    int code = MPI_Comm_group(MPI_COMM_WORLD, &world);
    if (code != MPI_SUCCESS) return weft_mpi_fail(mpi, code, "MPI_Comm_group", error);
    for (int32_t i = 0; i < mpi->group_count && code == MPI_SUCCESS; i++)
        if (mpi->groups[i].place >= 0 && mpi->groups[i].group.count > 1)
            code = make_communicator(world, &mpi->groups[i], i % (mpi->tag_limit + 1));
    MPI_Group_free(&world);
    return code == MPI_SUCCESS ? WEFT_OK : weft_mpi_fail(mpi, code, "making the communicators of the groups", error);
}

/* One gather a group, so that connections exist before the first step. */
static weft_status warm_up(weft_mpi *mpi, weft_error *error)
{
    int *ranks = NULL;
    TRY(weft_allocate((size_t)mpi->base.size, sizeof *ranks, &ranks, error));
    int code = MPI_SUCCESS, rank = mpi->base.rank;
    for (int32_t i = 0; i < mpi->group_count && code == MPI_SUCCESS; i++)
        if (mpi->groups[i].communicator != MPI_COMM_NULL)
            code = MPI_Allgather(&rank, 1, MPI_INT, ranks, 1, MPI_INT, mpi->groups[i].communicator);
    weft_free(ranks);
    if (code == MPI_SUCCESS) code = MPI_Barrier(mpi->messages);
    return code == MPI_SUCCESS ? WEFT_OK : weft_mpi_fail(mpi, code, "the first gather of a group", error);
}

static weft_status connect_world(weft_mpi *mpi, weft_error *error)
{
    int *limit = NULL, found = 0;
    int code = MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &limit, &found);
    mpi->tag_limit = code == MPI_SUCCESS && found ? *limit : 32767; /* the standard's smallest */
    if (mpi->tag_limit == INT_MAX) mpi->tag_limit--;
    code = MPI_Comm_dup(MPI_COMM_WORLD, &mpi->messages);
    if (code == MPI_SUCCESS) code = MPI_Comm_dup(MPI_COMM_WORLD, &mpi->control.communicator);
    return code == MPI_SUCCESS ? WEFT_OK : weft_mpi_fail(mpi, code, "MPI_Comm_dup", error);
}

static weft_status connect_all(weft_mpi *mpi, weft_error *error)
{
    TRY(connect_world(mpi, error));
    TRY(weft_mpi_bells_init(mpi, error));
    TRY(weft_mpi_control_init(mpi, error));
    TRY(compare_groups(mpi, error));
    TRY(connect_groups(mpi, error));
    return warm_up(mpi, error);
}

weft_status weft_mpi_transport_create(const weft_group *groups, int32_t group_count, weft_transport **out,
                                      weft_error *error)
{
    *out = NULL;
    int32_t rank = 0, size = 0;
    TRY(weft_mpi_start(&rank, &size, error));
    TRY(weft_transport_check_groups(size, groups, group_count, error));
    weft_mpi *mpi = NULL;
    TRY(weft_allocate(1, sizeof *mpi, &mpi, error));
    mpi->base = (weft_transport){.operations = &mpi_operations, .rank = rank, .size = size, .driven = true};
    mpi->messages = mpi->control.communicator = MPI_COMM_NULL;
    mpi->control.receive = mpi->control.barrier = MPI_REQUEST_NULL;
    mpi->control.stopped_by = mpi->spare = -1;
    mpi->piece_limit = PIECE_LIMIT;
    mpi->collective_limit = INT_MAX;
    mpi->bell_window = MPI_WIN_NULL;
    weft_mpi_awake(mpi);
    weft_status status = copy_groups(mpi, groups, group_count, error);
    if (status == WEFT_OK) status = connect_all(mpi, error);
    if (status != WEFT_OK) {
        mpi->broken = true;
        destroy(&mpi->base);
        return status;
    }
    *out = &mpi->base;
    return WEFT_OK;
}
