/* Plots in the characters of a terminal: braille patterns, each of two by four dots, or letters. */
#include "report/axis.h"
#include "report/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN = 9, LEAST_COLUMNS = 24, LEAST_ROWS = 7, AROUND = 3 /* rows: title, axis, its numbers */ };

typedef struct cell {
    unsigned char dots; /* of braille; not 0: something is there */
    char mark;          /* a character besides; 0: none */
    int line;           /* colour of what was drawn last */
} cell;

typedef struct page {
    const weft_chart_plot *what;
    const weft_chart_screen *screen;
    weft_text *out;
    bool braille;
    int columns, rows; /* of cells */
    cell *cells;       /* (rows, columns) */
    weft_axis x, y;    /* in dots, or in cells */
    int painted;       /* the line whose colour the terminal has; -1: its own */
} page;

static bool has_several(const weft_chart_plot *what)
{
    for (int i = 1; i < what->line_count; i++)
        if (what->lines[i].colour != what->lines[0].colour) return true;
    return false;
}

static bool is_braille(const weft_chart_plot *what, const weft_chart_screen *screen)
{
    return screen->unicode && (screen->colour || !has_several(what));
}

/* What stands for a line, or for its hollow points, where there is no braille. */
static char letter_of(const weft_chart_plot *what, int colour, bool hollow)
{
    if (!has_several(what)) return hollow ? 'O' : '*';
    return (char)((hollow ? 'A' : 'a') + colour % 26);
}

/* line -1: the terminal's own colour. */
static void set_colour(page *it, int line)
{
    static const int colours[] = {32, 166, 36, 175, 214, 117, 244}; /* near those of the pictures */
    if (!it->screen->colour || line == it->painted) return;
    it->painted = line;
    if (line < 0)
        weft_text_add(it->out, "\033[0m");
    else
        weft_text_add(it->out, "\033[38;5;%dm", colours[line % 7]);
}

static bool has_place(const page *it, const weft_chart_point *point)
{
    return weft_axis_can_show(&it->x, point->x) && weft_axis_can_show(&it->y, point->y);
}

static cell *cell_at(const page *it, int x, int y)
{
    return &it->cells[y * it->columns + x];
}

/* x and y in dots of braille, or in cells. */
static void put(const page *it, int x, int y, int line)
{
    static const unsigned char dots[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    cell *at = it->braille ? cell_at(it, x / 2, y / 4) : cell_at(it, x, y);
    at->dots |= it->braille ? dots[y % 4][x % 2] : 1;
    at->line = line;
}

static void stroke(const page *it, int x, int y, int to_x, int to_y, int line)
{
    int steps = abs(to_x - x) > abs(to_y - y) ? abs(to_x - x) : abs(to_y - y);
    for (int i = 1; i <= steps; i++)
        put(it, x + (int)lround((double)(to_x - x) * i / steps), y + (int)lround((double)(to_y - y) * i / steps), line);
}

static void draw_curve(const page *it, const weft_chart_line *line)
{
    int x = 0, y = 0, shown = 0;
    for (int i = 0; i < line->count; i++) {
        if (!has_place(it, &line->points[i])) continue;
        int to_x = (int)lround(weft_axis_place(&it->x, line->points[i].x));
        int to_y = (int)lround(weft_axis_place(&it->y, line->points[i].y));
        if (shown++) stroke(it, x, y, to_x, to_y, line->colour);
        put(it, to_x, to_y, line->colour);
        x = to_x;
        y = to_y;
    }
    if (shown == 1 && it->braille) cell_at(it, x / 2, y / 4)->dots = 0xFF; /* one dot alone is overlooked */
}

static void draw_marks(const page *it, const weft_chart_line *line)
{
    for (int i = 0; i < line->count; i++) {
        if (!has_place(it, &line->points[i])) continue;
        int x = (int)lround(weft_axis_place(&it->x, line->points[i].x));
        int y = (int)lround(weft_axis_place(&it->y, line->points[i].y));
        cell *at = it->braille ? cell_at(it, x / 2, y / 4) : cell_at(it, x, y);
        at->mark = letter_of(it->what, line->colour, true);
        at->line = line->colour;
    }
}

static void add_cell(page *it, const cell *from)
{
    if (!from->mark && !from->dots) {
        weft_text_add(it->out, " ");
        return;
    }
    set_colour(it, from->line);
    if (it->braille && from->mark)
        weft_text_add(it->out, "\xe2\x97\x8b"); /* U+25CB, a circle */
    else if (it->braille)                       /* U+2800 and the dots */
        weft_text_add(it->out, "\xe2%c%c", 0xA0 | from->dots >> 6, 0x80 | (from->dots & 0x3F));
    else
        weft_text_add(it->out, "%c", from->mark ? from->mark : letter_of(it->what, from->line, false));
}

/* Which of the ticks is in this row, or column; -1: none. */
static int tick_in(const page *it, const weft_axis *axis, const double *ticks, int count, int at)
{
    int size = !it->braille ? 1 : axis == &it->y ? 4 : 2;
    for (int i = 0; i < count; i++)
        if ((int)lround(weft_axis_place(axis, ticks[i])) / size == at) return i;
    return -1;
}

static void add_rows(page *it)
{
    double ticks[WEFT_AXIS_TICKS];
    int count = weft_axis_ticks(&it->y, it->braille ? 12 : 3, ticks);
    for (int row = 0; row < it->rows; row++) {
        int tick = tick_in(it, &it->y, ticks, count, row), end = it->columns;
        weft_text number;
        weft_text_init(&number);
        if (tick >= 0) weft_axis_add_number(&it->y, ticks[tick], &number);
        weft_text_add(it->out, "%*s ", MARGIN - 2, weft_text_get(&number));
        it->out->failed = it->out->failed || number.failed;
        weft_text_fini(&number);
        if (it->screen->unicode)
            weft_text_add(it->out, tick >= 0 ? "\xe2\x94\xa4" : "\xe2\x94\x82"); /* U+2524, U+2502 */
        else
            weft_text_add(it->out, tick >= 0 ? "+" : "|");
        while (end > 0 && !cell_at(it, end - 1, row)->dots && !cell_at(it, end - 1, row)->mark) end--;
        for (int column = 0; column < end; column++) add_cell(it, cell_at(it, column, row));
        set_colour(it, -1);
        weft_text_add(it->out, "\n");
    }
}

/* The word in the middle of a place of a line of so many bytes, where it touches no other. */
static void put_word(char *line, int columns, int middle, const char *word)
{
    int length = (int)strlen(word), from = middle - length / 2;
    if (from + length > columns) from = columns - length;
    if (from < 0) return;
    for (int i = from - 1; i <= from + length; i++)
        if (i >= 0 && i < columns && line[i] != ' ') return;
    memcpy(line + from, word, (size_t)length);
}

/* line: a row of blanks, (columns of the screen). */
static void add_foot(page *it, char *line)
{
    double ticks[WEFT_AXIS_TICKS];
    int count = weft_axis_ticks(&it->x, it->braille ? 24 : 12, ticks), size = it->braille ? 2 : 1;
    weft_text_add(it->out, "%*s%s", MARGIN - 1, "", it->screen->unicode ? "\xe2\x94\x94" : "+"); /* U+2514 */
    for (int column = 0; column < it->columns; column++) {
        bool tick = tick_in(it, &it->x, ticks, count, column) >= 0;
        if (it->screen->unicode)
            weft_text_add(it->out, tick ? "\xe2\x94\xac" : "\xe2\x94\x80"); /* U+252C, U+2500 */
        else
            weft_text_add(it->out, tick ? "+" : "-");
    }
    put_word(line, it->screen->columns, MARGIN / 2, it->what->x_name);
    for (int i = 0; i < count; i++) {
        weft_text number;
        weft_text_init(&number);
        weft_axis_add_number(&it->x, ticks[i], &number);
        put_word(line, it->screen->columns, MARGIN + (int)lround(weft_axis_place(&it->x, ticks[i])) / size,
                 weft_text_get(&number));
        it->out->failed = it->out->failed || number.failed;
        weft_text_fini(&number);
    }
    int end = it->screen->columns;
    while (end > 0 && line[end - 1] == ' ') end--;
    weft_text_add(it->out, "\n%.*s\n", end, line);
}

static void find_ranges(page *it)
{
    for (int l = 0; l < it->what->line_count; l++)
        for (int i = 0; i < it->what->lines[l].count; i++) {
            const weft_chart_point *point = &it->what->lines[l].points[i];
            if (!has_place(it, point)) continue;
            weft_axis_include(&it->x, point->x);
            weft_axis_include(&it->y, point->y);
        }
    weft_axis_close(&it->x, false);
    weft_axis_close(&it->y, !it->what->tight_y);
}

/* The title, and what hollow points are. */
static void add_head(const page *it)
{
    weft_text_add(it->out, "%s", it->what->title);
    if (it->what->marks_name && it->braille)
        weft_text_add(it->out, "; \xe2\x97\x8b %s", it->what->marks_name);
    else if (it->what->marks_name)
        weft_text_add(it->out, "; %s: %s", has_several(it->what) ? "capitals" : "O", it->what->marks_name);
    weft_text_add(it->out, "\n");
}

static void draw(page *it, char *line)
{
    find_ranges(it);
    for (int i = 0; i < it->what->line_count; i++)
        if (it->what->lines[i].shape != WEFT_CHART_MARKS) draw_curve(it, &it->what->lines[i]);
    for (int i = 0; i < it->what->line_count; i++)
        if (it->what->lines[i].shape == WEFT_CHART_MARKS) draw_marks(it, &it->what->lines[i]);
    add_head(it);
    add_rows(it);
    add_foot(it, line);
}

void weft_chart_text(const weft_chart_plot *plot, const weft_chart_screen *screen, weft_text *out)
{
    weft_error error;
    weft_chart_screen own = *screen;
    char *line = NULL;
    if (own.columns < LEAST_COLUMNS) own.columns = LEAST_COLUMNS;
    if (own.rows < LEAST_ROWS) own.rows = LEAST_ROWS;
    page it = {.what = plot,
               .screen = &own,
               .out = out,
               .braille = is_braille(plot, screen),
               .columns = own.columns - MARGIN,
               .rows = own.rows - AROUND,
               .painted = -1};
    int wide = it.columns * (it.braille ? 2 : 1), high = it.rows * (it.braille ? 4 : 1);
    it.x = (weft_axis){.to = wide - 1, .logarithmic = !plot->linear_x, .whole = plot->linear_x};
    it.y = (weft_axis){.from = high - 1, .logarithmic = plot->logarithmic_y};
    if (weft_allocate((size_t)it.columns * (size_t)it.rows, sizeof *it.cells, &it.cells, &error) != WEFT_OK ||
        weft_allocate((size_t)own.columns + 1, 1, &line, &error) != WEFT_OK) {
        out->failed = true;
    } else {
        memset(line, ' ', (size_t)own.columns);
        draw(&it, line);
    }
    weft_free(line);
    weft_free(it.cells);
}

void weft_chart_text_key(const weft_chart_plot *plot, const weft_chart_screen *screen, int colour, weft_text *out)
{
    page it = {.what = plot, .screen = screen, .out = out, .painted = -1};
    if (!is_braille(plot, screen)) {
        weft_text_add(out, "%c", letter_of(plot, colour, false));
        return;
    }
    set_colour(&it, colour);
    weft_text_add(out, "\xe2\x94\x81"); /* U+2501, a heavy stroke */
    set_colour(&it, -1);
}
