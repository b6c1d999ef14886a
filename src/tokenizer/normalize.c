#include "tokenizer/normalize.h"

#include "base/utf8.h"
#include "tokenizer/classes.h"

#include <string.h>
#include <utf8proc.h>

void weft_normalizer_fini(weft_normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        weft_text_fini(&normalizer->steps[i].from);
        weft_text_fini(&normalizer->steps[i].to);
    }
    *normalizer = (weft_normalizer){0};
}

static weft_status add_step(weft_normalizer *normalizer, weft_normal_kind kind, weft_normal_step **out,
                            weft_error *error)
{
    if (normalizer->count == WEFT_MOST_NORMAL_STEPS)
        FAIL(error, WEFT_INVALID, "the normalizer has more than %d steps", WEFT_MOST_NORMAL_STEPS);
    *out = &normalizer->steps[normalizer->count++];
    **out = (weft_normal_step){.kind = kind};
    return WEFT_OK;
}

weft_status weft_normalizer_add(weft_normalizer *normalizer, weft_normal_kind kind, const char *from, const char *to,
                                weft_error *error)
{
    weft_normal_step *step = NULL;
    TRY(add_step(normalizer, kind, &step, error));
    weft_text_add(&step->from, "%s", from ? from : "");
    weft_text_add(&step->to, "%s", to);
    TRY(weft_text_check(&step->from, error));
    return weft_text_check(&step->to, error);
}

weft_status weft_normalizer_add_form(weft_normalizer *normalizer, const char *name, bool *out_known, weft_error *error)
{
    static const struct {
        const char *name;
        int options;
    } forms[] = {
        {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
        {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
        {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
        {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
    };
    *out_known = false;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(forms[i].name, name) != 0) continue;
        weft_normal_step *step = NULL;
        TRY(add_step(normalizer, WEFT_NORMAL_FORM, &step, error));
        step->options = forms[i].options;
        *out_known = true;
    }
    return WEFT_OK;
}

/* A precompiled map: the size of a trie, the trie (a double array of Darts-clone), texts that end with zeros. */
typedef struct charsmap {
    const unsigned char *units;
    size_t unit_count;
    const char *texts;
    size_t texts_length;
} charsmap;

static uint32_t load32(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static bool open_charsmap(const void *bytes, size_t length, charsmap *out)
{
    if (length < 4) return false;
    size_t trie = load32(bytes);
    if (trie == 0 || trie % 4 != 0 || trie > length - 4) return false;
    *out = (charsmap){.units = (const unsigned char *)bytes + 4, .unit_count = trie / 4};
    out->texts = (const char *)bytes + 4 + trie;
    out->texts_length = length - 4 - trie;
    return out->texts_length > 0 && out->texts[out->texts_length - 1] == '\0';
}

weft_status weft_normalizer_add_charsmap(weft_normalizer *normalizer, const void *bytes, size_t length,
                                         weft_error *error)
{
    charsmap map;
    weft_normal_step *step = NULL;
    if (!open_charsmap(bytes, length, &map)) FAIL(error, WEFT_INVALID, "the normalizer's map of characters is damaged");
    TRY(add_step(normalizer, WEFT_NORMAL_CHARSMAP, &step, error));
    weft_text_add_bytes(&step->from, bytes, length);
    return weft_text_check(&step->from, error);
}

void weft_normal_scratch_fini(weft_normal_scratch *scratch)
{
    weft_text_fini(&scratch->texts[0]);
    weft_text_fini(&scratch->texts[1]);
    weft_free(scratch->points);
    *scratch = (weft_normal_scratch){0};
}

/* The unit at a place, 0 beyond the end. */
static uint32_t get_unit(const charsmap *map, size_t at)
{
    return at < map->unit_count ? load32(map->units + 4 * at) : 0;
}

static size_t get_offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* A damaged map may point into the middle of a character. */
static bool is_well(const char *text)
{
    uint32_t code;
    for (int used; *text; text += used)
        if ((used = weft_utf8_next(text, &code)) == 0) return false;
    return true;
}

/* Bytes of the longest key that the text begins with, 0 when there is none, and what stands for them. */
static size_t match_charsmap(const charsmap *map, const unsigned char *text, size_t length, const char **out)
{
    size_t best = 0, at = get_offset(get_unit(map, 0));
    for (size_t i = 0; i < length && text[i]; i++) {
        at ^= text[i];
        uint32_t unit = get_unit(map, at);
        if ((unit & (1u << 31 | 0xff)) != text[i]) break;
        at ^= get_offset(unit);
        if (!(unit >> 8 & 1)) continue;
        uint32_t value = get_unit(map, at) & 0x7fffffff;
        bool whole = i + 1 == length || (text[i + 1] & 0xc0) != 0x80;
        if (value >= map->texts_length || !whole || !is_well(map->texts + value)) break;
        best = i + 1;
        *out = map->texts + value;
    }
    return best;
}

/* More than the keys of maps have. */
enum { LONGEST_KEY = 1024 };

bool weft_normalizer_touches(const weft_normalizer *normalizer, const unsigned char *text, size_t length, size_t at)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        const weft_normal_step *step = &normalizer->steps[i];
        charsmap map;
        const char *out;
        if (step->kind != WEFT_NORMAL_CHARSMAP || !open_charsmap(step->from.bytes, step->from.length, &map)) continue;
        for (size_t begin = at < LONGEST_KEY ? 0 : at - LONGEST_KEY; begin <= at; begin++) {
            size_t used = match_charsmap(&map, text + begin, length - begin, &out);
            if (used && begin + used >= at) return true;
        }
    }
    return false;
}

static bool marks_blanks(const weft_normal_step *step)
{
    return step->kind == WEFT_NORMAL_REPLACE && strcmp(weft_text_get(&step->from), " ") == 0 &&
           strcmp(weft_text_get(&step->to), "\xe2\x96\x81") == 0;
}

bool weft_normalizer_keeps_blanks(const weft_normalizer *normalizer, bool marks)
{
    for (size_t i = 0; i < normalizer->count; i++)
        if (normalizer->steps[i].kind == WEFT_NORMAL_REPLACE && !(marks && marks_blanks(&normalizer->steps[i])))
            return false;
    return true;
}

bool weft_normalizer_marks_blanks(const weft_normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->count; i++)
        if (marks_blanks(&normalizer->steps[i])) return true;
    return false;
}

static void apply_charsmap(const weft_normal_step *step, const weft_segment *segment, weft_text *out)
{
    charsmap map;
    if (!open_charsmap(step->from.bytes, step->from.length, &map)) return;
    for (size_t at = 0; at < segment->length;) {
        const char *text = NULL;
        const unsigned char *c = segment->text + at;
        size_t used = match_charsmap(&map, c, segment->length - at, &text);
        if (used) {
            weft_text_add_bytes(out, text, strlen(text));
        } else {
            unsigned length;
            (void)weft_utf8_point(c, &length);
            used = length;
            weft_text_add_bytes(out, c, used);
        }
        at += used;
    }
}

/* Bytes of a blank, or of the mark that stands for one later, that a text ends with; 0: neither. */
static size_t count_last_blank(const weft_text *text)
{
    size_t length = text->length;
    if (length >= 1 && text->bytes[length - 1] == ' ') return 1;
    return length >= 3 && memcmp(text->bytes + length - 3, "\xe2\x96\x81", 3) == 0 ? 3 : 0;
}

static void squeeze(const weft_segment *segment, weft_text *out)
{
    bool blank = segment->first && segment->begins;
    for (size_t i = 0; i < segment->length; i++) {
        bool again = blank;
        blank = segment->text[i] == ' ';
        if (!blank || !again) weft_text_add_bytes(out, segment->text + i, 1);
    }
    for (size_t blank_bytes; segment->last && (blank_bytes = count_last_blank(out));) out->length -= blank_bytes;
}

static void replace(const weft_normal_step *step, const weft_segment *segment, weft_text *out)
{
    const unsigned char *at = segment->text, *end = at + segment->length, *from = (unsigned char *)step->from.bytes;
    size_t length = step->from.length;
    while (length > 0 && at < end) {
        const unsigned char *hit = memchr(at, from[0], (size_t)(end - at));
        while (hit && ((size_t)(end - hit) < length || memcmp(hit, from, length) != 0))
            hit = memchr(hit + 1, from[0], (size_t)(end - hit - 1));
        if (!hit) break;
        weft_text_add_bytes(out, at, (size_t)(hit - at));
        weft_text_add_bytes(out, step->to.bytes, step->to.length);
        at = hit + length;
    }
    weft_text_add_bytes(out, at, (size_t)(end - at));
}

/* No character below U+0300 changes under NFC, nor joins the one before it. */
static bool stays(const weft_normal_step *step, const unsigned char *c)
{
    bool compatible = step->options & UTF8PROC_COMPAT, composed = step->options & UTF8PROC_COMPOSE;
    return *c < (composed && !compatible ? 0xcc : 0x80);
}

/* Behind the first two characters in a row that stay as they are, so that nothing joins there; or the end. */
static size_t find_rest(const weft_normal_step *step, const weft_segment *segment, size_t at)
{
    bool stayed = false;
    while (at < segment->length) {
        bool stay = stays(step, segment->text + at);
        if (stay && stayed) return at;
        stayed = stay;
        do at++;
        while (at < segment->length && (segment->text[at] & 0xc0) == 0x80);
    }
    return at;
}

static weft_status add_form(const weft_normal_step *step, weft_normal_scratch *scratch, const unsigned char *text,
                            size_t length, weft_text *out, weft_error *error)
{
    for (;;) {
        utf8proc_ssize_t count = utf8proc_decompose(text, (utf8proc_ssize_t)length, scratch->points,
                                                    (utf8proc_ssize_t)scratch->capacity, step->options);
        if (count < 0) FAIL(error, WEFT_FAILED, "a text cannot be normalised: %s", utf8proc_errmsg(count));
        if ((size_t)count + 1 > scratch->capacity) {
            TRY(weft_grow(&scratch->points, &scratch->capacity, (size_t)count + 1, sizeof(int32_t), error));
            continue;
        }
        count = utf8proc_reencode(scratch->points, count, step->options);
        if (count < 0) FAIL(error, WEFT_FAILED, "a text cannot be normalised: %s", utf8proc_errmsg(count));
        weft_text_add_bytes(out, scratch->points, (size_t)count);
        return WEFT_OK;
    }
}

/* Stretches with characters that may change are given to utf8proc with one character before and behind. */
static weft_status apply_form(const weft_normal_step *step, weft_normal_scratch *scratch, const weft_segment *segment,
                              weft_text *out, weft_error *error)
{
    size_t given = 0, last = 0; /* bytes that are written; where the last character that stays begins */
    for (size_t at = 0; at < segment->length; at++) {
        const unsigned char *c = segment->text + at;
        if (stays(step, c)) {
            if ((*c & 0xc0) != 0x80) last = at;
            continue;
        }
        size_t end = find_rest(step, segment, at);
        weft_text_add_bytes(out, segment->text + given, last - given);
        TRY(add_form(step, scratch, segment->text + last, end - last, out, error));
        given = last = end;
        at = end - 1;
    }
    weft_text_add_bytes(out, segment->text + given, segment->length - given);
    return WEFT_OK;
}

static bool begins_with(const weft_segment *segment, const weft_text *text)
{
    return segment->length >= text->length && memcmp(segment->text, text->bytes, text->length) == 0;
}

/* Whether a step puts its text in front of the segment. */
static bool leads(const weft_normal_step *step, const weft_segment *segment)
{
    bool something = segment->begins && segment->length > 0;
    switch (step->kind) {
    case WEFT_NORMAL_PREPEND:
        return something;
    case WEFT_NORMAL_LEAD:
        return something && !begins_with(segment, &step->to);
    case WEFT_NORMAL_BEGIN:
        return something && segment->first && !begins_with(segment, &step->to);
    case WEFT_NORMAL_DUMMY:
        return segment->begins && segment->first && (segment->length > 0 || !segment->last);
    default:
        return false;
    }
}

static bool changes_nothing(const weft_normal_step *step, const weft_segment *segment)
{
    if (step->kind == WEFT_NORMAL_FORM) {
        size_t at = 0;
        while (at < segment->length && stays(step, segment->text + at)) at++;
        return at == segment->length;
    }
    return step->kind >= WEFT_NORMAL_PREPEND && step->kind <= WEFT_NORMAL_DUMMY && !leads(step, segment);
}

static weft_status apply(const weft_normal_step *step, weft_normal_scratch *scratch, weft_segment *segment,
                         weft_text *out, weft_error *error)
{
    out->length = 0;
    if (step->kind == WEFT_NORMAL_FORM)
        TRY(apply_form(step, scratch, segment, out, error));
    else if (step->kind == WEFT_NORMAL_CHARSMAP)
        apply_charsmap(step, segment, out);
    else if (step->kind == WEFT_NORMAL_SQUEEZE)
        squeeze(segment, out);
    else if (step->kind == WEFT_NORMAL_REPLACE)
        replace(step, segment, out);
    else {
        weft_text_add_bytes(out, step->to.bytes, step->to.length);
        weft_text_add_bytes(out, segment->text, segment->length);
    }
    if (out->failed) {
        weft_text_fini(out); /* for the next text */
        FAIL(error, WEFT_NO_MEMORY, "out of memory while a text is normalised");
    }
    segment->text = (const unsigned char *)weft_text_get(out);
    segment->length = out->length;
    return WEFT_OK;
}

weft_status weft_normalizer_run(const weft_normalizer *normalizer, weft_normal_scratch *scratch, weft_segment *segment,
                                weft_error *error)
{
    int into = 0;
    for (size_t i = 0; i < normalizer->count; i++) {
        const weft_normal_step *step = &normalizer->steps[i];
        if (changes_nothing(step, segment)) continue;
        TRY(apply(step, scratch, segment, &scratch->texts[into], error));
        into = !into;
    }
    return WEFT_OK;
}
