/* Trace events as chrome://tracing and ui.perfetto.dev read them: a process a rank, a thread a lane. */
#include "report/report.h"

#include <string.h>

typedef struct tracer {
    const weft_timeline *timeline;
    const char *caption; /* behind the names of ranks; NULL: nothing */
    int32_t first;       /* process of rank 0 */
    double microseconds; /* of one unit of the timeline */
    const size_t *bytes; /* (S) held of a micro-batch; NULL: not known */
    weft_text *out;
    bool later; /* an event stands before */
} tracer;

static void begin_event(tracer *t, const char *phase, int32_t rank)
{
    weft_text_add(t->out, "%s\n{\"ph\":\"%s\",\"pid\":%d", t->later ? "," : "", phase, (int)(t->first + rank));
    t->later = true;
}

static void add_time(const tracer *t, const char *key, double value)
{
    weft_text_add(t->out, ",\"%s\":", key);
    weft_report_add_number(value * t->microseconds, t->out);
}

static void add_names(tracer *t, int32_t rank)
{
    const weft_program *program = t->timeline->program;
    weft_text name;
    weft_text_init(&name);
    begin_event(t, "M", rank);
    weft_text_add(&name, "rank %d%s%s", (int)rank, t->caption ? ", " : "", t->caption ? t->caption : "");
    weft_text_add(t->out, ",\"name\":\"process_name\",\"args\":{\"name\":");
    weft_text_add_json(t->out, weft_text_get(&name));
    weft_text_add(t->out, "}}");
    if (name.failed) t->out->failed = true;
    weft_text_fini(&name);
    begin_event(t, "M", rank);
    weft_text_add(t->out, ",\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%d}}", (int)(t->first + rank));
    for (int32_t l = program->rank_lanes[rank]; l < program->rank_lanes[rank + 1]; l++) {
        int32_t thread = l - program->rank_lanes[rank];
        begin_event(t, "M", rank);
        weft_text_add(t->out, ",\"tid\":%d,\"name\":\"thread_name\",\"args\":{\"name\":\"", (int)thread);
        weft_report_add_lane(&program->lanes[l], t->out);
        weft_text_add(t->out, "\"}}");
        begin_event(t, "M", rank);
        weft_text_add(t->out, ",\"tid\":%d,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%d}}", (int)thread,
                      (int)thread);
    }
}

static void add_action(tracer *t, int32_t rank, int32_t thread, uint32_t index)
{
    weft_action action = t->timeline->program->actions[index];
    const weft_action_info *info = weft_action_info_get((weft_action_kind)action.kind);
    double begin = t->timeline->begin[index];
    begin_event(t, "X", rank);
    weft_text_add(t->out, ",\"tid\":%d,\"name\":\"", (int)thread);
    weft_action_print(action, t->out);
    weft_text_add(t->out, "\",\"cat\":\"%s\"", info->name);
    add_time(t, "ts", begin);
    add_time(t, "dur", t->timeline->end[index] - begin);
    weft_text_add(t->out, ",\"args\":{");
    if (info->operands != WEFT_OPERANDS_NONE) weft_text_add(t->out, "\"stage\":%u", (unsigned)action.stage);
    if (info->operands == WEFT_OPERANDS_STAGE_MICROBATCH)
        weft_text_add(t->out, ",\"microbatch\":%u", (unsigned)action.microbatch);
    weft_text_add(t->out, "}}");
}

static void add_counter(tracer *t, int32_t rank, double time, const char *name, const char *key, int64_t value)
{
    begin_event(t, "C", rank);
    weft_text_add(t->out, ",\"name\":\"%s\"", name);
    add_time(t, "ts", time);
    weft_text_add(t->out, ",\"args\":{\"%s\":%lld}}", key, (long long)value);
}

/* Memory over time: from F on until the B or W that frees it. */
static void add_memory(tracer *t, int32_t rank)
{
    const weft_program *program = t->timeline->program;
    const weft_lane *lane = &program->lanes[program->rank_lanes[rank]];
    int64_t held = 0, bytes = 0;
    for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
        weft_action action = program->actions[a];
        bool takes = action.kind == WEFT_F, frees = action.kind == WEFT_B || action.kind == WEFT_W;
        if (program->forward_only) frees = takes;
        int64_t own = t->bytes ? (int64_t)t->bytes[action.stage] : 0;
        if (takes) add_counter(t, rank, t->timeline->begin[a], "micro-batch stages held", "held", ++held);
        if (takes && t->bytes) add_counter(t, rank, t->timeline->begin[a], "bytes held", "bytes", bytes += own);
        if (frees) add_counter(t, rank, t->timeline->end[a], "micro-batch stages held", "held", --held);
        if (frees && t->bytes) add_counter(t, rank, t->timeline->end[a], "bytes held", "bytes", bytes -= own);
    }
}

/* Of one unit of the timeline. */
static double microseconds(const weft_picture *picture)
{
    static const struct {
        const char *name;
        double microseconds;
    } units[] = {{"us", 1}, {"ms", 1e3}};
    for (size_t i = 0; picture->unit && i < sizeof units / sizeof *units; i++)
        if (strcmp(picture->unit, units[i].name) == 0) return picture->unit_scale * units[i].microseconds;
    return picture->unit_scale * 1e6;
}

static void add_timeline(tracer *t)
{
    const weft_program *program = t->timeline->program;
    for (int32_t rank = 0; rank < program->ranks; rank++) {
        add_names(t, rank);
        for (int32_t l = program->rank_lanes[rank]; l < program->rank_lanes[rank + 1]; l++) {
            const weft_lane *lane = &program->lanes[l];
            for (uint32_t a = lane->first; a < lane->first + lane->count; a++)
                add_action(t, rank, l - program->rank_lanes[rank], a);
        }
        add_memory(t, rank);
    }
}

void weft_report_trace_stack(const weft_panel *panels, int count, weft_text *out)
{
    tracer t = {.out = out};
    weft_text_add(out, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"title\":");
    weft_text_add_json(out, panels[0].picture->title ? panels[0].picture->title : "");
    weft_text_add(out, "},\"traceEvents\":[");
    for (int i = 0; i < count; i++) {
        t.timeline = panels[i].timeline;
        t.caption = count > 1 ? panels[i].picture->caption : NULL;
        t.microseconds = microseconds(panels[i].picture);
        t.bytes = panels[i].picture->held;
        add_timeline(&t);
        t.first += t.timeline->program->ranks;
    }
    weft_text_add(out, "\n]}\n");
}

void weft_report_trace(const weft_timeline *timeline, const weft_picture *picture, weft_text *out)
{
    weft_report_trace_stack(&(weft_panel){timeline, picture}, 1, out);
}
