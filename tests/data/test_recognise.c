/*
 * What is not what it is taken for is refused with what it seems to be and what would read it; what is, is not.
 */
#include "fixture.h"

#include "base/random.h"

static weft_random_key key;

/* A name, how its file is made, and what the refusal says. */
typedef struct {
    const char *name;
    const char *magic;
    size_t offset, length;
    const char *words;
} specimen;

#define AT(offset, magic) magic, offset, sizeof(magic) - 1

/* Behind the magic number comes what all of these hold: bytes of every kind. */
static const specimen specimens[] = {
    {"a.idx", AT(0, "MMIDIDX\0\0\1\0\0\0\0\0\0\0"), "seems to be a Megatron index (.idx): name the .bin beside it"},
    {"a.parquet", AT(0, "PAR1"), "seems to be a Parquet file"},
    {"a.arrow", AT(0, "ARROW1\0\0"), "seems to be an Arrow file"},
    {"a.feather", AT(0, "FEA1"), "seems to be a Feather file"},
    {"a.avro", AT(0, "Obj\1"), "seems to be an Avro file"},
    {"a.npy", AT(0, "\x93NUMPY\1\0"), "seems to be a NumPy array"},
    {"a.h5", AT(0, "\x89HDF\r\n\x1a\n"), "seems to be an HDF5 file"},
    {"a.db", AT(0, "SQLite format 3\0"), "seems to be an SQLite database"},
    {"data.mdb", AT(16, "\xde\xc0\xef\xbe"), "seems to be an LMDB database"},
    {"a.txt.gz", AT(0, "\x1f\x8b\x08\x08"), "seems to be a gzip archive: unpack it first"},
    {"renamed.txt", AT(0, "\x1f\x8b\x08\0"), "seems to be a gzip archive"},
    {"renamed.bin", AT(0, "\x1f\x8b\x08\0"), "seems to be a gzip archive"},
    {"a.txt.zst", AT(0, "\x28\xb5\x2f\xfd"), "seems to be a Zstandard archive: unpack it first"},
    {"renamed.bin", AT(0, "\x28\xb5\x2f\xfd"), "seems to be a Zstandard archive: unpack it first"},
    {"a.txt.xz", AT(0, "\3757zXZ\0"), "seems to be an xz archive"},
    {"a.txt.bz2", AT(0, "BZh91AY&SY"), "seems to be a bzip2 archive"},
    {"a.txt.lz4", AT(0, "\x04\x22\x4d\x18"), "seems to be an lz4 archive"},
    {"a.txt.sz", AT(0, "\xff\x06\0\0sNaPpY"), "seems to be a Snappy archive"},
    {"a.txt.Z", AT(0, "\x1f\x9d\x90"), "seems to be a compress (.Z) archive"},
    {"a.zip", AT(0, "PK\3\4"), "seems to be a zip archive"},
    {"pytorch_model.bin", AT(0, "PK\3\4"), "seems to be a zip archive (or one of PyTorch"},
    {"a.7z", AT(0, "7z\xbc\xaf\x27\x1c"), "seems to be a 7z archive"},
    {"a.rar", AT(0, "Rar!\x1a\x07\1\0"), "seems to be a rar archive"},
    {"a.tar", AT(257, "ustar\0"), "seems to be a tar archive"},
    {"old.bin", AT(0, "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"), "seems to be a PyTorch file"},
    {"a.pkl", AT(0, "\x80\4\x95"), "seems to be a Python pickle"},
    {"a.safetensors", AT(0, "\x40\2\0\0\0\0\0\0{\"__metadata__\""), "seems to be a safetensors file"},
    {"model.bin", AT(0, "\x40\2\0\0\0\0\0\0{\"__metadata__\""), "seems to be a safetensors file"},
    {"a.gguf", AT(0, "GGUF\3\0\0\0"), "seems to be a GGUF model"},
    {"a.pdf", AT(0, "%PDF-1.7\n"), "seems to be a PDF document"},
    {"a.png", AT(0, "\x89PNG\r\n\x1a\n"), "seems to be a PNG picture"},
    {"a.jpg", AT(0, "\xff\xd8\xff\xe0"), "seems to be a JPEG picture"},
    {"program", AT(0, "\177ELF\2\1\1\0"), "seems to be a program"},
    {"a.rnd", AT(0, ""), "seems to be binary, not text: set data.format"},
    {"utf16.txt", AT(0, "\xff\xfeh\0i\0"), "seems to be text in UTF-16: make UTF-8 of it: iconv"},
    {"utf32.txt", AT(0, "\xff\xfe\0\0h\0\0\0"), "seems to be text in UTF-32: make UTF-8 of it: iconv"},
};

static void test_magic_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof specimens / sizeof *specimens; i++) {
        unsigned char bytes[3000];
        for (size_t k = 0; k < sizeof bytes; k++) bytes[k] = (unsigned char)weft_random_bits(key, i * sizeof bytes + k);
        memcpy(bytes + specimens[i].offset, specimens[i].magic, specimens[i].length);
        weft_data_options options = test_options(test_put(specimens[i].name, bytes, sizeof bytes), 8, 0);
        test_refuse(options, specimens[i].words);
        options.format = WEFT_CONFIG_TEXT; /* bytes are bytes, but not in silence */
        options.vocabulary = 256;
        weft_data *data = test_open(options);
        test_says(test_notes(data), ": read as text all the same, as data.format says");
        weft_data_close(data);
    }
}

static void test_texts_that_stand_for_other_files(void **state)
{
    (void)state;
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    test_refuse(test_options(test_put_text("pointer.txt", pointer), 4, 0), "seems to be a Git LFS pointer: fetch");
    test_refuse(test_options(test_put_text("pointer.bin", pointer), 4, 0), "seems to be a Git LFS pointer: fetch");
    char text[600];
    memset(text, 'x', sizeof text);
    memcpy(text, "PAR1", 4);
    memcpy(text + sizeof text - 4, "PAR1", 4);
    test_refuse(test_options(test_put("plain.parquet", text, sizeof text), 4, 0), "seems to be a Parquet file");
}

/* Texts about formats begin like them, and texts of all scripts have high bytes, tabs, pages and colours. */
static void test_texts_are_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "GGUF is a format of models. ",
        "PAR1 stands at both ends of a Parquet file. ",
        "ARROW1, FEA1, ustar\n",
        "MZ, %PDF and \\x7fELF are how others begin\n",
        "{\"text\": \"one line of JSON\"}\n",
        "<svg xmlns=\"...\"/>\n",
        "\xef\xbb\xbf\xd0\xa2\xd0\xba\xd0\xb0\xd1\x86\xd0\xba\xd0\xb8\xd0\xb9 \xe7\xb9\x94\xe6\xa9\x9f\n",
        "Latin-1: \xe4\xf6\xfc\xdf\xe9\xe8\n",
        "\x1b[31mcolours\x1b[0m\r\n\ttabs\f\v\b\n",
        "(cut) BZh, PK, 7z, Rar!\n"};
    char text[20000];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t length = strlen(texts[i]), k = 0; k < sizeof text; k++) text[k] = texts[i][k % length];
        for (size_t size = 40; size <= sizeof text; size = size * 3 + 1) {
            weft_data *data = test_open(test_options(test_put("text.txt", text, size), 4, 0));
            assert_string_equal(test_notes(data), "");
            weft_data_close(data);
            test_refuse(test_options(test_put("text.bin", text, size / 2 * 2), 4, 0),
                        "text.bin: seems to be text: set data.format=text");
        }
    }
}

static void draw(uint32_t *numbers, size_t count, uint64_t vocabulary, uint64_t trial)
{
    for (size_t i = 0; i < count; i++) {
        double u = weft_random_uniform(key, trial << 20 | i);
        double skewed = trial % 2 ? u : u * u * u * u; /* as words are: small numbers are the most frequent */
        numbers[i] = (uint32_t)((double)vocabulary * skewed);
    }
}

enum { MOST = 9000 };

static size_t draw_count(uint64_t trial)
{
    return 64 + (size_t)(weft_random_bits(key, 7 * trial + 1) % (trial % 4 ? 400 : MOST - 64));
}

/* Genuine uint16 tokens of any vocabulary are not taken for anything else. */
static void test_uint16_is_uint16(void **state)
{
    (void)state;
    static const uint32_t vocabularies[] = {2, 3, 65, 200, 256, 257, 1000, 5000, 32000, 50257, 65536};
    uint32_t numbers[MOST];
    for (uint64_t trial = 0; trial < 400; trial++) {
        size_t count = draw_count(trial);
        draw(numbers, count, vocabularies[trial % 11], trial);
        weft_data_options options = test_options(test_put_numbers("genuine.bin", numbers, count, 2, false), 4, 0);
        weft_data *data = test_open(options);
        assert_string_equal(test_notes(data), "");
        weft_data_close(data);
        if (numbers[0] >= 256) continue;
        memset(numbers, 0, count / 3 * sizeof *numbers); /* padding */
        weft_data_close(test_open(options));
    }
}

static void read_all(weft_data_options options, size_t count, int32_t *out)
{
    weft_error error;
    weft_data *data = test_open(options);
    int32_t *tokens = calloc(count, 2 * sizeof *tokens), *targets = tokens + count;
    assert_non_null(tokens);
    assert_int_equal(weft_data_blocks(data, WEFT_DATA_TRAIN), 1);
    assert_int_equal(
        weft_data_read(data, WEFT_DATA_TRAIN, 0, 1, (weft_data_rows){.tokens = tokens, .targets = targets}, &error),
        WEFT_OK);
    memcpy(out, tokens, (count - 1) * sizeof *out);
    out[count - 1] = targets[count - 2];
    weft_data_close(data);
    free(tokens);
}

/* Wider tokens are seen for what they are, and uint32 is read when it is said. */
static void test_wide_tokens_are_seen(void **state)
{
    (void)state;
    static const struct {
        int width;
        bool big;
        const char *words;
    } kinds[] = {{4, false, "seems to be uint32 or int32 tokens: set data.format=uint32"},
                 {4, true, "seems to be big-endian uint32 or int32 tokens: write them as little-endian uint32"},
                 {8, false, "seems to be int64 or uint64 tokens: write them as little-endian uint32"},
                 {8, true, "seems to be big-endian int64 or uint64 tokens: write them"}};
    static const uint32_t vocabularies[] = {65, 256, 32000, 50257, 65536, 128256, 262144};
    uint32_t numbers[MOST];
    int32_t read[MOST];
    for (uint64_t trial = 0; trial < 280; trial++) {
        size_t count = draw_count(trial), kind = trial % 4;
        uint32_t vocabulary = vocabularies[trial % 7];
        if (kinds[kind].big && vocabulary > 65536) vocabulary = 65536; /* beyond it the high halves are not small */
        draw(numbers, count, vocabulary, trial | 1);
        const char *path = test_put_numbers("wide.bin", numbers, count, kinds[kind].width, kinds[kind].big);
        weft_data_options options = test_options(path, (int64_t)count - 1, 0);
        test_refuse(options, kinds[kind].words);
        for (size_t i = 0; i < count; i += 40) numbers[i] = (uint32_t)(i % 80 ? -1 : -100); /* no tokens, as int32 */
        if (kinds[kind].width == 4) {
            options.path = test_put_numbers("wide.bin", numbers, count, kinds[kind].width, kinds[kind].big);
            if (count > 400) test_refuse(options, kinds[kind].words);
        }
        for (size_t i = 0; i < count; i += 40) numbers[i] = 0;
        memset(numbers + count / 4, 0, count / 2 * sizeof *numbers); /* padding */
        path = test_put_numbers("wide.bin", numbers, count, kinds[kind].width, kinds[kind].big);
        if (count > 400) test_refuse(options, kinds[kind].words);
        options.path = test_put_numbers("wide", numbers, count, kinds[kind].width, kinds[kind].big);
        options.format = WEFT_CONFIG_NANOGPT; /* as the user says, but not in silence */
        options.tokens = 4;
        weft_data *data = test_open(options);
        test_says(test_notes(data), "tokens: read as nanoGPT tokens (uint16) all the same, as data.format says");
        weft_data_close(data);
        if (kind != 0) continue;
        options.format = WEFT_CONFIG_UINT32;
        options.tokens = (int64_t)count - 1;
        read_all(options, count, read);
        assert_memory_equal(read, numbers, count * sizeof *read);
    }
}

static void test_tokens_in_a_text_name(void **state)
{
    (void)state;
    uint32_t numbers[2000];
    draw(numbers, 2000, 50257, 1);
    test_refuse(test_options(test_put_numbers("tokens.ds", numbers, 2000, 2, false), 4, 0), "binary, not text");
    test_refuse(test_options(test_put_numbers("tokens.u32", numbers, 2000, 4, false), 4, 0),
                "tokens.u32: seems to be uint32 or int32 tokens: set data.format=uint32");
    for (size_t i = 0; i < 2000; i++) numbers[i] = 32 + numbers[i] % 95;
    test_refuse(test_options(test_put_numbers("le.txt", numbers, 2000, 2, false), 4, 0), "text in UTF-16");
    test_refuse(test_options(test_put_numbers("be.txt", numbers, 2000, 2, true), 4, 0), "text in UTF-16");
}

static void test_uint32_files(void **state)
{
    (void)state;
    weft_data_options options = test_options(test_put("odd", "abcdef", 6), 1, 0);
    options.format = WEFT_CONFIG_UINT32;
    test_refuse(options, "odd: truncated at byte 6: tokens (uint32) have 4 bytes each");
    options.path = test_put("none", "", 0);
    test_refuse(options, "none: is empty");
    options.path = test_put("minus", "\1\0\0\0\2\0\0\0\xff\xff\xff\xff", 12);
    options.vocabulary = INT64_MAX;
    test_refuse(options, "token 4294967295 at byte 8 is outside");
}

/* A Megatron data set is read as one stream by a format that is named, its index left aside; one whose index is none of
 * Megatron's own is refused with what reads its tokens. */
static void test_megatron(void **state)
{
    (void)state;
    static const struct {
        char version, flags, code;
        int width;
        weft_config_format format;
        const char *words;
    } sets[] = {
        {1, 0, 8, 2, WEFT_CONFIG_NANOGPT, "bytes, where its numbers of sequences"},
        {1, 0, 4, 4, WEFT_CONFIG_UINT32, "bytes, where its numbers of sequences"},
        {2, 1, 4, 4, WEFT_CONFIG_UINT32, "data set, int32, whose index"},
        {3, 2, 8, 2, WEFT_CONFIG_NANOGPT, "data set, uint16, whose index"},
        {2, 1, 5, 8, WEFT_CONFIG_AUTO, "data set, int64, whose index"},
        {9, 0, 5, 2, WEFT_CONFIG_AUTO, "data set, of an unknown type, whose index"},
    };
    uint32_t numbers[500];
    draw(numbers, 500, 30000, 3);
    test_make_folder("megatron");
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        unsigned char index[200] = "MMIDIDX";
        index[9] = (unsigned char)sets[i].version;
        index[17 + sets[i].flags] = (unsigned char)sets[i].code;
        index[26] = 1;
        test_put("megatron/x_text_document.idx", index, sizeof index);
        const char *file = test_put_numbers("megatron/x_text_document.bin", numbers, 500, sets[i].width, false);
        weft_data_options one = test_options(file, 499, 0), all = test_options(test_path("megatron"), 499, 0);
        test_refuse(one, sets[i].words);
        test_refuse(all, sets[i].words);
        one.format = all.format = sets[i].format;
        if (sets[i].format == WEFT_CONFIG_AUTO) continue;
        int32_t read[500];
        read_all(one, 500, read);
        assert_memory_equal(read, numbers, sizeof read);
        read_all(all, 500, read);
        assert_memory_equal(read, numbers, sizeof read);
        weft_data *data = test_open(all);
        test_says(test_notes(data), "1 file left out of the data as the index of a file of tokens, such as ");
        weft_data_close(data);
    }
}

/* Whatever a file holds and is called and said to be: it is refused, or every block can be read. */
static void try_file(weft_data_options options)
{
    weft_error error;
    weft_data *data = NULL;
    int32_t tokens[8], targets[8];
    weft_status status = weft_data_open(&options, &data, &error);
    if (status != WEFT_OK) {
        assert_int_equal(status, WEFT_INVALID);
        return;
    }
    for (int64_t i = 0; i < weft_data_blocks(data, WEFT_DATA_TRAIN); i++) {
        assert_int_equal(
            weft_data_read(data, WEFT_DATA_TRAIN, i, 1, (weft_data_rows){.tokens = tokens, .targets = targets}, &error),
            WEFT_OK);
        for (int k = 0; k < 8; k++) assert_true(tokens[k] >= 0 && tokens[k] < options.vocabulary);
    }
    weft_data_close(data);
}

static void test_any_file(void **state)
{
    (void)state;
    static const char *const names[] = {"any.bin", "any.txt", "any.idx", "any"};
    static const int64_t vocabularies[] = {2, 100, 256, 50257, 65536, 1 << 24};
    unsigned char bytes[9000];
    for (uint64_t trial = 0; trial < 1500; trial++) {
        uint64_t dice = weft_random_bits(key, 99 * trial);
        size_t size = (size_t)(dice % (trial % 3 ? 300 : sizeof bytes));
        uint64_t top = 1 + (dice >> 20) % 256;
        for (size_t k = 0; k < size; k++) bytes[k] = (unsigned char)(weft_random_bits(key, trial << 16 | k) % top);
        const specimen *begin = &specimens[dice >> 30 & 31];
        if (trial % 2 && size > begin->offset + begin->length)
            memcpy(bytes + begin->offset, begin->magic, begin->length);
        weft_data_options options = test_options(test_put(names[dice >> 40 & 3], bytes, size), 8, 0);
        options.format = (weft_config_format)((dice >> 50) % 5);
        options.vocabulary = vocabularies[(dice >> 55) % 6];
        try_file(options);
    }
}

int main(void)
{
    key = weft_random_key_make(20, "recognise");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_magic_numbers),
        cmocka_unit_test(test_texts_that_stand_for_other_files),
        cmocka_unit_test(test_texts_are_texts),
        cmocka_unit_test(test_uint16_is_uint16),
        cmocka_unit_test(test_wide_tokens_are_seen),
        cmocka_unit_test(test_tokens_in_a_text_name),
        cmocka_unit_test(test_uint32_files),
        cmocka_unit_test(test_megatron),
        cmocka_unit_test(test_any_file),
    };
    return cmocka_run_group_tests(tests, test_make_root, test_remove_root);
}
