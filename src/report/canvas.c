#include "report/canvas.h"

enum { MOST_TITLES = 20000 };

static const double height_for_rows = 620, lowest_row = 5, highest_row = 96, lowest_row_with_strips = 30;

weft_strip weft_canvas_strip(weft_lane_kind kind)
{
    static const weft_strip strips[] = {
        [WEFT_PROGRAM_COMPUTE] = WEFT_STRIPS,       [WEFT_PROGRAM_SEND_F] = WEFT_STRIP_SEND,
        [WEFT_PROGRAM_RECV_F] = WEFT_STRIP_RECEIVE, [WEFT_PROGRAM_SEND_B] = WEFT_STRIP_SEND,
        [WEFT_PROGRAM_RECV_B] = WEFT_STRIP_RECEIVE, [WEFT_PROGRAM_REDUCE] = WEFT_STRIP_COLLECTIVE,
        [WEFT_PROGRAM_GATHER] = WEFT_STRIP_GATHER,
    };
    return strips[kind];
}

/* Which kinds of action and which strips take any time at all: the rest is not drawn. */
static void note_used(weft_canvas *canvas, bool strip_used[WEFT_STRIPS])
{
    const weft_timeline *timeline = canvas->timeline;
    const weft_program *program = timeline->program;
    for (int32_t l = 0; l < program->rank_lanes[program->ranks]; l++) {
        const weft_lane *lane = &program->lanes[l];
        weft_strip strip = weft_canvas_strip(lane->kind);
        for (uint32_t a = lane->first; a < lane->first + lane->count; a++) {
            if (!(timeline->end[a] > timeline->begin[a])) continue;
            canvas->used[program->actions[a].kind] = true;
            if (strip < WEFT_STRIPS) strip_used[strip] = true;
        }
    }
}

static void lay_out(weft_canvas *canvas)
{
    bool strip_used[WEFT_STRIPS] = {false};
    note_used(canvas, strip_used);
    canvas->row = height_for_rows / canvas->timeline->program->ranks;
    if (canvas->row > highest_row) canvas->row = highest_row;
    if (canvas->row < lowest_row) canvas->row = lowest_row;
    bool room = canvas->row >= lowest_row_with_strips;
    for (int strip = 0; strip < WEFT_STRIPS; strip++)
        canvas->strip_place[strip] = strip_used[strip] && room ? canvas->strips++ : -1;
    double gap = canvas->row * (room ? 0.16 : 0.12);
    canvas->strip = canvas->strips ? canvas->row * 0.08 : 0;
    canvas->bar = canvas->row - gap - canvas->strip * canvas->strips;
}

/* A stage's index among the stages of its rank, in model order. */
static weft_status number_stages(weft_canvas *canvas, weft_error *error)
{
    const weft_program *program = canvas->timeline->program;
    int32_t *held = NULL; /* (P) */
    TRY(weft_allocate((size_t)program->stages, sizeof *canvas->local, &canvas->local, error));
    TRY(weft_allocate((size_t)program->ranks, sizeof *held, &held, error));
    for (int32_t stage = 0; stage < program->stages; stage++) {
        canvas->local[stage] = held[program->stage_rank[stage]]++;
        if (canvas->local[stage] >= canvas->shades) canvas->shades = canvas->local[stage] + 1;
    }
    weft_free(held);
    return WEFT_OK;
}

weft_status weft_canvas_init(weft_canvas *canvas, const weft_timeline *timeline, const weft_picture *picture,
                             weft_text *out, weft_error *error)
{
    *canvas = (weft_canvas){.out = out, .timeline = timeline, .picture = picture};
    canvas->has_titles = timeline->program->action_count <= MOST_TITLES;
    TRY(number_stages(canvas, error));
    TRY(weft_bubble_init(&canvas->bubble, timeline, error));
    canvas->span = canvas->bubble.step_time;
    lay_out(canvas);
    return WEFT_OK;
}

void weft_canvas_fini(weft_canvas *canvas)
{
    weft_free(canvas->local);
    weft_bubble_fini(&canvas->bubble);
}

double weft_canvas_x(const weft_canvas *canvas, double seconds)
{
    double share = canvas->span > 0 ? seconds / canvas->span : 0;
    return WEFT_CANVAS_LEFT + (WEFT_CANVAS_RIGHT - WEFT_CANVAS_LEFT) * share;
}

double weft_canvas_bottom(const weft_canvas *canvas)
{
    return canvas->top + canvas->row * canvas->timeline->program->ranks;
}

void weft_canvas_add_time(const weft_canvas *canvas, double seconds, weft_text *out)
{
    double value = seconds * canvas->picture->unit_scale;
    int decimals = 3;
    for (double limit = 10; decimals > 0 && value >= limit; limit *= 10) decimals--;
    weft_text_add(out, "%.*f", decimals, value);
    if (canvas->picture->unit && *canvas->picture->unit) {
        weft_text_add(out, " ");
        weft_text_add_xml(out, canvas->picture->unit);
    }
}

void weft_canvas_add_held(const weft_canvas *canvas, weft_text *out)
{
    const weft_program *program = canvas->timeline->program;
    int64_t most = 0;
    uint64_t bytes = 0;
    for (int32_t rank = 0; rank < program->ranks; rank++) {
        uint64_t own = canvas->picture->held ? weft_bubble_held(program, rank, canvas->picture->held) : 0;
        if (canvas->bubble.ranks[rank].peak_activations > most) most = canvas->bubble.ranks[rank].peak_activations;
        if (own > bytes) bytes = own;
    }
    weft_text_add(out, "at most %lld held", (long long)most);
    if (canvas->picture->held) weft_text_add(out, " (%.1f MiB)", (double)bytes / (1 << 20));
}
