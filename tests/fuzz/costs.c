/* Costs as a file, and as flags with zero bytes between: what is accepted is finite and not below 0. */
#include "fuzz.h"

#include "cli/costs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void check_table(const double *row, int32_t stages)
{
    for (int32_t s = 0; row && s < stages; s++) fuzz_check(isfinite(row[s]) && row[s] >= 0, "a cost is no time");
}

static void check_costs(const weft_costs *costs, int32_t stages)
{
    const double *rows[] = {costs->forward, costs->backward_input, costs->backward_weight, costs->update,
                            costs->overlap, costs->gathers,        costs->reductions};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check_table(rows[i], stages);
    fuzz_check(isfinite(costs->message) && costs->message >= 0, "a message takes no time");
    fuzz_check(isfinite(costs->reduce) && costs->reduce >= 0, "a reduction takes no time");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const flags[] = {"--forward", "--backward-input", "--backward-weight", "--comm", "--gather"};
    fuzz_source from = {bytes, size};
    char *text = fuzz_string(&from), *values[5] = {NULL}, *words[16] = {(char[]){"zb-h1"}, (char[]){"--costs"}};
    int count = 3, value = 0;
    words[2] = (char *)(uintptr_t)fuzz_file("costs.yaml", (const uint8_t *)text, from.at - bytes - (from.at > bytes));
    for (; value < 5 && from.left > 0; value++) {
        words[count++] = (char *)(uintptr_t)flags[value];
        words[count++] = values[value] = fuzz_string(&from);
    }
    weft_schedule_options options = {.kind = "zb-h1", .ranks = 3, .microbatches = 2};
    weft_schedule *schedule = NULL;
    weft_arguments arguments;
    weft_error error;
    weft_error_clear(&error);
    fuzz_check(weft_schedule_create(&options, &schedule, &error) == WEFT_OK, error.text);
    weft_status status = weft_arguments_parse(&arguments, &weft_verb_simulate, count, words, &error);
    weft_cli_costs costs;
    if (status == WEFT_OK) {
        status = weft_cli_costs_init(&costs, &arguments, schedule, true, &error);
        if (status == WEFT_OK) check_costs(&costs.costs, schedule->stages);
        weft_cli_costs_fini(&costs);
    }
    fuzz_check_refusal(status, &error);
    weft_arguments_fini(&arguments);
    weft_schedule_destroy(schedule);
    while (value > 0) free(values[--value]);
    free(text);
    return 0;
}
