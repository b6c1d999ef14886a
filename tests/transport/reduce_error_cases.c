/* Sums that cannot be: every member's ends, with an error or because another one stopped. */
#include "sum_lane.h"

#include <string.h>

enum { GROUP = 3, CHUNK = 100 };

/* By rank; closed when the endpoints are gone, as workers do. */
static sum_lane lanes[TRANSPORT_CASE_MEMBERS];

void case_sum_after(int32_t rank)
{
    sum_close(&lanes[rank]);
    lanes[rank] = (sum_lane){0};
}

static sum_lane *open_lane(weft_transport *t, transport_case_groups *groups, weft_element element, size_t chunk,
                           weft_error *error)
{
    transport_case_groups_init(groups, t->size);
    sum_lane *lane = &lanes[t->rank];
    if (sum_open(lane, t, &groups->groups[GROUP], GROUP, element, chunk, error) != WEFT_OK) return NULL;
    for (int32_t i = 0; i < t->size; i++) lane->counts[i] = 250;
    return lane;
}

bool case_sum_invalid(weft_transport *t, char *why)
{
    weft_error error;
    transport_case_groups groups;
    weft_reducer *reducer = NULL;
    sum_lane *lane = open_lane(t, &groups, WEFT_FP32, CHUNK, &error);
    CHECK(lane, "%s", error.text);
    weft_reducer_options options = {.transport = t,
                                    .device = lane->device,
                                    .group = GROUP,
                                    .members = groups.groups[GROUP],
                                    .workspace = lane->workspace};
    CHECK(weft_reducer_create(&options, &reducer, &error) == WEFT_INVALID && !reducer, "no chunk");
    options.chunk = 1;
    options.workspace = NULL;
    if (t->size > 1) CHECK(weft_reducer_create(&options, &reducer, &error) == WEFT_INVALID && !reducer, "no workspace");
    options.workspace = lane->workspace;
    options.element = WEFT_BF16;
    if (lane->own)
        CHECK(weft_reducer_create(&options, &reducer, &error) == WEFT_INVALID && !reducer, "the device is of fp32");
    options.element = WEFT_FP32;
    options.members = groups.groups[2];
    if (t->rank != t->size - 1)
        CHECK(weft_reducer_create(&options, &reducer, &error) == WEFT_INVALID && !reducer, "not a member");
    weft_reducer_destroy(reducer);
    reducer = NULL;
    weft_reducer_state state = WEFT_REDUCER_WAITS;
    CHECK_OK(weft_reducer_poll(lane->reducer, &state, &error), &error);
    CHECK(state == WEFT_REDUCER_DONE, "nothing was begun");
    CHECK_OK(sum_begin(lane, SUM_ALL, 1, &error), &error);
    CHECK(weft_reducer_all(lane->reducer, lane->values, 1, &error) == WEFT_INVALID, "the first is under way");
    CHECK(weft_reducer_scatter(lane->reducer, lane->values, lane->counts, lane->values, &error) == WEFT_INVALID,
          "the first is under way");
    CHECK_OK(sum_finish(lane, &error), &error);
    if (!sum_check(lane, why)) return false;
    size_t counts[TRANSPORT_CASE_MEMBERS] = {SIZE_MAX / 2, SIZE_MAX / 2};
    CHECK(weft_reducer_scatter(lane->reducer, lane->values, counts, lane->values, &error) == WEFT_INVALID ||
              t->size == 1,
          "the counts overflow");
    return true;
}

/* All begin what does not fit together: at least one worker finds out, says so and stops; nobody waits for ever. */
static bool disagree(weft_transport *t, sum_lane *lane, sum_kind kind, char *why)
{
    weft_error error;
    if (t->size == 1) return true;
    weft_status status = sum_begin(lane, kind, 1, &error);
    if (status == WEFT_OK) status = sum_finish(lane, &error);
    if (status == WEFT_FAILED) {
        CHECK(strstr(error.text, "group 3") && strstr(error.text, "worker "), "%s", error.text);
        t->operations->stop(t);
        return true;
    }
    if (status == WEFT_OK) status = await_stop(t, &error); /* an outsider's own sum may have ended well */
    CHECK(status == WEFT_STOPPED, "%s", error.text);
    return true;
}

/* Worker 1 leaves out what worker 0 waits for. */
bool case_sum_part_missing(weft_transport *t, char *why)
{
    weft_error error;
    transport_case_groups groups;
    sum_lane *lane = open_lane(t, &groups, WEFT_FP32, CHUNK, &error);
    CHECK(lane, "%s", error.text);
    if (t->rank == 1) lane->counts[0] = 0;
    return disagree(t, lane, SUM_SCATTER, why);
}

/* Whole chunks longer: each of the messages that worker 0 waits for is as long as it should be. */
bool case_sum_part_longer(weft_transport *t, char *why)
{
    weft_error error;
    transport_case_groups groups;
    sum_lane *lane = open_lane(t, &groups, WEFT_FP32, CHUNK, &error);
    CHECK(lane, "%s", error.text);
    lane->counts[0] = t->rank == 1 ? 5 * CHUNK : 2 * CHUNK;
    return disagree(t, lane, SUM_SCATTER, why);
}

bool case_sum_of_another_kind(weft_transport *t, char *why)
{
    weft_error error;
    transport_case_groups groups;
    sum_lane *lane = open_lane(t, &groups, WEFT_FP32, CHUNK, &error);
    CHECK(lane, "%s", error.text);
    for (int32_t i = 0; i < t->size; i++) lane->counts[i] = 16; /* as an all-reduce splits it */
    return disagree(t, lane, t->rank == 1 ? SUM_ALL : SUM_SCATTER, why);
}

bool case_sum_of_other_chunks(weft_transport *t, char *why)
{
    weft_error error;
    transport_case_groups groups;
    sum_lane *lane = open_lane(t, &groups, WEFT_FP32, t->rank == 1 ? 2 * CHUNK : CHUNK, &error);
    CHECK(lane, "%s", error.text);
    return disagree(t, lane, SUM_ALL, why);
}

/* As many bytes, so that no message is too long or too short. */
bool case_sum_of_other_elements(weft_transport *t, char *why)
{
    weft_error error;
    transport_case_groups groups;
    bool other = t->rank == 1;
    sum_lane *lane = open_lane(t, &groups, other ? WEFT_BF16 : WEFT_FP32, other ? 2 * CHUNK : CHUNK, &error);
    CHECK(lane, "%s", error.text);
    for (int32_t i = 0; i < t->size && other; i++) lane->counts[i] *= 2;
    return disagree(t, lane, SUM_SCATTER, why);
}

/* The last worker begins a long sum with the others and stops in the middle: theirs end, too. */
bool case_sum_stopped(weft_transport *t, char *why)
{
    weft_error error;
    transport_case_groups groups;
    if (t->size == 1) return true;
    sum_lane *lane = open_lane(t, &groups, WEFT_FP32, CHUNK, &error);
    CHECK(lane, "%s", error.text);
    for (int32_t i = 0; i < t->size; i++) lane->counts[i] = 50 * CHUNK;
    bool last = t->rank == t->size - 1;
    weft_status begun = sum_begin(lane, SUM_ALL, 1, &error);
    if (!last && begun == WEFT_STOPPED) return true; /* it came so late that the others have stopped */
    CHECK_OK(begun, &error);
    if (last) {
        for (int moves = 0; moves < 20;) {
            weft_reducer_state state = WEFT_REDUCER_WAITS;
            CHECK_OK(sum_poll(lane, &state, &error), &error);
            CHECK(state != WEFT_REDUCER_DONE, "it is done before the others have its values");
            moves += state == WEFT_REDUCER_MOVED;
            if (state == WEFT_REDUCER_WAITS) CHECK_OK(sum_wait(lane, &error), &error);
        }
        t->operations->stop(t);
        return true;
    }
    weft_status status = sum_finish(lane, &error);
    CHECK(status == WEFT_STOPPED, "%s", error.text);
    return true;
}
