/* Timelines as one page: the page itself is page.html; here its data is written, numbers as base64 of typed arrays. */
#include "base/json.h"
#include "report/canvas.h"

#include <math.h>
#include <string.h>

static const char page[] =
#include "page.inc"
    ;

static const char mark[] = "/*DATA*/null"; /* where the data goes */

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

static encoder begin_array(weft_json *json, const char *key)
{
    weft_text *out = weft_json_item(json, key);
    weft_text_add_bytes(out, "\"", 1);
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

static void add_actions(weft_json *json, const weft_timeline *timeline)
{
    const weft_program *program = timeline->program;
    uint32_t count = program->action_count;
    encoder e = begin_array(json, "kind");
    for (uint32_t a = 0; a < count; a++) put_byte(&e, (unsigned char)program->actions[a].kind);
    end_array(&e);
    e = begin_array(json, "stage");
    for (uint32_t a = 0; a < count; a++) put_uint32(&e, program->actions[a].stage);
    end_array(&e);
    e = begin_array(json, "microbatch");
    for (uint32_t a = 0; a < count; a++) put_uint32(&e, program->actions[a].microbatch);
    end_array(&e);
    e = begin_array(json, "begin");
    for (uint32_t a = 0; a < count; a++) put_double(&e, timeline->begin[a]);
    end_array(&e);
    e = begin_array(json, "end");
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
static void add_gap_arrays(weft_json *json, const gap_list *list, int32_t ranks)
{
    size_t at = 0;
    weft_json_list(json, "gapFirst", WEFT_JSON_ROW);
    for (int32_t rank = 0; rank <= ranks; rank++) {
        while (at < list->count && list->rows[at].rank < rank) at++;
        weft_json_int(json, NULL, (int64_t)at);
    }
    weft_json_list_end(json);
    encoder e = begin_array(json, "gapBegin");
    for (size_t i = 0; i < list->count; i++) put_double(&e, list->rows[i].begin);
    end_array(&e);
    e = begin_array(json, "gapEnd");
    for (size_t i = 0; i < list->count; i++) put_double(&e, list->rows[i].end);
    end_array(&e);
    e = begin_array(json, "gapBefore");
    for (size_t i = 0; i < list->count; i++) put_uint32(&e, list->rows[i].before);
    end_array(&e);
    e = begin_array(json, "gapWaited");
    for (size_t i = 0; i < list->count; i++) put_uint32(&e, list->rows[i].waited);
    end_array(&e);
    e = begin_array(json, "gapSource");
    for (size_t i = 0; i < list->count; i++) put_uint32(&e, list->rows[i].source);
    end_array(&e);
    e = begin_array(json, "gapCause");
    for (size_t i = 0; i < list->count; i++)
        for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) put_double(&e, list->rows[i].cause[cause]);
    end_array(&e);
}

static void add_gaps(weft_json *json, const weft_canvas *canvas)
{
    gap_list list = {.shortest = 1e-12 * canvas->bubble.step_time};
    weft_bubble_visit(&canvas->bubble, add_gap, &list);
    add_gap_arrays(json, &list, canvas->timeline->program->ranks);
    if (list.failed) json->out->failed = true;
    weft_free(list.rows);
}

/* Means over ranks, as shares of the step. */
static void add_causes(weft_json *json, const weft_bubble *bubble)
{
    weft_json_list(json, "causes", WEFT_JSON_ROW);
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++) weft_json_number(json, NULL, bubble->cause[cause]);
    weft_json_list_end(json);
    weft_json_list(json, "peaks", WEFT_JSON_ROW);
    for (int32_t rank = 0; rank < bubble->timeline->program->ranks; rank++)
        weft_json_int(json, NULL, bubble->ranks[rank].peak_activations);
    weft_json_list_end(json);
}

static void add_lanes(weft_json *json, const weft_canvas *canvas)
{
    const weft_program *program = canvas->timeline->program;
    weft_json_list(json, "lanes", WEFT_JSON_ROW);
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        weft_json_list(json, NULL, WEFT_JSON_ROW);
        weft_json_int(json, NULL, lane->rank);
        weft_json_int(json, NULL, lane->kind);
        weft_json_int(json, NULL, lane->peer);
        weft_json_int(json, NULL, lane->first);
        weft_json_int(json, NULL, lane->count);
        weft_json_list_end(json);
    }
    weft_json_list_end(json);
    weft_json_int(json, "shades", canvas->shades);
    weft_json_list(json, "local", WEFT_JSON_ROW);
    for (int32_t stage = 0; stage < program->stages; stage++) weft_json_int(json, NULL, canvas->local[stage]);
    weft_json_list_end(json);
}

static void add_panel(weft_json *json, const weft_panel *panel, const weft_canvas *canvas)
{
    const weft_picture *picture = panel->picture;
    weft_text held;
    weft_text_init(&held);
    weft_canvas_add_held(canvas, &held);
    weft_json_object(json, NULL, WEFT_JSON_LINES);
    weft_json_text(json, "title", picture->title ? picture->title : "");
    weft_json_text(json, "caption", picture->caption ? picture->caption : "");
    weft_json_text(json, "unit", picture->unit ? picture->unit : "");
    weft_json_number(json, "scale", picture->unit_scale);
    weft_json_number(json, "step", canvas->bubble.step_time);
    weft_json_number(json, "bubble", canvas->bubble.fraction);
    weft_json_number(json, "own", canvas->bubble.own_step_time);
    weft_json_number(json, "ownBubble", canvas->bubble.own_fraction);
    weft_json_take_text(json, "held", &held);
    weft_json_truth(json, "forwardOnly", panel->timeline->program->forward_only);
    add_causes(json, &canvas->bubble);
    add_lanes(json, canvas);
    add_gaps(json, canvas);
    add_actions(json, panel->timeline);
    weft_json_object_end(json);
}

static void draw_panel(weft_json *json, const weft_panel *panel)
{
    weft_canvas canvas;
    if (weft_canvas_init(&canvas, panel->timeline, panel->picture, json->out, NULL) == WEFT_OK)
        add_panel(json, panel, &canvas);
    else
        json->out->failed = true;
    weft_canvas_fini(&canvas);
}

static void add_colour(weft_json *json, const char *key, weft_colour colour)
{
    weft_json_list(json, key, WEFT_JSON_ROW);
    weft_json_int(json, NULL, colour.red);
    weft_json_int(json, NULL, colour.green);
    weft_json_int(json, NULL, colour.blue);
    weft_json_list_end(json);
}

static void add_words(weft_json *json)
{
    weft_json_list(json, "causes", WEFT_JSON_ROW);
    for (int cause = 0; cause < WEFT_BUBBLE_CAUSES; cause++)
        weft_json_text(json, NULL, weft_bubble_cause_name((weft_bubble_cause)cause));
    weft_json_list_end(json);
    weft_json_list(json, "kinds", WEFT_JSON_LINES);
    for (int kind = 0; kind < WEFT_ACTION_KINDS; kind++) {
        const weft_paint *paint = weft_paint_get((weft_action_kind)kind);
        const weft_action_info *info = weft_action_info_get((weft_action_kind)kind);
        weft_json_object(json, NULL, WEFT_JSON_ROW);
        weft_json_text(json, "name", info->name);
        weft_json_text(json, "label", paint->label);
        weft_json_int(json, "operands", info->operands);
        add_colour(json, "dark", paint->dark);
        add_colour(json, "light", paint->light);
        weft_json_object_end(json);
    }
    weft_json_list_end(json);
}

void weft_report_html(const weft_panel *panels, int count, weft_text *out)
{
    const char *data = strstr(page, mark);
    weft_text_add_bytes(out, page, (size_t)(data - page));
    weft_json json = weft_json_begin(out, WEFT_JSON_SCRIPT);
    weft_json_object(&json, NULL, WEFT_JSON_LINES);
    add_words(&json);
    weft_json_list(&json, "panels", WEFT_JSON_LINES);
    for (int i = 0; i < count; i++) draw_panel(&json, &panels[i]);
    weft_json_list_end(&json);
    weft_json_object_end(&json);
    weft_text_add_bytes(out, data + strlen(mark), strlen(data + strlen(mark)));
}
