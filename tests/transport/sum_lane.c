#include "sum_lane.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

weft_status sum_open(sum_lane *lane, weft_transport *t, const weft_group *members, int32_t group, size_t chunk,
                     weft_error *error)
{
    *lane = (sum_lane){.transport = t, .members = members, .group = group, .gather = -1};
    for (int32_t i = 0; i < members->count; i++)
        if (members->members[i] == t->rank) lane->place = i;
    const weft_device_kind *kind = weft_device_kind_find("reference");
    TRY(kind->create(&(weft_device_options){.element = WEFT_FP32, .threads = 1}, &lane->device, error));
    lane->workspace = malloc(weft_reducer_workspace(members->count, chunk));
    return weft_reducer_create(&(weft_reducer_options){.transport = t,
                                                       .device = lane->device,
                                                       .group = group,
                                                       .members = *members,
                                                       .chunk = chunk,
                                                       .workspace = lane->workspace},
                               &lane->reducer, error);
}

void sum_close(sum_lane *lane)
{
    weft_reducer_destroy(lane->reducer);
    if (lane->device) lane->device->operations->destroy(lane->device);
    free(lane->workspace);
    free(lane->values);
    free(lane->out);
}

/* Of either sign and of many sizes: added in another order they give another sum. */
static void fill_values(float *values, size_t count, uint64_t key, int32_t rank)
{
    uint64_t x = (key * TRANSPORT_CASE_MEMBERS + (uint64_t)rank) * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        int32_t digits = (int32_t)(x >> 40) - 0x800000;
        values[i] = (float)digits / (float)(1 << (x >> 36 & 15));
    }
}

weft_status sum_begin(sum_lane *lane, sum_kind kind, uint64_t key, weft_error *error)
{
    lane->kind = kind;
    lane->key = key;
    lane->total = 0;
    for (int32_t i = 0; i < lane->members->count; i++) {
        if (i == lane->place) lane->offset = lane->total;
        lane->bytes[i] = lane->counts[i] * sizeof(float);
        lane->total += lane->counts[i];
    }
    free(lane->values);
    free(lane->out);
    lane->values = malloc(lane->total * sizeof(float) + 1);
    lane->out = malloc((kind == SUM_GATHER ? lane->total : lane->counts[lane->place]) * sizeof(float) + 1);
    if (!lane->values || !lane->out) FAIL(error, WEFT_NO_MEMORY, "no memory for the test");
    fill_values(lane->values, lane->total, key, lane->transport->rank);
    float *own = lane->values + lane->offset;
    if (kind == SUM_GATHER)
        return lane->transport->operations->gather(lane->transport, NULL, lane->group, own, lane->bytes, lane->out,
                                                   &lane->gather, error);
    if (kind == SUM_ALL) return weft_reducer_all(lane->reducer, lane->values, lane->total, error);
    return weft_reducer_scatter(lane->reducer, lane->values, lane->counts, kind == SUM_SCATTER ? lane->out : own,
                                error);
}

weft_status sum_poll(sum_lane *lane, weft_reducer_state *out, weft_error *error)
{
    if (lane->kind != SUM_GATHER) return weft_reducer_poll(lane->reducer, out, error);
    bool done = false;
    *out = WEFT_REDUCER_WAITS;
    TRY(lane->transport->operations->test(lane->transport, lane->gather, &done, error));
    if (done) *out = WEFT_REDUCER_DONE;
    return WEFT_OK;
}

weft_status sum_finish(sum_lane *lane, weft_error *error)
{
    double begin = weft_clock_seconds();
    for (;;) {
        weft_reducer_state state = WEFT_REDUCER_WAITS;
        TRY(sum_poll(lane, &state, error));
        if (state == WEFT_REDUCER_DONE) return WEFT_OK;
        if (weft_clock_seconds() - begin > PATIENCE) FAIL(error, WEFT_TIMEOUT, "a sum is never done");
        if (state == WEFT_REDUCER_WAITS) TRY(lane->transport->operations->wait(lane->transport, 1.0, error));
    }
}

/* What all members' values give: their sum in member order, or each member's own part. */
static void compute(const sum_lane *lane, float *expected, float *values)
{
    size_t first = 0;
    for (int32_t m = 0; m < lane->members->count; m++) {
        bool gathers = lane->kind == SUM_GATHER;
        size_t begin = gathers ? first : 0, end = gathers ? first + lane->counts[m] : lane->total;
        fill_values(values, lane->total, lane->key, lane->members->members[m]);
        for (size_t i = begin; i < end; i++) expected[i] = m == 0 || gathers ? values[i] : expected[i] + values[i];
        first += lane->counts[m];
    }
}

bool sum_check(const sum_lane *lane, char *why)
{
    float *expected = malloc(lane->total * sizeof(float) + 1), *values = malloc(lane->total * sizeof(float) + 1);
    CHECK(expected && values, "no memory for the test");
    compute(lane, expected, values);
    bool all = lane->kind == SUM_ALL || lane->kind == SUM_GATHER;
    size_t offset = all ? 0 : lane->offset, count = all ? lane->total : lane->counts[lane->place];
    const float *found = lane->kind == SUM_ALL                ? lane->values
                         : lane->kind == SUM_SCATTER_IN_PLACE ? lane->values + lane->offset
                                                              : lane->out;
    size_t wrong = 0;
    while (wrong < count && memcmp(&found[wrong], &expected[offset + wrong], sizeof(float)) == 0) wrong++;
    free(expected);
    free(values);
    CHECK(wrong == count, "group %d, kind %d: element %zu of %zu is wrong", lane->group, lane->kind, wrong, count);
    return true;
}
