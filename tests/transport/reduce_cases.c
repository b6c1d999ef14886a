/* Sums: every width, split and chunk gives the bits of one worker that adds in member order. */
#include "sum_lane.h"

#include "base/clock.h"
#include "base/random.h"

enum { FIRST_GROUP = 3, PATTERNS = 6 };

/* Elements of a member's part. */
static size_t part_of(int pattern, size_t chunk, int32_t member, int32_t members, uint64_t key)
{
    weft_random_key random = weft_random_key_make(key, "part");
    uint64_t bits = weft_random_bits(random, (uint64_t)member);
    switch (pattern) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return member == members - 1 ? chunk + 1 : 0;
    case 3:
        return 2 * chunk;
    case 4:
        return bits % 3 == 0 ? 0 : bits % (3 * chunk + 5);
    default:
        return chunk * (size_t)(member + 1) - (size_t)member % 2;
    }
}

static bool run_sums(sum_lane *lane, size_t chunk, char *why)
{
    weft_error error;
    for (int pattern = 0; pattern < PATTERNS; pattern++)
        for (sum_kind kind = 0; kind < SUM_GATHER; kind++) {
            uint64_t key = (uint64_t)(lane->group * 100 + pattern) * 10 + kind;
            for (int32_t i = 0; i < lane->members->count; i++)
                lane->counts[i] = part_of(pattern, chunk, i, lane->members->count, key);
            CHECK_OK(sum_begin(lane, kind, key, &error), &error);
            CHECK_OK(sum_finish(lane, &error), &error);
            if (!sum_check(lane, why)) return false;
        }
    return true;
}

static bool run_sums_of(weft_transport *t, weft_element element, char *why)
{
    static const size_t chunks[] = {1, 7, 1000, 5000};
    transport_case_groups groups;
    transport_case_groups_init(&groups, t->size);
    for (int32_t group = FIRST_GROUP; group < TRANSPORT_CASE_GROUPS; group++) {
        const weft_group *members = &groups.groups[group];
        bool member = false;
        for (int32_t i = 0; i < members->count; i++) member = member || members->members[i] == t->rank;
        for (size_t i = 0; member && i < sizeof chunks / sizeof chunks[0]; i++) {
            weft_error error;
            sum_lane lane;
            CHECK_OK(sum_open(&lane, t, members, group, element, chunks[i], &error), &error);
            bool right = run_sums(&lane, chunks[i], why);
            sum_close(&lane);
            if (!right) return false;
            bool matters = element != WEFT_FP32 && members->count > 2 && chunks[i] >= 1000;
            CHECK(!matters || lane.matters > 0, "rounding after each addition would do");
        }
    }
    return true;
}

bool case_sums(weft_transport *t, char *why)
{
    return run_sums_of(t, WEFT_FP32, why);
}

bool case_sums_bf16(weft_transport *t, char *why)
{
    return run_sums_of(t, WEFT_BF16, why);
}

/* A program of sums and gathers: each worker runs those of its groups, of each group in order, of different groups in
 * an order of its own. */
enum { LENGTH = 60, CHUNK = 50 };

typedef struct player {
    weft_transport *transport;
    uint64_t seed;
    sum_lane lanes[TRANSPORT_CASE_GROUPS];
    bool opened[TRANSPORT_CASE_GROUPS], busy[TRANSPORT_CASE_GROUPS];
    int next[TRANSPORT_CASE_GROUPS]; /* the operation that comes next in the group; LENGTH: none */
    uint64_t draws;
} player;

static int32_t group_of(uint64_t seed, int operation)
{
    return (int32_t)(weft_random_bits(weft_random_key_make(seed, "group"), (uint64_t)operation) %
                     TRANSPORT_CASE_GROUPS);
}

/* Groups of either kind are under way together. */
static weft_element element_of(int32_t group)
{
    return group % 2 == 0 ? WEFT_FP32 : WEFT_BF16;
}

static int find_next(uint64_t seed, int32_t group, int from)
{
    while (from < LENGTH && group_of(seed, from) != group) from++;
    return from;
}

static weft_status start_next(player *p, int32_t group, weft_error *error)
{
    sum_lane *lane = &p->lanes[group];
    uint64_t key = p->seed * LENGTH + (uint64_t)p->next[group];
    for (int32_t i = 0; i < lane->members->count; i++)
        lane->counts[i] = part_of((int)(key % PATTERNS), CHUNK, i, lane->members->count, key);
    sum_kind kind = group < FIRST_GROUP ? SUM_GATHER : (sum_kind)(key / PATTERNS % SUM_GATHER);
    p->busy[group] = true;
    p->next[group] = find_next(p->seed, group, p->next[group] + 1);
    return sum_begin(lane, kind, key, error);
}

/* Goes on with one group: starts what comes next, or not yet, or polls what is under way. */
static bool play_group(player *p, int32_t group, bool *moved, char *why)
{
    weft_error error;
    weft_random_key order =
        weft_random_key_make(p->seed * TRANSPORT_CASE_MEMBERS + (uint64_t)p->transport->rank, "play");
    weft_reducer_state state = WEFT_REDUCER_WAITS;
    if (p->busy[group]) {
        CHECK_OK(sum_poll(&p->lanes[group], &state, &error), &error);
        *moved = *moved || state != WEFT_REDUCER_WAITS;
        p->busy[group] = state != WEFT_REDUCER_DONE;
        return p->busy[group] || sum_check(&p->lanes[group], why);
    }
    if (!p->opened[group] || p->next[group] == LENGTH) return true;
    *moved = true;
    if (weft_random_bits(order, p->draws++) % 2 == 0) CHECK_OK(start_next(p, group, &error), &error);
    return true;
}

static double pause_of(const player *p)
{
    for (int32_t g = FIRST_GROUP; g < TRANSPORT_CASE_GROUPS; g++)
        if (p->busy[g] && weft_reducer_adding(p->lanes[g].reducer)) return 50e-6;
    return 1.0;
}

static bool play(player *p, char *why)
{
    weft_error error;
    double begin = weft_clock_seconds();
    for (bool left = true; left;) {
        bool moved = false;
        left = false;
        for (int32_t g = 0; g < TRANSPORT_CASE_GROUPS; g++) {
            int32_t group = (g + p->transport->rank * 3) % TRANSPORT_CASE_GROUPS;
            if (!play_group(p, group, &moved, why)) return false;
            left = left || p->busy[group] || (p->opened[group] && p->next[group] < LENGTH);
        }
        CHECK(weft_clock_seconds() - begin < PATIENCE, "a program of sums never ends");
        if (left && !moved) CHECK_OK(p->transport->operations->wait(p->transport, pause_of(p), &error), &error);
    }
    return true;
}

static bool play_program(weft_transport *t, uint64_t seed, char *why)
{
    weft_error error;
    transport_case_groups groups;
    transport_case_groups_init(&groups, t->size);
    player p = {.transport = t, .seed = seed};
    for (int32_t group = 0; group < TRANSPORT_CASE_GROUPS; group++) {
        const weft_group *members = &groups.groups[group];
        for (int32_t i = 0; i < members->count; i++)
            if (members->members[i] == t->rank) p.opened[group] = true;
        p.next[group] = find_next(seed, group, 0);
        if (p.opened[group])
            CHECK_OK(sum_open(&p.lanes[group], t, members, group, element_of(group), CHUNK, &error), &error);
    }
    bool right = play(&p, why);
    for (int32_t group = 0; group < TRANSPORT_CASE_GROUPS; group++)
        if (p.opened[group]) sum_close(&p.lanes[group]);
    return right;
}

bool case_many_sums(weft_transport *t, char *why)
{
    for (uint64_t seed = 0; seed < 5; seed++)
        if (!play_program(t, seed, why)) return false;
    return true;
}

/* The last worker begins only when all others have seen that it is the one they wait for. */
static bool await_last(weft_transport *t, sum_lane *lane, char *why)
{
    weft_error error;
    char byte = 0;
    weft_request request = -1;
    weft_reducer_state state = WEFT_REDUCER_WAITS;
    int32_t last = t->size - 1;
    double begin = weft_clock_seconds();
    for (int32_t i = 0; i < last && t->rank == last; i++) {
        CHECK_OK(post_receive(t, i, 0, &byte, 1, &request, &error), &error);
        CHECK_OK(finish_one(t, request, &error), &error);
    }
    CHECK_OK(sum_begin(lane, SUM_ALL, 1, &error), &error);
    while (t->rank != last && weft_reducer_awaited(lane->reducer) != last) {
        CHECK_OK(sum_poll(lane, &state, &error), &error);
        CHECK_OK(t->operations->wait(t, 0.01, &error), &error);
        CHECK(weft_clock_seconds() - begin < PATIENCE, "waits for worker %d", weft_reducer_awaited(lane->reducer));
    }
    if (t->rank != last) CHECK_OK(post_send(t, last, 0, &byte, 1, &request, &error), &error);
    CHECK_OK(sum_finish(lane, &error), &error);
    if (t->rank != last) CHECK_OK(finish_one(t, request, &error), &error);
    CHECK(weft_reducer_awaited(lane->reducer) == -1, "nothing is under way");
    return sum_check(lane, why);
}

bool case_sum_awaited(weft_transport *t, char *why)
{
    weft_error error;
    sum_lane lane;
    transport_case_groups groups;
    transport_case_groups_init(&groups, t->size);
    if (t->size == 1) return true;
    CHECK_OK(sum_open(&lane, t, &groups.groups[FIRST_GROUP], FIRST_GROUP, WEFT_FP32, CHUNK, &error), &error);
    for (int32_t i = 0; i < t->size; i++) lane.counts[i] = 5 * CHUNK;
    bool right = await_last(t, &lane, why);
    for (int32_t i = 0; i < t->size; i++) lane.counts[i] = 0; /* even nothing waits for all */
    right = right && await_last(t, &lane, why);
    sum_close(&lane);
    return right;
}
