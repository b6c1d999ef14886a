/* weft plan --explain and --refused. */
#include "cli/plan_print.h"
#include "plan/advice.h"

#include <math.h>

weft_status weft_plan_print_refused(const weft_plan_case *which, weft_text *out, weft_error *error)
{
    const weft_plan_screened *screened = &which->answer.screened;
    const weft_plan_question *q = &which->question;
    weft_text_add(out, "\nrefused\n");
    for (int reason = 0; reason < WEFT_PLAN_REASONS; reason++)
        if (screened->refused[reason])
            weft_text_add(out, "%12llu  %s\n", (unsigned long long)screened->refused[reason],
                          weft_plan_reason_text((weft_plan_reason)reason));
    if (screened->miss_count) weft_text_add(out, "\nnearest misses, one a schedule\n");
    for (size_t i = 0; i < screened->miss_count; i++) {
        const weft_plan_candidate *miss = &screened->misses[i];
        weft_plan_move move;
        bool found;
        weft_text_add(out, "%9.2f of %.1f GB  ", miss->memory / 1e9, q->cluster->gpu.memory / 1e9);
        weft_plan_layout_text(&miss->layout, out);
        TRY(weft_plan_rescue(q, &miss->layout, &move, &found, error));
        if (found)
            weft_text_add(out, "; %s %s would fit: %.3f s, %.1f GB\n", move.knob, move.to, move.step,
                          move.memory / 1e9);
        else
            weft_text_add(out, "; no one change makes it fit\n");
    }
    return WEFT_OK;
}

static void add_time(const weft_plan_row *row, weft_text *out)
{
    const weft_plan_time *time = &row->replayed.time;
    weft_text_add(out, "\ntime, s                          share  if it cost nothing\n");
    for (int part = 0; part < WEFT_PLAN_PARTS; part++)
        weft_text_add(out, "%-20s  %8.3f  %6.1f %%  %8.3f\n", weft_plan_part_name((weft_plan_part)part),
                      time->part[part], 100 * time->part[part] / time->step, time->step - time->part[part]);
    weft_text_add(out, "%-20s  %8.3f  (closed forms alone: %.3f)\n", "step", time->step, row->screened);
    if (!row->replayed.exact) return;
    weft_text_add(out, "\nidle, mean over ranks: %.1f %% of the step (", 100 * row->replayed.bubble);
    bool any = false;
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
        if (row->replayed.cause[cause] < 0.0005) continue;
        weft_text_add(out, "%s%s %.1f %%", any ? ", " : "", weft_bubble_cause_name((weft_bubble_cause)cause),
                      100 * row->replayed.cause[cause]);
        any = true;
    }
    weft_text_add(out, "%s)", any ? "" : "none");
    if (isfinite(row->replayed.hidden))
        weft_text_add(out, "; %.0f %% of gathers and reductions hidden beside compute", 100 * row->replayed.hidden);
    weft_text_add(out, "\n");
}

static void add_memory(const weft_plan_case *which, const weft_plan_row *row, weft_text *out)
{
    const weft_plan_memory *memory = &row->replayed.memory;
    weft_text_add(out, "\nmemory of rank %d, the fullest, GB\n", memory->rank);
    for (int line = 0; line < WEFT_PLAN_LINES; line++)
        weft_text_add(out, "%-20s  %8.2f\n", weft_plan_line_name((weft_plan_line)line), memory->line[line] / 1e9);
    weft_text_add(out, "%-20s  %8.2f of %.2f\n", row->replayed.counted ? "all, as a dry run" : "all, with slack",
                  memory->bytes / 1e9, which->question.cluster->gpu.memory / 1e9);
}

/* The step that the best layout would take if memory were no limit. */
static weft_status add_without_memory(const weft_plan_case *which, const weft_plan_row *row, weft_text *out,
                                      weft_error *error)
{
    weft_plan_cluster cluster = *which->question.cluster;
    weft_plan_question question = which->question;
    weft_plan_screened screened;
    cluster.gpu.memory = 1e18;
    question.cluster = &cluster;
    question.top = 1;
    TRY(weft_plan_screen(&question, NULL, &screened, error));
    double step = screened.best_count ? screened.best[0].step : INFINITY;
    if (step < 0.99 * row->screened) {
        weft_text_add(out, "limited by memory: with room for all, a step could take %.3f s (", step);
        weft_plan_layout_text(&screened.best[0].layout, out);
        weft_text_add(out, "; %.1f GB)\n", screened.best[0].memory / 1e9);
    } else
        weft_text_add(out, "not limited by memory: with more of it no layout is 1 %% faster\n");
    weft_plan_screened_fini(&screened);
    return WEFT_OK;
}

static weft_status add_neighbours(const weft_plan_case *which, const weft_plan_row *row, bool exact, weft_text *out,
                                  weft_error *error)
{
    weft_plan_move moves[WEFT_PLAN_MOVES];
    size_t count = 0;
    TRY(weft_plan_moves(&which->question, &row->layout, exact, moves, &count, error));
    weft_text_add(out, "\none change away              step s      GB\n");
    for (size_t i = 0; i < count; i++) {
        const weft_plan_move *move = &moves[i];
        int width = 0;
        weft_text words;
        weft_text_init(&words);
        weft_text_add(&words, "%s %s -> %s", move->knob, move->from, move->to);
        weft_text_add(out, "%-26s", weft_text_get(&words));
        width = (int)words.length;
        weft_text_fini(&words);
        if (width > 26) weft_text_add(out, "\n%-26s", "");
        if (move->refusal[0]) {
            weft_text_add(out, "  %s\n", move->refusal);
            continue;
        }
        weft_text_add(out, "  %7.3f  %6.1f  (", move->step, move->memory / 1e9);
        weft_text_add_change(out, 0, 1, 100 * (move->step / row->replayed.time.step - 1));
        weft_text_add(out, " %%)\n");
    }
    return WEFT_OK;
}

static const char *origin_text(weft_plan_origin origin)
{
    static const char *const texts[] = {[WEFT_PLAN_ASSUMED] = "assumed",
                                        [WEFT_PLAN_DATA_SHEET] = "from data sheets",
                                        [WEFT_PLAN_FITTED] = "fitted to published runs",
                                        [WEFT_PLAN_MEASURED] = "measured"};
    return texts[origin];
}

static void add_inputs(const weft_plan_question *q, const weft_plan_layout *layout, weft_text *out)
{
    const weft_plan_cluster *cluster = q->cluster;
    const struct {
        const char *what;
        weft_plan_origin origin;
    } rows[] = {{"peak and bandwidth of the GPU", cluster->gpu.origin[0]},
                {"its efficiencies", cluster->gpu.origin[1]},
                {"link in a node", cluster->gpu.origin[2]},
                {"collectives in a node", cluster->gpu.origin[3]},
                {"network between nodes", cluster->network},
                {"the software's numbers", cluster->software.origin}};
    weft_plan_cell cell;
    weft_plan_cell_make(q->model, cluster, layout->tensor, layout->context, layout->micro_batch,
                        (weft_plan_recompute)layout->recompute, layout->sequence_parallel, &cell);
    weft_text_add(out, "\ninputs\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        weft_text_add(out, "%-30s  %s\n", rows[i].what, origin_text(rows[i].origin));
    weft_text_add(out, "%-30s  %s\n", "times of one layer", cell.measured ? "measured" : "computed from these");
}

weft_status weft_plan_print_row(const weft_plan_case *which, size_t row, bool exact, weft_text *out, weft_error *error)
{
    const weft_plan_row *of = &which->answer.rows[row];
    int64_t idle = which->question.gpus - weft_plan_layout_gpus(&of->layout);
    weft_text_add(out, "\nplan %zu: ", row + 1);
    weft_plan_layout_text(&of->layout, out);
    if (idle > 0)
        weft_text_add(out, "; %lld GPU%s paid for", (long long)idle, idle == 1 ? " idles and is" : "s idle and are");
    weft_text_add(out, "\n");
    add_time(of, out);
    add_memory(which, of, out);
    if (of->limit == WEFT_PLAN_COMPUTE)
        weft_text_add(out, "\nlimited by compute: nothing else takes 5 %% of a step\n");
    else
        weft_text_add(out, "\nlimited by %s: if it cost nothing, a step would take %.3f s\n",
                      weft_plan_part_name(of->limit), of->without_limit);
    TRY(add_without_memory(which, of, out, error));
    TRY(add_neighbours(which, of, exact, out, error));
    add_inputs(&which->question, &of->layout, out);
    return WEFT_OK;
}
