/* A sum over an ordered transport: everything is given to the stream, and nobody looks. */
#include "transport/reduce_parts.h"

/* Done when asked, since it has its place. */
static weft_status forget(weft_reducer *r, weft_request *request, weft_error *error)
{
    bool done = false;
    if (*request < 0) return WEFT_OK;
    TRY(r->options.transport->operations->test(r->options.transport, *request, &done, error));
    *request = -1;
    if (!done) FAIL(error, WEFT_FAILED, "transport: a transfer of an ordered transport has no place on its stream");
    return WEFT_OK;
}

/* A piece of the member's part to it, and from it one of the own part. */
static weft_status exchange(weft_reducer *r, int32_t member, size_t piece, weft_error *error)
{
    weft_transport *t = r->options.transport;
    weft_reducer_member *m = &r->members[member];
    int32_t rank = r->ranks[member], tag = weft_group_tag(r->options.group);
    size_t count = 0, begin = 0;
    if (piece < weft_reducer_count_pieces(r, m->count)) {
        begin = weft_reducer_find_piece(r, m->count, piece, &count);
        TRY(t->operations->send(t, r->options.stream, rank, tag, r->values + (m->offset + begin) * r->element_bytes,
                                count * r->element_bytes, &m->sends[0], error));
    }
    if (piece >= r->pieces) return WEFT_OK;
    weft_reducer_find_piece(r, r->members[r->place].count, piece, &count);
    return t->operations->receive(t, r->options.stream, rank, tag, weft_reducer_slot(r, member, piece),
                                  count * r->element_bytes, &m->receives[0], error);
}

/* The additions of a piece are behind its transfers on the stream, and before those that fill its places again. */
static weft_status add_piece(weft_reducer *r, weft_error *error)
{
    weft_transport *t = r->options.transport;
    size_t count = 0;
    t->operations->batch_begin(t);
    for (int32_t i = 0; i < r->options.members.count; i++)
        if (i != r->place) TRY(exchange(r, i, r->piece, error));
    TRY(t->operations->batch_end(t, error));
    for (int32_t i = 0; i < r->options.members.count; i++) {
        TRY(forget(r, &r->members[i].sends[0], error));
        TRY(forget(r, &r->members[i].receives[0], error));
    }
    if (r->piece >= r->pieces) return WEFT_OK;
    size_t begin = weft_reducer_find_piece(r, r->members[r->place].count, r->piece, &count);
    weft_reducer_add(r, begin, count);
    return WEFT_OK;
}

weft_status weft_reducer_enqueue(weft_reducer *r, weft_error *error)
{
    weft_transport *t = r->options.transport;
    size_t most = r->pieces;
    for (int32_t i = 0; i < r->options.members.count; i++) {
        size_t pieces = i == r->place ? 0 : weft_reducer_count_pieces(r, r->members[i].count);
        if (pieces > most) most = pieces;
    }
    for (r->piece = 0; r->piece < most; r->piece++) TRY(add_piece(r, error));
    r->stage = STAGE_NONE;
    if (!r->all) return WEFT_OK;
    TRY(t->operations->gather(t, r->options.stream, r->options.group, r->out, r->bytes, r->all, &r->gather, error));
    return forget(r, &r->gather, error);
}
