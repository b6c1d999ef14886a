/* A measured step as a file, for a small program. What is accepted reads back the same from what is written of it. */
#include "fuzz.h"

#include "report/report.h"

#include <stdlib.h>
#include <string.h>

static weft_program *make_program(void)
{
    static const weft_schedule_options options = {.kind = "1f1b", .ranks = 2, .microbatches = 2};
    static const weft_lower_options lower = {.update = true, .clip = true, .metrics = true};
    weft_schedule *schedule = NULL;
    weft_program *program = NULL;
    weft_error error;
    fuzz_check(weft_schedule_create(&options, &schedule, &error) == WEFT_OK, error.text);
    fuzz_check(weft_program_create(schedule, &lower, &program, &error) == WEFT_OK, error.text);
    weft_schedule_destroy(schedule);
    return program;
}

static void check_again(const weft_timeline_record *record)
{
    weft_timeline timeline;
    weft_timeline_record read = {0};
    weft_text text, second;
    weft_error error;
    weft_text_init(&text);
    weft_text_init(&second);
    fuzz_check(weft_timeline_init(&timeline, record->measured->program, &error) == WEFT_OK, error.text);
    weft_report_step_csv(record, &text);
    weft_status status = weft_report_read_step_csv(weft_text_get(&text), "again", &timeline, &read, &error);
    fuzz_check(status == WEFT_OK, "what was written is refused");
    read.measured = &timeline;
    weft_report_step_csv(&read, &second);
    fuzz_check(strcmp(weft_text_get(&text), weft_text_get(&second)) == 0, "what was written changes when it is read");
    weft_timeline_fini(&timeline);
    weft_text_fini(&text);
    weft_text_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_source from = {bytes, size};
    char *text = fuzz_string(&from);
    weft_program *program = make_program();
    weft_timeline timeline;
    weft_timeline_record record = {.measured = &timeline};
    weft_error error;
    weft_error_clear(&error);
    fuzz_check(weft_timeline_init(&timeline, program, &error) == WEFT_OK, error.text);
    weft_status status = weft_report_read_step_csv(text, "fuzz.csv", &timeline, &record, &error);
    fuzz_check_refusal(status, &error);
    if (status == WEFT_OK) check_again(&record);
    weft_timeline_fini(&timeline);
    weft_program_destroy(program);
    free(text);
    return 0;
}
