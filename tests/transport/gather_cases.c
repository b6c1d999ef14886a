#include "transport_cases.h"

#include <stdlib.h>

typedef struct gathering {
    unsigned char *own, *all;
    size_t counts[TRANSPORT_CASE_MEMBERS], total, offset;
    weft_request request;
} gathering;

static uint64_t part_key(int32_t group, int index, int32_t rank)
{
    return (uint64_t)((group * 100 + index) * 100 + rank);
}

static size_t part_size(int32_t group, int index, int32_t rank)
{
    return message_size(part_key(group, index, rank) + 1000000) / 4;
}

static weft_status start_gather(gathering *g, weft_transport *t, const weft_group *members, int32_t group, int index,
                                weft_error *error)
{
    g->total = g->offset = 0;
    size_t mine = 0;
    for (int32_t i = 0; i < members->count; i++) {
        g->counts[i] = part_size(group, index, members->members[i]);
        if (members->members[i] == t->rank) {
            g->offset = g->total;
            mine = g->counts[i];
        }
        g->total += g->counts[i];
    }
    g->all = calloc(g->total + 1, 1);
    g->own = malloc(mine + 1);
    if (!g->all || !g->own) FAIL(error, WEFT_NO_MEMORY, "no memory for the test");
    unsigned char *source = index % 2 ? g->own : g->all + g->offset; /* every other one in its final place */
    fill(source, mine, part_key(group, index, t->rank));
    return t->operations->gather(t, NULL, group, source, g->counts, g->all, &g->request, error);
}

bool case_gather(weft_transport *t, char *why)
{
    enum { AHEAD = 6, GROUPS = 3 };
    static const int32_t order[2][GROUPS] = {{0, 1, 2}, {2, 1, 0}};
    weft_error error;
    transport_case_groups groups;
    transport_case_groups_init(&groups, t->size);
    for (int round = 0; round < 2; round++) {
        gathering gathers[GROUPS][AHEAD] = {0};
        for (int i = 0; i < AHEAD; i++)
            for (int k = 0; k < GROUPS; k++) {
                int32_t group = order[round][k];
                gathers[group][i].request = -1;
                if (group == 1 && t->rank % 2) continue;
                if (group == 2 && t->rank != t->size - 1) continue;
                CHECK_OK(start_gather(&gathers[group][i], t, &groups.groups[group], group, round * AHEAD + i, &error),
                         &error);
            }
        for (int32_t group = 0; group < GROUPS; group++)
            for (int i = 0; i < AHEAD; i++) {
                gathering *g = &gathers[group][i];
                if (g->request < 0) continue;
                CHECK_OK(finish_one(t, g->request, &error), &error);
                size_t offset = 0;
                for (int32_t m = 0; m < groups.groups[group].count; m++) {
                    uint64_t key = part_key(group, round * AHEAD + i, groups.groups[group].members[m]);
                    CHECK(is_filled(g->all + offset, g->counts[m], key), "group %d, gather %d, member %d", group, i, m);
                    offset += g->counts[m];
                }
                free(g->all);
                free(g->own);
            }
    }
    return true;
}

/* Messages in a group and its gathers do not meet, whichever comes first. */
bool case_group_message(weft_transport *t, char *why)
{
    enum { BYTES = 30000 };
    weft_error error;
    size_t counts[TRANSPORT_CASE_MEMBERS];
    weft_request gather = -1, message = -1;
    int32_t peer = t->rank ^ 1;
    if (peer >= t->size) peer = -1;
    for (int32_t i = 0; i < t->size; i++) counts[i] = BYTES;
    unsigned char *own = malloc(BYTES), *other = malloc(BYTES), *all = malloc((size_t)t->size * BYTES);
    CHECK(own && other && all, "no memory for the test");
    fill(own, BYTES, (uint64_t)t->rank);
    if (peer > t->rank) CHECK_OK(post_receive(t, peer, weft_group_tag(0), other, BYTES, &message, &error), &error);
    CHECK_OK(t->operations->gather(t, NULL, 0, own, counts, all, &gather, &error), &error);
    if (peer >= 0 && peer < t->rank) {
        fill(other, BYTES, 1000);
        CHECK_OK(post_send(t, peer, weft_group_tag(0), other, BYTES, &message, &error), &error);
    }
    CHECK_OK(finish_one(t, gather, &error), &error);
    CHECK_OK(finish_one(t, message, &error), &error);
    for (int32_t i = 0; i < t->size; i++)
        CHECK(is_filled(all + (size_t)i * BYTES, BYTES, (uint64_t)i), "the part of worker %d", i);
    if (peer >= 0) CHECK(is_filled(other, BYTES, 1000), "the message");
    free(all);
    free(other);
    free(own);
    return true;
}
