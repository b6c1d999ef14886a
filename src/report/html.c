/* Timelines as one page: the page itself is page.html; here its data is written, numbers as base64 of typed arrays. */
#include "report/canvas.h"

#include <math.h>
#include <string.h>

static const char page[] =
#include "page.inc"
    ;

static const char mark[] = "/*DATA*/null"; /* where the data goes */

/* Text as JSON that may stand in a script: "</script>" in it would end that. */
static void add_json(const char *string, weft_text *out)
{
    weft_text json;
    weft_text_init(&json);
    weft_text_add_json(&json, string);
    for (size_t i = 0; i < json.length; i++) {
        if (json.bytes[i] == '<')
            weft_text_add(out, "\\u003c");
        else
            weft_text_add_bytes(out, &json.bytes[i], 1);
    }
    if (json.failed) out->failed = true;
    weft_text_fini(&json);
}

static void add_number(const char *key, double value, weft_text *out)
{
    weft_text_add(out, ",\"%s\":", key);
    weft_report_add_number(value, out);
}

/* Bytes as base64 of RFC 4648, three at a time; little endian, as typed arrays are in browsers. */
typedef struct encoder {
    weft_text *out;
    unsigned char bytes[3];
    int count;
} encoder;

static void put_byte(encoder *e, unsigned char byte)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    e->bytes[e->count++] = byte;
    if (e->count < 3) return;
    unsigned bits = (unsigned)e->bytes[0] << 16 | (unsigned)e->bytes[1] << 8 | e->bytes[2];
    char four[4] = {letters[bits >> 18], letters[bits >> 12 & 63], letters[bits >> 6 & 63], letters[bits & 63]};
    weft_text_add_bytes(e->out, four, sizeof four);
    e->count = 0;
}

static void put_uint32(encoder *e, uint32_t value)
{
    for (int i = 0; i < 4; i++) put_byte(e, (unsigned char)(value >> 8 * i));
}

static void put_double(encoder *e, double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    put_uint32(e, (uint32_t)bits);
    put_uint32(e, (uint32_t)(bits >> 32));
}

static encoder begin_array(const char *key, weft_text *out)
{
    weft_text_add(out, ",\n\"%s\":\"", key);
    return (encoder){.out = out};
}

static void end_array(encoder *e)
{
    int left = e->count;
    for (int i = left; left && i < 3; i++) put_byte(e, 0);
    if (left && e->out->length >= 2 && !e->out->failed)
        for (int i = left; i < 3; i++) e->out->bytes[e->out->length - 3 + i] = '=';
    weft_text_add_bytes(e->out, "\"", 1);
}

static void add_actions(const weft_timeline *timeline, weft_text *out)
{
    const weft_program *program = timeline->program;
    uint32_t count = program->action_count;
    encoder e = begin_array("kind", out);
    for (uint32_t a = 0; a < count; a++) put_byte(&e, (unsigned char)program->actions[a].kind);
    end_array(&e);
    e = begin_array("stage", out);
    for (uint32_t a = 0; a < count; a++) put_uint32(&e, program->actions[a].stage);
    end_array(&e);
    e = begin_array("microbatch", out);
    for (uint32_t a = 0; a < count; a++) put_uint32(&e, program->actions[a].microbatch);
    end_array(&e);
    e = begin_array("begin", out);
    for (uint32_t a = 0; a < count; a++) put_double(&e, timeline->begin[a]);
    end_array(&e);
    e = begin_array("end", out);
    for (uint32_t a = 0; a < count; a++) put_double(&e, timeline->end[a]);
    end_array(&e);
}

typedef struct gap_list {
    weft_bubble_gap *rows;
    size_t count, capacity;
    double shortest; /* below this it is a matter of rounding */
    bool failed;
} gap_list;

static void add_gap(const weft_bubble_gap *gap, void *context)
{
    gap_list *list = context;
    if (list->failed || gap->end - gap->begin <= list->shortest) return;
    if (weft_grow(&list->rows, &list->capacity, list->count + 1, sizeof *list->rows, NULL) != WEFT_OK)
        list->failed = true;
    else
        list->rows[list->count++] = *gap;
}

/* Gaps are in the order of ranks: gapFirst[rank] is a rank's first. */
static void add_gap_arrays(const gap_list *list, int32_t ranks, weft_text *out)
{
    size_t at = 0;
    weft_text_add(out, ",\n\"gapFirst\":[");
    for (int32_t rank = 0; rank <= ranks; rank++) {
        while (at < list->count && list->rows[at].rank < rank) at++;
        weft_text_add(out, "%s%zu", rank ? "," : "", at);
    }
    weft_text_add(out, "]");
    encoder e = begin_array("gapBegin", out);
    for (size_t i = 0; i < list->count; i++) put_double(&e, list->rows[i].begin);
    end_array(&e);
    e = begin_array("gapEnd", out);
    for (size_t i = 0; i < list->count; i++) put_double(&e, list->rows[i].end);
    end_array(&e);
    e = begin_array("gapBefore", out);
    for (size_t i = 0; i < list->count; i++) put_uint32(&e, list->rows[i].before);
    end_array(&e);
    e = begin_array("gapWaited", out);
    for (size_t i = 0; i < list->count; i++) put_uint32(&e, list->rows[i].waited);
    end_array(&e);
    e = begin_array("gapSource", out);
    for (size_t i = 0; i < list->count; i++) put_uint32(&e, list->rows[i].source);
    end_array(&e);
    e = begin_array("gapCause", out);
    for (size_t i = 0; i < list->count; i++)
        for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) put_double(&e, list->rows[i].cause[cause]);
    end_array(&e);
}

static void add_gaps(const weft_canvas *canvas, weft_text *out)
{
    gap_list list = {.shortest = 1e-12 * canvas->bubble.step_time};
    weft_bubble_visit(&canvas->bubble, add_gap, &list);
    add_gap_arrays(&list, canvas->timeline->program->ranks, out);
    if (list.failed) out->failed = true;
    weft_free(list.rows);
}

/* Means over ranks, as shares of the step. */
static void add_causes(const weft_bubble *bubble, weft_text *out)
{
    weft_text_add(out, ",\"causes\":[");
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) {
        if (cause) weft_text_add(out, ",");
        weft_report_add_number(bubble->cause[cause], out);
    }
    weft_text_add(out, "],\"peaks\":[");
    for (int32_t rank = 0; rank < bubble->timeline->program->ranks; rank++)
        weft_text_add(out, "%s%lld", rank ? "," : "", (long long)bubble->ranks[rank].peak_activations);
    weft_text_add(out, "]");
}

static void add_lanes(const weft_canvas *canvas, weft_text *out)
{
    const weft_program *program = canvas->timeline->program;
    weft_text_add(out, ",\n\"lanes\":[");
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        weft_text_add(out, "%s[%d,%d,%d,%u,%u]", l ? "," : "", (int)lane->rank, (int)lane->kind, (int)lane->peer,
                      (unsigned)lane->first, (unsigned)lane->count);
    }
    weft_text_add(out, "],\n\"shades\":%d,\"local\":[", (int)canvas->shades);
    for (int32_t stage = 0; stage < program->stages; stage++)
        weft_text_add(out, "%s%d", stage ? "," : "", (int)canvas->local[stage]);
    weft_text_add(out, "]");
}

static void add_panel(const weft_panel *panel, weft_text *out)
{
    weft_canvas canvas;
    const weft_picture *picture = panel->picture;
    if (weft_canvas_init(&canvas, panel->timeline, picture, out, NULL) == WEFT_OK) {
        weft_text_add(out, "{\"title\":");
        add_json(picture->title ? picture->title : "", out);
        weft_text_add(out, ",\"caption\":");
        add_json(picture->caption ? picture->caption : "", out);
        weft_text_add(out, ",\"unit\":");
        add_json(picture->unit ? picture->unit : "", out);
        add_number("scale", picture->unit_scale, out);
        add_number("step", canvas.bubble.step_time, out);
        add_number("bubble", canvas.bubble.fraction, out);
        add_number("own", canvas.bubble.own_step_time, out);
        add_number("ownBubble", canvas.bubble.own_fraction, out);
        weft_text_add(out, ",\"held\":\"");
        weft_canvas_add_held(&canvas, out);
        weft_text_add(out, "\",\"forwardOnly\":%s", panel->timeline->program->forward_only ? "true" : "false");
        add_causes(&canvas.bubble, out);
        add_lanes(&canvas, out);
        add_gaps(&canvas, out);
        add_actions(panel->timeline, out);
        weft_text_add(out, "}");
    } else
        out->failed = true;
    weft_canvas_fini(&canvas);
}

static void add_colour(const char *key, weft_colour colour, weft_text *out)
{
    weft_text_add(out, ",\"%s\":[%d,%d,%d]", key, colour.red, colour.green, colour.blue);
}

static void add_words(weft_text *out)
{
    weft_text_add(out, "{\"causes\":[");
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++)
        weft_text_add(out, "%s\"%s\"", cause ? "," : "", weft_bubble_cause_name((weft_bubble_cause)cause));
    weft_text_add(out, "],\n\"kinds\":[");
    for (int kind = 0; kind < WEFT_ACTION_KINDS; kind++) {
        const weft_paint *paint = weft_paint_get((weft_action_kind)kind);
        const weft_action_info *info = weft_action_info_get((weft_action_kind)kind);
        weft_text_add(out, "%s{\"name\":\"%s\",\"label\":\"%s\",\"operands\":%d", kind ? ",\n" : "", info->name,
                      paint->label, (int)info->operands);
        add_colour("dark", paint->dark, out);
        add_colour("light", paint->light, out);
        weft_text_add(out, "}");
    }
    weft_text_add(out, "],\n\"panels\":[");
}

void weft_report_html(const weft_panel *panels, int count, weft_text *out)
{
    const char *data = strstr(page, mark);
    weft_text_add_bytes(out, page, (size_t)(data - page));
    add_words(out);
    for (int i = 0; i < count; i++) {
        if (i) weft_text_add(out, ",\n");
        add_panel(&panels[i], out);
    }
    weft_text_add(out, "]}");
    weft_text_add_bytes(out, data + strlen(mark), strlen(data + strlen(mark)));
}
