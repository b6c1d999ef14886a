#include "tokenizer/added.h"

#include "tokenizer/classes.h"

#include <stdlib.h>
#include <string.h>

void weft_added_init(weft_added *added)
{
    *added = (weft_added){0};
    weft_arena_init(&added->arena);
}

void weft_added_fini(weft_added *added)
{
    weft_arena_fini(&added->arena);
    weft_free(added->rows);
    *added = (weft_added){0};
}

weft_status weft_added_add(weft_added *added, weft_added_token token, weft_error *error)
{
    unsigned char *copy = NULL;
    if (token.length == 0) return WEFT_OK;
    TRY(weft_arena_take(&added->arena, token.length, 1, &copy, error));
    TRY(weft_grow(&added->rows, &added->capacity, added->count + 1, sizeof *added->rows, error));
    memcpy(copy, token.name, token.length);
    token.name = copy;
    added->rows[added->count++] = token;
    if (token.length > added->longest) added->longest = token.length;
    added->begins[copy[0]] = true;
    return WEFT_OK;
}

static int compare_names(const unsigned char *a, size_t a_length, const unsigned char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_rows(const void *left, const void *right)
{
    const weft_added_token *a = left, *b = right;
    int order = compare_names(a->name, a->length, b->name, b->length);
    return order ? order : (a->id > b->id) - (a->id < b->id);
}

void weft_added_sort(weft_added *added)
{
    if (added->count) qsort(added->rows, added->count, sizeof *added->rows, compare_rows);
    size_t kept = 0;
    for (size_t i = 0; i < added->count; i++) {
        const weft_added_token *row = &added->rows[i], *last = kept ? &added->rows[kept - 1] : NULL;
        if (last && compare_names(last->name, last->length, row->name, row->length) == 0) continue;
        added->rows[kept++] = *row;
    }
    added->count = kept;
}

/* The first of rows *low .. high - 1, which agree up to `depth`, whose byte there is not below c. */
static size_t first_with(const weft_added *added, size_t low, size_t high, size_t depth, unsigned c)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const weft_added_token *row = &added->rows[middle];
        bool below = row->length <= depth || row->name[depth] < c;
        if (below)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest name that the text begins with, or NULL. */
static const weft_added_token *longest_at(const weft_added *added, const unsigned char *text, size_t length)
{
    const weft_added_token *best = NULL;
    size_t low = 0, high = added->count;
    for (size_t depth = 0; depth < length && low < high; depth++) {
        low = first_with(added, low, high, depth, text[depth]);
        high = first_with(added, low, high, depth, text[depth] + 1u);
        if (low < high && added->rows[low].length == depth + 1) best = &added->rows[low];
    }
    return best;
}

/* The class of the character in front of a place; its beginning. */
static unsigned class_before(const unsigned char *text, size_t at, size_t *out_begin)
{
    unsigned length;
    do at--;
    while (at > 0 && (text[at] & 0xc0) == 0x80);
    *out_begin = at;
    return weft_class_of(weft_utf8_point(text + at, &length));
}

static unsigned class_behind(const unsigned char *text, size_t at, unsigned *out_length)
{
    return weft_class_of(weft_utf8_point(text + at, out_length));
}

static bool is_alone(const unsigned char *text, size_t length, size_t begin, size_t end)
{
    size_t before;
    unsigned behind;
    if (begin > 0 && (class_before(text, begin, &before) & WEFT_CLASS_WORD)) return false;
    return end == length || !(class_behind(text, end, &behind) & WEFT_CLASS_WORD);
}

/* Takes in the blanks on the sides where the token wants them, but none in front of `least`. */
static weft_added_match with_blanks(const weft_added_token *token, const unsigned char *text, size_t length,
                                    size_t least, size_t begin)
{
    weft_added_match match = {.token = token, .begin = begin, .end = begin + token->length};
    size_t before;
    unsigned behind;
    while (token->lstrip && match.begin > least &&
           (class_before(text, match.begin, &before) & WEFT_CLASS_MASK) == WEFT_CLASS_BLANK)
        match.begin = before;
    while (token->rstrip && match.end < length &&
           (class_behind(text, match.end, &behind) & WEFT_CLASS_MASK) == WEFT_CLASS_BLANK)
        match.end += behind;
    return match;
}

weft_added_match weft_added_next(const weft_added *added, const unsigned char *text, size_t length, size_t at,
                                 bool plain)
{
    for (size_t begin = at; added->count && begin < length; begin++) {
        if (!added->begins[text[begin]]) continue;
        const weft_added_token *token = longest_at(added, text + begin, length - begin);
        if (!token) continue;
        bool passed =
            (plain && token->special) || (token->single_word && !is_alone(text, length, begin, begin + token->length));
        if (!passed) return with_blanks(token, text, length, at, begin);
        begin += token->length - 1; /* what is in it is not looked at again */
    }
    return (weft_added_match){.begin = length, .end = length};
}

bool weft_added_touches(const weft_added *added, const unsigned char *text, size_t length, size_t at)
{
    size_t reach = at < added->longest ? at : added->longest;
    for (size_t begin = at - reach; added->count && begin <= at && begin < length; begin++) {
        if (!added->begins[text[begin]]) continue;
        const weft_added_token *token = longest_at(added, text + begin, length - begin);
        if (token && begin + token->length >= at) return true;
    }
    return false;
}

const weft_added_token *weft_added_find(const weft_added *added, const void *name, size_t length)
{
    size_t low = 0, high = added->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const weft_added_token *row = &added->rows[middle];
        int order = compare_names(row->name, row->length, name, length);
        if (order == 0) return row;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
