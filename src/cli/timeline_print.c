/* What weft timeline tells: for people, as JSON, and the costs as a file. */
#include "cli/timeline.h"

#include "report/report.h"

#include <stdio.h>

static double percent(double predicted, double measured)
{
    return measured > 0 ? 100 * (predicted / measured - 1) : 0;
}

static void add_time(const char *name, double measured, double predicted, weft_text *out)
{
    weft_text_add(out, "%-22s %10.3f ms %10.3f ms ", name, 1e3 * measured, 1e3 * predicted);
    weft_text_add_change(out, 9, 2, percent(predicted, measured));
    weft_text_add(out, " %%\n");
}

/* Shares: their difference is in points, not in parts of the share. */
static void add_share(const char *name, double measured, double predicted, weft_text *out)
{
    weft_text_add(out, "%-22s %10.2f %%  %10.2f %%  ", name, weft_text_figure(100 * measured, 2),
                  weft_text_figure(100 * predicted, 2));
    weft_text_add_change(out, 9, 2, 100 * (predicted - measured));
    weft_text_add(out, "\n");
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
    weft_text_add(out, "%-22s %10.3f ms %10.3f ms\n", "  outside the program",
                  weft_text_figure(1e3 * measured->outside, 3), weft_text_figure(1e3 * predicted->outside, 3));
    snprintf(name, sizeof name, "median of %zu step%s", it->step_count, weft_text_plural((int64_t)it->step_count));
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

static void add_lost_row(const char *name, double step, double usual, const char *what, weft_text *out)
{
    weft_text_add(out, "%-22s %10.2f %%  %10.2f %%    %s\n", name, weft_text_figure(100 * step, 2),
                  weft_text_figure(100 * usual, 2), what);
}

/* What compute lanes do with the whole step. */
static void add_lost(const weft_step_forecast *it, weft_text *out)
{
    static const char *const what[WEFT_LOST_CAUSES] = {
        [WEFT_LOST_SCHEDULE] = "as predicted by flops",
        [WEFT_LOST_STAGES] = "stages take other shares of the time than of the flops",
        [WEFT_LOST_STEP] = "some are slower in this step than in others",
        [WEFT_LOST_VARIATION] = "passes take now longer, now shorter",
        [WEFT_LOST_MESSAGES] = "between stages",
        [WEFT_LOST_TOGETHER] = "gathers, reductions, norm, losses",
        [WEFT_LOST_WORKER] = "from when a pass can begin to when it does",
        [WEFT_LOST_OUTSIDE] = "between programs",
    };
    int64_t last = it->steps[it->step_count - 1];
    char name[64], step[32], usual[32];
    snprintf(step, sizeof step, "step %lld", (long long)last);
    snprintf(usual, sizeof usual, "of %lld to %lld", (long long)it->usual_from, (long long)last);
    weft_text_add(out, "\n%-22s %13s %13s    (of the whole step; of several the middle one)\n", "", step, usual);
    add_lost_row("busy", it->lost.busy, it->usual.busy, "passes and updates", out);
    for (int cause = 0; cause < WEFT_LOST_CAUSES; cause++) {
        snprintf(name, sizeof name, "  %s", weft_lost_cause_name((weft_lost_cause)cause));
        add_lost_row(name, it->lost.cause[cause], it->usual.cause[cause], what[cause], out);
    }
}

static void add_split(const weft_step_forecast *it, weft_text *out)
{
    if (!it->splits) return;
    weft_text_add(out, "\nby these costs parallel.stages=[");
    for (int32_t s = 0; s < it->job->stage_count; s++)
        weft_text_add(out, "%s%d", s ? "," : "", (int)it->split.layers[s]);
    weft_text_add(out, "] takes %.1f %% less than [", 100 * (1 - it->split.then / it->split.now));
    for (int32_t s = 0; s < it->job->stage_count; s++)
        weft_text_add(out, "%s%d", s ? "," : "", (int)it->job->stages[s].layer_count);
    weft_text_add(out, "], messages apart\n");
}

static void add_held(const weft_job *job, weft_text *out)
{
    weft_text_add(out, "\nrank  held          MiB   (micro-batch stages from F to B or W, and what they keep)\n");
    for (int32_t r = 0; r < job->ranks; r++)
        weft_text_add(out, "%4d  %4llu  %11.3f\n", (int)r, (unsigned long long)weft_bubble_held(job->train, r, NULL),
                      (double)weft_bubble_held(job->train, r, job->kept) / (1 << 20));
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
    weft_text_add(out, "run       %s\nschedule  %s, ", it->run, schedule->name);
    weft_schedule_add_shape(schedule->stages, schedule->ranks, out);
    weft_text_add(out, ", ");
    weft_text_add_count(out, schedule->microbatches, "micro-batch");
    weft_text_add(out, "\ncosts     of ");
    weft_text_add_count(out, (int64_t)it->step_count - 1, "earlier step");
    weft_text_add(out, ", %lld to %lld\n\n", (long long)it->steps[0], (long long)it->steps[it->step_count - 2]);
    add_comparison(it, out);
    add_lost(it, out);
    add_held(it->job, out);
    add_costs(it, out);
    add_split(it, out);
}

enum { DIGITS = 7 }; /* times were measured to nanoseconds */

static void json_number(weft_json *json, const char *key, double value)
{
    weft_json_rounded(json, key, DIGITS, value);
}

static void json_view(weft_json *json, const char *name, const weft_step_view *view)
{
    weft_json_object(json, name, WEFT_JSON_LINES);
    json_number(json, "step_time", view->step);
    json_number(json, "program_time", view->program);
    json_number(json, "outside_time", view->outside);
    json_number(json, "bubble_fraction", view->bubble);
    weft_report_causes_json(json, view->timeline->program, view->cause, DIGITS);
    json_number(json, "own_step_time", view->own);
    json_number(json, "own_bubble_fraction", view->own_bubble);
    weft_json_object_end(json);
}

static void json_held(weft_json *json, const weft_job *job, const char *key, const size_t *bytes)
{
    weft_json_list(json, key, WEFT_JSON_ROW);
    for (int32_t r = 0; r < job->ranks; r++) weft_json_int(json, NULL, (int64_t)weft_bubble_held(job->train, r, bytes));
    weft_json_list_end(json);
}

static void json_lost(weft_json *json, const char *name, const weft_lost *lost)
{
    weft_json_object(json, name, WEFT_JSON_ROW);
    json_number(json, "busy", lost->busy);
    for (int cause = 0; cause < WEFT_LOST_CAUSES; cause++)
        json_number(json, weft_lost_cause_name((weft_lost_cause)cause), lost->cause[cause]);
    weft_json_object_end(json);
}

static void json_list(weft_json *json, const char *key, const double *values, int32_t count)
{
    weft_json_list(json, key, WEFT_JSON_ROW);
    for (int32_t i = 0; i < count; i++) json_number(json, NULL, values[i]);
    weft_json_list_end(json);
}

static void json_costs(weft_json *json, const weft_program *program, const weft_costs *costs)
{
    int32_t S = program->stages;
    weft_json_object(json, "costs", WEFT_JSON_LINES);
    json_list(json, "forward", costs->forward, S);
    json_list(json, "backward_input", costs->backward_input, S);
    json_list(json, "backward_weight", costs->backward_weight, S);
    json_list(json, "backward", costs->backward, S);
    json_list(json, "update", costs->update, S);
    json_list(json, "comm", costs->messages, S);
    json_list(json, "gather", costs->gathers, S);
    if (has(program, WEFT_REDUCE_TENSOR)) json_list(json, "reduce_tensor", costs->sums, S);
    json_list(json, "reduce_grad", costs->reductions, S);
    json_number(json, "reduce_tied", costs->collectives[WEFT_REDUCE_TIED]);
    json_number(json, "norm", costs->collectives[WEFT_NORM]);
    json_number(json, "metrics", costs->collectives[WEFT_METRICS]);
    weft_json_object_end(json);
}

static void json_split(weft_json *json, const weft_step_forecast *it)
{
    if (!it->splits) return;
    weft_json_object(json, "split", WEFT_JSON_ROW);
    weft_json_list(json, "stages", WEFT_JSON_ROW);
    for (int32_t s = 0; s < it->job->stage_count; s++) weft_json_int(json, NULL, it->split.layers[s]);
    weft_json_list_end(json);
    json_number(json, "less", 1 - it->split.then / it->split.now);
    weft_json_object_end(json);
}

void weft_step_forecast_print_json(const weft_step_forecast *it, weft_text *out)
{
    weft_json json = weft_json_begin(out, WEFT_JSON_WIDE);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    weft_json_text(&json, "run", it->run);
    weft_json_text(&json, "schedule", it->job->schedule->name);
    weft_json_int(&json, "step", it->steps[it->step_count - 1]);
    weft_json_list(&json, "fitted_from", WEFT_JSON_ROW);
    for (size_t i = 0; i + 1 < it->step_count; i++) weft_json_int(&json, NULL, it->steps[i]);
    weft_json_list_end(&json);
    json_view(&json, "measured", &it->measured);
    json_view(&json, "predicted", &it->predicted);
    json_number(&json, "steady_program_time", it->steady);
    json_number(&json, "median_step_time", it->median);
    json_number(&json, "difference", it->predicted.step / it->measured.step - 1);
    json_number(&json, "difference_to_median", it->predicted.step / it->median - 1);
    json_lost(&json, "lost", &it->lost);
    json_lost(&json, "usually_lost", &it->usual);
    json_held(&json, it->job, "peak_activations", NULL);
    json_held(&json, it->job, "peak_activation_bytes", it->job->kept);
    json_costs(&json, it->job->train, &it->fit.costs);
    json_split(&json, it);
    weft_json_object_end(&json);
    weft_text_add(out, "\n");
}

static void add_list(const char *before, const char *key, const double *values, int32_t count, weft_text *out)
{
    weft_text_add(out, "%s%s: [", before, key);
    for (int32_t i = 0; i < count; i++) {
        if (i) weft_text_add(out, ", ");
        weft_text_add_number(out, DIGITS, values[i]);
    }
    weft_text_add(out, "]");
}

void weft_step_forecast_print_costs(const weft_step_forecast *it, weft_text *out)
{
    const weft_costs *costs = &it->fit.costs;
    int32_t S = it->job->stage_count;
    weft_text_add(out, "# Seconds, fitted by weft timeline from steps %lld to %lld: %s, ", (long long)it->steps[0],
                  (long long)it->steps[it->step_count - 2], it->job->schedule->name);
    weft_schedule_add_shape(S, it->job->ranks, out);
    weft_text_add(out, ".\n");
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
    weft_text_add_number(out, DIGITS, costs->collectives[WEFT_REDUCE_TIED] + costs->collectives[WEFT_NORM]);
    weft_text_add(out, " # the shared weight's gradients and the norm\n");
}
