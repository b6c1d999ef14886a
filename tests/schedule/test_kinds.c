#include "base/random.h"
#include "check.h"

#include <math.h>
#include <string.h>

/* Written out by hand from the definitions; rows as in the CSV form. */
static const struct {
    const char *kind, *placement;
    int32_t P, V, M;
    bool forward_only;
    const char *rows;
} golden[] = {
    {"sequential", NULL, 2, 1, 2, false, "0F0,0B0,0F1,0B1\n1F0,1B0,1F1,1B1\n"},
    {"sequential", "linear", 2, 2, 1, false, "0F0,1F0,1B0,0B0\n2F0,3F0,3B0,2B0\n"},
    {"sequential", "loop", 2, 2, 2, false, "0F0,2F0,2B0,0B0,0F1,2F1,2B1,0B1\n1F0,3F0,3B0,1B0,1F1,3F1,3B1,1B1\n"},
    {"gpipe", NULL, 2, 1, 3, false, "0F0,0F1,0F2,0B0,0B1,0B2\n1F0,1F1,1F2,1B0,1B1,1B2\n"},
    {"gpipe", NULL, 2, 2, 2, false, "0F0,1F0,0F1,1F1,1B0,0B0,1B1,0B1\n2F0,3F0,2F1,3F1,3B0,2B0,3B1,2B1\n"},
    {"gpipe", "loop", 2, 2, 2, false, "0F0,0F1,2F0,2F1,2B0,2B1,0B0,0B1\n1F0,1F1,3F0,3F1,3B0,3B1,1B0,1B1\n"},
    {"1f1b", NULL, 1, 1, 2, false, "0F0,0B0,0F1,0B1\n"},
    /* More ranks than micro-batches: nothing but fill and drain. */
    {"1f1b", NULL, 4, 1, 2, false, "0F0,0F1,0B0,0B1\n1F0,1F1,1B0,1B1\n2F0,2F1,2B0,2B1\n3F0,3B0,3F1,3B1\n"},
    /* arXiv 2104.04473, figure 4, top: four devices, eight micro-batches. */
    {"1f1b", NULL, 4, 1, 8, false,
     "0F0,0F1,0F2,0F3,0B0,0F4,0B1,0F5,0B2,0F6,0B3,0F7,0B4,0B5,0B6,0B7\n"
     "1F0,1F1,1F2,1B0,1F3,1B1,1F4,1B2,1F5,1B3,1F6,1B4,1F7,1B5,1B6,1B7\n"
     "2F0,2F1,2B0,2F2,2B1,2F3,2B2,2F4,2B3,2F5,2B4,2F6,2B5,2F7,2B6,2B7\n"
     "3F0,3B0,3F1,3B1,3F2,3B2,3F3,3B3,3F4,3B4,3F5,3B5,3F6,3B6,3F7,3B7\n"},
    {"1f1b", "linear", 2, 2, 3, false,
     "0F0,1F0,0F1,1F1,1B0,0B0,0F2,1F2,1B1,0B1,1B2,0B2\n"
     "2F0,3F0,3B0,2B0,2F1,3F1,3B1,2B1,2F2,3F2,3B2,2B2\n"},
    {"1f1b", "linear", 2, 2, 2, true, "0F0,1F0,0F1,1F1\n2F0,3F0,2F1,3F1\n"},
    /* arXiv 2104.04473, figure 4, bottom: the same with two model chunks a device. */
    {"depth-first", NULL, 4, 2, 8, false,
     "0F0,0F1,0F2,0F3,4F0,4F1,4F2,4F3,0F4,0F5,0F6,4B0,0F7,4B1,4F4,4B2,4F5,4B3,4F6,0B0,4F7,0B1,0B2,0B3,4B4,4B5,4B6,"
     "4B7,0B4,0B5,0B6,0B7\n"
     "1F0,1F1,1F2,1F3,5F0,5F1,5F2,5F3,1F4,5B0,1F5,5B1,1F6,5B2,1F7,5B3,5F4,1B0,5F5,1B1,5F6,1B2,5F7,1B3,5B4,5B5,5B6,"
     "5B7,1B4,1B5,1B6,1B7\n"
     "2F0,2F1,2F2,2F3,6F0,6F1,6F2,6B0,6F3,6B1,2F4,6B2,2F5,6B3,2F6,2B0,2F7,2B1,6F4,2B2,6F5,2B3,6F6,6B4,6F7,6B5,6B6,"
     "6B7,2B4,2B5,2B6,2B7\n"
     "3F0,3F1,3F2,3F3,7F0,7B0,7F1,7B1,7F2,7B2,7F3,7B3,3F4,3B0,3F5,3B1,3F6,3B2,3F7,3B3,7F4,7B4,7F5,7B5,7F6,7B6,7F7,"
     "7B7,3B4,3B5,3B6,3B7\n"},
    {"depth-first", NULL, 2, 2, 2, false, "0F0,0F1,2F0,2F1,2B0,2B1,0B0,0B1\n1F0,1F1,3F0,3B0,3F1,3B1,1B0,1B1\n"},
    /* One round of three, and one that is one short of two. */
    {"depth-first", NULL, 2, 2, 3, false,
     "0F0,0F1,0F2,2F0,2F1,2F2,2B0,2B1,2B2,0B0,0B1,0B2\n1F0,1F1,1F2,3F0,3B0,3F1,3B1,3F2,3B2,1B0,1B1,1B2\n"},
    {"depth-first", NULL, 2, 2, 3, true, "0F0,0F1,0F2,2F0,2F1,2F2\n1F0,1F1,1F2,3F0,3F1,3F2\n"},
    {"depth-first", NULL, 2, 2, 5, true,
     "0F0,0F1,0F2,2F0,2F1,2F2,0F3,0F4,2F3,2F4\n"
     "1F0,1F1,1F2,3F0,3F1,3F2,1F3,1F4,3F3,3F4\n"},
    {"depth-first-gaps", NULL, 2, 2, 3, false,
     "0F0,0F1,2F0,2F1,0F2,2B0,2B1,2F2,0B0,0B1,2B2,0B2\n1F0,1F1,3F0,3B0,3F1,3B1,1F2,1B0,1B1,3F2,3B2,1B2\n"},
    {"depth-first-gaps", NULL, 2, 2, 3, true, "0F0,0F1,2F0,2F1,0F2,2F2\n1F0,1F1,3F0,3F1,1F2,3F2\n"},
    {"breadth-first", NULL, 2, 2, 3, false,
     "0F0,0F1,0F2,2F0,2F1,2F2,2B0,2B1,2B2,0B0,0B1,0B2\n1F0,1F1,1F2,3F0,3F1,3F2,3B0,3B1,3B2,1B0,1B1,1B2\n"},
    {"breadth-first", NULL, 3, 2, 1, false, "0F0,3F0,3B0,0B0\n1F0,4F0,4B0,1B0\n2F0,5F0,5B0,2B0\n"},
    {"breadth-first", NULL, 2, 2, 2, true, "0F0,0F1,2F0,2F1\n1F0,1F1,3F0,3F1\n"},
    {"breadth-first", NULL, 1, 3, 1, false, "0F0,1F0,2F0,2B0,1B0,0B0\n"},
    {"breadth-first", "v", 2, 2, 2, false, "0F0,0F1,3F0,3F1,3B0,3B1,0B0,0B1\n1F0,1F1,2F0,2F1,2B0,2B1,1B0,1B1\n"},
    {"sequential", "v", 2, 3, 1, false, "0F0,3F0,4F0,4B0,3B0,0B0\n1F0,2F0,5F0,5B0,2B0,1B0\n"},
    {"breadth-first-descending", NULL, 2, 2, 2, false,
     "0F0,0F1,2F0,2F1,2B1,2B0,0B1,0B0\n1F0,1F1,3F0,3F1,3B1,3B0,1B1,1B0\n"},
    {"zb-h1", NULL, 2, 1, 3, false, "0F0,0F1,0I0,0W0,0F2,0I1,0W1,0I2,0W2\n1F0,1I0,1F1,1I1,1W0,1F2,1I2,1W1,1W2\n"},
    {"zb-h1", NULL, 1, 2, 2, false, "0F0,1F0,1I0,0I0,1W0,0W0,0F1,1F1,1I1,0I1,1W1,0W1\n"},
    {"zb-h2", NULL, 2, 1, 4, false,
     "0F0,0F1,0F2,0I0,0W0,0F3,0I1,0W1,0I2,0W2,0I3,0W3\n1F0,1I0,1F1,1I1,1F2,1I2,1W0,1F3,1I3,1W1,1W2,1W3\n"},
    {"interleaved-zero-bubble", NULL, 2, 2, 2, false,
     "0F0,0F1,2F0,2F1,2I0,2W0,2I1,2W1,0I0,0W0,0I1,0W1\n1F0,1F1,3F0,3I0,3F1,3I1,3W0,1I0,3W1,1I1,1W0,1W1\n"},
    {"breadth-first-split", NULL, 2, 2, 3, false,
     "0F0,0F1,0F2,2F0,2F1,2F2,2I0,2W0,2I1,2W1,2I2,2W2,0I0,0W0,0I1,0W1,0I2,0W2\n"
     "1F0,1F1,1F2,3F0,3I0,3F1,3I1,3F2,3I2,3W0,1I0,3W1,1I1,3W2,1I2,1W0,1W1,1W2\n"},
    /* Two groups of two when no size is given. */
    {"hybrid", NULL, 2, 2, 4, true, "0F0,0F1,2F0,2F1,0F2,0F3,2F2,2F3\n1F0,1F1,3F0,3F1,1F2,1F3,3F2,3F3\n"},
};

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        weft_schedule *schedule =
            make(golden[i].kind, golden[i].placement, golden[i].P, golden[i].V, golden[i].M, golden[i].forward_only);
        weft_text text;
        weft_text_init(&text);
        weft_schedule_write_csv(schedule, &text);
        assert_string_equal(weft_text_get(&text), golden[i].rows);
        assert_string_equal(schedule->name, golden[i].kind);
        weft_text_fini(&text);
        weft_schedule_destroy(schedule);
    }
}

/* Kinds on a v have two stages a rank. */
static int32_t own_loops(const char *kind)
{
    static const char *const on_v[] = {"zb-v", "dualpipe-v", "v-half", "v-min"};
    for (size_t i = 0; i < sizeof on_v / sizeof *on_v; i++)
        if (strcmp(kind, on_v[i]) == 0) return 2;
    return 1;
}

static int pick(uint64_t *counter, int count)
{
    weft_random_key key = weft_random_key_make(7, "schedules");
    return (int)(weft_random_bits(key, (*counter)++) % (uint64_t)count);
}

/* Placements that go with a kind when a rank holds several stages. */
static const struct {
    const char *kind, *placement;
} fitting[] = {
    {"sequential", "linear"},
    {"sequential", "loop"},
    {"sequential", "v"},
    {"sequential", NULL},
    {"gpipe", "linear"},
    {"gpipe", "loop"},
    {"gpipe", "v"},
    {"gpipe", NULL},
    {"1f1b", "linear"},
    {"1f1b", NULL},
    {"depth-first", "loop"},
    {"depth-first", NULL},
    {"depth-first", "v"},
    {"depth-first-gaps", NULL},
    {"depth-first-gaps", "v"},
    {"breadth-first", "loop"},
    {"breadth-first", "v"},
    {"breadth-first", NULL},
    {"breadth-first-descending", NULL},
    {"breadth-first-descending", "v"},
    {"hybrid", NULL},
    {"hybrid", "v"},
    {"zb-h1", NULL},
    {"zb-h2", NULL},
    {"interleaved-zero-bubble", NULL},
    {"interleaved-zero-bubble", "v"},
    {"interleaved-zero-bubble-gaps", NULL},
    {"interleaved-zero-bubble-gaps", "v"},
    {"breadth-first-split", NULL},
    {"breadth-first-split", "v"},
    {"zb-v", NULL},
    {"zb-v", "v"},
    {"dualpipe-v", NULL},
    {"v-half", NULL},
    {"v-min", "v"},
};

static void check_same(const weft_schedule *a, const weft_schedule *b)
{
    assert_int_equal(a->ranks, b->ranks);
    assert_int_equal(a->loops, b->loops);
    assert_int_equal(a->stages, b->stages);
    assert_int_equal(a->microbatches, b->microbatches);
    assert_int_equal(a->forward_only, b->forward_only);
    assert_int_equal(a->has_messages, b->has_messages);
    assert_int_equal(a->ascending, b->ascending);
    assert_memory_equal(a->stage_rank, b->stage_rank, (size_t)a->stages * sizeof *a->stage_rank);
    assert_memory_equal(a->first, b->first, ((size_t)a->ranks + 1) * sizeof *a->first);
    assert_memory_equal(a->actions, b->actions, a->first[a->ranks] * sizeof *a->actions);
}

static void check_round_trip(const weft_schedule *schedule)
{
    weft_schedule *again = NULL;
    weft_error error;
    weft_text text;
    weft_text_init(&text);
    weft_schedule_write_csv(schedule, &text);
    assert_int_equal(weft_text_check(&text, &error), WEFT_OK);
    assert_int_equal(weft_schedule_read_csv(text.bytes, text.length, "written", WEFT_CSV_CURRENT, &again, &error),
                     WEFT_OK);
    check_same(schedule, again);
    weft_schedule_destroy(again);
    weft_text_fini(&text);
}

static void test_any_size(void **state)
{
    (void)state;
    uint64_t counter = 0;
    for (int round = 0; round < 4000; round++) {
        int choice = pick(&counter, (int)(sizeof fitting / sizeof *fitting));
        int32_t P = 1 + pick(&counter, 8), V = 1 + pick(&counter, 4), M = 1 + pick(&counter, 20);
        bool forward_only = pick(&counter, 4) == 0;
        if (own_loops(fitting[choice].kind) > 1) V = 0;
        if (strcmp(fitting[choice].kind, "dualpipe-v") == 0 && M < 2 * P) M += 2 * P;
        weft_schedule *schedule = make(fitting[choice].kind, fitting[choice].placement, P, V, M, forward_only);
        check_complete(schedule);
        bool descending = strcmp(fitting[choice].kind, "breadth-first-descending") == 0 && M > 1 && !forward_only;
        assert_int_equal(schedule->ascending, !descending);
        duration time;
        assert_true(execute(schedule, (seconds){1, 1, 1}, &time));
        check_round_trip(schedule);
        weft_schedule_destroy(schedule);
    }
}

/* Time of a step of one batch, destroying the schedule. */
static duration run(weft_schedule *schedule, seconds cost)
{
    duration time;
    if (!execute(schedule, cost, &time)) fail_msg("%s does not end", schedule->name);
    weft_schedule_destroy(schedule);
    return time;
}

static double placed_bubble(const char *kind, const char *placement, int32_t P, int32_t V, int32_t M, double forward,
                            double backward)
{
    duration time = run(make(kind, placement, P, V, M, false), (seconds){forward, backward / 4, backward * 3 / 4});
    return time.step / (M * (forward + backward)) - 1;
}

static double bubble(const char *kind, int32_t P, int32_t V, int32_t M, double forward, double backward)
{
    return placed_bubble(kind, NULL, P, V, M, forward, backward);
}

static double on_v(const char *kind, int32_t P, int32_t V, int32_t M, double forward, double backward)
{
    return placed_bubble(kind, "v", P, V, M, forward, backward);
}

static void near(double found, double wanted)
{
    if (!(fabs(found - wanted) < 1e-9)) fail_msg("%.12f, not %.12f", found, wanted);
}

/* The published bubbles, for equal stages, no communication, and any ratio of backward to forward. */
static void test_bubbles(void **state)
{
    (void)state;
    for (int32_t P = 1; P <= 6; P++)
        for (int32_t V = 1; V <= 3; V++)
            for (int32_t M = 1; M <= 2 * P + 1; M++)
                for (double backward = 1; backward <= 3; backward++) {
                    double high = M > P ? M : P, low = M < P ? M : P;
                    near(bubble("sequential", P, V, M, 1, backward), P - 1);
                    near(bubble("gpipe", P, 1, M, 1, backward), (P - 1.0) / M);
                    near(bubble("gpipe", P, V, M, 1, backward), (P - 1.0) / M);
                    near(bubble("1f1b", P, V, M, 1, backward), (P - 1.0) / M);
                    double looped = (V * high + low - 1) / (V * (double)M) - 1;
                    near(bubble("breadth-first", P, V, M, 1, backward), looped);
                    /* Where a v turns round on the first rank, two stages run back to back and save a wait. */
                    if (V <= 2) near(on_v("gpipe", P, V, M, 1, backward), (P - 1.0) / M);
                    if (V > 2 && P > 1 && M > 1) assert_true(on_v("gpipe", P, V, M, 1, backward) < (P - 1.0) / M);
                    near(on_v("breadth-first", P, V, M, 1, backward), (P - 1.0) / M);
                    near(bubble("breadth-first-descending", P, V, M, 1, backward), looped);
                    if (M >= P) near(bubble("depth-first", P, V, M, 1, backward), (P - 1.0) / (M * V));
                }
}

/* Time of a step beyond that of its passes, on the rank that takes the longest from its own start to its own end. */
static double extra(weft_schedule *schedule, seconds cost)
{
    double passes = schedule->microbatches * (cost.forward + cost.input + cost.weight);
    return run(schedule, cost).span - passes;
}

/* arXiv 2401.10241, table 1: (P - 1)(F + I - W) for H1 and (P - 1)(F + I - 2 W) for H2 in the memory of P and 2 P - 1
 * micro-batches, exactly, once there are as many. On looped stages, H1 in groups of P and H2 breadth-first, divided
 * by V; breadth-first holds all but those it has no use for. */
static void test_zero_bubble(void **state)
{
    (void)state;
    const seconds costs[] = {{1, 1, 1}, {2, 2, 1}, {3, 2, 1}, {2, 3, 1}, {3, 3, 2}};
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        for (int32_t P = 1; P <= 6; P++)
            for (int32_t V = 1; V <= 3; V++)
                for (int32_t M = P; M <= 4 * P + 1; M++) {
                    seconds c = costs[i];
                    double one = (P - 1) * (c.forward + c.input - c.weight), two = one - (P - 1) * c.weight;
                    near(extra(make("zb-h1", NULL, P, V, M, false), c), one);
                    near(extra(make("interleaved-zero-bubble", NULL, P, V, M, false), c), one / V);
                    if (M < 2 * P - 1) continue;
                    near(extra(make("zb-h2", NULL, P, V, M, false), c), two);
                    near(extra(make("breadth-first-split", NULL, P, V, M, false), c), two / V);
                }
}

static int32_t most_of_all(weft_schedule *schedule)
{
    int32_t most = 0;
    for (int32_t rank = 0; rank < schedule->ranks; rank++) {
        int32_t held = most_held(schedule, rank);
        most = held > most ? held : most;
    }
    weft_schedule_destroy(schedule);
    return most;
}

static void test_memory_of_zero_bubble(void **state)
{
    (void)state;
    for (int32_t P = 1; P <= 6; P++)
        for (int32_t V = 1; V <= 3; V++) {
            int32_t M = 4 * P;
            assert_int_equal(most_of_all(make("zb-h1", NULL, P, V, M, false)), P * V);
            assert_int_equal(most_of_all(make("zb-h2", NULL, P, V, M, false)), (2 * P - 1) * V);
            assert_int_equal(most_of_all(make("interleaved-zero-bubble", NULL, P, V, M, false)), P * V);
            assert_int_equal(most_of_all(make("breadth-first-split", NULL, P, V, M, false)), (V - 1) * M + 2 * P - 1);
        }
}

/* ZB-V: nothing beyond the passes at equal times from 2 P - 1 micro-batches on, in the memory of 1F1B: 2 P stages, of
 * which a micro-batch has two. */
static void test_zb_v(void **state)
{
    (void)state;
    for (int32_t P = 1; P <= 8; P++)
        for (int32_t M = 2 * P - 1; M <= 4 * P + 1; M++) {
            near(extra(make("zb-v", NULL, P, 2, M, false), (seconds){1, 1, 1}), 0);
            weft_schedule *schedule = make("zb-v", NULL, P, 2, M, false);
            for (int32_t rank = 0; rank < P; rank++) assert_int_equal(most_held(schedule, rank), M < P ? 2 * M : 2 * P);
            weft_schedule_destroy(schedule);
        }
}

/* DualPipeV, arXiv 2412.19437, table 2: (PP / 2 - 1)(F&B + B - 3 W) per stage for PP = 2 P stages and PP + 1 of them
 * held, exactly, with a pair as one piece that takes the sum of its parts and F = I; executed one after the other, as
 * here, the parts of a pair wait for less, which leaves (P - 1)(F + I - W). */
static void test_dualpipe_v(void **state)
{
    (void)state;
    const seconds costs[] = {{2, 2, 2}, {4, 4, 2}, {6, 6, 4}};
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        for (int32_t P = 1; P <= 8; P++)
            for (int32_t M = 2 * P; M <= 4 * P + 1; M += P + 1) {
                double F = costs[i].forward / 2, I = costs[i].input / 2, W = costs[i].weight / 2;
                double passes = 2 * M * (F + I + W);
                weft_schedule *schedule = make("dualpipe-v", NULL, P, 2, M, false);
                duration time;
                assert_true(execute_pairs(schedule, costs[i], &time));
                near(time.span - passes, (P - 1) * (F + I + W + I + W - 3 * W));
                for (int32_t rank = 0; rank < P; rank++) assert_int_equal(most_held(schedule, rank), 2 * P + 1);
                near(extra(schedule, costs[i]), (P - 1) * (F + I - W));
            }
}

/* arXiv 2405.15362: at equal times V-Half has half the bubble of 1F1B and holds half of what it does, V-Min has two
 * thirds and holds a third; exactly, but for one pass and for stages whose number does not grow with P. */
static void test_v_blocks(void **state)
{
    (void)state;
    for (int32_t P = 1; P <= 24; P += P < 12 ? 1 : 4)
        for (int32_t M = P < 3 ? 3 : P; M <= 4 * P + 1; M += P) {
            double of_1f1b = 6 * (P - 1); /* in passes of one stage: of 2 P stages, F, I and W */
            double half = extra(make("v-half", NULL, P, 2, M, false), (seconds){2, 2, 2});
            double min = extra(make("v-min", NULL, P, 2, M, false), (seconds){2, 2, 2});
            near(half, P % 2 && P > 1 ? of_1f1b / 2 - 1 : of_1f1b / 2);
            near(min, P == 1 ? 0 : P % 3 ? of_1f1b * 2 / 3 - 1 : of_1f1b * 2 / 3 + 1);
            int32_t held = most_of_all(make("v-half", NULL, P, 2, M, false));
            assert_int_equal(held, P % 2 ? P + 1 : P + 2); /* of 2 P */
            held = most_of_all(make("v-min", NULL, P, 2, M, false));
            assert_true(held <= 2 * P / 3 + 3 && held == 2 * ((P + 1) / 3 + 1));
        }
}

/* Time to generate grows with the actions, not with ranks times the length of a step. */
static void test_many_ranks(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        weft_schedule *schedule = make(i ? "v-half" : "v-min", NULL, 1 << 18, 0, 1, false);
        check_complete(schedule);
        weft_schedule_destroy(schedule);
    }
}

/* Splitting the backward pass always gains, whatever the sizes, and never costs memory. */
static void test_breadth_first_split(void **state)
{
    (void)state;
    for (int32_t P = 2; P <= 6; P++)
        for (int32_t V = 1; V <= 3; V++)
            for (int32_t M = 1; M <= 3 * P; M++) {
                weft_schedule *plain = make("breadth-first", NULL, P, V, M, false);
                weft_schedule *split = make("breadth-first-split", NULL, P, V, M, false);
                for (int32_t rank = 0; rank < P; rank++) assert_true(most_held(split, rank) <= most_held(plain, rank));
                duration before = run(plain, (seconds){2, 2, 1}), after = run(split, (seconds){2, 2, 1});
                assert_true(after.step < before.step && after.span < before.span);
            }
}

static void check_equal_order(weft_schedule *a, weft_schedule *b)
{
    assert_memory_equal(a->first, b->first, ((size_t)a->ranks + 1) * sizeof *a->first);
    assert_memory_equal(a->actions, b->actions, a->first[a->ranks] * sizeof *a->actions);
    weft_schedule_destroy(a);
    weft_schedule_destroy(b);
}

/* Groups of P are depth-first with gaps, one group has the bubble of breadth-first; between them, too, where groups are
 * whole (arXiv 2407.21783: (P - 1) / (M V)). The first rank holds V K + (P - 1) + (P - 1 - r) of them at most, not V M.
 */
static void test_hybrid(void **state)
{
    (void)state;
    for (int32_t P = 1; P <= 5; P++)
        for (int32_t V = 1; V <= 3; V++)
            for (int32_t M = 1; M <= 3 * P + 2; M++) {
                double high = M > P ? M : P, low = M < P ? M : P, MV = (double)M * V;
                check_equal_order(make_groups("hybrid", P, V, M, P), make("depth-first-gaps", NULL, P, V, M, false));
                for (int32_t K = P; K <= M; K++) {
                    weft_schedule *schedule = make_groups("hybrid", P, V, M, K);
                    check_complete(schedule);
                    assert_true(schedule->ascending);
                    int32_t most = (V - 1) * K + 2 * (P - 1) + 1;
                    assert_true(most_held(schedule, 0) <= (most < M * V ? most : M * V));
                    duration time = run(schedule, (seconds){1, 1, 1});
                    if (M % K == 0) near(time.step / M / 3 - 1, (P - 1) / MV);
                    if (K == M) near(time.step / M / 3 - 1, (V * high + low - 1) / MV - 1);
                }
            }
}

/* 1F1B exists for its memory: rank r holds P - r micro-batches of its V stages, however many there are. */
static void test_memory_of_1f1b(void **state)
{
    (void)state;
    weft_schedule *schedule = make("1f1b", "linear", 4, 2, 50, false);
    for (int32_t rank = 0; rank < 4; rank++) assert_int_equal(most_held(schedule, rank), 2 * (4 - rank));
    weft_schedule_destroy(schedule);
    /* arXiv 2104.04473: V P + P - 1 stages on the first rank, of V P that plain 1F1B would hold. */
    schedule = make("depth-first", NULL, 4, 2, 48, false);
    assert_int_equal(most_held(schedule, 0), 4 * 2 + 4 - 1);
    weft_schedule_destroy(schedule);
}

static const struct {
    weft_schedule_options options;
    const char *message;
} refused[] = {
    {{"bredth-first", 2, 2, 4, NULL, 0}, "did you mean breadth-first"},
    {{"hybrid", 4, 2, 8, NULL, 3}, "groups of 3 micro-batches make no sense: from 4 "},
    {{"hybrid", 4, 2, 8, NULL, 9}, "to 8 "},
    {{"hybrid", 4, 2, 3, NULL, 5}, "3 micro-batches over 4 ranks are one group; leave the size out"},
    {{"gpipe", 4, 1, 8, NULL, 4}, "gpipe has no groups to choose"},
    {{"1f1b", 2, 2, 4, "v", 0}, "take depth-first"},
    {{"dualpipe-v", 4, 2, 7, NULL, 0}, "dualpipe-v needs 2 micro-batches for each of 4 ranks, not 7 in all"},
    {{"v-half", 2, 1, 4, NULL, 0}, "v-half has 2 stages on each rank; 2 ranks have 4, not 2"},
    {{"v-min", 2, 2, 4, "linear", 0}, "take placement v"},
    {{"zb-v", 2, 3, 4, NULL, 0}, "zb-v has 2 stages on each rank; 2 ranks have 4, not 6"},
    {{"zb-v", 2, 2, 4, "loop", 0}, "take placement v"},
    {{"zb-h1", 2, 2, 4, "loop", 0}, "take interleaved-zero-bubble"},
    {{"breadth-first-split", 1 << 14, 1, 1 << 15, NULL, 0}, "need more than"},
    {{"breadth-first-descending", 2, 2, 4, "linear", 0}, "take gpipe"},
    {{"zzzzzzzzzzzzz", 2, 2, 4, NULL, 0}, "the kinds are sequential, gpipe, 1f1b, depth-first, depth-first-gaps, "},
    {{NULL, 2, 2, 4, NULL, 0}, "no schedule kind"},
    {{"gpipe", 0, 1, 4, NULL, 0}, "pipeline length is 0"},
    {{"gpipe", 2, -1, 4, NULL, 0}, "number of loops is -1"},
    {{"gpipe", 2, 1, 0, NULL, 0}, "number of micro-batches is 0"},
    {{"gpipe", 2, 1, 4, "ring", 0}, "unknown placement \"ring\""},
    {{"gpipe", INT32_MAX, INT32_MAX, 1, NULL, 0}, "more than 16777216 stages"},
    {{"gpipe", 1 << 20, 1, INT32_MAX, NULL, 0}, "need more than"},
    {{"1f1b", 2, 2, 4, "loop", 0}, "take depth-first"},
    {{"depth-first", 2, 2, 4, "linear", 0}, "take 1f1b"},
    {{"breadth-first", 2, 2, 4, "linear", 0}, "take gpipe"},
};

/* Who names no number of loops gets the kind's own. */
static void test_own_loops(void **state)
{
    (void)state;
    const char *const *names = weft_schedule_kind_names();
    for (int i = 0; names[i]; i++) {
        weft_schedule *schedule = make(names[i], NULL, 2, 0, 4, false);
        assert_int_equal(schedule->loops, own_loops(names[i]));
        check_complete(schedule);
        weft_schedule_destroy(schedule);
    }
}

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

/* Where all placements are the same, none is refused. */
static void test_agreeing_placements(void **state)
{
    (void)state;
    const char *const *names = weft_schedule_kind_names();
    int count = 0;
    for (; names[count]; count++) {
        assert_non_null(weft_schedule_kind_summary(names[count]));
        for (int32_t P = 1; P <= 3; P += 2) {
            int32_t V = own_loops(names[count]) > 1 ? 2 : P == 1 ? 3 : 1;
            if (P > 1 && V > 1) continue;
            weft_schedule *linear = make(names[count], "linear", P, V, 4, false);
            weft_schedule *loop = make(names[count], "loop", P, V, 4, false);
            weft_schedule *v = make(names[count], "v", P, V, 4, false);
            check_same(linear, loop);
            check_same(linear, v);
            weft_schedule_destroy(linear);
            weft_schedule_destroy(loop);
            weft_schedule_destroy(v);
        }
    }
    assert_int_equal(count, 17);
    assert_null(weft_schedule_kind_summary("no such kind"));
}

/* Forward actions keep their order and nothing else is left; what is no whole schedule is refused. */
static void test_forward_of(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fitting / sizeof *fitting; i++) {
        weft_schedule *whole = make(fitting[i].kind, fitting[i].placement, 3, 2, 7, false), *forward = NULL;
        weft_error error;
        assert_int_equal(weft_schedule_forward(whole, &forward, &error), WEFT_OK);
        assert_true(forward->forward_only && forward->ascending && !forward->has_messages);
        assert_string_equal(forward->name, whole->name);
        for (int32_t rank = 0; rank < 3; rank++) {
            size_t next = forward->first[rank];
            for (size_t k = whole->first[rank]; k < whole->first[rank + 1]; k++)
                if (whole->actions[k].kind == WEFT_F)
                    assert_memory_equal(&forward->actions[next++], &whole->actions[k], sizeof(weft_action));
            assert_int_equal(next, forward->first[rank + 1]);
        }
        weft_schedule_destroy(forward);
        for (size_t k = 0; k < 2; k++) { /* one forward action too few, then one too many */
            whole->actions[k ? whole->first[3] - 1 : 0].kind = k ? WEFT_F : WEFT_B;
            if (k) whole->actions[0].kind = WEFT_F;
            assert_int_equal(weft_schedule_forward(whole, &forward, &error), WEFT_INVALID);
            assert_null(forward);
            assert_non_null(strstr(error.text, k ? "43 forward actions" : "41 forward actions"));
        }
        weft_schedule_destroy(whole);
    }
}

static void test_text(void **state)
{
    (void)state;
    weft_schedule *schedule = make("1f1b", NULL, 2, 1, 11, true);
    weft_text text;
    weft_text_init(&text);
    weft_schedule_write_text(schedule, &text);
    assert_string_equal(weft_text_get(&text), "1f1b: 2 ranks, 2 stages, 11 micro-batches, forward only\n"
                                              "rank 0 | 0F0  0F1  0F2  0F3  0F4  0F5  0F6  0F7  0F8  0F9  0F10\n"
                                              "rank 1 | 1F0  1F1  1F2  1F3  1F4  1F5  1F6  1F7  1F8  1F9  1F10\n");
    weft_text_fini(&text);
    weft_schedule_destroy(schedule);
}

static void test_action_table(void **state)
{
    (void)state;
    weft_text text;
    weft_text_init(&text);
    weft_action_print((weft_action){.kind = WEFT_SEND_F, .stage = 16777215, .microbatch = 1073741823}, &text);
    weft_action_print((weft_action){.kind = WEFT_UNSHARD, .stage = 1}, &text);
    weft_action_print((weft_action){.kind = WEFT_NORM}, &text);
    assert_string_equal(weft_text_get(&text), "16777215SEND_F10737418231UNSHARDNORM");
    weft_text_fini(&text);
    assert_int_equal(weft_action_info_get(WEFT_RECV_B)->lane, WEFT_LANE_MESSAGE);
    assert_int_equal(weft_action_info_get(WEFT_UPDATE)->operands, WEFT_OPERANDS_STAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_any_size),
        cmocka_unit_test(test_bubbles),
        cmocka_unit_test(test_memory_of_1f1b),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_agreeing_placements),
        cmocka_unit_test(test_forward_of),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_action_table),
        cmocka_unit_test(test_hybrid),
        cmocka_unit_test(test_many_ranks),
        cmocka_unit_test(test_v_blocks),
        cmocka_unit_test(test_dualpipe_v),
        cmocka_unit_test(test_zb_v),
        cmocka_unit_test(test_zero_bubble),
        cmocka_unit_test(test_memory_of_zero_bubble),
        cmocka_unit_test(test_breadth_first_split),
        cmocka_unit_test(test_own_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
