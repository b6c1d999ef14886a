#include "data/formats.h"

#include "base/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_BYTES = 1024 };

/* Places in the table of layouts. Fingerprints hold them: a new layout goes behind the others. */
enum { LAYOUT_TEXT = 0, LAYOUT_NANOGPT = 1, LAYOUT_UINT32 = 10 };

/* Magic numbers of llm.c: dev/data/data_common.py, llmc/dataloader.h, train_gpt2.py, train_llama3.py. */
static const weft_corpus_layout layouts[] = {
    [LAYOUT_TEXT] = {"text", WEFT_CONFIG_TEXT, 0, 0, 1},
    [LAYOUT_NANOGPT] = {"nanoGPT tokens (uint16)", WEFT_CONFIG_NANOGPT, 0, 0, 2},
    {"llm.c tokens (uint16)", WEFT_CONFIG_LLMC, 20240520, 1, 2},
    {"llm.c tokens (uint32)", WEFT_CONFIG_LLMC, 20240801, 7, 4},
    {"llm.c evaluation set", WEFT_CONFIG_LLMC, 20240522, 0, 0},
    {"llm.c model", WEFT_CONFIG_LLMC, 20240326, 0, 0},
    {"llm.c test vector", WEFT_CONFIG_LLMC, 20240327, 0, 0},
    {"llm.c tokenizer", WEFT_CONFIG_LLMC, 20240328, 0, 0},
    {"llm.c optimizer state", WEFT_CONFIG_LLMC, 20240527, 0, 0},
    {"llm.c llama model", WEFT_CONFIG_LLMC, 20240803, 0, 0},
    [LAYOUT_UINT32] = {"tokens (uint32)", WEFT_CONFIG_UINT32, 0, 0, 4},
};

/* What data.format names; llmc is told by its magic number. */
static const weft_corpus_layout *const plain[] = {
    [WEFT_CONFIG_TEXT] = &layouts[LAYOUT_TEXT],
    [WEFT_CONFIG_NANOGPT] = &layouts[LAYOUT_NANOGPT],
    [WEFT_CONFIG_UINT32] = &layouts[LAYOUT_UINT32],
};

/* A Megatron data set is PREFIX.idx and PREFIX.bin, tokens without a header. The index begins with its name and a
 * version; a code of the type of tokens follows, in versions 2 and 3, which are Fast-LLM's, behind 1 and 2 flags. */
static const char index_magic[9] = "MMIDIDX\0";
enum { INDEX_VERSION = 9, INDEX_TYPE = 16, INDEX_VERSIONS = 3, INDEX_BYTES = INDEX_TYPE + INDEX_VERSIONS + 1 };

#define MEGATRON(type) "the tokens of a Megatron data set, " type ", whose index lies beside them"
#define ONE_STREAM " reads them as one stream, without the ends of documents"

/* By the code of the type. */
static const weft_likeness megatron[] = {
    [0] = {MEGATRON("of an unknown type"), "write them as little-endian uint32", WEFT_CONFIG_AUTO},
    [3] = {MEGATRON("int16"), "data.format=nanogpt" ONE_STREAM, WEFT_CONFIG_NANOGPT},
    [4] = {MEGATRON("int32"), "data.format=uint32" ONE_STREAM, WEFT_CONFIG_UINT32},
    [5] = {MEGATRON("int64"), "write them as little-endian uint32", WEFT_CONFIG_AUTO},
    [8] = {MEGATRON("uint16"), "data.format=nanogpt" ONE_STREAM, WEFT_CONFIG_NANOGPT},
};

static uint32_t little32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static const unsigned char *beginning(const weft_excerpt *excerpt)
{
    return excerpt->pages[WEFT_EXCERPT_FIRST].bytes;
}

static const weft_corpus_layout *layout_by_magic(const weft_excerpt *excerpt)
{
    if (excerpt->size < 4) return NULL;
    uint32_t magic = little32(beginning(excerpt));
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].magic && layouts[i].magic == magic) return &layouts[i];
    return NULL;
}

static bool is_bin(const char *path)
{
    size_t length = strlen(path);
    return length >= 4 && strcmp(path + length - 4, ".bin") == 0;
}

static const weft_likeness *likeness_of_index(const unsigned char index[INDEX_BYTES])
{
    uint32_t version = little32(index + INDEX_VERSION), known = sizeof megatron / sizeof *megatron;
    if (version < 1 || version > INDEX_VERSIONS) return &megatron[0];
    uint32_t type = index[INDEX_TYPE + version];
    return &megatron[type < known && megatron[type].what ? type : 0];
}

/* NULL when no index lies beside the file. */
static const weft_likeness *find_index(const char *path)
{
    char beside[4096];
    unsigned char bytes[INDEX_BYTES];
    size_t length = strlen(path);
    if (!is_bin(path) || length >= sizeof beside) return NULL;
    snprintf(beside, sizeof beside, "%.*s.idx", (int)length - 4, path);
    int descriptor = open(beside, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) return NULL;
    ssize_t got = read(descriptor, bytes, sizeof bytes);
    close(descriptor);
    if (got != (ssize_t)sizeof bytes || memcmp(bytes, index_magic, sizeof index_magic) != 0) return NULL;
    return likeness_of_index(bytes);
}

/* What the file seems to be, other than what the layout says; NULL: nothing else. */
static const weft_likeness *find_doubt(const weft_excerpt *excerpt, const weft_corpus_layout *layout)
{
    const weft_likeness *found = NULL;
    if (layout->magic) return NULL;
    if (layout->format != WEFT_CONFIG_TEXT) found = find_index(excerpt->path);
    if (!found)
        found =
            layout->format == WEFT_CONFIG_TEXT ? weft_recognise_for_text(excerpt) : weft_recognise_for_tokens(excerpt);
    return found && found->fits == layout->format ? NULL : found;
}

static weft_status find_guess(const weft_excerpt *excerpt, const weft_corpus_layout **out, weft_error *error)
{
    *out = layout_by_magic(excerpt);
    if (*out) return WEFT_OK;
    *out = &layouts[is_bin(excerpt->path) ? LAYOUT_NANOGPT : LAYOUT_TEXT];
    const weft_likeness *found = find_index(excerpt->path);
    if (!found) found = find_doubt(excerpt, *out);
    if (found) FAIL(error, WEFT_INVALID, "%s: seems to be %s: %s", excerpt->path, found->what, found->advice);
    return WEFT_OK;
}

static weft_status find_llmc(const weft_excerpt *excerpt, const weft_corpus_layout **out, weft_error *error)
{
    *out = layout_by_magic(excerpt);
    if (*out) return WEFT_OK;
    if (excerpt->size < 4)
        FAIL(error, WEFT_INVALID,
             "%s: truncated at byte %" PRIu64 ": an llm.c token file starts with a header of %d bytes", excerpt->path,
             excerpt->size, HEADER_BYTES);
    FAIL(error, WEFT_INVALID,
         "%s: not an llm.c token file: magic number %" PRIu32 " at byte 0 (20240520 or 20240801 expected)",
         excerpt->path, little32(beginning(excerpt)));
}

weft_status weft_corpus_layout_find(const weft_excerpt *excerpt, weft_config_format format,
                                    const weft_corpus_layout **out, const weft_likeness **out_doubt, weft_error *error)
{
    *out_doubt = NULL;
    if (format == WEFT_CONFIG_AUTO) {
        TRY(find_guess(excerpt, out, error));
    } else if (format == WEFT_CONFIG_LLMC) {
        TRY(find_llmc(excerpt, out, error));
    } else {
        *out = plain[format];
        *out_doubt = find_doubt(excerpt, *out);
    }
    if ((*out)->width == 0)
        FAIL(error, WEFT_INVALID, "%s: is an %s, not a stream of tokens", excerpt->path, (*out)->name);
    return WEFT_OK;
}

static weft_status measure_header(const weft_corpus_layout *layout, const weft_excerpt *excerpt, uint64_t *out_tokens,
                                  weft_error *error)
{
    const char *path = excerpt->path;
    const unsigned char *bytes = beginning(excerpt);
    uint64_t size = excerpt->size;
    if (size < HEADER_BYTES)
        FAIL(error, WEFT_INVALID, "%s: truncated at byte %" PRIu64 ": the header of %s has %d bytes", path, size,
             layout->name, HEADER_BYTES);
    uint32_t version = little32(bytes + 4);
    if (version != layout->version)
        FAIL(error, WEFT_INVALID, "%s: version %" PRIu32 " of %s at byte 4 is not known (%" PRIu32 " expected)", path,
             version, layout->name, layout->version);
    uint64_t tokens = little32(bytes + 8), wanted = weft_corpus_layout_offset(layout, tokens);
    if (size < wanted)
        FAIL(error, WEFT_INVALID,
             "%s: truncated at byte %" PRIu64 ": %" PRIu64 " bytes expected for the %" PRIu64
             " tokens that byte 8 states",
             path, size, wanted, tokens);
    if (size > wanted)
        FAIL(error, WEFT_INVALID,
             "%s: unexpected bytes from byte %" PRIu64 " to %" PRIu64 ": byte 8 states %" PRIu64 " tokens", path,
             wanted, size, tokens);
    *out_tokens = tokens;
    return WEFT_OK;
}

weft_status weft_corpus_layout_measure(const weft_corpus_layout *layout, const weft_excerpt *excerpt,
                                       uint64_t *out_tokens, weft_error *error)
{
    if (layout->magic) return measure_header(layout, excerpt, out_tokens, error);
    if (layout->width > 1 && excerpt->size == 0) FAIL(error, WEFT_INVALID, "%s: is empty", excerpt->path);
    if (excerpt->size % layout->width)
        FAIL(error, WEFT_INVALID, "%s: truncated at byte %" PRIu64 ": %s have %" PRIu32 " bytes each", excerpt->path,
             excerpt->size, layout->name, layout->width);
    *out_tokens = excerpt->size / layout->width;
    return WEFT_OK;
}

uint64_t weft_corpus_layout_offset(const weft_corpus_layout *layout, uint64_t token)
{
    return (layout->magic ? HEADER_BYTES : 0) + token * layout->width;
}

uint64_t weft_corpus_layout_number(const weft_corpus_layout *layout)
{
    return (uint64_t)(layout - layouts);
}

bool weft_corpus_layout_is_text(const weft_corpus_layout *layout)
{
    return layout->format == WEFT_CONFIG_TEXT;
}

bool weft_corpus_layout_is_index(const weft_excerpt *excerpt)
{
    return excerpt->size >= sizeof index_magic && memcmp(beginning(excerpt), index_magic, sizeof index_magic) == 0;
}
