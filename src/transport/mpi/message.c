/* Posting: sends, receives and gathers become MPI requests. */
#include "transport/mpi/endpoint.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

enum { SMALL = 256 }; /* bytes that MPI libraries write into the other process's memory at once */

static weft_status reserve_parts(weft_mpi *mpi, size_t more, weft_error *error)
{
    size_t need = mpi->part_count + more;
    TRY(weft_grow(&mpi->handles, &mpi->handle_capacity, need, sizeof *mpi->handles, error));
    TRY(weft_grow(&mpi->parts, &mpi->part_capacity, need, sizeof *mpi->parts, error));
    TRY(weft_grow(&mpi->indices, &mpi->index_capacity, need, sizeof *mpi->indices, error));
    return weft_grow(&mpi->statuses, &mpi->status_capacity, need, sizeof *mpi->statuses, error);
}

static weft_status take_request(weft_mpi *mpi, int32_t tag, weft_request *out, weft_error *error)
{
    if (mpi->spare < 0) {
        TRY(weft_grow(&mpi->requests, &mpi->request_capacity, mpi->request_count + 1, sizeof *mpi->requests, error));
        mpi->requests[mpi->request_count].next = -1;
        mpi->spare = (int32_t)mpi->request_count++;
    }
    *out = mpi->spare;
    weft_mpi_request *request = &mpi->requests[*out];
    mpi->spare = request->next;
    *request = (weft_mpi_request){.busy = true, .tag = tag, .code = MPI_SUCCESS};
    return WEFT_OK;
}

/* A small message comes with its bell. What is larger, or belongs to a collective, takes steps of MPI's own on both
 * sides, and so may the end of any send. */
static void add_part(weft_mpi *mpi, weft_request request, weft_mpi_part part)
{
    part.request = request;
    part.large = part.whole > SMALL;
    part.silent = part.large || part.expected < 0;
    mpi->silent_parts += part.silent;
    mpi->parts[mpi->part_count++] = part;
    mpi->requests[request].open++;
    if (part.silent) weft_mpi_ring(mpi, part.peer);
}

typedef struct weft_mpi_route {
    MPI_Comm communicator;
    int place, tag; /* of the peer in the communicator */
    int32_t peer;   /* of the world */
} weft_mpi_route;

static weft_status post_send(weft_mpi *mpi, weft_request request, const weft_mpi_route *route,
                             const unsigned char *bytes, size_t count, weft_error *error)
{
    size_t pieces = weft_transport_pieces(count, mpi->piece_limit);
    TRY(reserve_parts(mpi, pieces, error));
    for (size_t i = 0; i < pieces; i++) {
        size_t begin = 0, size = weft_transport_piece(count, mpi->piece_limit, i, &begin);
        int code = MPI_Isend(count > 0 ? bytes + begin : bytes, (int)size, MPI_BYTE, route->place, route->tag,
                             route->communicator, &mpi->handles[mpi->part_count]);
        if (code != MPI_SUCCESS) return weft_mpi_fail(mpi, code, "MPI_Isend", error);
        add_part(mpi, request, (weft_mpi_part){.peer = route->peer, .expected = -1, .whole = count});
    }
    return WEFT_OK;
}

static weft_status post_receive(weft_mpi *mpi, weft_request request, const weft_mpi_route *route, unsigned char *bytes,
                                size_t count, weft_error *error)
{
    size_t pieces = weft_transport_pieces(count, mpi->piece_limit);
    TRY(reserve_parts(mpi, pieces, error));
    for (size_t i = 0; i < pieces; i++) {
        size_t begin = 0, size = weft_transport_piece(count, mpi->piece_limit, i, &begin);
        int code = MPI_Irecv(count > 0 ? bytes + begin : bytes, (int)size, MPI_BYTE, route->place, route->tag,
                             route->communicator, &mpi->handles[mpi->part_count]);
        if (code != MPI_SUCCESS) return weft_mpi_fail(mpi, code, "MPI_Irecv", error);
        add_part(mpi, request, (weft_mpi_part){.peer = route->peer, .expected = (int)size, .whole = count});
    }
    return WEFT_OK;
}

enum { GATHER_TAG = 0, GROUP_TAG = 1 }; /* on the communicator of a group */

static weft_mpi_group *find_group(weft_mpi *mpi, int32_t group)
{
    return group >= 0 && group < mpi->group_count ? &mpi->groups[group] : NULL;
}

/* Checks a message's operands and finds the way that it goes. */
static weft_status find_route(weft_mpi *mpi, int32_t peer, int32_t tag, const void *bytes, size_t count,
                              weft_mpi_route *out, weft_error *error)
{
    TRY(weft_transport_check_message(&mpi->base, peer, tag, mpi->tag_limit, bytes, count, error));
    *out = (weft_mpi_route){mpi->messages, peer, tag, peer};
    if (tag >= 0) return WEFT_OK;
    const weft_mpi_group *group = find_group(mpi, weft_transport_tag_group(tag));
    int32_t place = -1;
    TRY(weft_transport_check_pair(group ? &group->group : NULL, tag, mpi->base.rank, peer, &place, error));
    *out = (weft_mpi_route){group->communicator, place, GROUP_TAG, peer};
    return WEFT_OK;
}

weft_status weft_mpi_send(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                          const void *bytes, size_t count, weft_request *out, weft_error *error)
{
    (void)stream;
    weft_mpi *mpi = (weft_mpi *)transport;
    weft_mpi_route route;
    TRY(find_route(mpi, peer, tag, bytes, count, &route, error));
    TRY(take_request(mpi, tag, out, error));
    return post_send(mpi, *out, &route, bytes, count, error);
}

weft_status weft_mpi_receive(weft_transport *transport, struct weft_stream *stream, int32_t peer, int32_t tag,
                             void *bytes, size_t count, weft_request *out, weft_error *error)
{
    (void)stream;
    weft_mpi *mpi = (weft_mpi *)transport;
    weft_mpi_route route;
    TRY(find_route(mpi, peer, tag, bytes, count, &route, error));
    TRY(take_request(mpi, tag, out, error));
    return post_receive(mpi, *out, &route, bytes, count, error);
}

/* MPI reads counts and displacements until the gather is done, so they need a place of their own. */
static weft_status take_table(weft_mpi_group *group, const size_t *counts, int **out, weft_error *error)
{
    int32_t members = group->group.count;
    if (group->spare_count == 0) {
        TRY(weft_grow(&group->spare, &group->spare_capacity, group->made + 1, sizeof *group->spare, error));
        TRY(weft_allocate((size_t)members * 2, sizeof **group->spare, &group->spare[0], error));
        group->made++;
        group->spare_count = 1;
    }
    int *table = group->spare[--group->spare_count], offset = 0;
    for (int32_t i = 0; i < members; i++) {
        table[i] = (int)counts[i];
        table[members + i] = offset;
        offset += table[i];
    }
    *out = table;
    return WEFT_OK;
}

static weft_status gather_at_once(weft_mpi *mpi, weft_request request, weft_mpi_group *group, const void *bytes,
                                  const size_t *counts, unsigned char *out_bytes, weft_error *error)
{
    int *table = NULL;
    TRY(reserve_parts(mpi, 1, error));
    TRY(take_table(group, counts, &table, error));
    mpi->requests[request].table = table;
    int members = group->group.count, own = table[group->place];
    const void *source = bytes == out_bytes + table[members + group->place] ? MPI_IN_PLACE : bytes;
    int code = MPI_Iallgatherv(source, own, MPI_BYTE, out_bytes, table, table + members, MPI_BYTE, group->communicator,
                               &mpi->handles[mpi->part_count]);
    if (code != MPI_SUCCESS) return weft_mpi_fail(mpi, code, "MPI_Iallgatherv", error);
    add_part(mpi, request, (weft_mpi_part){.peer = mpi->base.rank, .expected = -1, .whole = SIZE_MAX});
    weft_mpi_ring_group(mpi, &group->group);
    return WEFT_OK;
}

static weft_status gather_in_pieces(weft_mpi *mpi, weft_request request, weft_mpi_group *group, const void *bytes,
                                    const size_t *counts, unsigned char *out_bytes, weft_error *error)
{
    size_t offset = 0;
    for (int32_t i = 0; i < group->group.count; i++) {
        weft_mpi_route route = {group->communicator, i, GATHER_TAG, group->group.members[i]};
        if (i == group->place) {
            if (counts[i] > 0 && bytes != out_bytes + offset) memcpy(out_bytes + offset, bytes, counts[i]);
        } else {
            TRY(post_receive(mpi, request, &route, out_bytes + offset, counts[i], error));
            TRY(post_send(mpi, request, &route, bytes, counts[group->place], error));
        }
        offset += counts[i];
    }
    return WEFT_OK;
}

weft_status weft_mpi_gather(weft_transport *transport, struct weft_stream *stream, int32_t group, const void *bytes,
                            const size_t *counts, void *out_bytes, weft_request *out, weft_error *error)
{
    (void)stream;
    weft_mpi *mpi = (weft_mpi *)transport;
    weft_mpi_group *members = find_group(mpi, group);
    int32_t place = -1;
    TRY(weft_transport_find_place(members ? &members->group : NULL, group, transport->rank, &place, error));
    size_t offset = 0, total = weft_transport_total(counts, members->group.count, place, &offset);
    if (total == SIZE_MAX)
        FAIL(error, WEFT_INVALID, "transport: the counts of a gather in group %" PRId32 " overflow", group);
    TRY(take_request(mpi, WEFT_TRANSPORT_GATHER, out, error));
    mpi->requests[*out].group = group;
    if (members->group.count > 1 && total <= mpi->collective_limit)
        return gather_at_once(mpi, *out, members, bytes, counts, out_bytes, error);
    TRY(gather_in_pieces(mpi, *out, members, bytes, counts, out_bytes, error));
    if (mpi->requests[*out].open > 0) return WEFT_OK;
    mpi->requests[*out].finished = weft_clock_nanoseconds();
    mpi->moved = true;
    return WEFT_OK;
}
