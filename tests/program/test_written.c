/* Schedules written out as torch.distributed.pipelining executes them, read back, and spoilt. */
#include "oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static weft_schedule *pick(dice *d)
{
    for (;;) {
        weft_schedule *schedule = dice_roll(d, 2) ? build_kind(d) : build_random(d);
        bool empty = false; /* a rank without a stage, which no file has */
        for (int32_t r = 0; r < schedule->ranks; r++) empty = empty || schedule->first[r] == schedule->first[r + 1];
        if (!empty) return schedule;
        weft_schedule_destroy(schedule);
    }
}

static weft_schedule *write_out(const weft_schedule *schedule, bool waits)
{
    weft_schedule *written = NULL;
    weft_error error = {0};
    if (weft_schedule_write_out_messages(schedule, waits, &written, &error) != WEFT_OK) fail_msg("%s", error.text);
    return written;
}

static weft_status read_back(const weft_schedule *schedule, weft_schedule **out, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_schedule_write_csv(schedule, &text);
    weft_status status =
        weft_schedule_read_csv(weft_text_get(&text), text.length, "written.csv", WEFT_CSV_CURRENT, out, error);
    weft_text_fini(&text);
    return status;
}

static void check_equal(const weft_schedule *a, const weft_schedule *b)
{
    weft_text first, second;
    weft_text_init(&first);
    weft_text_init(&second);
    weft_schedule_write_csv(a, &first);
    weft_schedule_write_csv(b, &second);
    assert_string_equal(weft_text_get(&first), weft_text_get(&second));
    weft_text_fini(&first);
    weft_text_fini(&second);
}

static weft_program *lower(const weft_schedule *schedule)
{
    weft_program *program = NULL;
    weft_error error = {0};
    weft_lower_options options = {.update = true};
    if (weft_program_create(schedule, &options, &program, &error) != WEFT_OK) fail_msg("%s", error.text);
    if (weft_program_verify(program, &error) != WEFT_OK) fail_msg("%s", error.text);
    return program;
}

static bool adds_gradients(weft_action action)
{
    return action.kind == WEFT_B || action.kind == WEFT_W;
}

static bool is_pass(weft_action action)
{
    return weft_action_info_get((weft_action_kind)action.kind)->lane == WEFT_LANE_COMPUTE;
}

/* The passes of each row in their order, and one REDUCE_GRAD a stage, behind all that adds to its gradients. */
static void check_rows(const weft_schedule *passes, const weft_schedule *written)
{
    int reductions[64] = {0};
    for (int32_t r = 0; r < passes->ranks; r++) {
        size_t at = passes->first[r];
        for (size_t i = written->first[r]; i < written->first[r + 1]; i++) {
            weft_action action = written->actions[i], *own = &passes->actions[at];
            if (action.kind == WEFT_REDUCE_GRAD) reductions[action.stage]++;
            if (!is_pass(action)) continue;
            if (adds_gradients(action)) assert_int_equal(reductions[action.stage], 0);
            assert_true(action.kind == own->kind && action.stage == own->stage && action.microbatch == own->microbatch);
            at++;
        }
        assert_int_equal(at, passes->first[r + 1]);
    }
    for (int32_t s = 0; s < passes->stages; s++) assert_int_equal(reductions[s], !passes->forward_only);
}

/* Each SEND and REDUCE_GRAD has one wait, behind it and in its row. */
static void check_waits(const weft_schedule *written)
{
    size_t wanted = 0;
    for (size_t i = 0; i < written->first[written->ranks]; i++) {
        unsigned kind = written->actions[i].kind;
        wanted += kind == WEFT_SEND_F || kind == WEFT_SEND_B || kind == WEFT_REDUCE_GRAD;
    }
    assert_int_equal(written->wait_count, wanted);
    for (size_t k = 0; k < written->wait_count; k++) {
        int32_t rank = written->stage_rank[written->actions[written->waits[k].of].stage];
        assert_true(written->waits[k].before > written->waits[k].of);
        assert_true(written->waits[k].before <= written->first[rank + 1]);
        for (size_t j = 0; j < k; j++) assert_true(written->waits[j].of != written->waits[k].of);
    }
}

/* Where the action is; what is in no row is never done. */
static size_t find(const weft_schedule *s, unsigned kind, uint32_t stage, uint32_t microbatch)
{
    for (size_t i = 0; i < s->first[s->ranks]; i++)
        if (s->actions[i].kind == kind && s->actions[i].stage == stage && s->actions[i].microbatch == microbatch)
            return i;
    return SIZE_MAX;
}

/* The message that a pass reads, by the kind given; SIZE_MAX: it reads none. */
static size_t find_input(const weft_schedule *s, weft_action action, unsigned kind_f, unsigned kind_b, bool from_peer)
{
    bool forward = action.kind == WEFT_F;
    int32_t from = (int32_t)action.stage + (forward ? -1 : 1);
    if (!is_pass(action) || action.kind == WEFT_W || from < 0 || from >= s->stages) return SIZE_MAX;
    if (s->stage_rank[from] == s->stage_rank[action.stage]) return SIZE_MAX;
    return find(s, forward ? kind_f : kind_b, from_peer ? (uint32_t)from : action.stage, action.microbatch);
}

/* Brute force: rows as lists. Whether they all end. */
static bool lists_end(const weft_schedule *s)
{
    size_t next[64], total = 0;
    bool *posted = calloc(s->first[s->ranks], sizeof *posted), *waited = calloc(s->wait_count + 1, sizeof *waited);
    assert_true(posted && waited);
    for (int32_t r = 0; r < s->ranks; r++) next[r] = s->first[r];
    for (bool moved = true; moved;) {
        moved = false;
        for (int32_t r = 0; r < s->ranks; r++) {
            bool held = false;
            for (size_t k = 0; k < s->wait_count; k++) {
                weft_action of = s->actions[s->waits[k].of];
                if (s->waits[k].before != next[r] || s->stage_rank[of.stage] != r || waited[k]) continue;
                if (of.kind != WEFT_REDUCE_GRAD) {
                    bool forward = of.kind == WEFT_SEND_F;
                    size_t meets = find(s, forward ? WEFT_RECV_F : WEFT_RECV_B, forward ? of.stage + 1 : of.stage - 1,
                                        of.microbatch);
                    held = held || !posted[meets];
                }
                waited[k] = !held;
                if (held) break;
            }
            if (held || next[r] == s->first[r + 1]) continue;
            size_t need = find_input(s, s->actions[next[r]], WEFT_SEND_F, WEFT_SEND_B, true);
            if (need != SIZE_MAX && !posted[need]) continue;
            posted[next[r]++] = moved = true;
            total++;
        }
    }
    bool ended = total == s->first[s->ranks];
    for (size_t k = 0; k < s->wait_count; k++) ended = ended && waited[k];
    free(posted);
    free(waited);
    return ended;
}

/* Whatever is written out can be read, is proved on lanes and with one queue a rank, and holds the same passes. */
static void test_written_out(void **state)
{
    (void)state;
    dice d = {8};
    for (int i = 0; i < 1500; i++) {
        weft_schedule *passes = pick(&d), *written = write_out(passes, true), *plain = write_out(passes, false);
        weft_schedule *read = NULL, *again = NULL;
        weft_error error = {0};
        check_rows(passes, plain);
        check_waits(written);
        assert_true(lists_end(written));
        assert_true(plain->has_messages && plain->wait_count == 0);
        if (read_back(written, &read, &error) != WEFT_OK) fail_msg("%s: %s", passes->name, error.text);
        if (read->has_messages) check_equal(read, plain); /* on one rank there is nothing to send */
        again = write_out(read, true);
        check_equal(again, written);
        weft_program *program = lower(written);
        if (weft_program_verify_one_queue(program, plain, &error) != WEFT_OK) fail_msg("%s", error.text);
        weft_program_destroy(program);
        weft_schedule_destroy(passes);
        weft_schedule_destroy(written);
        weft_schedule_destroy(plain);
        weft_schedule_destroy(read);
        weft_schedule_destroy(again);
    }
}

/* Moves a message to any other place in its row. */
static void move_message(weft_schedule *s, dice *d)
{
    size_t i = dice_roll(d, (uint32_t)s->first[s->ranks]), to;
    weft_action action = s->actions[i];
    if (is_pass(action) || action.kind == WEFT_REDUCE_GRAD) return;
    int32_t rank = s->stage_rank[action.stage];
    size_t first = s->first[rank], end = s->first[rank + 1];
    to = first + dice_roll(d, (uint32_t)(end - first));
    for (; i < to; i++) s->actions[i] = s->actions[i + 1];
    for (; i > to; i--) s->actions[i] = s->actions[i - 1];
    s->actions[to] = action;
}

static int by_place(const void *left, const void *right)
{
    const weft_wait *a = left, *b = right;
    if (a->before != b->before) return a->before < b->before ? -1 : 1;
    return (a->of > b->of) - (a->of < b->of);
}

/* Waits anywhere behind what they end; then often one of them in front of it, gone or there twice. Whether the rules
 * allow what has come out. */
static bool scatter_waits(weft_schedule *s, dice *d)
{
    size_t count = s->first[s->ranks];
    assert_int_equal(weft_allocate(count + 1, sizeof *s->waits, &s->waits, NULL), WEFT_OK);
    for (size_t i = 0; i < count; i++) {
        weft_action action = s->actions[i];
        size_t end = s->first[s->stage_rank[action.stage] + 1];
        size_t place = i + 1 + (dice_roll(d, 2) ? 0 : dice_roll(d, (uint32_t)(end - i)));
        if (action.kind == WEFT_REDUCE_GRAD) place = i + 1;
        if (is_pass(action) || action.kind == WEFT_RECV_F || action.kind == WEFT_RECV_B) continue;
        s->waits[s->wait_count++] = (weft_wait){i, place};
    }
    if (!s->wait_count) return true;
    size_t k = dice_roll(d, (uint32_t)s->wait_count), of = s->waits[k].of, last = s->wait_count - 1;
    size_t first = s->first[s->stage_rank[s->actions[of].stage]];
    uint32_t how = dice_roll(d, 8);
    bool allowed = how > 2 || (how == 2 && of == first) || (how == 0 && last == 0); /* none at all: torch 2.14 */
    if (how == 0) s->waits[k] = s->waits[s->wait_count = last];
    if (how == 1) s->waits[s->wait_count++] = s->waits[k];
    if (how == 2 && of > first) s->waits[k].before = first + 1 + dice_roll(d, (uint32_t)(of - first));
    qsort(s->waits, s->wait_count, sizeof *s->waits, by_place);
    return allowed;
}

/* Waits are refused exactly where brute force hangs or the rules forbid them. */
static void test_waits(void **state)
{
    (void)state;
    dice d = {21};
    int accepted = 0, hung = 0, forbidden = 0;
    for (int i = 0; i < 4000; i++) {
        weft_schedule *passes = pick(&d), *written = write_out(passes, false), *read = NULL;
        weft_error error = {0};
        for (uint32_t k = dice_roll(&d, 6); k-- > 0;) move_message(written, &d);
        bool sound = read_back(written, &read, &error) == WEFT_OK;
        weft_schedule_destroy(read);
        if (sound) {
            bool allowed = scatter_waits(written, &d), ends = !allowed || !written->wait_count || lists_end(written);
            weft_status status = read_back(written, &read, &error);
            if ((status == WEFT_OK) != (allowed && ends))
                fail_msg("allowed %d, ends %d: %s", allowed, ends, error.text);
            if (status != WEFT_OK) assert_non_null(strstr(error.text, "written.csv, row "));
            if (!ends) assert_non_null(strstr(error.text, "waits for ever when each row is one list: rank "));
            accepted += status == WEFT_OK;
            forbidden += !allowed;
            hung += !ends;
            weft_schedule_destroy(read);
        }
        weft_schedule_destroy(passes);
        weft_schedule_destroy(written);
    }
    assert_true(accepted > 300 && hung > 100 && forbidden > 300);
}

/* Brute force: lanes for passes, one queue for messages. Whether all end. */
static bool queues_end(const weft_schedule *s)
{
    size_t count = s->first[s->ranks], pass[64], queue[64], done_count = 0, total = 0;
    bool *done = calloc(count, sizeof *done);
    assert_non_null(done);
    for (int32_t r = 0; r < s->ranks; r++) pass[r] = queue[r] = s->first[r];
    for (size_t i = 0; i < count; i++) total += s->actions[i].kind != WEFT_REDUCE_GRAD;
    for (bool moved = true; moved;) {
        moved = false;
        for (int32_t r = 0; r < s->ranks; r++) {
            size_t end = s->first[r + 1];
            while (pass[r] < end && !is_pass(s->actions[pass[r]])) pass[r]++;
            while (queue[r] < end && (is_pass(s->actions[queue[r]]) || s->actions[queue[r]].kind == WEFT_REDUCE_GRAD))
                queue[r]++;
            if (pass[r] < end) {
                size_t need = find_input(s, s->actions[pass[r]], WEFT_RECV_F, WEFT_RECV_B, false);
                if (need == SIZE_MAX || done[need]) {
                    done[pass[r]++] = moved = true;
                    done_count++;
                }
            }
            if (queue[r] == end) continue;
            weft_action a = s->actions[queue[r]];
            if (a.kind != WEFT_SEND_F && a.kind != WEFT_SEND_B) continue;
            bool forward = a.kind == WEFT_SEND_F;
            size_t made = find(s, forward ? WEFT_F : WEFT_B, a.stage, a.microbatch);
            if (made == SIZE_MAX) made = find(s, WEFT_I, a.stage, a.microbatch);
            uint32_t stage = forward ? a.stage + 1 : a.stage - 1;
            size_t meets = find(s, forward ? WEFT_RECV_F : WEFT_RECV_B, stage, a.microbatch);
            if (!done[made] || queue[s->stage_rank[stage]] != meets) continue;
            done[queue[r]++] = done[meets] = moved = true;
            queue[s->stage_rank[stage]]++;
            done_count += 2;
        }
    }
    free(done);
    return done_count == total;
}

/* The answer for one queue is that of brute force, wherever messages stand. */
static void test_one_queue(void **state)
{
    (void)state;
    dice d = {34};
    int ended = 0, stuck = 0;
    for (int i = 0; i < 4000; i++) {
        weft_schedule *passes = pick(&d), *written = write_out(passes, false), *read = NULL;
        weft_program *program = NULL;
        weft_error error = {0};
        weft_lower_options options = {0};
        for (uint32_t k = dice_roll(&d, 6); k-- > 0;) move_message(written, &d);
        bool sound = read_back(written, &read, &error) == WEFT_OK && read->has_messages &&
                     weft_program_create(read, &options, &program, &error) == WEFT_OK &&
                     weft_program_verify(program, &error) == WEFT_OK;
        if (sound) {
            bool ends = weft_program_verify_one_queue(program, read, &error) == WEFT_OK;
            assert_int_equal(ends, queues_end(read));
            if (!ends)
                assert_non_null(strstr(error.text, "with one queue of transfers a rank: the program cannot end, "
                                                   "it waits in a circle: rank "));
            ended += ends;
            stuck += !ends;
        }
        weft_program_destroy(program);
        weft_schedule_destroy(passes);
        weft_schedule_destroy(written);
        weft_schedule_destroy(read);
    }
    assert_true(ended > 300 && stuck > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_out),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_one_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
