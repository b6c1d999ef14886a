/* Text for the placement of one of the kinds, by small sizes. */
#include "fuzz.h"

#include "schedule/schedule.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    uint32_t kinds = 0;
    while (weft_schedule_kind_names()[kinds]) kinds++;
    weft_schedule_options options = {.kind = weft_schedule_kind_names()[fuzz_below(&from, kinds)],
                                     .ranks = 1 + (int32_t)fuzz_below(&from, 8),
                                     .loops = (int32_t)fuzz_below(&from, 5),
                                     .microbatches = 1 + (int32_t)fuzz_below(&from, 16),
                                     .group = (int32_t)fuzz_below(&from, 18)};
    char *placement = fuzz_string(&from);
    weft_schedule *schedule = NULL;
    weft_error error;
    weft_error_clear(&error);
    options.placement = placement;
    weft_status status = weft_schedule_create(&options, &schedule, &error);
    fuzz_check_refusal(status, &error);
    for (int32_t s = 0; status == WEFT_OK && s < schedule->stages; s++)
        fuzz_check(schedule->stage_rank[s] >= 0 && schedule->stage_rank[s] < schedule->ranks, "a stage is on no rank");
    weft_schedule_destroy(schedule);
    free(placement);
    return 0;
}
