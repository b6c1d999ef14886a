/* From a schedule to its bubble: what lowering made is proved, simulation ends and agrees with the program and itself.
 */
#include "made.h"

#include <math.h>
#include <string.h>

static void check_order(const weft_timeline *timeline, const weft_lane *lane)
{
    const weft_program *program = timeline->program;
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        fuzz_check(timeline->end[a] >= timeline->begin[a] && isfinite(timeline->end[a]), "an action ends too early");
        fuzz_check(a == lane->first || timeline->begin[a] >= timeline->end[a - 1], "a lane runs two actions at once");
        for (uint32_t i = program->after_first[a]; i < program->after_first[a + 1]; i++)
            fuzz_check(timeline->begin[a] >= timeline->end[program->after[i]], "an action does not wait");
        if (lane->match < 0) continue;
        uint32_t other = program->lanes[lane->match].first + (a - lane->first);
        fuzz_check(timeline->begin[a] == timeline->begin[other] && timeline->end[a] == timeline->end[other],
                   "the ends of a message do not meet");
    }
}

static void check_bubble(const weft_timeline *timeline)
{
    weft_bubble_rank ranks[MADE_STAGES];
    double step = 0, fraction = 0;
    weft_bubble_measure(timeline, &step, &fraction, ranks);
    fuzz_check(fraction >= 0 && fraction <= 1, "a bubble is no share of the step");
    for (int32_t rank = 0; rank < timeline->program->ranks; rank++) {
        double sum = 0;
        for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
            fuzz_check(ranks[rank].cause[cause] >= 0, "a cause takes less than no time");
            sum += ranks[rank].cause[cause];
        }
        fuzz_check(fabs(sum - ranks[rank].idle) < 1e-9, "the causes do not add up to the bubble");
        fuzz_check(fabs(ranks[rank].busy + ranks[rank].idle - step) < 1e-9, "a rank's time is not the step's");
    }
}

static void simulate(made *it, weft_timeline *timeline)
{
    weft_error error;
    weft_error_clear(&error);
    fuzz_check(weft_timeline_init(timeline, it->program, &error) == WEFT_OK, error.text);
    fuzz_check(weft_simulate(it->program, &it->costs, timeline, &error) == WEFT_OK, error.text);
}

static void check_program(made *it)
{
    weft_timeline timeline, again;
    weft_error error;
    simulate(it, &timeline);
    simulate(it, &again);
    size_t bytes = it->program->action_count * sizeof(double);
    fuzz_check(memcmp(timeline.end, again.end, bytes) == 0, "the same program takes another time");
    for (int32_t i = 0; i < it->program->rank_lanes[it->program->ranks]; i++)
        check_order(&timeline, &it->program->lanes[i]);
    check_bubble(&timeline);
    it->costs.pairs = true;
    weft_error_clear(&error);
    weft_status status = weft_simulate(it->program, &it->costs, &again, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) check_bubble(&again);
    weft_timeline_fini(&timeline);
    weft_timeline_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    made it;
    if (made_init(&it, &(made_limits){5, 3, 8}, &from)) check_program(&it);
    made_fini(&it);
    return 0;
}
