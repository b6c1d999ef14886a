/*
 * Bells between workers of one machine: MPI tells nobody that something has arrived, and looking for it often costs
 * time that others could compute in. So whoever does something that a sleeping peer may wait for rings its bell, a word
 * of shared memory that the peer sleeps on. A bell that does not ring costs a nap; nothing relies on it.
 */
#include "transport/mpi/endpoint.h"

#include "base/clock.h"

#include <stdatomic.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#endif

struct weft_mpi_bell {
    _Atomic uint32_t rung;   /* how often */
    _Atomic uint32_t sleeps; /* its owner does */
    char apart[56];          /* from the next one's cache line; MPI aligns to less than one */
};

static const double shortest_nap = 20e-6, longest_nap = 500e-6; /* seconds */
static const double longest_rest = 5e-3; /* where whatever comes rings: in case that a bell was not heard */

#ifdef __linux__

/* Of a group of workers that share memory: each one's bell, by rank of the world. */
static int find_bells(weft_mpi *mpi, MPI_Comm node)
{
    MPI_Group world, members;
    int size = 0, code = MPI_Comm_size(node, &size);
    if (code == MPI_SUCCESS) code = MPI_Comm_group(MPI_COMM_WORLD, &world);
    if (code != MPI_SUCCESS) return code;
    code = MPI_Comm_group(node, &members);
    for (int i = 0; i < size && code == MPI_SUCCESS; i++) {
        MPI_Aint bytes = 0;
        int unit = 0, rank = MPI_UNDEFINED;
        void *memory = NULL;
        code = MPI_Group_translate_ranks(members, 1, &i, world, &rank);
        if (code == MPI_SUCCESS) code = MPI_Win_shared_query(mpi->bell_window, i, &bytes, &unit, &memory);
        if (code == MPI_SUCCESS && rank != MPI_UNDEFINED) mpi->bells[rank] = memory;
    }
    if (code == MPI_SUCCESS) MPI_Group_free(&members);
    MPI_Group_free(&world);
    mpi->alone_on_machine = size == mpi->base.size;
    return code;
}

/* Collective over the workers of a machine. Without shared memory everybody naps as if there were no bells. */
static int hang_bells(weft_mpi *mpi, MPI_Comm node)
{
    struct weft_mpi_bell *own = NULL;
    int ready = 0, all = 0;
    ready = MPI_Win_allocate_shared(sizeof *own, 1, MPI_INFO_NULL, node, &own, &mpi->bell_window) == MPI_SUCCESS;
    if (ready) {
        atomic_init(&own->rung, 0);
        atomic_init(&own->sleeps, 0);
    }
    int code = MPI_Allreduce(&ready, &all, 1, MPI_INT, MPI_MIN, node);
    if (code != MPI_SUCCESS || !all) return code;
    return find_bells(mpi, node);
}

void weft_mpi_ring(weft_mpi *mpi, int32_t peer)
{
    struct weft_mpi_bell *bell = mpi->bells[peer];
    if (!bell || peer == mpi->base.rank) return;
    atomic_fetch_add(&bell->rung, 1);
    if (atomic_load(&bell->sleeps)) syscall(SYS_futex, &bell->rung, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void sleep_on_bell(struct weft_mpi_bell *bell, uint32_t seen, double seconds)
{
    struct timespec most = {.tv_sec = (time_t)seconds};
    most.tv_nsec = (long)((seconds - (double)most.tv_sec) * 1e9);
    atomic_store(&bell->sleeps, 1);
    syscall(SYS_futex, &bell->rung, FUTEX_WAIT, seen, &most, NULL, 0);
    atomic_store(&bell->sleeps, 0);
}

#else

static int hang_bells(weft_mpi *mpi, MPI_Comm node)
{
    (void)mpi;
    (void)node;
    return MPI_SUCCESS;
}

void weft_mpi_ring(weft_mpi *mpi, int32_t peer)
{
    (void)mpi;
    (void)peer;
}

static void sleep_on_bell(struct weft_mpi_bell *bell, uint32_t seen, double seconds)
{
    (void)bell;
    (void)seen;
    weft_clock_sleep(seconds);
}

#endif

weft_status weft_mpi_bells_init(weft_mpi *mpi, weft_error *error)
{
    MPI_Comm node = MPI_COMM_NULL;
    int rank = 0;
    TRY(weft_allocate((size_t)mpi->base.size, sizeof *mpi->bells, &mpi->bells, error));
    int code = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    if (code == MPI_SUCCESS) code = MPI_Comm_rank(node, &rank);
    if (code != MPI_SUCCESS) return weft_mpi_fail(mpi, code, "MPI_Comm_split_type", error);
    mpi->base.leads_machine = rank == 0;
    code = hang_bells(mpi, node);
    MPI_Comm_free(&node);
    return code == MPI_SUCCESS ? WEFT_OK : weft_mpi_fail(mpi, code, "making bells", error);
}

void weft_mpi_bells_fini(weft_mpi *mpi, bool together)
{
    if (together && mpi->bell_window != MPI_WIN_NULL) MPI_Win_free(&mpi->bell_window);
    weft_free(mpi->bells);
}

void weft_mpi_ring_group(weft_mpi *mpi, const weft_group *group)
{
    for (int32_t i = 0; i < group->count; i++) weft_mpi_ring(mpi, group->members[i]);
}

static struct weft_mpi_bell *own_bell(const weft_mpi *mpi)
{
    return mpi->bells ? mpi->bells[mpi->base.rank] : NULL;
}

void weft_mpi_listen(weft_mpi *mpi)
{
    struct weft_mpi_bell *bell = own_bell(mpi);
    uint32_t rung = bell ? atomic_load(&bell->rung) : 0;
    if (rung == mpi->heard) return;
    mpi->heard = rung;
    mpi->expects = true;
    weft_mpi_awake(mpi);
}

void weft_mpi_awake(weft_mpi *mpi)
{
    mpi->nap = shortest_nap;
}

void weft_mpi_nap(weft_mpi *mpi, double deadline)
{
    struct weft_mpi_bell *bell = own_bell(mpi);
    /* What is sure to ring may come when it likes; the rest is looked for, and what rang and is not there yet. */
    bool rests = bell && mpi->alone_on_machine && mpi->silent_parts == 0 && !mpi->expects;
    double left = deadline - weft_clock_seconds(), nap = rests ? longest_rest : mpi->nap;
    if (nap > left) nap = left;
    if (nap > 0 && !bell) weft_clock_sleep(nap);
    if (nap > 0 && bell) sleep_on_bell(bell, mpi->heard, nap);
    mpi->nap = 2 * mpi->nap < longest_nap ? 2 * mpi->nap : longest_nap;
}
