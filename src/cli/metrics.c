/* weft metrics: curves of runs in the terminal, as JSON and as a picture; also of runs that go on. */
#include "base/clock.h"
#include "base/file.h"
#include "cli/launch.h"
#include "cli/metrics_view.h"
#include "cli/pictures.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS = 80, ROWS = 24, MOST_COLUMNS = 400, MOST_ROWS = 40, BELOW = 3 };

static const double pause_seconds = 0.5; /* between looks at runs that go on */

typedef struct following {
    weft_run_metrics *runs;
    weft_metrics_view view;
    weft_arena arena; /* names of sources */
    const weft_arguments *arguments;
    int64_t from;
    weft_text text;
    int drawn; /* lines on the terminal that the next plot takes the place of */
} following;

static weft_status read_key(const weft_arguments *arguments, weft_metrics_key *out, weft_error *error)
{
    const char *wanted = weft_arguments_get(arguments, "key");
    for (*out = WEFT_METRICS_LOSS; wanted && *out < WEFT_METRICS_KEYS; ++*out)
        if (strcmp(wanted, weft_metrics_key_name(*out)) == 0) return WEFT_OK;
    if (!wanted) return WEFT_OK;
    FAIL(error, WEFT_INVALID,
         "--key: expects loss, loss_by_source, cross_entropy, gradient_norm, learning_rate, tokens_per_second or "
         "bits_per_byte, not '%s'",
         wanted);
}

static weft_status read_scale(const weft_arguments *arguments, weft_metrics_scale *out, weft_error *error)
{
    bool linear = weft_arguments_has(arguments, "linear"), logarithmic = weft_arguments_has(arguments, "logarithmic");
    if (linear && logarithmic) FAIL(error, WEFT_INVALID, "--linear and --logarithmic exclude each other");
    *out = linear ? WEFT_METRICS_LINEAR : logarithmic ? WEFT_METRICS_LOGARITHMIC : WEFT_METRICS_AUTO;
    return WEFT_OK;
}

/* As the C library reads the environment, also for a locale that is not installed. */
static bool has_unicode(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *value = "";
    for (size_t i = 0; i < sizeof names / sizeof *names && !*value; i++)
        if (getenv(names[i])) value = getenv(names[i]);
    for (; *value; value++)
        if (strncasecmp(value, "utf-8", 5) == 0 || strncasecmp(value, "utf8", 4) == 0) return true;
    return false;
}

static bool has_colour(void)
{
    const char *kind = getenv("TERM");
    return isatty(STDOUT_FILENO) && kind && *kind && strcmp(kind, "dumb") != 0;
}

/* Anew for each plot: windows change. */
static weft_chart_screen find_screen(int runs)
{
    weft_chart_screen screen = {COLUMNS, ROWS, has_unicode(), has_colour()};
    struct winsize size;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return screen;
    int rows = size.ws_row - runs - BELOW;
    screen.columns = size.ws_col < MOST_COLUMNS ? size.ws_col : MOST_COLUMNS;
    screen.rows = rows < MOST_ROWS ? rows : MOST_ROWS;
    return screen;
}

static weft_status write_picture(const following *it, weft_error *error)
{
    const char *path = weft_arguments_get(it->arguments, "svg");
    weft_text text;
    if (!path) return WEFT_OK;
    weft_text_init(&text);
    weft_metrics_svg(&it->view, &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK) status = weft_file_write(path, text.bytes, text.length, error);
    weft_text_fini(&text);
    return status;
}

static weft_status refuse_nothing(const following *it, weft_error *error)
{
    const char *key = weft_metrics_key_name(it->view.key);
    const weft_run_metrics *first = &it->runs[0];
    if (it->view.count > 1) FAIL(error, WEFT_INVALID, "none of the runs has a %s to show", key);
    if (first->lines == 0) FAIL(error, WEFT_INVALID, "%s: has no step yet (--follow waits for one)", first->path);
    FAIL(error, WEFT_INVALID, "%s: has no %s to show", first->path, key);
}

static weft_status draw_once(following *it, weft_error *error)
{
    if (!weft_metrics_view_has(&it->view)) return refuse_nothing(it, error);
    TRY(write_picture(it, error));
    const weft_chart_screen screen = find_screen(it->view.count);
    if (weft_arguments_has(it->arguments, "json"))
        weft_metrics_json(&it->view, &it->text);
    else
        weft_metrics_print(&it->view, &screen, &it->text);
    return weft_cli_print(&it->text, error);
}

/* Lines of a terminal that is so wide, escape sequences left out. */
static int count_rows(const weft_text *text, int columns)
{
    int rows = 0, column = 0;
    bool escapes = false;
    for (size_t i = 0; i < text->length; i++) {
        char byte = text->bytes[i];
        if (byte == '\n') {
            rows += 1 + (column > 0 ? (column - 1) / columns : 0);
            column = 0;
        } else if (escapes || byte == '\033') {
            escapes = byte != 'm' && byte != 'A' && byte != 'J';
        } else {
            column += (byte & 0xC0) != 0x80; /* not within a character */
        }
    }
    return rows;
}

/* On a terminal over the one before, else below it. */
static weft_status draw_again(following *it, weft_error *error)
{
    const weft_chart_screen screen = find_screen(it->view.count);
    it->text.length = 0;
    if (it->drawn && isatty(STDOUT_FILENO)) weft_text_add(&it->text, "\033[%dA\r\033[J", it->drawn);
    if (it->drawn && !isatty(STDOUT_FILENO)) weft_text_add(&it->text, "\n");
    weft_metrics_print(&it->view, &screen, &it->text);
    TRY(weft_text_check(&it->text, error));
    it->drawn = count_rows(&it->text, screen.columns);
    TRY(write_picture(it, error));
    return weft_cli_print(&it->text, error);
}

static weft_status add_run(following *it, const char *operand, const char *source, weft_error *error)
{
    if (it->view.count == WEFT_METRICS_MOST_RUNS)
        FAIL(error, WEFT_INVALID, "more than %d curves are too many to tell apart", WEFT_METRICS_MOST_RUNS);
    weft_run_metrics *run = &it->runs[it->view.count++];
    TRY(weft_run_metrics_open(run, operand, it->view.key, source, it->from, it->view.smooth, error));
    if (!weft_arguments_has(it->arguments, "follow")) weft_run_metrics_end(run);
    return WEFT_OK;
}

/* A curve for each source that the run has so far; one of nothing where it has none. */
static weft_status add_sources(following *it, const char *operand, weft_error *error)
{
    int first = it->view.count;
    char *names = NULL, *end = NULL;
    TRY(add_run(it, operand, NULL, error));
    TRY(weft_arena_text(&it->arena, weft_text_get(&it->runs[first].names), (const char **)&names, error));
    if (!*names) return WEFT_OK;
    weft_run_metrics_close(&it->runs[--it->view.count]);
    for (; (end = strchr(names, '\n')) != NULL; names = end + 1) {
        *end = '\0';
        TRY(add_run(it, operand, names, error));
    }
    return WEFT_OK;
}

static void close_runs(following *it)
{
    for (int i = 0; i < it->view.count; i++) weft_run_metrics_close(&it->runs[i]);
    it->view.count = 0;
}

static weft_status add_runs(following *it, weft_error *error)
{
    const weft_arguments *arguments = it->arguments;
    for (int i = 0; i < arguments->operand_count; i++)
        TRY(it->view.key == WEFT_METRICS_LOSS_BY_SOURCE ? add_sources(it, arguments->operands[i], error)
                                                        : add_run(it, arguments->operands[i], NULL, error));
    return WEFT_OK;
}

/* Whether a run whose curve was one of nothing has sources by now. */
static bool has_new_sources(const following *it)
{
    for (int i = 0; i < it->view.count; i++)
        if (!it->runs[i].source && it->runs[i].source_count > 0) return true;
    return false;
}

static weft_status follow(following *it, weft_error *error)
{
    const volatile sig_atomic_t *stop = weft_cli_catch_signals();
    for (bool changed = true; !*stop; weft_clock_sleep(pause_seconds)) {
        for (int i = 0; i < it->view.count; i++) TRY(weft_run_metrics_follow(&it->runs[i], &changed, error));
        if (has_new_sources(it)) {
            close_runs(it);
            TRY(add_runs(it, error));
        }
        if (changed) TRY(draw_again(it, error));
        changed = false;
    }
    return WEFT_OK;
}

static weft_status show(following *it, weft_error *error)
{
    static const char *const files[] = {"svg"};
    const weft_arguments *arguments = it->arguments;
    bool follows = weft_arguments_has(arguments, "follow");
    TRY(read_key(arguments, &it->view.key, error));
    TRY(read_scale(arguments, &it->view.scale, error));
    TRY(weft_arguments_int(arguments, "from", 1, 1, INT64_MAX, &it->from, error));
    TRY(weft_arguments_double(arguments, "smooth", 0, 0, 0.9999, &it->view.smooth, error));
    if (follows && weft_arguments_has(arguments, "json"))
        FAIL(error, WEFT_INVALID, "--follow and --json exclude each other");
    TRY(weft_cli_outputs_check(arguments, files, 1, error));
    TRY(add_runs(it, error));
    return follows ? follow(it, error) : draw_once(it, error);
}

static weft_status run(const weft_arguments *arguments, int *out_exit, weft_error *error)
{
    following it = {.arguments = arguments};
    (void)out_exit;
    if (arguments->operand_count > WEFT_METRICS_MOST_RUNS)
        FAIL(error, WEFT_INVALID, "%d runs are more than %d, too many to tell apart", arguments->operand_count,
             WEFT_METRICS_MOST_RUNS);
    TRY(weft_allocate(WEFT_METRICS_MOST_RUNS, sizeof *it.runs, &it.runs, error));
    weft_arena_init(&it.arena);
    it.view.runs = it.runs;
    weft_text_init(&it.text);
    weft_status status = show(&it, error);
    weft_text_fini(&it.text);
    close_runs(&it);
    weft_free(it.runs);
    weft_arena_fini(&it.arena);
    return status;
}

static void details(weft_text *out)
{
    weft_text_add(
        out,
        "RUN is a run folder or a metrics.jsonl. Of very many steps neighbours are drawn together, each time with the\n"
        "least and the largest. Held-out losses are circles, or capital letters. The axis is logarithmic where values\n"
        "are wide apart. loss_by_source has a curve for each of the run's data.sources. In a locale that is not of\n"
        "UTF-8 the plot is pure ASCII. --follow ends by Ctrl-C, status 0.\n");
}

static const weft_option options[] = {
    {"key", "NAME",
     "loss, loss_by_source, cross_entropy, gradient_norm, learning_rate, tokens_per_second or bits_per_byte "
     "(default loss)"},
    {"from", "STEP", "leave out the steps before"},
    {"smooth", "X",
     "draw a running mean that keeps a share of X, below 1, at each step; last and best stay as they are"},
    {"linear", NULL, "a linear axis, whatever the values are"},
    {"logarithmic", NULL, "a logarithmic one"},
    {"follow", NULL, "go on, and draw anew when lines come"},
    {"svg", "FILE", "draw the curves as a picture, too"},
    {"json", NULL, "print an object (docs/cli.md)"},
    {NULL, NULL, NULL},
};

const weft_verb weft_verb_metrics = {
    .name = "metrics",
    .summary = "Plots losses and other figures of runs, side by side",
    .operands = "RUN [RUN ...]",
    .options = options,
    .least = 1,
    .most = -1,
    .details = details,
    .run = run,
};
