#include "data/passages.h"

#include "data/collect.h"
#include "data/recognise.h"

#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

enum { READ_BYTES = 256 << 10, LONGEST = 1 << 30 };

typedef struct {
    const char *path;
    bool jsonl, found; /* found: in a folder, not named */
    uint64_t size;
} known_input;

struct weft_passages {
    const weft_tokenizer *tokenizer;
    weft_inflate_patience patience;
    weft_arena arena;
    known_input *inputs; /* (count) */
    size_t count, capacity;
    uint64_t fingerprint, size, done_bytes; /* size of all files; of those that are done */
    weft_inflate *open;                     /* inputs[place.input]; NULL: not yet */
    bool begun;                             /* a document has begun and not ended */
    bool past_end;                          /* the open one has no more to give */
    bool fresh;                             /* nothing of it has been looked at */
    weft_passages_left left;
    weft_passages_place place;
    weft_text rest; /* read and not yet in a piece */
};

void weft_passage_batch_fini(weft_passage_batch *batch)
{
    weft_text_fini(&batch->text);
    weft_free(batch->pieces);
    *batch = (weft_passage_batch){0};
}

static bool ends_in(const char *name, size_t length, const char *ending)
{
    size_t tail = strlen(ending);
    return length > tail && strncmp(name + length - tail, ending, tail) == 0;
}

/* The name's length without what says that the file is packed. */
static size_t unpacked_length(const char *path)
{
    static const char *const packed[] = {".gz", ".zst"};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++)
        if (ends_in(path, length, packed[i])) length -= strlen(packed[i]);
    return length;
}

static bool is_jsonl(const char *path, weft_passages_format format)
{
    static const char *const lines[] = {".jsonl", ".ndjson", ".json"};
    size_t length = unpacked_length(path);
    if (format != WEFT_PASSAGES_AUTO) return format == WEFT_PASSAGES_JSONL;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (ends_in(path, length, lines[i])) return true;
    return false;
}

bool weft_passages_named(const char *path)
{
    return is_jsonl(path, WEFT_PASSAGES_AUTO) || unpacked_length(path) < strlen(path);
}

static weft_status add_input(weft_passages *pieces, const char *path, weft_passages_format format, bool found,
                             weft_error *error)
{
    struct stat info = {0};
    bool standard = strcmp(path, "-") == 0;
    if (!standard && stat(path, &info) != 0) FAIL(error, WEFT_INVALID, "%s: no such file or folder", path);
    TRY(weft_grow(&pieces->inputs, &pieces->capacity, pieces->count + 1, sizeof *pieces->inputs, error));
    known_input *input = &pieces->inputs[pieces->count];
    *input =
        (known_input){.jsonl = is_jsonl(path, format), .found = found, .size = standard ? 0 : (uint64_t)info.st_size};
    TRY(weft_arena_text(&pieces->arena, path, &input->path, error));
    int64_t stamp[3] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
    pieces->fingerprint = XXH3_64bits_withSeed(path, strlen(path), pieces->fingerprint);
    pieces->fingerprint = XXH3_64bits_withSeed(stamp, sizeof stamp, pieces->fingerprint);
    pieces->size += input->size;
    pieces->count++;
    return WEFT_OK;
}

static weft_status add_path(weft_passages *pieces, const weft_passages_options *options, const char *path,
                            weft_error *error)
{
    weft_collection collection;
    if (strcmp(path, "-") == 0) return add_input(pieces, path, options->format, false, error);
    TRY(weft_collection_init(&collection, path, options->own, options->own_count, error));
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < collection.count && status == WEFT_OK; i++)
        status = add_input(pieces, collection.paths[i], options->format, strcmp(collection.paths[i], path) != 0, error);
    weft_collection_fini(&collection);
    return status;
}

weft_status weft_passages_create(const weft_passages_options *options, weft_passages **out, weft_error *error)
{
    weft_passages *pieces = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *pieces, &pieces, error));
    pieces->tokenizer = options->tokenizer;
    pieces->patience = options->patience;
    weft_arena_init(&pieces->arena);
    weft_text_init(&pieces->rest);
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < options->input_count && status == WEFT_OK; i++)
        status = add_path(pieces, options, options->inputs[i], error);
    if (status == WEFT_OK)
        *out = pieces;
    else
        weft_passages_destroy(pieces);
    return status;
}

void weft_passages_destroy(weft_passages *pieces)
{
    if (!pieces) return;
    weft_inflate_close(pieces->open);
    weft_text_fini(&pieces->rest);
    weft_free(pieces->inputs);
    weft_arena_fini(&pieces->arena);
    weft_free(pieces);
}

static weft_status open_next(weft_passages *pieces, weft_error *error)
{
    pieces->past_end = pieces->begun = false;
    pieces->fresh = true;
    return weft_inflate_open(pieces->inputs[pieces->place.input].path, pieces->patience, &pieces->open, error);
}

static void close_open(weft_passages *pieces)
{
    pieces->done_bytes += pieces->inputs[pieces->place.input].size;
    weft_inflate_close(pieces->open);
    pieces->open = NULL;
    pieces->place = (weft_passages_place){.input = pieces->place.input + 1};
    pieces->rest.length = 0;
}

weft_status weft_passages_seek(weft_passages *pieces, weft_passages_place place, weft_error *error)
{
    for (uint64_t i = 0; i < place.input && i < pieces->count; i++) pieces->done_bytes += pieces->inputs[i].size;
    pieces->place = place;
    if (place.input >= pieces->count || place.offset == 0) return WEFT_OK;
    TRY(open_next(pieces, error));
    pieces->begun = !pieces->inputs[place.input].jsonl;
    pieces->fresh = false;
    char bytes[4096];
    for (uint64_t left = place.offset; left > 0;) {
        size_t got = 0;
        TRY(weft_inflate_read(pieces->open, bytes, left < sizeof bytes ? (size_t)left : sizeof bytes, &got, error));
        if (got == 0) FAIL(error, WEFT_INVALID, "%s: has become shorter: begin anew", pieces->inputs[place.input].path);
        left -= got;
    }
    return WEFT_OK;
}

weft_passages_place weft_passages_tell(const weft_passages *pieces)
{
    return pieces->place;
}

/* More of the open input behind the rest. */
static weft_status read_on(weft_passages *pieces, weft_error *error)
{
    char bytes[READ_BYTES];
    size_t got = 0;
    TRY(weft_inflate_read(pieces->open, bytes, sizeof bytes, &got, error));
    pieces->past_end = got < sizeof bytes;
    weft_text_add_bytes(&pieces->rest, bytes, got);
    return weft_text_check(&pieces->rest, error);
}

/* Beginning, middle and end of what was read first of a file. */
static void excerpt_of(const weft_passages *pieces, const char *path, weft_excerpt *out)
{
    const weft_text *rest = &pieces->rest;
    size_t count = rest->length < WEFT_FILES_PAGE ? rest->length : WEFT_FILES_PAGE;
    out->path = path;
    out->size = rest->length;
    for (size_t page = 0; page < WEFT_EXCERPT_PAGES; page++) {
        out->pages[page].offset = (rest->length - count) * page / (WEFT_EXCERPT_PAGES - 1);
        out->pages[page].count = count;
        memcpy(out->pages[page].bytes, rest->bytes + out->pages[page].offset, count);
    }
}

/* Who names a folder means the texts in it, not its pictures and programs. */
static bool leaves(weft_passages *pieces)
{
    const known_input *input = &pieces->inputs[pieces->place.input];
    weft_excerpt excerpt;
    bool fresh = pieces->fresh;
    pieces->fresh = false;
    if (!fresh || !input->found || input->jsonl || pieces->rest.length == 0) return false;
    excerpt_of(pieces, input->path, &excerpt);
    const weft_likeness *likeness = weft_recognise_for_text(&excerpt);
    if (!likeness && !memchr(pieces->rest.bytes, '\0', pieces->rest.length)) return false;
    if (pieces->left.files++ > 0) return true;
    pieces->left.example = input->path;
    pieces->left.what = likeness ? likeness->what : "binary, not text";
    return true;
}

static weft_status too_long(const weft_passages *pieces, const char *what, weft_error *error)
{
    FAIL(error, WEFT_INVALID, "%s: %s longer than %d bytes", pieces->inputs[pieces->place.input].path, what, LONGEST);
}

/* length bytes of the rest from `from` on become a piece. */
static weft_status add_piece(weft_passages *pieces, size_t from, size_t length, bool ends, weft_passage_batch *batch,
                             weft_error *error)
{
    const known_input *input = &pieces->inputs[pieces->place.input];
    TRY(weft_grow(&batch->pieces, &batch->capacity, batch->count + 1, sizeof *batch->pieces, error));
    batch->pieces[batch->count++] = (weft_passage){.offset = batch->text.length,
                                                   .length = length,
                                                   .begins = !pieces->begun,
                                                   .ends = ends,
                                                   .jsonl = input->jsonl,
                                                   .line = pieces->place.line,
                                                   .path = input->path};
    pieces->begun = !ends;
    weft_text_add_bytes(&batch->text, pieces->rest.bytes + from, length);
    return weft_text_check(&batch->text, error);
}

static void consume(weft_passages *pieces, size_t length)
{
    weft_text *rest = &pieces->rest;
    if (length == 0) return;
    memmove(rest->bytes, rest->bytes + length, rest->length - length);
    rest->length -= length;
    pieces->place.offset += length;
}

static bool is_blank(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
    return true;
}

/* All whole lines of the rest but blank ones, until the batch has so many bytes; at the end of the file what is left is
 * a line, too. */
static weft_status take_lines(weft_passages *pieces, size_t bytes, weft_passage_batch *batch, weft_error *error)
{
    const weft_text *rest = &pieces->rest;
    size_t at = 0;
    while (at < rest->length && batch->text.length < bytes) {
        const char *line = rest->bytes + at, *end = memchr(line, '\n', rest->length - at);
        if (!end && !pieces->past_end) break;
        size_t length = end ? (size_t)(end - line) : rest->length - at;
        pieces->place.line++;
        if (!is_blank(line, length)) TRY(add_piece(pieces, at, length, true, batch, error));
        at += length + (end != NULL);
    }
    consume(pieces, at);
    return rest->length > LONGEST ? too_long(pieces, "a line is", error) : WEFT_OK;
}

/* Near `bytes`, or twice, four times, ... as far: at a place that the text alone decides, not how it was read. */
static size_t find_cut(const weft_passages *pieces, size_t bytes)
{
    size_t cut = 0;
    for (size_t most = bytes; most <= pieces->rest.length && cut == 0; most *= 2)
        cut = weft_tokenizer_cut(pieces->tokenizer, pieces->rest.bytes, pieces->rest.length, most);
    return cut;
}

/* The rest, once it is long enough, up to a place where it may be cut; at the end of the file all of it. */
static weft_status take_text(weft_passages *pieces, size_t bytes, weft_passage_batch *batch, weft_error *error)
{
    const weft_text *rest = &pieces->rest;
    size_t length = rest->length < bytes ? 0 : find_cut(pieces, bytes);
    if (length == 0 && rest->length > LONGEST) return too_long(pieces, "a text that cannot be cut is", error);
    if (length == 0 && !pieces->past_end) return WEFT_OK;
    if (length == 0) length = rest->length;
    bool ends = pieces->past_end && length == rest->length;
    if (length > 0 || pieces->begun) TRY(add_piece(pieces, 0, length, ends, batch, error));
    consume(pieces, length);
    return WEFT_OK;
}

weft_status weft_passages_next(weft_passages *pieces, size_t bytes, weft_passage_batch *batch, weft_error *error)
{
    batch->text.length = batch->count = 0;
    while (batch->text.length < bytes && pieces->place.input < pieces->count) {
        if (!pieces->open) TRY(open_next(pieces, error));
        if (!pieces->past_end) TRY(read_on(pieces, error));
        if (leaves(pieces)) {
            close_open(pieces);
            continue;
        }
        bool jsonl = pieces->inputs[pieces->place.input].jsonl;
        TRY((jsonl ? take_lines : take_text)(pieces, bytes, batch, error));
        if (pieces->past_end && pieces->rest.length == 0) close_open(pieces);
    }
    return WEFT_OK;
}

weft_passages_left weft_passages_left_out(const weft_passages *pieces)
{
    return pieces->left;
}

uint64_t weft_passages_fingerprint(const weft_passages *pieces)
{
    return pieces->fingerprint;
}

uint64_t weft_passages_size(const weft_passages *pieces)
{
    return pieces->size;
}

uint64_t weft_passages_consumed(const weft_passages *pieces)
{
    return pieces->done_bytes + (pieces->open ? weft_inflate_consumed(pieces->open) : 0);
}
