#include "sum_lane.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static void *take(sum_lane *lane, weft_memory_kind kind, size_t bytes)
{
    void *memory = NULL;
    weft_status status = lane->device->operations->allocate(lane->device, kind, bytes + 1, &memory, NULL);
    return status == WEFT_OK ? memory : NULL;
}

static void give_back(sum_lane *lane, void **memory)
{
    if (*memory) lane->device->operations->release(lane->device, *memory);
    *memory = NULL;
}

weft_status sum_open(sum_lane *lane, weft_transport *t, const weft_group *members, int32_t group, weft_element element,
                     size_t chunk, weft_error *error)
{
    const transport_case_site *site = transport_case_site_of(t);
    *lane = (sum_lane){.transport = site->inner,
                       .host = t,
                       .device = site->device,
                       .stream = site->stream,
                       .members = members,
                       .element = element,
                       .group = group,
                       .gather = -1};
    for (int32_t i = 0; i < members->count; i++)
        if (members->members[i] == t->rank) lane->place = i;
    const weft_device_kind *kind = weft_device_kind_find("reference");
    if (!lane->device) TRY(kind->create(&(weft_device_options){.element = element, .threads = 1}, &lane->own, error));
    if (!lane->device) lane->device = lane->own;
    lane->workspace = take(lane, WEFT_MEMORY_DEVICE, weft_reducer_workspace(members->count, chunk, element));
    return weft_reducer_create(&(weft_reducer_options){.transport = lane->transport,
                                                       .device = lane->device,
                                                       .stream = lane->stream,
                                                       .group = group,
                                                       .members = *members,
                                                       .element = element,
                                                       .chunk = chunk,
                                                       .workspace = lane->workspace},
                               &lane->reducer, error);
}

void sum_close(sum_lane *lane)
{
    if (!lane->device) return;
    weft_reducer_destroy(lane->reducer);
    give_back(lane, &lane->workspace);
    give_back(lane, &lane->values);
    give_back(lane, &lane->out);
    give_back(lane, &lane->begun);
    if (lane->own) lane->own->operations->destroy(lane->own);
}

static void put(weft_element element, void *values, size_t at, float value)
{
    if (element == WEFT_FP32)
        ((float *)values)[at] = value;
    else
        ((uint16_t *)values)[at] = weft_bf16_from_float(value);
}

static float get(weft_element element, const void *values, size_t at)
{
    return element == WEFT_FP32 ? ((const float *)values)[at] : weft_bf16_to_float(((const uint16_t *)values)[at]);
}

/* Of either sign and of many sizes: added in another order they give another sum. */
static void fill_values(weft_element element, void *values, size_t count, uint64_t key, int32_t rank)
{
    uint64_t x = (key * TRANSPORT_CASE_MEMBERS + (uint64_t)rank) * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        int32_t digits = (int32_t)(x >> 40) - 0x800000;
        put(element, values, i, (float)digits / (float)(1 << (x >> 36 & 15)));
    }
}

weft_status sum_begin(sum_lane *lane, sum_kind kind, uint64_t key, weft_error *error)
{
    size_t size = weft_element_bytes(lane->element);
    lane->kind = kind;
    lane->key = key;
    lane->total = 0;
    for (int32_t i = 0; i < lane->members->count; i++) {
        if (i == lane->place) lane->offset = lane->total;
        lane->bytes[i] = lane->counts[i] * size;
        lane->total += lane->counts[i];
    }
    give_back(lane, &lane->values);
    give_back(lane, &lane->out);
    give_back(lane, &lane->begun);
    lane->values = take(lane, WEFT_MEMORY_DEVICE, lane->total * size);
    lane->begun = take(lane, WEFT_MEMORY_PINNED, lane->total * size);
    lane->out = take(lane, WEFT_MEMORY_DEVICE, (kind == SUM_GATHER ? lane->total : lane->counts[lane->place]) * size);
    if (!lane->values || !lane->out || !lane->begun) FAIL(error, WEFT_NO_MEMORY, "no memory for the test");
    fill_values(lane->element, lane->begun, lane->total, key, lane->transport->rank);
    lane->device->operations->copy_in(lane->device, lane->stream, lane->values, lane->begun, lane->total * size);
    void *own = (char *)lane->values + lane->offset * size;
    if (kind == SUM_GATHER)
        return lane->transport->operations->gather(lane->transport, lane->stream, lane->group, own, lane->bytes,
                                                   lane->out, &lane->gather, error);
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

/* Of what the device has still to add the transport knows nothing. */
static double longest_wait(const sum_lane *lane)
{
    return lane->kind != SUM_GATHER && weft_reducer_adding(lane->reducer) ? 50e-6 : 1.0;
}

weft_status sum_wait(sum_lane *lane, weft_error *error)
{
    return lane->host->operations->wait(lane->host, longest_wait(lane), error);
}

weft_status sum_finish(sum_lane *lane, weft_error *error)
{
    double begin = weft_clock_seconds();
    for (;;) {
        weft_reducer_state state = WEFT_REDUCER_WAITS;
        TRY(sum_poll(lane, &state, error));
        if (state == WEFT_REDUCER_DONE) return WEFT_OK;
        if (weft_clock_seconds() - begin > PATIENCE) FAIL(error, WEFT_TIMEOUT, "a sum is never done");
        if (state == WEFT_REDUCER_WAITS) TRY(sum_wait(lane, error));
    }
}

/* What all members' values give: their sum in member order, or each member's own part; and what gives else a sum that
 * is rounded after each addition. values: room for one member's. */
static void compute(const sum_lane *lane, float *expected, float *rounded, void *values)
{
    size_t first = 0;
    for (int32_t m = 0; m < lane->members->count; m++) {
        bool gathers = lane->kind == SUM_GATHER;
        size_t begin = gathers ? first : 0, end = gathers ? first + lane->counts[m] : lane->total;
        fill_values(lane->element, values, lane->total, lane->key, lane->members->members[m]);
        for (size_t i = begin; i < end; i++) {
            float value = get(lane->element, values, i);
            expected[i] = m == 0 || gathers ? value : expected[i] + value;
            put(lane->element, &rounded[i], 0, m == 0 || gathers ? value : rounded[i] + value);
            rounded[i] = get(lane->element, &rounded[i], 0);
        }
        first += lane->counts[m];
    }
}

static size_t count_right(sum_lane *lane, const void *found, const float *expected, const float *rounded, size_t count)
{
    size_t size = weft_element_bytes(lane->element);
    for (size_t i = 0; i < count; i++) {
        float right;
        put(lane->element, &right, 0, expected[i]);
        if (memcmp((const char *)found + i * size, &right, size) != 0) return i;
        lane->matters += get(lane->element, &right, 0) != rounded[i];
    }
    return count;
}

bool sum_check(sum_lane *lane, char *why)
{
    size_t room = lane->total * sizeof(float) + 1, size = weft_element_bytes(lane->element);
    float *expected = malloc(room), *rounded = malloc(room);
    void *values = malloc(room);
    CHECK(expected && rounded && values, "no memory for the test");
    compute(lane, expected, rounded, values);
    bool all = lane->kind == SUM_ALL || lane->kind == SUM_GATHER;
    size_t offset = all ? 0 : lane->offset, count = all ? lane->total : lane->counts[lane->place];
    const void *found = lane->kind == SUM_ALL                ? lane->values
                        : lane->kind == SUM_SCATTER_IN_PLACE ? (char *)lane->values + lane->offset * size
                                                             : lane->out;
    weft_error error;
    /* The values are the caller's again, whoever read them. */
    if (lane->kind == SUM_SCATTER)
        lane->device->operations->zero(lane->device, lane->stream, lane->values, lane->total * size);
    CHECK_OK(weft_device_check(lane->device, &error), &error);
    CHECK_OK(lane->device->operations->stream_wait(lane->device, lane->stream, &error), &error);
    CHECK_OK(lane->device->operations->read(lane->device, values, found, count * size, &error), &error);
    size_t right = count_right(lane, values, expected + offset, rounded + offset, count);
    free(expected);
    free(rounded);
    free(values);
    CHECK(right == count, "group %d, kind %d: element %zu of %zu is wrong", lane->group, lane->kind, right, count);
    return true;
}
