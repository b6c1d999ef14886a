/*
 * What every transport checks and says the same way: arguments, groups, and the texts of stops and size mismatches.
 *
 * Owns: nothing.  Threads: any.
 */
#ifndef WEFT_TRANSPORT_COMMON_H
#define WEFT_TRANSPORT_COMMON_H

#include "transport/transport.h"

/* WEFT_INVALID for a peer outside the world, a tag over tag_limit, or no buffer for a count over 0. */
weft_status weft_transport_check_message(const weft_transport *transport, int32_t peer, int32_t tag, int32_t tag_limit,
                                         const void *bytes, size_t count, weft_error *error) WEFT_CHECKED;

/* WEFT_INVALID unless every group is a non-empty list of ascending ranks below size. */
weft_status weft_transport_check_groups(int32_t size, const weft_group *groups, int32_t count,
                                        weft_error *error) WEFT_CHECKED;

/* The place of rank in the group, or -1. */
int32_t weft_transport_place(const weft_group *group, int32_t rank);

/* The same; WEFT_INVALID where rank is no member, or group is NULL because there is none of this index. */
weft_status weft_transport_find_place(const weft_group *group, int32_t index, int32_t rank, int32_t *out_place,
                                      weft_error *error) WEFT_CHECKED;

/* The group that a tag belongs to (weft_group_tag). tag < 0. */
int32_t weft_transport_tag_group(int32_t tag);

/* For a message in a group (or NULL): its tag; the peer's place in it. WEFT_INVALID unless rank and peer are two
 * members. */
weft_status weft_transport_check_pair(const weft_group *group, int32_t tag, int32_t rank, int32_t peer,
                                      int32_t *out_place, weft_error *error) WEFT_CHECKED;

/* Tells gathers from messages where an error is described. */
enum { WEFT_TRANSPORT_GATHER = INT32_MIN };

/* Offset of each member's part and, as the result, the total of counts; SIZE_MAX when it does not fit. offset of place.
 */
size_t weft_transport_total(const size_t *counts, int32_t count, int32_t place, size_t *out_offset);

/* A message of at most limit bytes is one piece. A longer one has limit + (number of further pieces) bytes in its first
 * piece and limit bytes in each further one as long as there are any left: so messages of different sizes differ in the
 * size of some piece that both sides have, and a mismatch is always seen and never just waited for. */
size_t weft_transport_pieces(size_t count, size_t limit);
/* Bytes of a piece, and where it begins. */
size_t weft_transport_piece(size_t count, size_t limit, size_t index, size_t *out_offset);

/* The error of a worker that was told to stop; text: what the stopping worker had published, may be "". */
weft_status weft_transport_fail_stopped(int32_t by, const char *text, weft_error *error);

/* A receive posted for `expected` bytes met a message of another size; tag may be WEFT_TRANSPORT_GATHER. */
weft_status weft_transport_fail_size(int32_t peer, int32_t tag, size_t expected, const char *actual, weft_error *error);

/* Seconds as a waiting function may use them: not negative, not NaN, at most eleven days. */
double weft_transport_clamp(double seconds);

#endif
