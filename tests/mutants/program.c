/*
 * Mutants of programs: every entry of the `after` lists left out, every overwrite turned round, every page another one,
 * in small programs of all schedules, data-parallel and tensor-parallel widths and shardings. Usage: program [few].
 */
#include "mutants.h"
#include "program/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct subject {
    weft_program *program;
    uint32_t *after, *after_first; /* as they were */
    bool *seen;                    /* (actions) of the search */
    uint32_t *stack;               /* (actions) */
} subject;

static weft_program *program_of(const void *context)
{
    return ((const subject *)context)->program;
}

static weft_status prove(const void *context, weft_error *error)
{
    return weft_program_verify(program_of(context), error);
}

static uint32_t count_waits(const void *context)
{
    const weft_program *p = program_of(context);
    return p->after_first[p->action_count];
}

static void drop_wait(void *context, uint32_t i)
{
    weft_program *p = program_of(context);
    memmove(p->after + i, p->after + i + 1, (count_waits(context) - i - 1) * sizeof *p->after);
    for (uint32_t a = 0; a <= p->action_count; a++) p->after_first[a] -= p->after_first[a] > i;
}

static void restore_waits(void *context, uint32_t i)
{
    const subject *self = context;
    weft_program *p = self->program;
    (void)i;
    memcpy(p->after_first, self->after_first, ((size_t)p->action_count + 1) * sizeof *p->after_first);
    memcpy(p->after, self->after, count_waits(context) * sizeof *p->after);
}

/* Whose list the i-th entry is in. */
static uint32_t waiter(const uint32_t *first, uint32_t i)
{
    uint32_t a = 0;
    while (first[a + 1] <= i) a++;
    return a;
}

static void push(const subject *self, uint32_t action, uint32_t *depth)
{
    if (self->seen[action]) return;
    self->seen[action] = true;
    self->stack[(*depth)++] = action;
}

/* Whether what waited still comes after what it waited for: backwards along lanes and the waits that are left. */
static bool is_wait_implied(const void *context, uint32_t i)
{
    const subject *self = context;
    const weft_program *p = self->program;
    uint32_t from = self->after[i], to = waiter(self->after_first, i), depth = 0;
    int32_t rank = 0;
    while (p->lanes[p->rank_lanes[rank + 1] - 1].first + p->lanes[p->rank_lanes[rank + 1] - 1].count <= to) rank++;
    memset(self->seen, 0, p->action_count * sizeof *self->seen);
    push(self, to, &depth);
    while (depth > 0 && !self->seen[from]) {
        uint32_t a = self->stack[--depth];
        const weft_lane *lane = &p->lanes[weft_program_lane(p, rank, a)];
        if (a > lane->first) push(self, a - 1, &depth);
        for (uint32_t k = p->after_first[a]; k < p->after_first[a + 1]; k++) push(self, p->after[k], &depth);
    }
    return self->seen[from];
}

static void describe_wait(const void *context, uint32_t i, char *out, size_t size)
{
    const weft_program *p = program_of(context);
    char first[WEFT_ACTION_TEXT], second[WEFT_ACTION_TEXT];
    snprintf(out, size, "%s does not wait for %s", weft_action_text(p->actions[waiter(p->after_first, i)], first),
             weft_action_text(p->actions[p->after[i]], second));
}

/* The i-th action that the test is true of. */
static uint32_t find(const weft_program *p, bool (*counts)(const weft_program *p, uint32_t action), uint32_t i)
{
    uint32_t a = 0;
    for (;; a++)
        if (counts(p, a) && i-- == 0) return a;
}

static uint32_t count_actions(const weft_program *p, bool (*counts)(const weft_program *p, uint32_t action))
{
    uint32_t count = 0;
    for (uint32_t a = 0; a < p->action_count; a++) count += counts(p, a);
    return count;
}

static bool overwrites(const weft_program *p, uint32_t action)
{
    return weft_action_can_overwrite(p->actions[action]);
}

static uint32_t count_overwrites(const void *context)
{
    return count_actions(program_of(context), overwrites);
}

static void turn_overwrite(void *context, uint32_t i)
{
    weft_program *p = program_of(context);
    weft_action *action = &p->actions[find(p, overwrites, i)];
    action->overwrite = !action->overwrite;
}

static void describe_overwrite(const void *context, uint32_t i, char *out, size_t size)
{
    const weft_program *p = program_of(context);
    weft_action action = p->actions[find(p, overwrites, i)];
    char name[WEFT_ACTION_TEXT];
    snprintf(out, size, "%s %s", weft_action_text(action, name), action.overwrite ? "adds" : "overwrites");
}

static bool has_weights_page(const weft_program *p, uint32_t action)
{
    return p->pages && p->shard == WEFT_SHARD_WEIGHTS && weft_action_is_pass(p->actions[action]);
}

static bool has_gradients_page(const weft_program *p, uint32_t action)
{
    return p->pages && weft_action_makes_gradients(p->actions[action]);
}

static uint32_t count_weights_pages(const void *context)
{
    return count_actions(program_of(context), has_weights_page);
}

static uint32_t count_gradients_pages(const void *context)
{
    return count_actions(program_of(context), has_gradients_page);
}

/* Its own inverse. */
static void turn_weights_page(void *context, uint32_t i)
{
    weft_program *p = program_of(context);
    p->pages[find(p, has_weights_page, i)].weights ^= 1;
}

static void turn_gradients_page(void *context, uint32_t i)
{
    weft_program *p = program_of(context);
    p->pages[find(p, has_gradients_page, i)].gradients ^= 1;
}

static void describe_page(const weft_program *p, uint32_t action, const char *what, char *out, size_t size)
{
    char name[WEFT_ACTION_TEXT];
    snprintf(out, size, "%s works in another buffer of %s", weft_action_text(p->actions[action], name), what);
}

static void describe_weights_page(const void *context, uint32_t i, char *out, size_t size)
{
    const weft_program *p = program_of(context);
    describe_page(p, find(p, has_weights_page, i), "weights", out, size);
}

static void describe_gradients_page(const void *context, uint32_t i, char *out, size_t size)
{
    const weft_program *p = program_of(context);
    describe_page(p, find(p, has_gradients_page, i), "gradients", out, size);
}

/* UNSHARD, RESHARD and reductions, where the buffer that they name is one of few. */
static bool has_buffer(const weft_program *p, uint32_t action)
{
    weft_action a = p->actions[action];
    if (weft_action_info_get((weft_action_kind)a.kind)->operands != WEFT_OPERANDS_STAGE_BUFFER) return false;
    return weft_action_reduces(a) ? p->gradient_buffers > 0 : p->shard == WEFT_SHARD_WEIGHTS;
}

static uint32_t count_buffers(const void *context)
{
    return count_actions(program_of(context), has_buffer);
}

static void turn_buffer(void *context, uint32_t i)
{
    weft_program *p = program_of(context);
    p->actions[find(p, has_buffer, i)].microbatch ^= 1;
}

static void describe_buffer(const void *context, uint32_t i, char *out, size_t size)
{
    const weft_program *p = program_of(context);
    describe_page(p, find(p, has_buffer, i), "its kind", out, size);
}

static const mutant_kind kinds[] = {
    {"waits left out", count_waits, drop_wait, restore_waits, is_wait_implied, describe_wait},
    {"overwrites turned round", count_overwrites, turn_overwrite, turn_overwrite, NULL, describe_overwrite},
    {"other buffers of weights", count_weights_pages, turn_weights_page, turn_weights_page, NULL,
     describe_weights_page},
    {"other buffers of gradients", count_gradients_pages, turn_gradients_page, turn_gradients_page, NULL,
     describe_gradients_page},
    {"other buffers of actions", count_buffers, turn_buffer, turn_buffer, NULL, describe_buffer},
};
enum { KINDS = sizeof kinds / sizeof *kinds };
static const mutant_set set = {kinds, KINDS, prove};

/* loops 0: the kind's own. */
typedef struct layout {
    int32_t ranks, loops, microbatches;
} layout;

static void *need(size_t count, size_t size)
{
    void *out = calloc(count ? count : 1, size);
    if (!out) abort();
    return out;
}

/* What waits at all waits once more for what its lane has waited for first: such waits are implied. */
static void repeat_waits(weft_program *p)
{
    uint32_t edges = p->after_first[p->action_count], next = 0, *first = NULL, *after = NULL;
    if (weft_allocate((size_t)p->action_count + 1, sizeof *first, &first, NULL) != WEFT_OK) abort();
    if (weft_allocate(2 * (size_t)edges, sizeof *after, &after, NULL) != WEFT_OK) abort();
    for (int32_t i = 0; i < p->rank_lanes[p->ranks]; i++) {
        uint32_t waited = WEFT_NO_ACTION;
        for (uint32_t a = p->lanes[i].first; a < p->lanes[i].first + p->lanes[i].count; a++) {
            bool waits = p->after_first[a] < p->after_first[a + 1];
            first[a] = next;
            for (uint32_t k = p->after_first[a]; k < p->after_first[a + 1]; k++) after[next++] = p->after[k];
            if (waits && waited != WEFT_NO_ACTION) after[next++] = waited;
            if (waits && waited == WEFT_NO_ACTION) waited = after[first[a]];
        }
    }
    first[p->action_count] = next;
    weft_free(p->after_first);
    weft_free(p->after);
    p->after_first = first;
    p->after = after;
}

static void run(const weft_schedule *schedule, const weft_lower_options *lower, bool repeats, mutant_tally *tally)
{
    static const size_t input[16] = {64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64};
    const weft_slot_sizes sizes = {input, input, input};
    weft_lower_options options = *lower;
    weft_error error;
    char name[160];
    subject self = {0};
    options.sizes = &sizes;
    weft_error_clear(&error);
    snprintf(name, sizeof name, "%s, P %d, S %d, M %d, data %d, shard %s, buffers %d and %d, tensor %d%s%s",
             schedule->name, schedule->ranks, schedule->stages, schedule->microbatches, options.data,
             weft_shard_names()[options.shard], options.weight_buffers, options.gradient_buffers, options.tensor,
             options.clip ? ", clip" : "", options.skip ? ", skip" : "");
    if (schedule->stages > 16 || weft_program_create(schedule, &options, &self.program, &error) != WEFT_OK) {
        printf("%s: %s\n", name, error.text);
        exit(1);
    }
    if (repeats) repeat_waits(self.program);
    const weft_program *p = self.program;
    self.after_first = need((size_t)p->action_count + 1, sizeof *self.after_first);
    self.after = need(p->after_first[p->action_count], sizeof *self.after);
    self.seen = need(p->action_count, sizeof *self.seen);
    self.stack = need(p->action_count, sizeof *self.stack);
    memcpy(self.after_first, p->after_first, ((size_t)p->action_count + 1) * sizeof *self.after_first);
    memcpy(self.after, p->after, p->after_first[p->action_count] * sizeof *self.after);
    mutants_run(&set, &self, name, tally);
    free(self.after_first);
    free(self.after);
    free(self.seen);
    free(self.stack);
    weft_program_destroy(self.program);
}

/* All that data-parallel and tensor-parallel workers may divide; returns how many programs that made. */
static uint64_t run_widths(const weft_schedule *schedule, mutant_tally *tally)
{
    uint64_t count = 0;
    for (int32_t widths = 0; widths < 4; widths++)
        for (int32_t shard = 0; shard < (widths & 1 ? WEFT_SHARDS : 1); shard++)
            for (int32_t early = 0; early <= (shard >= WEFT_SHARD_GRADIENTS); early++)
                for (int32_t buffers = 1; buffers <= (early || shard == WEFT_SHARD_WEIGHTS ? 2 : 1); buffers++, count++)
                    run(schedule,
                        &(weft_lower_options){.update = true,
                                              .norm = true,
                                              .clip = count % 2 == 0,
                                              .skip = count % 3 == 0,
                                              .tied = true,
                                              .metrics = true,
                                              .data = 1 + (widths & 1),
                                              .tensor = 1 + (widths >> 1),
                                              .shard = (weft_shard)shard,
                                              .weight_buffers = shard == WEFT_SHARD_WEIGHTS ? buffers : 0,
                                              .gradient_buffers = early ? buffers : 0},
                        count % 5 == 4, tally);
    return count;
}

static uint64_t run_layout(const char *kind, layout of, mutant_tally *tally)
{
    weft_schedule *schedule = NULL, *forward = NULL;
    weft_error error;
    weft_error_clear(&error);
    weft_schedule_options options = {
        .kind = kind, .ranks = of.ranks, .loops = of.loops, .microbatches = of.microbatches};
    if (weft_schedule_create(&options, &schedule, &error) != WEFT_OK) return 0; /* it has no such loops */
    uint64_t count = run_widths(schedule, tally);
    if (weft_schedule_forward(schedule, &forward, &error) != WEFT_OK) abort();
    count += run_widths(forward, tally);
    weft_schedule_destroy(forward);
    weft_schedule_destroy(schedule);
    return count;
}

int main(int count, char **words)
{
    static const layout layouts[] = {{2, 2, 3}, {2, 0, 3}, {3, 0, 4}, {1, 2, 2}, {2, 3, 4}};
    bool few = count > 1 && strcmp(words[1], "few") == 0;
    mutant_tally tally[KINDS] = {{0}};
    uint64_t subjects = 0;
    for (const char *const *kind = weft_schedule_kind_names(); *kind; kind++)
        for (size_t i = 0; i < (few ? 2 : sizeof layouts / sizeof *layouts); i++)
            subjects += run_layout(*kind, layouts[i], tally);
    return mutants_report(&set, tally, subjects) ? 0 : 1;
}
