#include "data/formats.h"

#include "data/megatron.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_BYTES = 1024 };

/* Places in the table of layouts. Fingerprints hold them: a new layout goes behind the others. */
enum { LAYOUT_TEXT = 0, LAYOUT_NANOGPT = 1, LAYOUT_UINT32 = 10, LAYOUT_MEGATRON };

/* Magic numbers of llm.c: dev/data/data_common.py, llmc/dataloader.h, train_gpt2.py, train_llama3.py. */
static const weft_corpus_layout layouts[] = {
    [LAYOUT_TEXT] = {"text", WEFT_CONFIG_TEXT, 0, 0, WEFT_NUMBER_UINT8},
    [LAYOUT_NANOGPT] = {"nanoGPT tokens (uint16)", WEFT_CONFIG_NANOGPT, 0, 0, WEFT_NUMBER_UINT16},
    {"llm.c tokens (uint16)", WEFT_CONFIG_LLMC, 20240520, 1, WEFT_NUMBER_UINT16},
    {"llm.c tokens (uint32)", WEFT_CONFIG_LLMC, 20240801, 7, WEFT_NUMBER_UINT32},
    {"llm.c evaluation set", WEFT_CONFIG_LLMC, 20240522, 0, WEFT_NUMBER_NONE},
    {"llm.c model", WEFT_CONFIG_LLMC, 20240326, 0, WEFT_NUMBER_NONE},
    {"llm.c test vector", WEFT_CONFIG_LLMC, 20240327, 0, WEFT_NUMBER_NONE},
    {"llm.c tokenizer", WEFT_CONFIG_LLMC, 20240328, 0, WEFT_NUMBER_NONE},
    {"llm.c optimizer state", WEFT_CONFIG_LLMC, 20240527, 0, WEFT_NUMBER_NONE},
    {"llm.c llama model", WEFT_CONFIG_LLMC, 20240803, 0, WEFT_NUMBER_NONE},
    [LAYOUT_UINT32] = {"tokens (uint32)", WEFT_CONFIG_UINT32, 0, 0, WEFT_NUMBER_UINT32},
    [LAYOUT_MEGATRON] = {"Megatron tokens (uint8)", WEFT_CONFIG_MEGATRON, 0, 0, WEFT_NUMBER_UINT8},
    {"Megatron tokens (int8)", WEFT_CONFIG_MEGATRON, 0, 0, WEFT_NUMBER_INT8},
    {"Megatron tokens (int16)", WEFT_CONFIG_MEGATRON, 0, 0, WEFT_NUMBER_INT16},
    {"Megatron tokens (int32)", WEFT_CONFIG_MEGATRON, 0, 0, WEFT_NUMBER_INT32},
    {"Megatron tokens (int64)", WEFT_CONFIG_MEGATRON, 0, 0, WEFT_NUMBER_INT64},
    {"Megatron tokens (float64)", WEFT_CONFIG_MEGATRON, 0, 0, WEFT_NUMBER_FLOAT64},
    {"Megatron tokens (float32)", WEFT_CONFIG_MEGATRON, 0, 0, WEFT_NUMBER_FLOAT32},
    {"Megatron tokens (uint16)", WEFT_CONFIG_MEGATRON, 0, 0, WEFT_NUMBER_UINT16},
};

/* What data.format names; llmc is told by its magic number, megatron by the index. */
static const weft_corpus_layout *const plain[] = {
    [WEFT_CONFIG_TEXT] = &layouts[LAYOUT_TEXT],
    [WEFT_CONFIG_NANOGPT] = &layouts[LAYOUT_NANOGPT],
    [WEFT_CONFIG_UINT32] = &layouts[LAYOUT_UINT32],
};

#define MEGATRON(type) "the tokens of a Megatron data set, " type ", whose index lies beside them"
#define ONE_STREAM " reads them as one stream, without the ends of documents"

/* By the code of the type, which stands in versions 2 and 3 of the index, Fast-LLM's, behind 1 and 2 flags. */
static const weft_likeness megatron[] = {
    [0] = {MEGATRON("of an unknown type"), "write them as little-endian uint32", WEFT_CONFIG_AUTO},
    [3] = {MEGATRON("int16"), "data.format=nanogpt" ONE_STREAM, WEFT_CONFIG_NANOGPT},
    [4] = {MEGATRON("int32"), "data.format=uint32" ONE_STREAM, WEFT_CONFIG_UINT32},
    [5] = {MEGATRON("int64"), "write them as little-endian uint32", WEFT_CONFIG_AUTO},
    [8] = {MEGATRON("uint16"), "data.format=nanogpt" ONE_STREAM, WEFT_CONFIG_NANOGPT},
};
enum { INDEX_VERSION = 9, INDEX_TYPE = 16, INDEX_VERSIONS = 3 };

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

static const weft_likeness *likeness_of_index(const unsigned char *head)
{
    uint32_t version = little32(head + INDEX_VERSION), known = sizeof megatron / sizeof *megatron;
    if (version < 1 || version > INDEX_VERSIONS) return &megatron[0];
    uint32_t type = head[INDEX_TYPE + version];
    return &megatron[type < known && megatron[type].what ? type : 0];
}

/* Whether an index lies beside the file, and how it begins. */
static bool find_index(const char *path, unsigned char head[WEFT_MEGATRON_HEAD])
{
    char beside[4096];
    if (!is_bin(path) || !weft_megatron_beside(path, ".idx", beside, sizeof beside)) return false;
    int descriptor = open(beside, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) return false;
    memset(head, 0, WEFT_MEGATRON_HEAD);
    ssize_t got = read(descriptor, head, WEFT_MEGATRON_HEAD);
    close(descriptor);
    return got > 0 && weft_megatron_is_index(head, (size_t)got);
}

static const weft_corpus_layout *layout_by_index(const unsigned char head[WEFT_MEGATRON_HEAD])
{
    weft_number_type numbers = weft_megatron_numbers(head, WEFT_MEGATRON_HEAD);
    return numbers == WEFT_NUMBER_NONE ? NULL : &layouts[LAYOUT_MEGATRON + weft_megatron_code(numbers) - 1];
}

/* What the file seems to be, other than what the layout says; NULL: nothing else. */
static const weft_likeness *find_doubt(const weft_excerpt *excerpt, const weft_corpus_layout *layout)
{
    const weft_likeness *found = NULL;
    unsigned char head[WEFT_MEGATRON_HEAD];
    if (layout->magic) return NULL;
    if (layout->format != WEFT_CONFIG_TEXT && find_index(excerpt->path, head)) found = likeness_of_index(head);
    if (!found)
        found =
            layout->format == WEFT_CONFIG_TEXT ? weft_recognise_for_text(excerpt) : weft_recognise_for_tokens(excerpt);
    return found && found->fits == layout->format ? NULL : found;
}

static weft_status find_guess(const weft_excerpt *excerpt, const weft_corpus_layout **out, weft_error *error)
{
    unsigned char head[WEFT_MEGATRON_HEAD];
    bool indexed = find_index(excerpt->path, head);
    *out = indexed ? layout_by_index(head) : layout_by_magic(excerpt);
    if (*out) return WEFT_OK;
    *out = &layouts[is_bin(excerpt->path) ? LAYOUT_NANOGPT : LAYOUT_TEXT];
    const weft_likeness *found = indexed ? likeness_of_index(head) : find_doubt(excerpt, *out);
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

static weft_status find_megatron(const weft_excerpt *excerpt, const weft_corpus_layout **out, weft_error *error)
{
    unsigned char head[WEFT_MEGATRON_HEAD];
    if (!find_index(excerpt->path, head))
        FAIL(error, WEFT_INVALID, "%s: no index of Megatron's lies beside it: a data set is PREFIX.bin and PREFIX.idx",
             excerpt->path);
    *out = layout_by_index(head);
    if (!*out)
        FAIL(error, WEFT_INVALID, "%s: its index is none of Megatron's version 1: %s", excerpt->path,
             likeness_of_index(head)->advice);
    return WEFT_OK;
}

weft_status weft_corpus_layout_find(const weft_excerpt *excerpt, weft_config_format format,
                                    const weft_corpus_layout **out, const weft_likeness **out_doubt, weft_error *error)
{
    *out_doubt = NULL;
    if (format == WEFT_CONFIG_AUTO) {
        TRY(find_guess(excerpt, out, error));
    } else if (format == WEFT_CONFIG_LLMC) {
        TRY(find_llmc(excerpt, out, error));
    } else if (format == WEFT_CONFIG_MEGATRON) {
        TRY(find_megatron(excerpt, out, error));
    } else {
        *out = plain[format];
        *out_doubt = find_doubt(excerpt, *out);
    }
    if ((*out)->numbers == WEFT_NUMBER_NONE)
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
    uint32_t width = weft_number_width(layout->numbers);
    if (width > 1 && excerpt->size == 0) FAIL(error, WEFT_INVALID, "%s: is empty", excerpt->path);
    if (excerpt->size % width)
        FAIL(error, WEFT_INVALID, "%s: truncated at byte %" PRIu64 ": %s have %" PRIu32 " bytes each", excerpt->path,
             excerpt->size, layout->name, width);
    *out_tokens = excerpt->size / width;
    return WEFT_OK;
}

uint64_t weft_corpus_layout_offset(const weft_corpus_layout *layout, uint64_t token)
{
    return (layout->magic ? HEADER_BYTES : 0) + token * weft_number_width(layout->numbers);
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
    return weft_megatron_is_index(beginning(excerpt), excerpt->pages[WEFT_EXCERPT_FIRST].count);
}
