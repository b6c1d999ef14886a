#include "transport/reduce_parts.h"

/* Elements of a piece of a part; that of the last may be fewer. */
static size_t piece_size(const weft_reducer *r, size_t part)
{
    return r->borrows ? part : r->options.chunk;
}

size_t weft_reducer_count_pieces(const weft_reducer *r, size_t part)
{
    return part == 0 ? 0 : (part - 1) / piece_size(r, part) + 1;
}

size_t weft_reducer_find_piece(const weft_reducer *r, size_t part, size_t piece, size_t *out_count)
{
    size_t begin = piece * piece_size(r, part);
    size_t size = piece_size(r, part);
    *out_count = size < part - begin ? size : part - begin;
    return begin;
}

char *weft_reducer_slot(const weft_reducer *r, int32_t member, size_t piece)
{
    size_t others = (size_t)r->options.members.count - 1, index = (size_t)(member < r->place ? member : member - 1);
    return (char *)r->options.workspace +
           (piece % WEFT_REDUCER_AHEAD * others + index) * r->options.chunk * r->element_bytes;
}

/* A member's values at a position of the piece, which begins at `begin` of the own part. */
static const void *source(const weft_reducer *r, int32_t member, size_t begin)
{
    const weft_reducer_member *m = &r->members[member];
    if (member == r->place) return r->values + (m->offset + begin + r->position) * r->element_bytes;
    return (r->borrows ? (const char *)m->where : weft_reducer_slot(r, member, r->piece)) +
           r->position * r->element_bytes;
}

void weft_reducer_add(weft_reducer *r, size_t begin, size_t count)
{
    weft_device *device = r->options.device;
    int32_t members = r->options.members.count;
    for (int32_t i = 0; i < members; i++) r->sources[i] = source(r, i, begin);
    device->operations->sum(device, r->options.stream, r->options.element, (int64_t)count, members, r->sources,
                            r->out + (begin + r->position) * r->element_bytes);
}
