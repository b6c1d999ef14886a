/* A schedule file, in the dialect that its first byte says. What can run is proved, and written as what reads back the
 * same. */
#include "fuzz.h"

#include "program/program.h"

#include <string.h>

/* Larger tables than the cells say would be slow, not wrong. */
static bool is_small(const weft_schedule *schedule)
{
    return schedule->stages <= 64 && schedule->microbatches <= 256;
}

static bool can_run(const weft_schedule *schedule)
{
    weft_program *program = NULL;
    weft_error error;
    weft_error_clear(&error);
    weft_status status = weft_program_create(schedule, &(weft_lower_options){.update = true}, &program, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) fuzz_check(weft_program_verify(program, &error) == WEFT_OK, error.text);
    weft_program_destroy(program);
    return status == WEFT_OK;
}

static void check_text(const weft_schedule *schedule)
{
    weft_text first, second;
    weft_error error;
    weft_schedule *again = NULL;
    weft_text_init(&first);
    weft_text_init(&second);
    weft_schedule_write_csv(schedule, &first);
    weft_status status =
        weft_schedule_read_csv(weft_text_get(&first), first.length, "again", WEFT_CSV_CURRENT, &again, &error);
    fuzz_check(status == WEFT_OK, "what was written is refused");
    weft_schedule_write_csv(again, &second);
    fuzz_check(first.length == second.length && memcmp(first.bytes, second.bytes, first.length) == 0,
               "what was written changes when it is read");
    weft_schedule_write_text(schedule, &second);
    weft_schedule_destroy(again);
    weft_text_fini(&first);
    weft_text_fini(&second);
}

static void derive(const weft_schedule *schedule)
{
    weft_schedule *out = NULL;
    weft_error error;
    weft_error_clear(&error);
    fuzz_check_refusal(weft_schedule_forward(schedule, &out, &error), &error);
    weft_schedule_destroy(out);
    out = NULL;
    if (schedule->has_messages) return;
    weft_error_clear(&error);
    fuzz_check_refusal(weft_schedule_write_out_messages(schedule, true, &out, &error), &error);
    weft_schedule_destroy(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    weft_schedule *schedule = NULL;
    weft_error error;
    weft_csv_dialect dialect = size && bytes[0] == '4' ? WEFT_CSV_2024 : WEFT_CSV_CURRENT;
    const char *text = size ? (const char *)bytes + 1 : "";
    weft_error_clear(&error);
    weft_status status = weft_schedule_read_csv(text, size ? size - 1 : 0, "fuzz.csv", dialect, &schedule, &error);
    fuzz_check_refusal(status, &error);
    if (status != WEFT_OK) return 0;
    if (is_small(schedule)) {
        derive(schedule);
        if (can_run(schedule)) check_text(schedule);
    }
    weft_schedule_destroy(schedule);
    return 0;
}
