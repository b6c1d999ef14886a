#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/split.h"

#include "base/utf8.h"

#include <pcre2.h>
#include <stdio.h>
#include <string.h>

struct weft_regex {
    pcre2_code *code;
};

static void destroy_regex(struct weft_regex *regex)
{
    if (!regex) return;
    pcre2_code_free(regex->code);
    weft_free(regex);
}

void weft_splitter_fini(weft_splitter *splitter)
{
    for (size_t i = 0; i < splitter->count; i++) destroy_regex(splitter->steps[i].regex);
    *splitter = (weft_splitter){0};
}

static weft_status add_step(weft_splitter *splitter, weft_step step, weft_error *error)
{
    if (splitter->count == WEFT_MOST_STEPS)
        FAIL(error, WEFT_INVALID, "the pre-tokenizer has more than %d steps", WEFT_MOST_STEPS);
    splitter->steps[splitter->count++] = step;
    return WEFT_OK;
}

weft_status weft_splitter_add_scanner(weft_splitter *splitter, weft_scanner *scan, const char *name, weft_error *error)
{
    return add_step(splitter, (weft_step){.scan = scan, .name = name}, error);
}

weft_status weft_splitter_add_known(weft_splitter *splitter, const weft_pattern *pattern, weft_error *error)
{
    return add_step(splitter,
                    (weft_step){.scan = pattern->scan, .parts_blanks = pattern->parts_blanks, .name = pattern->name},
                    error);
}

/* PCRE2's \s has U+180E, its \w neither marks nor joiners, its \h is no digit. In a set of characters, \W inside is
 * left alone. */
static void add_escape(weft_text *out, char letter, bool in_set)
{
    static const struct {
        char letter;
        bool one; /* needs no set around it */
        const char *members;
    } escapes[] = {
        {'s', true, "\\p{White_Space}"}, {'S', true, "\\P{White_Space}"},
        {'d', true, "\\p{Nd}"},          {'D', true, "\\P{Nd}"},
        {'h', false, "0-9A-Fa-f"},       {'w', false, "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}"},
    };
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        if (escapes[i].letter != letter) continue;
        weft_text_add(out, in_set || escapes[i].one ? "%s" : "[%s]", escapes[i].members);
        return;
    }
    if (letter == 'W' && !in_set)
        weft_text_add(out, "[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]");
    else
        weft_text_add(out, "\\%c", letter);
}

/* A character in a set: a set in it adds its characters to it. False for what does more than that. */
static bool add_in_set(const char **at, int *depth, weft_text *out)
{
    const char *c = *at;
    const char *named = strncmp(c, "[:", 2) == 0 ? strstr(c, ":]") : NULL;
    if (named) {
        weft_text_add_bytes(out, c, (size_t)(named + 2 - c));
        *at = named + 1;
        return true;
    }
    if (strncmp(c, "&&", 2) == 0 || strncmp(c, "[^", 2) == 0) return false;
    *depth += *c == '[' ? 1 : *c == ']' ? -1 : 0;
    bool inner = *c == '[' || (*c == ']' && *depth > 0);
    if (!inner) weft_text_add_bytes(out, c, 1);
    return true;
}

/* Whether an interval such as {1,3} and a + behind it begin here. */
static bool repeats_interval(const char *c)
{
    size_t digits = *c == '{' ? strspn(c + 1, "0123456789,") : 0;
    return digits > 0 && c[1 + digits] == '}' && c[2 + digits] == '+';
}

/* The expression in PCRE2's words; false when it cannot be said in them. */
static bool translate(const char *text, weft_dialect dialect, weft_text *out)
{
    int depth = 0; /* of sets in sets */
    for (const char *c = text; *c; c++) {
        if (*c == '\\' && c[1]) {
            add_escape(out, *++c, depth > 0);
            continue;
        }
        if (depth > 0) {
            if (!add_in_set(&c, &depth, out)) return false;
            continue;
        }
        if (*c == '[') depth = 1;
        if (dialect == WEFT_DIALECT_JSON && repeats_interval(c)) return false; /* repeats there, keeps here */
        weft_text_add_bytes(out, c, 1);
        if (*c == '[' && c[1] == '^') weft_text_add_bytes(out, ++c, 1);
    }
    return true;
}

static weft_status compile(const char *text, uint32_t options, pcre2_code **out, weft_error *error)
{
    int number = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) FAIL(error, WEFT_NO_MEMORY, "out of memory while an expression is compiled");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    *out = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options | PCRE2_UTF | PCRE2_NO_UTF_CHECK, &number,
                         &at, context);
    pcre2_compile_context_free(context);
    if (!*out) {
        char reason[160] = "";
        pcre2_get_error_message(number, (PCRE2_UCHAR *)reason, sizeof reason);
        if (number == PCRE2_ERROR_HEAP_FAILED)
            FAIL(error, WEFT_NO_MEMORY, "out of memory while an expression is compiled");
        FAIL(error, WEFT_INVALID, "the pattern %.200s is no regular expression that PCRE2 takes: %s (at byte %zu)",
             text, reason, at);
    }
    (void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* where there is none it is interpreted */
    return WEFT_OK;
}

static weft_status add_regex(weft_splitter *splitter, const char *text, uint32_t options, weft_split_habit habit,
                             weft_error *error)
{
    struct weft_regex *regex = NULL;
    TRY(weft_allocate(1, sizeof *regex, &regex, error));
    weft_status status = compile(text, options, &regex->code, error);
    if (status == WEFT_OK) status = add_step(splitter, (weft_step){.regex = regex, .habit = habit}, error);
    if (status != WEFT_OK) destroy_regex(regex);
    return status;
}

static bool is_utf8(const char *text)
{
    for (size_t at = 0, length = strlen(text); at < length;) {
        int bytes = weft_utf8_length((const unsigned char *)text + at, length - at);
        if (bytes == 0) return false;
        at += (size_t)bytes;
    }
    return true;
}

/* One that is run by PCRE2. */
static weft_status add_other(weft_splitter *splitter, const char *text, weft_dialect dialect, weft_split_habit habit,
                             weft_error *error)
{
    /* $ is the end of a line in Ruby's expressions, and of the text in Rust's. */
    uint32_t options = PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    options |= dialect == WEFT_DIALECT_JSON ? PCRE2_MULTILINE : PCRE2_DOLLAR_ENDONLY;
    weft_text translated;
    weft_text_init(&translated);
    bool said = translate(text, dialect, &translated);
    weft_status status = weft_text_check(&translated, error);
    if (status == WEFT_OK && !said)
        status =
            weft_fail(error, WEFT_INVALID,
                      "the pattern %.200s has a set in a set or a + behind a brace, which weft does not know", text);
    if (status == WEFT_OK) status = add_regex(splitter, weft_text_get(&translated), options, habit, error);
    weft_text_fini(&translated);
    return status;
}

weft_status weft_splitter_add_pattern(weft_splitter *splitter, const char *text, weft_dialect dialect,
                                      weft_split_habit habit, weft_error *error)
{
    if (!is_utf8(text)) FAIL(error, WEFT_INVALID, "the pattern is not UTF-8");
    const weft_pattern *known = weft_pattern_by_text(text);
    if (known && dialect == WEFT_DIALECT_JSON && known->of_tiktoken) known = NULL;
    /* Those that match every character leave nothing in between. */
    bool same = habit == WEFT_SPLIT_ISOLATED || (habit == WEFT_SPLIT_REMOVED && known && strstr(text, "\\s+"));
    if (known && same) return weft_splitter_add_known(splitter, known, error);
    return add_other(splitter, text, dialect, habit, error);
}

weft_status weft_splitter_add_literal(weft_splitter *splitter, const char *text, weft_split_habit habit,
                                      weft_error *error)
{
    if (!*text) FAIL(error, WEFT_INVALID, "a text to split at is empty");
    return add_regex(splitter, text, PCRE2_LITERAL, habit, error);
}

bool weft_splitter_is_known(const weft_splitter *splitter)
{
    for (size_t i = 0; i < splitter->count; i++)
        if (!splitter->steps[i].scan) return false;
    return true;
}

bool weft_splitter_parts_blanks(const weft_splitter *splitter)
{
    for (size_t i = 0; i < splitter->count; i++)
        if (splitter->steps[i].parts_blanks) return true;
    return false;
}

weft_status weft_split_walk_init(weft_split_walk *walk, const weft_splitter *splitter, weft_error *error)
{
    *walk = (weft_split_walk){.splitter = splitter};
    for (size_t i = 0; i < splitter->count; i++) {
        if (!splitter->steps[i].regex) continue;
        walk->matches[i] = pcre2_match_data_create_from_pattern(splitter->steps[i].regex->code, NULL);
        if (walk->matches[i]) continue;
        weft_split_walk_fini(walk);
        FAIL(error, WEFT_NO_MEMORY, "out of memory for the matches of a pattern");
    }
    return WEFT_OK;
}

void weft_split_walk_fini(weft_split_walk *walk)
{
    for (size_t i = 0; i < WEFT_MOST_STEPS; i++) pcre2_match_data_free(walk->matches[i]);
    *walk = (weft_split_walk){0};
}

static weft_status split(weft_split_walk *walk, size_t step, const unsigned char *text, size_t length,
                         weft_error *error);

/* The next match at or behind *begin that is not empty; *begin = length when there is none. */
static weft_status find_match(const weft_split_walk *walk, size_t step, const unsigned char *text, size_t length,
                              size_t *begin, size_t *out_end, weft_error *error)
{
    pcre2_match_data *match = walk->matches[step];
    const pcre2_code *code = walk->splitter->steps[step].regex->code;
    uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    int found = pcre2_match(code, text, length, *begin, options, match, NULL);
    /* Compiled code has a small stack; the interpreter takes what it needs. */
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(code, text, length, *begin, options | PCRE2_NO_JIT, match, NULL);
    if (found == PCRE2_ERROR_NOMEMORY) FAIL(error, WEFT_NO_MEMORY, "out of memory while a pattern is matched");
    if (found < 0 && found != PCRE2_ERROR_NOMATCH)
        FAIL(error, WEFT_FAILED, "the tokenizer's pattern gives up on a text (PCRE2's error %d)", found);
    const PCRE2_SIZE *places = pcre2_get_ovector_pointer(match);
    bool behind = found >= 0 && places[0] >= *begin && places[1] > places[0]; /* \K can break it */
    *begin = behind ? places[0] : length;
    *out_end = behind ? places[1] : length;
    return WEFT_OK;
}

/* Pieces end at the marks that a habit makes of a match. */
static weft_status split_by_regex(weft_split_walk *walk, size_t step, const unsigned char *text, size_t length,
                                  weft_error *error)
{
    weft_split_habit habit = walk->splitter->steps[step].habit;
    size_t begin = 0, end = 0, from = 0; /* of the match; of the piece that is not given yet */
    while (from < length) {
        begin = end;
        TRY(find_match(walk, step, text, length, &begin, &end, error));
        size_t until = habit == WEFT_SPLIT_WITH_PREVIOUS ? end : begin;
        if (habit == WEFT_SPLIT_REMOVED) from = begin;
        if (until > from) TRY(split(walk, step + 1, text + from, until - from, error));
        from = until;
        if (habit != WEFT_SPLIT_ISOLATED && habit != WEFT_SPLIT_REMOVED) continue;
        if (end > begin) TRY(split(walk, step + 1, text + begin, end - begin, error));
        from = end;
    }
    return WEFT_OK;
}

static weft_status split(weft_split_walk *walk, size_t step, const unsigned char *text, size_t length,
                         weft_error *error)
{
    if (step == walk->splitter->count) return walk->take(walk->context, text, length, error);
    weft_scanner *scan = walk->splitter->steps[step].scan;
    if (!scan) return split_by_regex(walk, step, text, length, error);
    bool last = step + 1 == walk->splitter->count;
    for (const unsigned char *end = text + length, *stop; text < end; text = stop) {
        stop = scan(text, end);
        TRY(last ? walk->take(walk->context, text, (size_t)(stop - text), error)
                 : split(walk, step + 1, text, (size_t)(stop - text), error));
    }
    return WEFT_OK;
}

weft_status weft_split_walk_go(weft_split_walk *walk, const unsigned char *text, size_t length, weft_error *error)
{
    return length ? split(walk, 0, text, length, error) : WEFT_OK;
}
