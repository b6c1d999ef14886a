#include "tokenizer/scan.h"

#include "tokenizer/classes.h"

#include <string.h>

typedef const unsigned char *place;

/* A set of classes, as bits. */
typedef unsigned class_set;

#define IN(class) (1u << (class))

enum {
    BLANK = IN(WEFT_CLASS_BLANK),
    NUMBER = IN(WEFT_CLASS_NUMBER),
    MARK = IN(WEFT_CLASS_MARK),
    SIGN = IN(WEFT_CLASS_SIGN),
    LOWER = IN(WEFT_CLASS_LOWER),
    EITHER = IN(WEFT_CLASS_LETTER) | MARK, /* fits capitals and small letters */
    CAPITALS = IN(WEFT_CLASS_UPPER) | EITHER,
    SMALL = LOWER | EITHER,
    LETTER = IN(WEFT_CLASS_UPPER) | LOWER | IN(WEFT_CLASS_LETTER),
    ALL = 0xff,
};

/* The set that holds the character's class alone, and the place behind it; 0 at the end. */
static inline class_set look(place at, place end, place *out_next)
{
    *out_next = at;
    if (at >= end) return 0;
    if (*at < 0x80) {
        *out_next = at + 1;
        return 1u << weft_ascii_classes[*at];
    }
    unsigned length;
    uint32_t point = weft_utf8_point(at, &length);
    *out_next = at + length;
    return 1u << (weft_class_of(point) & WEFT_CLASS_MASK);
}

static inline place skip(place at, place end, class_set set)
{
    for (place next; look(at, end, &next) & set;) at = next;
    return at;
}

static inline place skip_most(place at, place end, class_set set, int most)
{
    for (place next; most > 0 && (look(at, end, &next) & set); most--) at = next;
    return at;
}

static inline bool ends_line(unsigned char c)
{
    return c == '\n' || c == '\r';
}

/* \s+(?!\S)|\s+ : a run of blanks but for the last before a word, which goes with the word. */
static inline place scan_blanks(place at, place end)
{
    place last = at, stop = at;
    for (place next; look(stop, end, &next) & BLANK; stop = next) last = stop;
    return stop == end || last == at ? stop : last;
}

/* \s*[\r\n]+ before it: up to the last line end of the run. */
static inline place scan_lines(place at, place end, bool tail)
{
    place stop = skip(at, end, BLANK);
    if (tail && stop == end) return stop;
    for (place last = stop; last > at; last--)
        if (ends_line(last[-1])) return last;
    return scan_blanks(at, end);
}

/* 's 't 're 've 'm 'll 'd, or at. Without regard to case, U+017F is an s, as Unicode folds it. */
static inline place scan_contraction(place at, place end, bool any_case)
{
    if (*at != '\'' || end - at < 2) return at;
    unsigned char fold = any_case ? 0x20 : 0, one = at[1] | fold, two = end - at > 2 ? at[2] | fold : 0;
    if (at[1] < 0x80 && memchr("sdmt", one, 4)) return at + 2;
    if (end - at < 3) return at;
    if (any_case && at[1] == 0xc5 && at[2] == 0xbf) return at + 3;
    bool long_one = (one == 'l' && two == 'l') || (one == 'v' && two == 'e') || (one == 'r' && two == 'e');
    return long_one ? at + 3 : at;
}

/* '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static place scan_gpt2(place at, place end)
{
    place next, begin = at + (*at == ' '), stop = scan_contraction(at, end, false);
    if (stop != at) return stop;
    class_set first = look(begin, end, &next);
    if (first & LETTER) return skip(next, end, LETTER);
    if (first & NUMBER) return skip(next, end, NUMBER);
    if (first && !(first & BLANK)) return skip(next, end, ALL & ~(BLANK | LETTER | NUMBER));
    return scan_blanks(at, end);
}

/* [^\r\n\p{L}\p{N}]?[letters]+, or at. */
static inline place scan_letters(place at, place end, class_set letters)
{
    place next, second;
    class_set first = look(at, end, &next);
    if (first & letters) return skip(next, end, letters);
    if ((first & NUMBER) || ends_line(*at)) return at;
    return look(next, end, &second) & letters ? skip(second, end, letters) : at;
}

/* ` ?[signs]+[\r\n]*`, or with a slash among the line ends; or at. */
static inline place scan_signs(place at, place end, class_set signs, bool slash)
{
    place next, begin = at + (*at == ' ');
    if (!(look(begin, end, &next) & signs)) return at;
    place stop = skip(next, end, signs);
    while (stop < end && (ends_line(*stop) || (slash && *stop == '/'))) stop++;
    return stop;
}

/* What differs in the expressions that go back to cl100k. */
typedef struct cl100k_habit {
    int digits;        /* of a number that stay together */
    class_set letters; /* that make words */
    bool tail;         /* \s++$: blanks at the end of the text stay together */
} cl100k_habit;

static inline place scan_like_cl100k(place at, place end, cl100k_habit habit)
{
    place stop = scan_contraction(at, end, true);
    if (stop == at) stop = scan_letters(at, end, habit.letters);
    if (stop == at) stop = skip_most(at, end, NUMBER, habit.digits);
    if (stop == at) stop = scan_signs(at, end, ALL & ~(BLANK | NUMBER | LETTER | habit.letters), false);
    return stop == at ? scan_lines(at, end, habit.tail) : stop;
}

static place scan_llama3(place at, place end)
{
    return scan_like_cl100k(at, end, (cl100k_habit){.digits = 3, .letters = LETTER});
}

static place scan_cl100k(place at, place end)
{
    return scan_like_cl100k(at, end, (cl100k_habit){.digits = 3, .letters = LETTER, .tail = true});
}

static place scan_qwen(place at, place end)
{
    return scan_like_cl100k(at, end, (cl100k_habit){.digits = 1, .letters = LETTER});
}

static place scan_qwen35(place at, place end)
{
    return scan_like_cl100k(at, end, (cl100k_habit){.digits = 1, .letters = LETTER | MARK});
}

/* [CAPITALS]*[SMALL]+ from at on, or NULL. Capitals come first as long as they can; where no small letter follows
 * them, the last of them that is one too ends the word. */
static inline place scan_cased(place at, place end)
{
    place next, last = NULL;
    class_set here;
    for (; (here = look(at, end, &next)) & CAPITALS; at = next)
        if (here & SMALL) last = next;
    return here & LOWER ? skip(next, end, SMALL) : last;
}

/* [^\r\n\p{L}\p{N}]?[CAPITALS]*[SMALL]+|[^\r\n\p{L}\p{N}]?[CAPITALS]+[SMALL]*, or at. */
static inline place scan_cased_word(place at, place end)
{
    place next, stop, begin = at;
    class_set first = look(at, end, &next);
    if (!(first & (LETTER | NUMBER)) && !ends_line(*at)) begin = next;
    if ((stop = scan_cased(begin, end))) return stop;
    if (begin != at && (stop = scan_cased(at, end))) return stop;
    stop = skip(begin, end, CAPITALS);
    return stop == begin ? at : skip(stop, end, SMALL);
}

static inline place scan_like_o200k(place at, place end, int digits, bool contractions)
{
    place stop = scan_cased_word(at, end);
    if (stop != at) return contractions && stop < end ? scan_contraction(stop, end, true) : stop;
    stop = skip_most(at, end, NUMBER, digits);
    if (stop == at) stop = scan_signs(at, end, ALL & ~(BLANK | NUMBER | LETTER), true);
    return stop == at ? scan_lines(at, end, false) : stop;
}

static place scan_o200k(place at, place end)
{
    return scan_like_o200k(at, end, 3, true);
}

static place scan_tekken(place at, place end)
{
    return scan_like_o200k(at, end, 1, false);
}

/* The runs that match, and what lies between them. */
static inline place scan_runs(place at, place end, class_set set, int most)
{
    place stop = skip_most(at, end, set, most);
    return stop == at ? skip(at, end, ALL & ~set) : stop;
}

static place scan_three_digits(place at, place end)
{
    return scan_runs(at, end, NUMBER, 3);
}

const unsigned char *weft_scan_digits(place at, place end)
{
    return scan_runs(at, end, NUMBER, 1);
}

const unsigned char *weft_scan_numbers(place at, place end)
{
    return scan_runs(at, end, NUMBER, INT32_MAX);
}

/* [一-龥぀-ゟ゠-ヿ] */
static inline bool is_cjk(place at, place *out_next)
{
    unsigned length;
    uint32_t point = weft_utf8_point(at, &length);
    *out_next = at + length;
    return (point >= 0x4e00 && point <= 0x9fa5) || (point >= 0x3040 && point <= 0x30ff);
}

static place scan_cjk(place at, place end)
{
    place next;
    bool cjk = is_cjk(at, &next);
    for (at = next; at < end && is_cjk(at, &next) == cjk;) at = next;
    return at;
}

static inline bool is_ascii_letter(unsigned char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* The third expression of DeepSeek at this place, or at where it does not match. */
static inline place match_deepseek(place at, place end)
{
    place next, second, stop;
    class_set first = look(at, end, &next);
    if (*at < 0x80 && (first & SIGN) && next < end && is_ascii_letter(*next)) {
        for (stop = next; stop < end && is_ascii_letter(*stop);) stop++;
        return stop;
    }
    if (first & (LETTER | MARK)) return skip(next, end, LETTER | MARK);
    if (!(first & SIGN) && !ends_line(*at) && (look(next, end, &second) & (LETTER | MARK)))
        return skip(second, end, LETTER | MARK);
    stop = scan_signs(at, end, SIGN, false);
    return stop == at && (first & BLANK) ? scan_lines(at, end, false) : stop;
}

static place scan_deepseek(place at, place end)
{
    place stop = match_deepseek(at, end);
    if (stop != at) return stop;
    do {
        (void)look(at, end, &stop);
        at = stop;
    } while (at < end && match_deepseek(at, end) == at);
    return at;
}

/* The beginning of the next U+2581 (e2 96 81) at or behind a place. */
static place find_mark(place at, place end)
{
    while ((at = memchr(at, 0xe2, (size_t)(end - at))) && !(end - at >= 3 && at[1] == 0x96 && at[2] == 0x81)) at++;
    return at ? at : end;
}

const unsigned char *weft_scan_marked(place at, place end)
{
    while (end - at >= 3 && memcmp(at, "\xe2\x96\x81", 3) == 0) at += 3;
    return find_mark(at, end);
}

const unsigned char *weft_scan_each_marked(place at, place end)
{
    bool marked = end - at >= 3 && memcmp(at, "\xe2\x96\x81", 3) == 0;
    return find_mark(marked ? at + 3 : at, end);
}

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LINES_AND_BLANKS "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define SIGNS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define WORDS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define CASED_1 "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
#define CASED_2 "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
#define SLASHED "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"

/* Line ends stand in files as \r and \n or as themselves; weft_pattern_by_text takes both. */
const weft_pattern weft_patterns[] = {
    {"gpt2", "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", scan_gpt2, true, false},
    {NULL, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", scan_gpt2, true,
     false},
    {NULL, "'s|'t|'re|'ve|'m|'ll|'d| ?[\\p{L}]+| ?[\\p{N}]+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", scan_gpt2, true,
     false},
    {NULL, "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s", scan_gpt2, true,
     false},
    {"llama3", CONTRACTIONS WORDS "|\\p{N}{1,3}" SIGNS LINES_AND_BLANKS, scan_llama3, true, false},
    {"qwen", CONTRACTIONS WORDS "|\\p{N}" SIGNS LINES_AND_BLANKS, scan_qwen, true, false},
    {"qwen3.5",
     CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" LINES_AND_BLANKS,
     scan_qwen35, true, false},
    {"cl100k",
     "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*"
     "[\\r\\n]|\\s+(?!\\S)|\\s",
     scan_cl100k, true, true},
    {"o200k", CASED_1 CONTRACTIONS "?" CASED_2 CONTRACTIONS "?|\\p{N}{1,3}" SLASHED LINES_AND_BLANKS, scan_o200k, true,
     false},
    {"tekken", CASED_1 CASED_2 "|\\p{N}" SLASHED LINES_AND_BLANKS, scan_tekken, true, false},
    /* The three of DeepSeek, one after the other. */
    {NULL, "\\p{N}{1,3}", scan_three_digits, false, false},
    {NULL, "[一-龥぀-ゟ゠-ヿ]+", scan_cjk, false, false},
    {NULL,
     "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
     "?[\\p{P}\\p{S}]+[\\r\\n]*" LINES_AND_BLANKS,
     scan_deepseek, true, false},
};
const size_t weft_pattern_count = sizeof weft_patterns / sizeof *weft_patterns;

const weft_pattern *weft_pattern_by_name(const char *name)
{
    for (size_t i = 0; i < weft_pattern_count; i++)
        if (weft_patterns[i].name && strcmp(weft_patterns[i].name, name) == 0) return &weft_patterns[i];
    return NULL;
}

/* Whether two expressions are the same but for line ends that are written as \r and \n or as themselves. */
static bool is_same_text(const char *known, const char *given)
{
    for (; *known && *given; known++, given++) {
        char escaped = *given == '\r' ? 'r' : *given == '\n' ? 'n' : '\0';
        if (escaped && known[0] == '\\' && known[1] == escaped)
            known++;
        else if (*known != *given)
            return false;
    }
    return *known == *given;
}

const weft_pattern *weft_pattern_by_text(const char *text)
{
    for (size_t i = 0; i < weft_pattern_count; i++)
        if (is_same_text(weft_patterns[i].text, text)) return &weft_patterns[i];
    return NULL;
}
