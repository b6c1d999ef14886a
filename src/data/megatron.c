#include "data/megatron.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Bytes of an index: its name, a version, the code of the type of tokens, the number of sequences, and that of
 * documents and one more. */
enum { VERSION = 9, TYPE = 17, SEQUENCES = 18, DOCUMENTS = 26, CHUNK = 2048 };

static const char magic[VERSION] = "MMIDIDX\0";

static const weft_number_type types[] = {
    WEFT_NUMBER_NONE,  WEFT_NUMBER_UINT8,   WEFT_NUMBER_INT8,    WEFT_NUMBER_INT16,  WEFT_NUMBER_INT32,
    WEFT_NUMBER_INT64, WEFT_NUMBER_FLOAT64, WEFT_NUMBER_FLOAT32, WEFT_NUMBER_UINT16,
};
enum { TYPES = sizeof types / sizeof *types };

static uint64_t little(const unsigned char *bytes, int width)
{
    uint64_t number = 0;
    for (int i = 0; i < width; i++) number |= (uint64_t)bytes[i] << 8 * i;
    return number;
}

bool weft_megatron_is_index(const unsigned char *head, size_t count)
{
    return count >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

weft_number_type weft_megatron_numbers(const unsigned char *head, size_t count)
{
    if (count < WEFT_MEGATRON_HEAD || !weft_megatron_is_index(head, count) || little(head + VERSION, 8) != 1)
        return WEFT_NUMBER_NONE;
    return head[TYPE] < TYPES ? types[head[TYPE]] : WEFT_NUMBER_NONE;
}

uint8_t weft_megatron_code(weft_number_type numbers)
{
    for (uint8_t code = 1; code < TYPES; code++)
        if (types[code] == numbers) return code;
    return 0;
}

static void put_little(unsigned char *at, uint64_t number, int width)
{
    for (int i = 0; i < width; i++) at[i] = (unsigned char)(number >> 8 * i);
}

void weft_megatron_head(weft_number_type numbers, uint64_t sequences, uint64_t documents,
                        unsigned char out[WEFT_MEGATRON_HEAD])
{
    memcpy(out, magic, sizeof magic);
    put_little(out + VERSION, 1, 8);
    out[TYPE] = weft_megatron_code(numbers);
    put_little(out + SEQUENCES, sequences, 8);
    put_little(out + DOCUMENTS, documents + 1, 8);
}

const char *weft_megatron_beside(const char *path, const char *ending, char *out, size_t size)
{
    static const char *const endings[] = {".bin", ".idx", ".mask"};
    size_t length = strlen(path), tail = strlen(ending);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t known = strlen(endings[i]);
        if (length > known && strcmp(path + length - known, endings[i]) == 0) {
            length -= known;
            break;
        }
    }
    if (length + tail >= size) return NULL;
    snprintf(out, size, "%.*s%s", (int)length, path, ending);
    return out;
}

/* Places in the index. */
static uint64_t place_of_length(uint64_t sequence)
{
    return WEFT_MEGATRON_HEAD + 4 * sequence;
}

static uint64_t place_of_offset(const weft_megatron *megatron, uint64_t sequence)
{
    return place_of_length(megatron->sequences) + 8 * sequence;
}

static uint64_t place_of_document(const weft_megatron *megatron, uint64_t document)
{
    return place_of_offset(megatron, megatron->sequences) + 8 * document;
}

static weft_status check_head(weft_megatron *megatron, const weft_excerpt *excerpt, weft_error *error)
{
    const unsigned char *head = excerpt->pages[WEFT_EXCERPT_FIRST].bytes;
    const char *path = excerpt->path;
    if (excerpt->size < WEFT_MEGATRON_HEAD || !weft_megatron_is_index(head, WEFT_MEGATRON_HEAD))
        FAIL(error, WEFT_INVALID, "%s: not a Megatron index: it begins with MMIDIDX and has %d bytes at least", path,
             WEFT_MEGATRON_HEAD);
    uint64_t version = little(head + VERSION, 8);
    if (version != 1)
        FAIL(error, WEFT_INVALID, "%s: version %" PRIu64 " of the index at byte %d is not known (1 expected)", path,
             version, VERSION);
    megatron->numbers = weft_megatron_numbers(head, WEFT_MEGATRON_HEAD);
    if (megatron->numbers == WEFT_NUMBER_NONE)
        FAIL(error, WEFT_INVALID, "%s: type %u of tokens at byte %d is not known (1 to 8)", path, head[TYPE], TYPE);
    megatron->sequences = little(head + SEQUENCES, 8);
    uint64_t entries = little(head + DOCUMENTS, 8);
    if (megatron->sequences > excerpt->size / 12 || entries > excerpt->size / 8 || entries < 1)
        FAIL(error, WEFT_INVALID,
             "%s: truncated at byte %" PRIu64 ": bytes %d to %d state %" PRIu64 " sequences and %" PRIu64
             " ends of documents",
             path, excerpt->size, SEQUENCES, WEFT_MEGATRON_HEAD - 1, megatron->sequences, entries);
    megatron->documents = entries - 1;
    uint64_t wanted = place_of_document(megatron, entries);
    if (excerpt->size == wanted + megatron->sequences && megatron->sequences > 0)
        FAIL(error, WEFT_INVALID, "%s: the index of a multimodal data set, which is not only text", path);
    if (excerpt->size != wanted)
        FAIL(error, WEFT_INVALID, "%s: %" PRIu64 " bytes, where its numbers of sequences and documents make %" PRIu64,
             path, excerpt->size, wanted);
    return WEFT_OK;
}

/* A chunk of lengths and of offsets: each sequence begins where the one before it ends. */
static weft_status check_sequences(weft_megatron *megatron, weft_files *reader, uint64_t from, size_t count,
                                   weft_error *error)
{
    unsigned char lengths[4 * CHUNK], offsets[8 * CHUNK];
    uint32_t width = weft_number_width(megatron->numbers);
    TRY(weft_files_read(reader, megatron->file, place_of_length(from), 4 * count, 4 * CHUNK, lengths, error));
    TRY(weft_files_read(reader, megatron->file, place_of_offset(megatron, from), 8 * count, 8 * CHUNK, offsets, error));
    for (size_t i = 0; i < count; i++) {
        uint64_t length = little(lengths + 4 * i, 4), offset = little(offsets + 8 * i, 8);
        if (length > INT32_MAX)
            FAIL(error, WEFT_INVALID, "%s: byte %" PRIu64 ": sequence %" PRIu64 " has a negative length",
                 megatron->path, place_of_length(from + i), from + i);
        if (offset != megatron->tokens * width)
            FAIL(error, WEFT_INVALID,
                 "%s: byte %" PRIu64 ": sequence %" PRIu64 " begins at byte %" PRIu64
                 " of the tokens, the one before it ends at %" PRIu64 ": sequences must lie end to end",
                 megatron->path, place_of_offset(megatron, from + i), from + i, offset, megatron->tokens * width);
        megatron->tokens += length;
    }
    return WEFT_OK;
}

static weft_status check_documents(const weft_megatron *megatron, weft_files *reader, uint64_t from, size_t count,
                                   uint64_t *last, weft_error *error)
{
    unsigned char entries[8 * CHUNK];
    TRY(weft_files_read(reader, megatron->file, place_of_document(megatron, from), 8 * count, 8 * CHUNK, entries,
                        error));
    for (size_t i = 0; i < count; i++) {
        uint64_t sequence = little(entries + 8 * i, 8);
        bool first = from + i == 0, past = from + i == megatron->documents;
        if (sequence < *last || (first && sequence != 0) || (past && sequence != megatron->sequences) ||
            sequence > megatron->sequences)
            FAIL(error, WEFT_INVALID,
                 "%s: byte %" PRIu64 ": document %" PRIu64 " begins with sequence %" PRIu64 " of %" PRIu64
                 ", behind one that begins with %" PRIu64,
                 megatron->path, place_of_document(megatron, from + i), from + i, sequence, megatron->sequences, *last);
        *last = sequence;
    }
    return WEFT_OK;
}

static size_t chunk_of(uint64_t left)
{
    return left < CHUNK ? (size_t)left : CHUNK;
}

static weft_status check_all(weft_megatron *megatron, weft_files *reader, uint64_t size, weft_error *error)
{
    for (uint64_t at = 0; at < megatron->sequences; at += CHUNK)
        TRY(check_sequences(megatron, reader, at, chunk_of(megatron->sequences - at), error));
    uint64_t last = 0, wanted = megatron->tokens * weft_number_width(megatron->numbers);
    for (uint64_t at = 0; at <= megatron->documents; at += CHUNK)
        TRY(check_documents(megatron, reader, at, chunk_of(megatron->documents + 1 - at), &last, error));
    if (wanted != size)
        FAIL(error, WEFT_INVALID,
             "%s: its sequences have %" PRIu64 " bytes of tokens, but the .bin beside it has %" PRIu64
             ": it is cut short or belongs to another index",
             megatron->path, wanted, size);
    return WEFT_OK;
}

weft_status weft_megatron_open(weft_megatron *megatron, weft_files *reader, const char *path, uint64_t size,
                               weft_error *error)
{
    weft_excerpt excerpt;
    *megatron = (weft_megatron){.path = path};
    TRY(weft_files_add(reader, path, &megatron->file, &excerpt, error));
    TRY(check_head(megatron, &excerpt, error));
    return check_all(megatron, reader, size, error);
}

/* The first token of a document, or of none: how many tokens there are. */
static weft_status begin_of(const weft_megatron *megatron, weft_files *reader, uint64_t document, uint64_t *out,
                            weft_error *error)
{
    unsigned char bytes[8];
    *out = megatron->tokens;
    TRY(weft_files_read(reader, megatron->file, place_of_document(megatron, document), 8, 0, bytes, error));
    uint64_t sequence = little(bytes, 8);
    if (sequence >= megatron->sequences) return WEFT_OK;
    TRY(weft_files_read(reader, megatron->file, place_of_offset(megatron, sequence), 8, 0, bytes, error));
    *out = little(bytes, 8) / weft_number_width(megatron->numbers);
    return WEFT_OK;
}

weft_status weft_megatron_next(const weft_megatron *megatron, weft_files *reader, uint64_t token, uint64_t *out,
                               weft_error *error)
{
    uint64_t low = 0, high = megatron->documents;
    *out = megatron->tokens;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2, begin = 0;
        TRY(begin_of(megatron, reader, middle, &begin, error));
        if (begin > token) {
            *out = begin;
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return WEFT_OK;
}
