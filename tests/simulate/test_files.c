/* Schedule files gone wrong at random: each is refused in one line, or can be proved and simulated. */
#include "base/random.h"
#include "simulate/simulate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 40000 };

typedef struct outcomes {
    int unreadable, not_lowered, not_proved, simulated;
} outcomes;

typedef struct dice {
    uint64_t counter;
} dice;

static uint32_t dice_roll(dice *d, size_t count)
{
    return (uint32_t)(weft_random_bits(weft_random_key_make(9, "files"), d->counter++) % count);
}

/* With messages written out, and without. */
static const char *const originals[] = {
    "0F0,0F1,0F2,0B0,0B1,0B2\n1F0,1B0,1F1,1B1,1F2,1B2\n",
    "0F0,0F1,2F0,2F1,2B0,2B1,0B0,0B1\n1F0,1F1,3F0,3F1,3B0,3B1,1B0,1B1\n",
    "0F0,0F1,0I0,0W0,0I1,0W1\r\n1F0,1I0,1F1,1I1,1W0,1W1\r\n",
    "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n",
    "0F0,(0F1;0B0)OVERLAP_F_B,0B1\n1F0,1B0,,1F1,1B1\n",
};

/* Swaps two cells, or two pieces of a cell, or writes something over one character. */
static void damage(dice *d, char *text)
{
    static const char marks[] = "0123BFIW,;()\n_ x";
    size_t length = strlen(text), places[64], count = 0;
    if (dice_roll(d, 3) == 0) {
        text[dice_roll(d, length)] = marks[dice_roll(d, sizeof marks - 1)];
        return;
    }
    for (size_t i = 0; i + 3 < length && count < 64; i++)
        if (i == 0 || text[i - 1] == ',' || text[i - 1] == '\n') places[count++] = i;
    size_t a = places[dice_roll(d, count)], b = places[dice_roll(d, count)], size = 1 + dice_roll(d, 3);
    for (size_t i = 0; i < size; i++) {
        char kept = text[a + i];
        text[a + i] = text[b + i];
        text[b + i] = kept;
    }
}

static void check_message(const weft_error *error)
{
    assert_int_equal(error->status, WEFT_INVALID);
    assert_true(strlen(error->text) > 10);
    assert_null(strchr(error->text, '\n'));
}

static void check_simulation(const weft_program *program)
{
    double ones[64];
    for (int i = 0; i < 64; i++) ones[i] = 1;
    weft_costs costs = {.forward = ones, .backward_input = ones, .backward_weight = ones, .message = 0.5};
    weft_timeline timeline;
    weft_bubble_rank ranks[64];
    weft_error error;
    double step, bubble;
    assert_true(program->ranks <= 64 && program->stages <= 64);
    assert_int_equal(weft_timeline_init(&timeline, program, &error), WEFT_OK);
    assert_int_equal(weft_simulate(program, &costs, &timeline, &error), WEFT_OK);
    weft_bubble_measure(&timeline, &step, &bubble, ranks);
    assert_true(step > 0 && bubble >= 0 && bubble < 1);
    weft_timeline_fini(&timeline);
}

static void try_file(const char *text, outcomes *seen)
{
    weft_error error;
    weft_schedule *schedule = NULL;
    weft_program *program = NULL;
    weft_error_clear(&error);
    if (weft_schedule_read_csv(text, strlen(text), "damaged.csv", WEFT_CSV_CURRENT, &schedule, &error) != WEFT_OK) {
        seen->unreadable++;
        check_message(&error);
    } else if (weft_program_create(schedule, &(weft_lower_options){0}, &program, &error) != WEFT_OK) {
        seen->not_lowered++;
        check_message(&error);
    } else if (weft_program_verify(program, &error) != WEFT_OK) {
        seen->not_proved++;
        check_message(&error);
    } else {
        seen->simulated++;
        check_simulation(program);
    }
    weft_program_destroy(program);
    weft_schedule_destroy(schedule);
}

static void test_originals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof originals / sizeof *originals; i++) {
        outcomes seen = {0};
        try_file(originals[i], &seen);
        assert_int_equal(seen.simulated, 1);
    }
}

static void test_damaged(void **state)
{
    (void)state;
    dice d = {0};
    outcomes seen = {0};
    for (int round = 0; round < ROUNDS; round++) {
        char text[256];
        snprintf(text, sizeof text, "%s", originals[dice_roll(&d, sizeof originals / sizeof *originals)]);
        for (uint32_t times = 1 + dice_roll(&d, 3); times > 0; times--) damage(&d, text);
        try_file(text, &seen);
    }
    assert_true(seen.unreadable > ROUNDS / 100 && seen.not_lowered > ROUNDS / 100 && seen.simulated > ROUNDS / 100);
    assert_int_equal(seen.unreadable + seen.not_lowered + seen.not_proved + seen.simulated, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_originals),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
