/* The local transport's row of the table of kinds: its world is the hub. */
#include "transport/kinds.h"

static uint64_t one_clock(void)
{
    return 1;
}

static weft_status open(int32_t size, const weft_group *groups, int32_t group_count, weft_transport_world **out,
                        weft_error *error)
{
    weft_local_hub *hub = NULL;
    weft_status status = weft_local_hub_create(size, groups, group_count, &hub, error);
    *out = (weft_transport_world *)hub;
    return status;
}

static void close(weft_transport_world *world)
{
    weft_local_hub_destroy((weft_local_hub *)world);
}

static void halt(weft_transport_world *world)
{
    weft_local_hub_stop((weft_local_hub *)world);
}

static weft_status create(weft_transport_world *world, int32_t rank, weft_transport **out, weft_error *error)
{
    return weft_local_transport_create((weft_local_hub *)world, rank, out, error);
}

const weft_transport_kind weft_transport_local = {
    .name = "local",
    .summary = "threads of one process",
    .shares_memory = true,
    .peer_copies = true,
    .clock = one_clock,
    .open = open,
    .close = close,
    .halt = halt,
    .create = create,
};
