#include "tokenizer/parts.h"

#include "base/hands.h"
#include "base/utf8.h"
#include "tokenizer/classes.h"

#include <string.h>

static bool is_letter(unsigned char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Words of the known scanners end between a letter of ASCII and a blank, whatever follows; and between a line end that
 * stands alone and a letter. No form of Unicode joins anything there. Words of SentencePiece begin at blanks. */
static bool parts_words(const weft_tokenizer *tokenizer, const unsigned char *text, size_t length, size_t at)
{
    unsigned char before = text[at - 1], behind = text[at];
    if (is_letter(before) && behind == ' ') return true;
    if (tokenizer->characters) return false;
    if (is_letter(before) && (behind == '\n' || behind == '\r' || behind == '\t')) return true;
    if (before != '\n' || at < 2 || text[at - 2] >= 0x80 || weft_ascii_classes[text[at - 2]] == WEFT_CLASS_BLANK)
        return false;
    if (behind < 0x80) return is_letter(behind);
    if (weft_utf8_length(text + at, length - at) == 0) return false;
    unsigned bytes, class = weft_class_of(weft_utf8_point(text + at, &bytes)) & WEFT_CLASS_MASK;
    return class == WEFT_CLASS_UPPER || class == WEFT_CLASS_LOWER || class == WEFT_CLASS_LETTER;
}

/* Whether a name may lie over such a place, or look back over it, where the text is another one when it is looked for.
 */
static bool reaches_over(const weft_added_token *token)
{
    if (token->rstrip || token->single_word) return true;
    for (size_t i = 1; i < token->length; i++) {
        unsigned char c = token->name[i];
        if (c < 0x80 ? weft_ascii_classes[c] == WEFT_CLASS_BLANK : c == 0xe2) return true; /* U+2581, or others */
    }
    return false;
}

bool weft_tokenizer_may_cut(const weft_tokenizer *tokenizer)
{
    const weft_splitter *splitter = &tokenizer->splitter;
    if (!weft_splitter_is_known(splitter)) return false;
    bool marks = tokenizer->characters;
    if (marks ? !tokenizer->words_begin_at_marks : !weft_splitter_parts_blanks(splitter)) return false;
    if (!weft_normalizer_keeps_blanks(&tokenizer->normalizer, marks) ||
        !weft_normalizer_keeps_blanks(&tokenizer->marker, marks))
        return false;
    if (marks && !weft_normalizer_marks_blanks(&tokenizer->normalizer) &&
        !weft_normalizer_marks_blanks(&tokenizer->marker))
        return false;
    for (size_t i = 0; tokenizer->normalizer.count && i < tokenizer->normalized.count; i++)
        if (reaches_over(&tokenizer->normalized.rows[i])) return false;
    return true;
}

size_t weft_tokenizer_cut(const weft_tokenizer *tokenizer, const char *text, size_t length, size_t most)
{
    const unsigned char *bytes = (const unsigned char *)text;
    if (!tokenizer->cuts) return 0;
    for (size_t at = most < length ? most : length - (length > 0); at > 0; at--)
        if (parts_words(tokenizer, bytes, length, at) && !weft_added_touches(&tokenizer->raw, bytes, length, at) &&
            !weft_added_touches(&tokenizer->normalized, bytes, length, at) &&
            !weft_normalizer_touches(&tokenizer->marker, bytes, length, at))
            return at;
    return 0;
}

enum { PART_BYTES = 256 << 10, MOST_THREADS = 1024 };

/* A text in parts, which threads take one by one. */
typedef struct parallel {
    const weft_tokenizer *tokenizer;
    const char *text;
    unsigned flags;
    size_t *ends; /* (count) */
    weft_token_list *lists;
    size_t count, hands;
    weft_encoder **encoders; /* (hands): each thread's own, once it has a part */
} parallel;

/* Each thread counts in a list of its own: beside each other, theirs would pass one line of the cache to and fro. */
static weft_status encode_part(void *context, size_t hand, size_t i, weft_error *error)
{
    const parallel *work = context;
    size_t begin = i ? work->ends[i - 1] : 0;
    unsigned flags = (work->flags & ~(unsigned)WEFT_ENCODE_BEGIN) | (i ? WEFT_ENCODE_CONTINUES : 0);
    weft_token_list own = {0};
    if (!work->encoders[hand]) TRY(weft_encoder_create(work->tokenizer, &work->encoders[hand], error));
    weft_status status =
        weft_encoder_encode(work->encoders[hand], work->text + begin, work->ends[i] - begin, flags, &own, error);
    work->lists[i] = own;
    return status;
}

/* Cuts the text; the last part ends where it does. */
static weft_status make_parts(parallel *work, size_t length, weft_error *error)
{
    size_t capacity = 0;
    for (size_t begin = 0, end; begin < length || work->count == 0; begin = end) {
        size_t cut = length - begin > PART_BYTES
                         ? weft_tokenizer_cut(work->tokenizer, work->text + begin, length - begin, PART_BYTES)
                         : 0;
        end = cut ? begin + cut : length;
        TRY(weft_grow(&work->ends, &capacity, work->count + 1, sizeof *work->ends, error));
        work->ends[work->count++] = end;
    }
    return weft_allocate(work->count, sizeof *work->lists, &work->lists, error);
}

static weft_status encode_parts(parallel *work, int threads, weft_error *error)
{
    size_t hands = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : (size_t)threads;
    work->hands = hands < work->count ? hands : work->count;
    TRY(weft_allocate(work->hands, sizeof *work->encoders, &work->encoders, error));
    return weft_hands_run(work->hands, work->count, encode_part, work, error);
}

/* The ids of all parts, with what the tokenizer puts round a text. */
static weft_status join_parts(const parallel *work, weft_token_list *tokens, weft_error *error)
{
    bool begin = work->flags & WEFT_ENCODE_BEGIN;
    size_t total = tokens->count + work->tokenizer->prefix.count + work->tokenizer->suffix.count;
    for (size_t i = 0; i < work->count; i++) total += work->lists[i].count;
    TRY(weft_grow(&tokens->ids, &tokens->capacity, total, sizeof *tokens->ids, error));
    if (begin) weft_token_list_join(tokens, &work->tokenizer->prefix);
    for (size_t i = 0; i < work->count; i++) weft_token_list_join(tokens, &work->lists[i]);
    if (begin) weft_token_list_join(tokens, &work->tokenizer->suffix);
    return WEFT_OK;
}

weft_status weft_tokenizer_encode(const weft_tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                                  int threads, weft_token_list *tokens, weft_error *error)
{
    parallel work = {.tokenizer = tokenizer, .text = text, .flags = flags};
    weft_status status = make_parts(&work, length, error);
    if (status == WEFT_OK) status = encode_parts(&work, threads, error);
    if (status == WEFT_OK) status = join_parts(&work, tokens, error);
    for (size_t i = 0; work.encoders && i < work.hands; i++) weft_encoder_destroy(work.encoders[i]);
    weft_free(work.encoders);
    for (size_t i = 0; work.lists && i < work.count; i++) weft_token_list_fini(&work.lists[i]);
    weft_free(work.lists);
    weft_free(work.ends);
    return status;
}
