#include "data/recognise.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Files below so many bytes are too little to judge by, as text and as numbers of 16 bits or more. */
enum { LEAST_TEXT = 32, LEAST_WORDS = 128 };

/* How much of a text may be control characters, or zero bytes; there are next to none in a text, more than 1/16 control
 * characters and 1/256 zeros in what is packed or encrypted, and more in everything else. A file of tokens is taken for
 * text when it has nearly none. */
enum { TEXT_PER_CONTROL = 64, TEXT_PER_ZERO = 512, SURE_TEXT_PER_CONTROL = 512 };

/* How many low parts are larger than any high part can tell, in all pages and as a share, makes numbers wide. */
enum { LEAST_LARGER = 48, COUNT_PER_LARGER = 8 };

#define UNPACK "unpack it first"
#define CONVERT "make text or tokens of it first"
#define DOWNLOAD "fetch the file itself: git lfs pull"
#define TO_UTF8 "make UTF-8 of it: iconv -t UTF-8 -f "
#define TO_UINT32 "write them as little-endian uint32 and set data.format=uint32"

/* When a file that looks like a text all the same is what its magic number says: texts begin with names of formats. */
typedef enum { IN_TEXT_NEVER, IN_TEXT_AT_BOTH_ENDS, IN_TEXT_ALWAYS } in_text;

typedef struct {
    weft_likeness likeness;
    in_text in_text;
    size_t offset, length;
    const char *magic; /* (length) at offset */
} magic_row;

#define IN_TEXT(when, what, advice, offset, magic)                                                                     \
    {                                                                                                                  \
        {what, advice, WEFT_CONFIG_AUTO}, IN_TEXT_##when, offset, sizeof(magic) - 1, magic                             \
    }
#define ROW(what, advice, offset, magic) IN_TEXT(NEVER, what, advice, offset, magic)

/* A row of fewer than SURE_MAGIC bytes is no proof against tokens. */
static const magic_row magics[] = {
    ROW("a Megatron index (.idx)", "name the .bin beside it", 0, "MMIDIDX\0"),
    ROW("a Fast-LLM data set", CONVERT, 0, "fast_llm_prepared_dataset"),
    IN_TEXT(ALWAYS, "a Git LFS pointer", DOWNLOAD, 0, "version https://git-lfs.github.com/spec/"),
    IN_TEXT(AT_BOTH_ENDS, "a Parquet file", CONVERT, 0, "PAR1"),
    IN_TEXT(AT_BOTH_ENDS, "an Arrow file", CONVERT, 0, "ARROW1"),
    IN_TEXT(AT_BOTH_ENDS, "a Feather file", CONVERT, 0, "FEA1"),
    ROW("an Avro file", CONVERT, 0, "Obj\x01"),
    ROW("a NumPy array (.npy)", "write its tokens without a header, by tofile()", 0, "\x93NUMPY"),
    ROW("an HDF5 file", CONVERT, 0, "\x89HDF\r\n\x1a\n"),
    ROW("an SQLite database", CONVERT, 0, "SQLite format 3\0"),
    ROW("an LMDB database", CONVERT, 16, "\xde\xc0\xef\xbe"),
    ROW("a gzip archive", UNPACK, 0, "\x1f\x8b\x08\0"), /* with flags: none, or a name */
    ROW("a gzip archive", UNPACK, 0, "\x1f\x8b\x08\x08"),
    ROW("a gzip archive", UNPACK, 0, "\x1f\x8b\x08"),
    ROW("a Zstandard archive", UNPACK, 0, "\x28\xb5\x2f\xfd"),
    ROW("an xz archive", UNPACK, 0, "\3757zXZ\0"),
    ROW("a bzip2 archive", UNPACK, 4, "\x31\x41\x59\x26\x53\x59"),
    ROW("an lz4 archive", UNPACK, 0, "\x04\x22\x4d\x18"),
    ROW("an old lz4 archive", UNPACK, 0, "\x02\x21\x4c\x18"),
    ROW("an lzip archive", UNPACK, 0, "LZIP\x01"),
    ROW("an lzop archive", UNPACK, 0, "\x89LZO\0\r\n\x1a\n"),
    ROW("a Snappy archive", UNPACK, 0, "\xff\x06\0\0sNaPpY"),
    ROW("a compress (.Z) archive", UNPACK, 0, "\x1f\x9d"),
    ROW("a zip archive (or one of PyTorch, NumPy, an office program)", UNPACK, 0, "PK\x03\x04"),
    ROW("an empty zip archive", UNPACK, 0, "PK\x05\x06"),
    ROW("a 7z archive", UNPACK, 0, "7z\xbc\xaf\x27\x1c"),
    ROW("a rar archive", UNPACK, 0, "Rar!\x1a\x07"),
    ROW("a tar archive", UNPACK, 257, "ustar"),
    ROW("a PyTorch file", CONVERT, 0, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"),
    ROW("a Python pickle", CONVERT, 0, "\x80\x02"),
    ROW("a Python pickle", CONVERT, 0, "\x80\x03"),
    ROW("a Python pickle", CONVERT, 0, "\x80\x04"),
    ROW("a Python pickle", CONVERT, 0, "\x80\x05"),
    ROW("a safetensors file", "it holds weights, not text or tokens", 5, "\0\0\0{\""),
    ROW("a GGUF model", "it holds weights, not text or tokens", 0, "GGUF"),
    IN_TEXT(ALWAYS, "a PDF document", CONVERT, 0, "%PDF-"),
    ROW("a PNG picture", CONVERT, 0, "\x89PNG\r\n\x1a\n"),
    ROW("a JPEG picture", CONVERT, 0, "\xff\xd8\xff"),
    ROW("a program", CONVERT, 0, "\177ELF"),
    IN_TEXT(ALWAYS, "text in UTF-32", TO_UTF8 "UTF-32", 0, "\xff\xfe\0\0"),
    IN_TEXT(ALWAYS, "text in UTF-32", TO_UTF8 "UTF-32", 0, "\0\0\xfe\xff"),
    IN_TEXT(ALWAYS, "text in UTF-16", TO_UTF8 "UTF-16", 0, "\xff\xfe"),
    IN_TEXT(ALWAYS, "text in UTF-16", TO_UTF8 "UTF-16", 0, "\xfe\xff"),
};

enum { SURE_MAGIC = 4, WORD_PHASES = 4 };

static bool ends_with(const weft_excerpt *excerpt, const char *magic, size_t length)
{
    size_t count = excerpt->pages[WEFT_EXCERPT_LAST].count;
    return count >= length && memcmp(excerpt->pages[WEFT_EXCERPT_LAST].bytes + count - length, magic, length) == 0;
}

static const weft_likeness *find_magic(const weft_excerpt *excerpt, size_t least, bool text)
{
    const unsigned char *bytes = excerpt->pages[WEFT_EXCERPT_FIRST].bytes;
    size_t count = excerpt->pages[WEFT_EXCERPT_FIRST].count;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const magic_row *row = &magics[i];
        if (row->length < least || row->offset + row->length > count) continue;
        if (memcmp(bytes + row->offset, row->magic, row->length) != 0) continue;
        bool ends = row->in_text == IN_TEXT_AT_BOTH_ENDS && ends_with(excerpt, row->magic, row->length);
        if (!text || ends || row->in_text == IN_TEXT_ALWAYS) return &row->likeness;
    }
    return NULL;
}

/* Numbers wider than 16 bits, read as words of 16: words of some phases (places mod 4) hold the high parts. */
static const struct {
    weft_likeness likeness;
    bool high[WORD_PHASES];
} wide_rows[] = {
    {{"int64 or uint64 tokens", TO_UINT32, WEFT_CONFIG_AUTO}, {false, true, true, true}},
    {{"big-endian int64 or uint64 tokens", TO_UINT32, WEFT_CONFIG_AUTO}, {true, true, true, false}},
    {{"uint32 or int32 tokens", "set data.format=uint32", WEFT_CONFIG_UINT32}, {false, true, false, true}},
    {{"big-endian uint32 or int32 tokens", TO_UINT32, WEFT_CONFIG_AUTO}, {true, false, true, false}},
};

/* High parts of a small negative number, -1 or -100, by which int32 data mark what is no token: they count for nothing.
 */
enum { NEGATIVE = 0xffff };

/* Words of some phases: the largest, and how many there are and lie above a bound. */
typedef struct {
    uint32_t largest;
    size_t count, above;
} word_census;

static void count_page(const weft_excerpt *excerpt, int page, const bool phases[WORD_PHASES], uint32_t bound,
                       word_census *census)
{
    const unsigned char *bytes = excerpt->pages[page].bytes;
    uint64_t offset = excerpt->pages[page].offset;
    for (size_t i = offset % 2; i + 2 <= excerpt->pages[page].count; i += 2) {
        if (!phases[(offset + i) / 2 % WORD_PHASES]) continue;
        uint32_t word = (uint32_t)bytes[i] | (uint32_t)bytes[i + 1] << 8;
        if (word == NEGATIVE) continue;
        census->count++;
        census->above += word > bound;
        if (word > census->largest) census->largest = word;
    }
}

static word_census count_words(const weft_excerpt *excerpt, const bool phases[WORD_PHASES], uint32_t bound)
{
    word_census census = {0};
    for (int page = 0; page < WEFT_EXCERPT_PAGES; page++) count_page(excerpt, page, phases, bound, &census);
    return census;
}

/* High parts are few small numbers while enough low parts are far larger; others may be padding. In a stream of 16-bit
 * tokens every phase looks like any other, however small the vocabulary. */
static bool is_wide(const weft_excerpt *excerpt, const bool high[WORD_PHASES])
{
    bool low[WORD_PHASES];
    for (int phase = 0; phase < WORD_PHASES; phase++) low[phase] = !high[phase];
    uint32_t bound = 256 * count_words(excerpt, high, 0).largest;
    word_census census = count_words(excerpt, low, bound);
    return census.above >= LEAST_LARGER && census.above * COUNT_PER_LARGER >= census.count;
}

static const weft_likeness *find_wide(const weft_excerpt *excerpt)
{
    for (size_t i = 0; i < sizeof wide_rows / sizeof *wide_rows && excerpt->size >= LEAST_WORDS; i++)
        if (is_wide(excerpt, wide_rows[i].high)) return &wide_rows[i].likeness;
    return NULL;
}

/* Of the bytes of an excerpt. */
typedef struct {
    size_t count, zeros, controls; /* controls: zeros too, but not what lays out a text */
    size_t odd_zeros, even_zeros;  /* by place in the file */
} byte_census;

static bool is_control(unsigned char byte)
{
    bool layout = (byte >= '\b' && byte <= '\r') || byte == 0x1b; /* to tab, new line and page; escape sequences */
    return (byte < 0x20 && !layout) || byte == 0x7f;
}

static byte_census count_bytes(const weft_excerpt *excerpt)
{
    byte_census census = {0};
    for (int page = 0; page < WEFT_EXCERPT_PAGES; page++)
        for (size_t i = 0; i < excerpt->pages[page].count; i++) {
            unsigned char byte = excerpt->pages[page].bytes[i];
            bool odd = (excerpt->pages[page].offset + i) % 2;
            census.count++;
            census.controls += is_control(byte);
            census.zeros += byte == 0;
            census.odd_zeros += byte == 0 && odd;
            census.even_zeros += byte == 0 && !odd;
        }
    return census;
}

/* ASCII in two bytes each: all zeros in places of one kind, and little else that is no text. */
static bool is_utf16(const byte_census *census)
{
    size_t most = census->odd_zeros > census->even_zeros ? census->odd_zeros : census->even_zeros;
    return 5 * most > 2 * census->count && (census->controls - most) * TEXT_PER_CONTROL < census->count;
}

const weft_likeness *weft_recognise_for_text(const weft_excerpt *excerpt)
{
    static const weft_likeness utf16 = {"text in UTF-16", TO_UTF8 "UTF-16LE, or UTF-16BE", WEFT_CONFIG_AUTO};
    static const weft_likeness binary = {
        "binary, not text",
        "set data.format to what it holds: text (byte by byte), nanogpt (uint16 tokens) "
        "or uint32",
        WEFT_CONFIG_AUTO};
    byte_census census = count_bytes(excerpt);
    bool text = census.controls * TEXT_PER_CONTROL <= census.count && census.zeros * TEXT_PER_ZERO <= census.count;
    const weft_likeness *known = find_magic(excerpt, 0, text);
    if (known || text || excerpt->size < LEAST_TEXT) return known;
    if (is_utf16(&census)) return &utf16;
    const weft_likeness *wide = find_wide(excerpt);
    return wide ? wide : &binary;
}

const weft_likeness *weft_recognise_for_tokens(const weft_excerpt *excerpt)
{
    static const weft_likeness as_text = {"text", "set data.format=text", WEFT_CONFIG_TEXT};
    byte_census census = count_bytes(excerpt);
    bool text = census.controls * SURE_TEXT_PER_CONTROL <= census.count;
    const weft_likeness *known = find_magic(excerpt, SURE_MAGIC, text);
    if (known) return known;
    return text && excerpt->size >= LEAST_TEXT ? &as_text : find_wide(excerpt);
}

/* "training 842496 parameters on ..." stands where a run begins, the object of --json where it has ended. */
static bool is_of_run(const char *line, size_t length)
{
    char begin[512];
    int64_t parameters = 0;
    int read = 0;
    snprintf(begin, sizeof begin, "%.*s", (int)(length < sizeof begin ? length : sizeof begin - 1), line);
    sscanf(begin, "training %" SCNd64 " parameters on %n", &parameters, &read);
    return read > 0 || (strncmp(begin, "{\"run\": \"", 9) == 0 && strstr(begin, "\"bits_per_byte\": "));
}

bool weft_recognise_log(const weft_excerpt *excerpt)
{
    const char *line = (const char *)excerpt->pages[WEFT_EXCERPT_FIRST].bytes;
    for (size_t left = excerpt->pages[WEFT_EXCERPT_FIRST].count; left > 0;) {
        const char *last = memchr(line, '\n', left);
        size_t length = last ? (size_t)(last - line) : left;
        if (is_of_run(line, length)) return true;
        length += last != NULL;
        line += length;
        left -= length;
    }
    return false;
}
