/* Placement lists: a rank for each stage, in any order and any number. */
#include "base/random.h"
#include "check.h"

#include <stdio.h>
#include <string.h>

static void check_written(const weft_schedule *schedule, const char *expected)
{
    weft_text text;
    weft_text_init(&text);
    weft_schedule_write_csv(schedule, &text);
    assert_string_equal(weft_text_get(&text), expected);
    weft_text_fini(&text);
}

static const struct {
    const char *kind, *list;
    int32_t P, M;
    const char *rows;
} golden[] = {
    {"sequential", "0,1,0", 2, 2, "0F0,2F0,2B0,0B0,0F1,2F1,2B1,0B1\n1F0,1B0,1F1,1B1\n"},
    {"gpipe", "0,1,0", 2, 2, "0F0,0F1,2F0,2F1,2B0,2B1,0B0,0B1\n1F0,1F1,1B0,1B1\n"},
    /* Stages that follow each other on a rank run back to back. */
    {"gpipe", "0,1,1,0", 2, 2, "0F0,0F1,3F0,3F1,3B0,3B1,0B0,0B1\n1F0,2F0,1F1,2F1,2B0,1B0,2B1,1B1\n"},
    {"breadth-first", "0,1,1,0", 2, 2, "0F0,0F1,3F0,3F1,3B0,3B1,0B0,0B1\n1F0,1F1,2F0,2F1,2B0,2B1,1B0,1B1\n"},
    /* Uneven numbers of consecutive stages are linear. */
    {"1f1b", "0,0,1", 2, 2, "0F0,1F0,0F1,1F1,1B0,0B0,1B1,0B1\n2F0,2B0,2F1,2B1\n"},
    /* Ranks by other names: rank 1 comes first and is one ahead. */
    {"1f1b", "1,0", 2, 2, "1F0,1B0,1F1,1B1\n0F0,0F1,0B0,0B1\n"},
    {"zb-h1", "1,0,0", 2, 1, "1F0,2F0,2I0,1I0,2W0,1W0\n0F0,0I0,0W0\n"},
    /* Depth-first as if there were a stage 3 on rank 1. */
    {"depth-first", "0,1,0", 2, 2, "0F0,0F1,2F0,2F1,2B0,2B1,0B0,0B1\n1F0,1F1,1B0,1B1\n"},
};

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        weft_schedule *schedule = make(golden[i].kind, golden[i].list, golden[i].P, 0, golden[i].M, false);
        check_written(schedule, golden[i].rows);
        check_complete(schedule);
        weft_schedule_destroy(schedule);
    }
}

static const char *const placements[] = {"linear", "loop", "v"};

/* The list of a placement's ranks, each under the name that names has for it. */
static void write_list(const weft_schedule *schedule, const int32_t *names, char text[256])
{
    size_t used = 0;
    for (int32_t s = 0; s < schedule->stages; s++)
        used += (size_t)snprintf(text + used, 256 - used, "%s%d", s ? "," : "", names[schedule->stage_rank[s]]);
}

static bool create(const char *kind, const char *placement, int32_t P, int32_t V, int32_t M, weft_schedule **out,
                   weft_error *error)
{
    weft_schedule_options options = {.kind = kind, .ranks = P, .loops = V, .microbatches = M, .placement = placement};
    return weft_schedule_create(&options, out, error) == WEFT_OK;
}

/* A list that is linear, loop or v is that placement, row by row, also when its ranks have other names; and it is
 * refused where that placement is. */
static void test_lists_of_the_placements(void **state)
{
    (void)state;
    static const int32_t same[] = {0, 1, 2, 3}, other[] = {2, 0, 3, 1};
    int equal = 0, refused = 0;
    for (const char *const *kind = weft_schedule_kind_names(); *kind; kind++)
        for (size_t i = 0; i < sizeof placements / sizeof *placements; i++)
            for (int renamed = 0; renamed < 2; renamed++) {
                const int32_t *names = renamed ? other : same;
                char list[256];
                weft_schedule *places = make("sequential", placements[i], 4, 2, 1, false), *named = NULL,
                              *listed = NULL;
                weft_error error;
                write_list(places, names, list);
                bool fine = create(*kind, placements[i], 4, 2, 9, &named, &error);
                assert_int_equal(create(*kind, list, 4, 0, 9, &listed, &error), fine);
                for (int32_t r = 0; fine && r < 4; r++) {
                    const size_t *a = &named->first[r], *b = &listed->first[names[r]];
                    assert_int_equal(a[1] - a[0], b[1] - b[0]);
                    assert_memory_equal(named->actions + a[0], listed->actions + b[0],
                                        (a[1] - a[0]) * sizeof(weft_action));
                }
                *(fine ? &equal : &refused) += 1;
                weft_schedule_destroy(places);
                weft_schedule_destroy(named);
                weft_schedule_destroy(listed);
            }
    assert_true(equal > 20 && refused > 20);
}

static uint32_t roll(uint64_t *counter, uint32_t sides)
{
    return (uint32_t)(weft_random_bits(weft_random_key_make(5, "lists"), (*counter)++) % sides);
}

/* Whatever the list, these kinds order it: complete, without deadlock, gradients ascending. */
static void test_any_list(void **state)
{
    (void)state;
    static const char *const kinds[] = {"sequential",
                                        "gpipe",
                                        "breadth-first",
                                        "depth-first",
                                        "hybrid",
                                        "interleaved-zero-bubble",
                                        "breadth-first-split",
                                        "depth-first-gaps",
                                        "interleaved-zero-bubble-gaps"};
    uint64_t counter = 0;
    int ordered = 0;
    for (int round = 0; round < 4000; round++) {
        int32_t P = 1 + (int32_t)roll(&counter, 5), stages = P + (int32_t)roll(&counter, 9);
        char list[64];
        for (int32_t s = 0; s < stages; s++)
            snprintf(list + 2 * s, 3, "%d,", s < P ? (int)s : (int)roll(&counter, (uint32_t)P));
        for (int32_t s = 0; s < stages; s++) {
            int32_t other = (int32_t)roll(&counter, (uint32_t)stages);
            char kept = list[2 * s];
            list[2 * s] = list[2 * other];
            list[2 * other] = kept;
        }
        list[2 * stages - 1] = 0;
        const char *kind = kinds[roll(&counter, sizeof kinds / sizeof *kinds)];
        weft_schedule *schedule = NULL;
        weft_error error;
        if (!create(kind, list, P, 0, 1 + (int32_t)roll(&counter, 9), &schedule, &error)) {
            assert_non_null(strstr(error.text, "which is placement linear"));
            continue;
        }
        for (int32_t s = 0; s < stages; s++) assert_int_equal(schedule->stage_rank[s], list[2 * s] - '0');
        check_complete(schedule);
        assert_true(schedule->ascending);
        assert_int_equal(schedule->loops, stages % P ? 0 : stages / P);
        duration time;
        if (!execute(schedule, (seconds){1, 1, 1}, &time)) fail_msg("%s on %s does not end", kind, list);
        weft_schedule_destroy(schedule);
        ordered++;
    }
    assert_true(ordered > 3000);
}

static const struct {
    weft_schedule_options options;
    const char *message;
} refused[] = {
    {{"gpipe", 2, 0, 4, "0,2", 0}, "expects a rank from 0 to 1 for each stage, not \"2\""},
    {{"gpipe", 2, 0, 4, "0,1,", 0}, "not \"\""},
    {{"gpipe", 2, 0, 4, "0,,1", 0}, "not \"\""},
    {{"gpipe", 2, 0, 4, "0,1x", 0}, "not \"1x\""},
    {{"gpipe", 2, 0, 4, "0,99999999999999999999999999", 0}, "not \"99999999999999999999999999\""},
    {{"gpipe", 2, 0, 4, "0 1", 0}, "not \"0 1\""},
    {{"gpipe", 3, 0, 4, "0,2,0", 0}, "rank 1 of 3 holds no stage"},
    {{"gpipe", 2, 2, 4, "0,1,0", 0}, "the list has 3 stages; 2 ranks with 2 each have 4"},
    {{"1f1b", 2, 0, 4, "0,1,0", 0}, "1f1b does not go with this list: a micro-batch would cross"},
    {{"1f1b", 2, 0, 4, "1,0,1,0", 0}, "1f1b does not go with this list, which is placement loop: "},
    {{"zb-h2", 2, 0, 4, "0,1,0", 0}, "take interleaved-zero-bubble"},
    {{"depth-first", 2, 0, 4, "0,0,1", 0}, "which is placement linear: "},
    {{"zb-v", 2, 0, 4, "0,1,0", 0}, "zb-v has 2 stages on each rank; 2 ranks have 4, not 3"},
    {{"v-min", 2, 0, 4, "0,0,1,0", 0}, "v-min does not go with this list: it turns round on the last rank"},
    {{"depth-first", 4096, 2, 512, "v", 0}, "4097 rounds through 4096 ranks with 512 micro-batches are too many"},
    {{"gpipe", 2, 1, 4, "ring", 0}, "the placements are linear, loop, v, or the rank of each stage, such as 0,1,1,0"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        weft_schedule *schedule = NULL;
        weft_error error;
        assert_int_equal(weft_schedule_create(&refused[i].options, &schedule, &error), WEFT_INVALID);
        assert_null(schedule);
        if (!strstr(error.text, refused[i].message)) fail_msg("\"%s\" lacks \"%s\"", error.text, refused[i].message);
    }
}

/* Whatever is said for a placement is taken whole or refused in one line. */
static void test_any_text(void **state)
{
    (void)state;
    static const char odd[] = "0139,, -x";
    const char *const *kinds = weft_schedule_kind_names();
    uint32_t count = 0;
    uint64_t counter = 1u << 20;
    int taken = 0, refusals = 0;
    while (kinds[count]) count++;
    for (int round = 0; round < 20000; round++) {
        char text[16] = "";
        uint32_t length = 1 + roll(&counter, 11);
        int32_t P = 1 + (int32_t)roll(&counter, 3);
        for (uint32_t i = 0; i < length; i++) {
            text[i] = i % 2 ? ',' : (char)('0' + roll(&counter, (uint32_t)P));
            if (roll(&counter, 20) == 0) text[i] = odd[roll(&counter, sizeof odd - 1)];
        }
        weft_schedule *schedule = NULL;
        weft_error error;
        if (create(kinds[roll(&counter, count)], text, P, 0, 1 + (int32_t)roll(&counter, 9), &schedule, &error)) {
            check_complete(schedule);
            taken++;
        } else {
            assert_int_equal(error.status, WEFT_INVALID);
            assert_null(strchr(error.text, '\n'));
            refusals++;
        }
        weft_schedule_destroy(schedule);
    }
    if (taken < 500 || refusals < 5000) fail_msg("%d taken, %d refused", taken, refusals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),   cmocka_unit_test(test_lists_of_the_placements),
        cmocka_unit_test(test_any_list), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_any_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
