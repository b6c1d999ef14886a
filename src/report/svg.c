#include "report/canvas.h"

typedef struct rectangle {
    double x, y, width, height;
} rectangle;

/* Of a number in so many pixels along it, limit at most; 0 where it would be too small to read. */
static double font_size(double room, double limit, int digits)
{
    static const double digit = 0.62, largest = 14, smallest = 6.5; /* width of a digit, in sizes; pixels */
    double size = limit < largest ? limit : largest, along = (room - 1.5) / (digit * digits);
    if (along < size) size = along;
    return size < smallest ? 0 : size;
}

/* Turned where the bar is too narrow for several digits, but high enough and not narrower than they are high. */
static void draw_number(const weft_canvas *canvas, rectangle box, uint32_t number, weft_colour colour)
{
    static const double digit_height = 0.73; /* in sizes */
    int digits = 1;
    for (uint32_t rest = number; rest > 9; rest /= 10) digits++;
    double size = font_size(box.width, box.height * 0.48, digits);
    double x = box.x + box.width / 2, y = box.y + box.height / 2;
    bool turned = size == 0 && digits > 1;
    if (turned) size = font_size(box.height, (box.width - 1) / digit_height, digits);
    if (size == 0) return;
    weft_text_add(canvas->out, "<text x=\"%.2f\" y=\"%.2f\" font-size=\"%.1f\" fill=\"%s\" stroke=\"none\"", x,
                  y + size * 0.36, size, weft_colour_is_light(colour) ? "#15202b" : "#ffffff");
    if (turned) weft_text_add(canvas->out, " transform=\"rotate(-90 %.2f %.2f)\"", x, y);
    weft_text_add(canvas->out, ">%u</text>\n", (unsigned)number);
}

/* What a viewer shows when the pointer rests on the action. */
static void add_title(const weft_canvas *canvas, uint32_t action)
{
    const weft_timeline *timeline = canvas->timeline;
    weft_text_add(canvas->out, "<title>");
    weft_action_print(timeline->program->actions[action], canvas->out);
    weft_text_add(canvas->out, ": ");
    weft_canvas_add_time(canvas, timeline->begin[action], canvas->out);
    weft_text_add(canvas->out, " to ");
    weft_canvas_add_time(canvas, timeline->end[action], canvas->out);
    weft_text_add(canvas->out, "</title>");
}

static void draw_action(const weft_canvas *canvas, uint32_t index, double y, double height, bool with_number)
{
    const weft_timeline *timeline = canvas->timeline;
    weft_action action = timeline->program->actions[index];
    if (!(timeline->end[index] > timeline->begin[index])) return;
    const weft_action_info *info = weft_action_info_get((weft_action_kind)action.kind);
    int32_t shade = info->operands == WEFT_OPERANDS_NONE ? 0 : canvas->local[action.stage];
    weft_colour colour = weft_paint_shade(weft_paint_get((weft_action_kind)action.kind), shade, canvas->shades);
    rectangle box = {.x = weft_canvas_x(canvas, timeline->begin[index]), .y = y, .height = height};
    box.width = weft_canvas_x(canvas, timeline->end[index]) - box.x;
    weft_text_add(canvas->out, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"#%02x%02x%02x\"%s",
                  box.x, box.y, box.width, box.height, colour.red, colour.green, colour.blue,
                  box.width < 3 ? " stroke=\"none\"" : "");
    if (canvas->has_titles) {
        weft_text_add(canvas->out, ">");
        add_title(canvas, index);
        weft_text_add(canvas->out, "</rect>\n");
    } else
        weft_text_add(canvas->out, "/>\n");
    if (with_number && info->operands == WEFT_OPERANDS_STAGE_MICROBATCH)
        draw_number(canvas, box, action.microbatch, colour);
}

static void draw_rank_label(const weft_canvas *canvas, int32_t rank, double middle)
{
    static const double line = 15;
    int32_t every = 1;
    while (every * canvas->row < line) every *= 2;
    if (rank % every != 0) return;
    weft_text_add(canvas->out,
                  "<text x=\"%d\" y=\"%.2f\" font-size=\"12\" fill=\"#333d49\" text-anchor=\"end\">rank %d</text>\n",
                  WEFT_CANVAS_LEFT - 10, middle + 4, (int)rank);
    if (canvas->bubble.step_time > 0 && every == 1)
        weft_text_add(canvas->out, "<text x=\"%d\" y=\"%.2f\" font-size=\"12\" fill=\"#55606e\">%.1f %% idle</text>\n",
                      WEFT_CANVAS_RIGHT + 12, middle + 4,
                      100 * canvas->bubble.ranks[rank].idle / canvas->bubble.step_time);
}

/* Parts of an overlapped pair that run at the same time share the height of the bar, the first above. */
static rectangle compute_box(const weft_canvas *canvas, const weft_lane *lane, uint32_t action, double top)
{
    const weft_timeline *timeline = canvas->timeline;
    const weft_action *actions = timeline->program->actions;
    bool below = actions[action].paired && timeline->begin[action - 1] == timeline->begin[action];
    bool above = action + 1 - lane->first < lane->count && actions[action + 1].paired &&
                 timeline->begin[action + 1] == timeline->begin[action];
    double half = canvas->bar / 2;
    return (rectangle){.y = below ? top + half : top, .height = below || above ? half : canvas->bar};
}

static double row_top(const weft_canvas *canvas, int32_t rank)
{
    return canvas->top + canvas->row * rank;
}

/* What shows through where a rank runs nothing. */
static void draw_idle(const weft_canvas *canvas, int32_t rank)
{
    weft_text_add(canvas->out, "<rect x=\"%d\" y=\"%.2f\" width=\"%.6g\" height=\"%.2f\" fill=\"url(#idle)\"/>\n",
                  WEFT_CANVAS_LEFT, row_top(canvas, rank),
                  weft_canvas_x(canvas, canvas->bubble.step_time) - WEFT_CANVAS_LEFT, canvas->bar);
}

static void draw_rank(const weft_canvas *canvas, int32_t rank)
{
    const weft_program *program = canvas->timeline->program;
    double y = row_top(canvas, rank);
    draw_rank_label(canvas, rank, y + canvas->bar / 2);
    weft_text_add(canvas->out, "<g text-anchor=\"middle\" stroke=\"#ffffff\" stroke-width=\".7\">\n");
    for (int32_t l = program->rank_lanes[rank]; l < program->rank_lanes[rank + 1]; l++) {
        const weft_lane *lane = &program->lanes[l];
        weft_strip strip = weft_canvas_strip(lane->kind);
        bool compute = strip == WEFT_STRIPS;
        if (!compute && canvas->strip_place[strip] < 0) continue;
        rectangle box = {.y = y + canvas->bar + 1 + canvas->strip * (compute ? 0 : canvas->strip_place[strip]),
                         .height = canvas->strip - 1};
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
            if (compute) box = compute_box(canvas, lane, a, y);
            draw_action(canvas, a, box.y, box.height, compute);
        }
    }
    weft_text_add(canvas->out, "</g>\n");
}

/* The frame and what is in it. The height is known only once everything is drawn. */
static void wrap(const weft_text *body, double height, weft_text *out)
{
    weft_text_add(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" "
                  "font-family=\"Inter, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n",
                  WEFT_CANVAS_WIDTH, height, WEFT_CANVAS_WIDTH, height);
    weft_text_add(out, "<defs><pattern id=\"idle\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" "
                       "patternTransform=\"rotate(45)\"><rect width=\"7\" height=\"7\" fill=\"#f4f5f7\"/>"
                       "<rect width=\"1.4\" height=\"7\" fill=\"#dde1e6\"/></pattern></defs>\n");
    weft_text_add(
        out, "<rect x=\".5\" y=\".5\" width=\"%d\" height=\"%.0f\" rx=\"8\" fill=\"#ffffff\" stroke=\"#d5d9de\"/>\n",
        WEFT_CANVAS_WIDTH - 1, height - 1);
    weft_text_add_bytes(out, weft_text_get(body), body->length);
    weft_text_add(out, "</svg>\n");
}

/* Returns the height. */
static double draw_panel(const weft_panel *panel, double span, weft_text *out)
{
    weft_canvas canvas;
    double bottom = 0;
    int32_t ranks = panel->timeline->program->ranks;
    if (weft_canvas_init(&canvas, panel->timeline, panel->picture, out, NULL) == WEFT_OK) {
        if (span > canvas.span) canvas.span = span;
        weft_canvas_draw_head(&canvas);
        for (int32_t rank = 0; rank < ranks; rank++) draw_idle(&canvas, rank);
        bottom = weft_canvas_draw_axis(&canvas); /* grid lines over idle time, under the actions */
        for (int32_t rank = 0; rank < ranks; rank++) draw_rank(&canvas, rank);
    } else
        out->failed = true;
    weft_canvas_fini(&canvas);
    return bottom + 10;
}

void weft_report_svg_stack(const weft_panel *panels, int count, weft_text *out)
{
    weft_text body;
    double height = 0, span = 0;
    for (int i = 0; i < count; i++) {
        double end = weft_timeline_end(panels[i].timeline);
        if (end > span) span = end;
    }
    weft_text_init(&body);
    for (int i = 0; i < count; i++) {
        if (i) weft_text_add(&body, "<g transform=\"translate(0 %.0f)\">\n", height);
        height += draw_panel(&panels[i], span, &body);
        if (i) weft_text_add(&body, "</g>\n");
    }
    wrap(&body, height, out);
    if (body.failed) out->failed = true;
    weft_text_fini(&body);
}

void weft_report_svg(const weft_timeline *timeline, const weft_picture *picture, weft_text *out)
{
    weft_report_svg_stack(&(weft_panel){timeline, picture}, 1, out);
}
