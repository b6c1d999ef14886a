#include "transport/common.h"

#include <inttypes.h>

weft_status weft_transport_check_message(const weft_transport *transport, int32_t peer, int32_t tag, int32_t tag_limit,
                                         const void *bytes, size_t count, weft_error *error)
{
    if (peer < 0 || peer >= transport->size)
        FAIL(error, WEFT_INVALID, "transport: there is no worker %" PRId32 "; ranks are 0 to %" PRId32, peer,
             transport->size - 1);
    if (tag > tag_limit)
        FAIL(error, WEFT_INVALID, "transport: tag %" PRId32 " is outside 0 to %" PRId32, tag, tag_limit);
    if (!bytes && count > 0) FAIL(error, WEFT_INVALID, "transport: no buffer given for %zu bytes", count);
    return WEFT_OK;
}

static weft_status check_group(int32_t size, const weft_group *group, int32_t index, weft_error *error)
{
    if (group->count < 1) FAIL(error, WEFT_INVALID, "transport: group %" PRId32 " has no members", index);
    for (int32_t i = 0; i < group->count; i++) {
        int32_t member = group->members[i];
        if (member < 0 || member >= size)
            FAIL(error, WEFT_INVALID, "transport: group %" PRId32 " names worker %" PRId32 " of a world of %" PRId32,
                 index, member, size);
        if (i > 0 && member <= group->members[i - 1])
            FAIL(error, WEFT_INVALID, "transport: the members of group %" PRId32 " are not in ascending order", index);
    }
    return WEFT_OK;
}

weft_status weft_transport_check_groups(int32_t size, const weft_group *groups, int32_t count, weft_error *error)
{
    for (int32_t i = 0; i < count; i++) TRY(check_group(size, &groups[i], i, error));
    return WEFT_OK;
}

int32_t weft_transport_place(const weft_group *group, int32_t rank)
{
    for (int32_t i = 0; i < group->count; i++)
        if (group->members[i] == rank) return i;
    return -1;
}

weft_status weft_transport_find_place(const weft_group *group, int32_t index, int32_t rank, int32_t *out_place,
                                      weft_error *error)
{
    *out_place = -1;
    if (!group) FAIL(error, WEFT_INVALID, "transport: there is no group %" PRId32, index);
    *out_place = weft_transport_place(group, rank);
    if (*out_place < 0)
        FAIL(error, WEFT_INVALID, "transport: worker %" PRId32 " is not in group %" PRId32, rank, index);
    return WEFT_OK;
}

int32_t weft_transport_tag_group(int32_t tag)
{
    return -1 - tag;
}

weft_status weft_transport_check_pair(const weft_group *group, int32_t tag, int32_t rank, int32_t peer,
                                      int32_t *out_place, weft_error *error)
{
    int32_t index = weft_transport_tag_group(tag);
    TRY(weft_transport_find_place(group, index, rank, out_place, error));
    TRY(weft_transport_find_place(group, index, peer, out_place, error));
    if (peer == rank)
        FAIL(error, WEFT_INVALID, "transport: worker %" PRId32 " sends itself nothing in group %" PRId32, rank, index);
    return WEFT_OK;
}

size_t weft_transport_total(const size_t *counts, int32_t count, int32_t place, size_t *out_offset)
{
    size_t total = 0;
    for (int32_t i = 0; i < count; i++) {
        if (i == place) *out_offset = total;
        if (__builtin_add_overflow(total, counts[i], &total)) return SIZE_MAX;
    }
    return total;
}

size_t weft_transport_pieces(size_t count, size_t limit)
{
    return count <= limit ? 1 : (count - 1) / limit + 1;
}

size_t weft_transport_piece(size_t count, size_t limit, size_t index, size_t *out_offset)
{
    size_t first = count <= limit ? count : limit + (count - 1) / limit, begin = 0;
    if (index > 0) begin = first + (index - 1) * limit < count ? first + (index - 1) * limit : count;
    *out_offset = begin;
    if (index == 0) return first;
    return count - begin < limit ? count - begin : limit;
}

weft_status weft_transport_fail_stopped(int32_t by, const char *text, weft_error *error)
{
    if (text[0] == '\0') FAIL(error, WEFT_STOPPED, "worker %" PRId32 " stopped the run after an error", by);
    FAIL(error, WEFT_STOPPED, "worker %" PRId32 " stopped the run after an error; it last reported: %s", by, text);
}

weft_status weft_transport_fail_size(int32_t peer, int32_t tag, size_t expected, const char *actual, weft_error *error)
{
    if (tag == WEFT_TRANSPORT_GATHER)
        FAIL(error, WEFT_FAILED, "transport: gather with worker %" PRId32 ": expected %zu bytes, got %s", peer,
             expected, actual);
    if (tag < 0)
        FAIL(error, WEFT_FAILED,
             "transport: receive from worker %" PRId32 " in group %" PRId32 ": expected %zu bytes, got %s", peer,
             weft_transport_tag_group(tag), expected, actual);
    FAIL(error, WEFT_FAILED, "transport: receive from worker %" PRId32 ", tag %" PRId32 ": expected %zu bytes, got %s",
         peer, tag, expected, actual);
}

double weft_transport_clamp(double seconds)
{
    const double longest = 1e6;
    if (!(seconds > 0)) return 0;
    return seconds < longest ? seconds : longest;
}
