/* Trace events as chrome://tracing and ui.perfetto.dev read them: a process a rank, a thread a lane. */
#include "base/json.h"
#include "report/report.h"

#include <string.h>

typedef struct tracer {
    const weft_timeline *timeline;
    const char *caption; /* behind the names of ranks; NULL: nothing */
    int32_t first;       /* process of rank 0 */
    double microseconds; /* of one unit of the timeline */
    const size_t *bytes; /* (S) held of a micro-batch; NULL: not known */
    weft_json json;      /* its list of events is open */
} tracer;

static void begin_event(tracer *t, const char *phase, int32_t rank)
{
    weft_json_object(&t->json, NULL, WEFT_JSON_ROW);
    weft_json_text(&t->json, "ph", phase);
    weft_json_int(&t->json, "pid", t->first + rank);
}

static void begin_arguments(tracer *t)
{
    weft_json_object(&t->json, "args", WEFT_JSON_ROW);
}

static void end_event(tracer *t)
{
    weft_json_object_end(&t->json);
    weft_json_object_end(&t->json);
}

static void add_time(tracer *t, const char *key, double value)
{
    weft_json_number(&t->json, key, value * t->microseconds);
}

/* What a process, or with thread >= 0 a thread, is called; frees the name. */
static void add_name(tracer *t, int32_t rank, int32_t thread, const char *what, weft_text *name)
{
    begin_event(t, "M", rank);
    if (thread >= 0) weft_json_int(&t->json, "tid", thread);
    weft_json_text(&t->json, "name", what);
    begin_arguments(t);
    weft_json_take_text(&t->json, "name", name);
    end_event(t);
}

/* At which place it is shown. */
static void add_place(tracer *t, int32_t rank, int32_t thread, const char *what, int32_t place)
{
    begin_event(t, "M", rank);
    if (thread >= 0) weft_json_int(&t->json, "tid", thread);
    weft_json_text(&t->json, "name", what);
    begin_arguments(t);
    weft_json_int(&t->json, "sort_index", place);
    end_event(t);
}

static void add_names(tracer *t, int32_t rank)
{
    const weft_program *program = t->timeline->program;
    weft_text name;
    weft_text_init(&name);
    weft_text_add(&name, "rank %d%s%s", (int)rank, t->caption ? ", " : "", t->caption ? t->caption : "");
    add_name(t, rank, -1, "process_name", &name);
    add_place(t, rank, -1, "process_sort_index", t->first + rank);
    for (int32_t l = program->rank_lanes[rank]; l < program->rank_lanes[rank + 1]; l++) {
        int32_t thread = l - program->rank_lanes[rank];
        weft_text_init(&name);
        weft_report_add_lane(&program->lanes[l], &name);
        add_name(t, rank, thread, "thread_name", &name);
        add_place(t, rank, thread, "thread_sort_index", thread);
    }
}

static void add_action(tracer *t, int32_t rank, int32_t thread, uint32_t index)
{
    weft_action action = t->timeline->program->actions[index];
    const weft_action_info *info = weft_action_info_get((weft_action_kind)action.kind);
    double begin = t->timeline->begin[index];
    begin_event(t, "X", rank);
    weft_json_int(&t->json, "tid", thread);
    weft_text *out = weft_json_item(&t->json, "name");
    weft_text_add_bytes(out, "\"", 1);
    weft_action_print(action, out); /* letters and digits: nothing to escape */
    weft_text_add_bytes(out, "\"", 1);
    weft_json_text(&t->json, "cat", info->name);
    add_time(t, "ts", begin);
    add_time(t, "dur", t->timeline->end[index] - begin);
    begin_arguments(t);
    if (info->operands != WEFT_OPERANDS_NONE) weft_json_int(&t->json, "stage", action.stage);
    if (info->operands == WEFT_OPERANDS_STAGE_MICROBATCH) weft_json_int(&t->json, "microbatch", action.microbatch);
    end_event(t);
}

static void add_counter(tracer *t, int32_t rank, double time, const char *name, const char *key, int64_t value)
{
    begin_event(t, "C", rank);
    weft_json_text(&t->json, "name", name);
    add_time(t, "ts", time);
    begin_arguments(t);
    weft_json_int(&t->json, key, value);
    end_event(t);
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
    tracer t = {.json = weft_json_begin(out, WEFT_JSON_TIGHT)};
    weft_json_object(&t.json, NULL, WEFT_JSON_ROW);
    weft_json_text(&t.json, "displayTimeUnit", "ms");
    weft_json_object(&t.json, "otherData", WEFT_JSON_ROW);
    weft_json_text(&t.json, "title", panels[0].picture->title ? panels[0].picture->title : "");
    weft_json_object_end(&t.json);
    weft_json_list(&t.json, "traceEvents", WEFT_JSON_LINES);
    for (int i = 0; i < count; i++) {
        t.timeline = panels[i].timeline;
        t.caption = count > 1 ? panels[i].picture->caption : NULL;
        t.microseconds = microseconds(panels[i].picture);
        t.bytes = panels[i].picture->held;
        add_timeline(&t);
        t.first += t.timeline->program->ranks;
    }
    weft_json_list_end(&t.json);
    weft_json_object_end(&t.json);
    weft_text_add(out, "\n");
}

void weft_report_trace(const weft_timeline *timeline, const weft_picture *picture, weft_text *out)
{
    weft_report_trace_stack(&(weft_panel){timeline, picture}, 1, out);
}
