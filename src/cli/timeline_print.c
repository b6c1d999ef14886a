/* What weft timeline tells: for people, as JSON, and the costs as a file. */
#include "cli/timeline.h"

#include <stdio.h>

static double percent(double predicted, double measured)
{
    return measured > 0 ? 100 * (predicted / measured - 1) : 0;
}

static void add_time(const char *name, double measured, double predicted, weft_text *out)
{
    weft_text_add(out, "%-22s %10.3f ms %10.3f ms %+9.2f %%\n", name, 1e3 * measured, 1e3 * predicted,
                  percent(predicted, measured));
}

/* Shares: their difference is in points, not in parts of the share. */
static void add_share(const char *name, double measured, double predicted, weft_text *out)
{
    weft_text_add(out, "%-22s %10.2f %%  %10.2f %%  %+9.2f\n", name, 100 * measured, 100 * predicted,
                  100 * (predicted - measured));
}

static void add_comparison(const weft_step_forecast *it, weft_text *out)
{
    const weft_step_view *measured = &it->measured, *predicted = &it->predicted;
    char name[64];
    weft_text_add(out, "%-22s %13s %13s %11s\n", "", "measured", "predicted", "difference");
    snprintf(name, sizeof name, "step %lld", (long long)it->steps[it->step_count - 1]);
    add_time(name, measured->step, predicted->step, out);
    add_time("  program", measured->program, predicted->program, out);
    weft_text_add(out, "%-22s %13s %10.3f ms\n", "    at steady costs", "", 1e3 * it->steady);
    weft_text_add(out, "%-22s %10.3f ms %10.3f ms\n", "  outside the program", 1e3 * measured->outside,
                  1e3 * predicted->outside);
    snprintf(name, sizeof name, "median of %zu steps", it->step_count);
    add_time(name, it->median, predicted->step, out);
    add_share("bubble", measured->bubble, predicted->bubble, out);
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
        if (measured->cause[cause] < 5e-5 && predicted->cause[cause] < 5e-5) continue;
        snprintf(name, sizeof name, "  %s", weft_bubble_cause_name((weft_bubble_cause)cause));
        add_share(name, measured->cause[cause], predicted->cause[cause], out);
    }
    add_time("own step", measured->own, predicted->own, out);
    add_share("own bubble", measured->own_bubble, predicted->own_bubble, out);
}

static void add_held(const weft_job *job, weft_text *out)
{
    weft_text_add(out, "\nrank  held          MiB   (micro-batch stages from F to B or W, and what they keep)\n");
    for (int32_t r = 0; r < job->ranks; r++)
        weft_text_add(out, "%4d  %4llu  %11.3f\n", (int)r, (unsigned long long)weft_bubble_held(job->train, r, NULL),
                      (double)weft_bubble_held(job->train, r, job->kept) / (1 << 20));
}

static void add_held_json(const weft_job *job, const char *key, const size_t *bytes, weft_text *out)
{
    weft_text_add(out, ",\n  \"%s\": [", key);
    for (int32_t r = 0; r < job->ranks; r++)
        weft_text_add(out, "%s%llu", r ? ", " : "", (unsigned long long)weft_bubble_held(job->train, r, bytes));
    weft_text_add(out, "]");
}

static bool has(const weft_program *program, weft_action_kind kind)
{
    for (uint32_t a = 0; a < program->action_count; a++)
        if (program->actions[a].kind == kind) return true;
    return false;
}

/* Costs by stage that only some programs have. */
static void add_optional(const weft_program *program, weft_action_kind kind, const char *text, weft_text *out)
{
    if (has(program, kind)) weft_text_add(out, "%s", text);
}

static void add_head(const weft_program *program, weft_text *out)
{
    weft_text_add(out, "\nstage  rank     forward%s      update     message",
                  has(program, WEFT_I) ? "  back input  back weight" : "     backward");
    add_optional(program, WEFT_UNSHARD, "      gather", out);
    add_optional(program, WEFT_REDUCE_TENSOR, "  reduce-tp", out);
    add_optional(program, WEFT_REDUCE_GRAD, "      reduce", out);
    weft_text_add(out, "   (ms)\n");
}

static void add_stage(const weft_program *program, const weft_costs *costs, int32_t s, weft_text *out)
{
    weft_text_add(out, "%5d  %4d  %10.3f", (int)s, (int)program->stage_rank[s], 1e3 * costs->forward[s]);
    if (has(program, WEFT_I))
        weft_text_add(out, "  %10.3f  %11.3f", 1e3 * costs->backward_input[s], 1e3 * costs->backward_weight[s]);
    else
        weft_text_add(out, "  %11.3f", 1e3 * costs->backward[s]);
    weft_text_add(out, "  %10.3f  %10.3f", 1e3 * costs->update[s], 1e3 * costs->messages[s]);
    if (has(program, WEFT_UNSHARD)) weft_text_add(out, "  %10.3f", 1e3 * costs->gathers[s]);
    if (has(program, WEFT_REDUCE_TENSOR)) weft_text_add(out, "  %10.3f", 1e3 * costs->sums[s]);
    if (has(program, WEFT_REDUCE_GRAD)) weft_text_add(out, "  %10.3f", 1e3 * costs->reductions[s]);
    weft_text_add(out, "\n");
}

static void add_costs(const weft_step_forecast *it, weft_text *out)
{
    static const weft_action_kind whole[] = {WEFT_REDUCE_TIED, WEFT_NORM, WEFT_METRICS};
    const weft_program *program = it->job->train;
    add_head(program, out);
    for (int32_t s = 0; s < program->stages; s++) add_stage(program, &it->fit.costs, s, out);
    weft_text_add(out, "\n");
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (has(program, whole[i]))
            weft_text_add(out, "%-11s %8.3f ms\n", weft_action_info_get(whole[i])->name,
                          1e3 * it->fit.costs.collectives[whole[i]]);
}

void weft_step_forecast_print(const weft_step_forecast *it, weft_text *out)
{
    const weft_schedule *schedule = it->job->schedule;
    weft_text_add(out, "run       %s\nschedule  %s, %d stages over %d ranks, %d micro-batches\n", it->run,
                  schedule->name, (int)schedule->stages, (int)schedule->ranks, (int)schedule->microbatches);
    weft_text_add(out, "costs     of %zu earlier step%s, %lld to %lld\n\n", it->step_count - 1,
                  it->step_count == 2 ? "" : "s", (long long)it->steps[0], (long long)it->steps[it->step_count - 2]);
    add_comparison(it, out);
    add_held(it->job, out);
    add_costs(it, out);
}

/* Times were measured to nanoseconds. */
static void add_number(double value, weft_text *out)
{
    weft_text_add_number(out, 7, value);
}

static void add_key(const char *before, const char *key, double value, weft_text *out)
{
    weft_text_add(out, "%s\"%s\": ", before, key);
    add_number(value, out);
}

static void add_view(const char *name, const weft_step_view *view, weft_text *out)
{
    const weft_program *program = view->timeline->program;
    weft_text_add(out, ",\n  \"%s\": {", name);
    add_key("", "step_time", view->step, out);
    add_key(", ", "program_time", view->program, out);
    add_key(", ", "outside_time", view->outside, out);
    add_key(", ", "bubble_fraction", view->bubble, out);
    weft_text_add(out, ",\n    \"bubble_by_cause\": {");
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++)
        if (weft_bubble_cause_is_there(program, (weft_bubble_cause)cause))
            add_key(cause ? ", " : "", weft_bubble_cause_name((weft_bubble_cause)cause), view->cause[cause], out);
    weft_text_add(out, "}");
    add_key(",\n    ", "own_step_time", view->own, out);
    add_key(", ", "own_bubble_fraction", view->own_bubble, out);
    weft_text_add(out, "}");
}

static void add_list(const char *before, const char *key, const double *values, int32_t count, weft_text *out)
{
    weft_text_add(out, "%s%s: [", before, key);
    for (int32_t i = 0; i < count; i++) {
        if (i) weft_text_add(out, ", ");
        add_number(values[i], out);
    }
    weft_text_add(out, "]");
}

void weft_step_forecast_print_json(const weft_step_forecast *it, weft_text *out)
{
    const weft_costs *costs = &it->fit.costs;
    int32_t S = it->job->stage_count;
    weft_text_add(out, "{\n  \"run\": ");
    weft_text_add_json(out, it->run);
    weft_text_add(out, ",\n  \"schedule\": ");
    weft_text_add_json(out, it->job->schedule->name);
    weft_text_add(out, ",\n  \"step\": %lld,\n  \"fitted_from\": [", (long long)it->steps[it->step_count - 1]);
    for (size_t i = 0; i + 1 < it->step_count; i++)
        weft_text_add(out, "%s%lld", i ? ", " : "", (long long)it->steps[i]);
    weft_text_add(out, "]");
    add_view("measured", &it->measured, out);
    add_view("predicted", &it->predicted, out);
    add_key(",\n  ", "steady_program_time", it->steady, out);
    add_key(",\n  ", "median_step_time", it->median, out);
    add_key(",\n  ", "difference", it->predicted.step / it->measured.step - 1, out);
    add_key(",\n  ", "difference_to_median", it->predicted.step / it->median - 1, out);
    add_held_json(it->job, "peak_activations", NULL, out);
    add_held_json(it->job, "peak_activation_bytes", it->job->kept, out);
    weft_text_add(out, ",\n  \"costs\": {");
    add_list("", "\"forward\"", costs->forward, S, out);
    add_list(",\n    ", "\"backward_input\"", costs->backward_input, S, out);
    add_list(",\n    ", "\"backward_weight\"", costs->backward_weight, S, out);
    add_list(",\n    ", "\"backward\"", costs->backward, S, out);
    add_list(",\n    ", "\"update\"", costs->update, S, out);
    add_list(",\n    ", "\"comm\"", costs->messages, S, out);
    add_list(",\n    ", "\"gather\"", costs->gathers, S, out);
    if (has(it->job->train, WEFT_REDUCE_TENSOR)) add_list(",\n    ", "\"reduce_tensor\"", costs->sums, S, out);
    add_list(",\n    ", "\"reduce_grad\"", costs->reductions, S, out);
    add_key(",\n    ", "reduce_tied", costs->collectives[WEFT_REDUCE_TIED], out);
    add_key(", ", "norm", costs->collectives[WEFT_NORM], out);
    add_key(", ", "metrics", costs->collectives[WEFT_METRICS], out);
    weft_text_add(out, "}\n}\n");
}

void weft_step_forecast_print_costs(const weft_step_forecast *it, weft_text *out)
{
    const weft_costs *costs = &it->fit.costs;
    int32_t S = it->job->stage_count;
    weft_text_add(out, "# Seconds, fitted by weft timeline from steps %lld to %lld: %s, %d stages over %d ranks.\n",
                  (long long)it->steps[0], (long long)it->steps[it->step_count - 2], it->job->schedule->name, (int)S,
                  (int)it->job->ranks);
    if (!has(it->job->train, WEFT_I))
        weft_text_add(out, "# Backward passes were measured whole; their parts are by flops.\n");
    add_list("", "forward", costs->forward, S, out);
    add_list("\n", "backward-input", costs->backward_input, S, out);
    add_list("\n", "backward-weight", costs->backward_weight, S, out);
    if (has(it->job->train, WEFT_B)) add_list("\n", "backward", costs->backward, S, out);
    add_list("\n", "update", costs->update, S, out);
    add_list("\n", "comm", costs->messages, S, out);
    if (has(it->job->train, WEFT_UNSHARD)) add_list("\n", "gather", costs->gathers, S, out);
    if (has(it->job->train, WEFT_REDUCE_TENSOR)) add_list("\n", "reduce-tensor", costs->sums, S, out);
    if (has(it->job->train, WEFT_REDUCE_GRAD)) {
        add_list("\n", "reduce", costs->reductions, S, out);
        weft_text_add(out, "\n");
        return;
    }
    weft_text_add(out, "\nreduce: ");
    add_number(costs->collectives[WEFT_REDUCE_TIED] + costs->collectives[WEFT_NORM], out);
    weft_text_add(out, " # the shared weight's gradients and the norm\n");
}
