/* Safetensors files of others, hostile ones and such as an accident left: read to the last byte, or refused. */
#include "fixture.h"

#include "base/random.h"

#include <inttypes.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef WEFT_HAVE_JANSSON
#include <jansson.h>
#endif

static void put(const void *bytes, size_t count)
{
    FILE *file = fopen(file_path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

/* A file with this header, its true length in front, and `data` zero bytes behind. */
static void put_header(const char *header, size_t data)
{
    size_t length = strlen(header), size = 8 + length + data;
    unsigned char *bytes = calloc(1, size);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    put(bytes, size);
    free(bytes);
}

static void refused(const char *words)
{
    weft_error error;
    weft_error_clear(&error);
    weft_safetensors *file = NULL;
    assert_int_equal(weft_safetensors_open(file_path, &file, &error), WEFT_INVALID);
    assert_null(file);
    if (!strstr(error.text, file_path) || !strstr(error.text, words))
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static void refuses(const char *header, size_t data, const char *words)
{
    put_header(header, data);
    refused(words);
}

static void test_files_of_others(void **state)
{
    (void)state;
    put_header("{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]},"
               "\"a\":{\"shape\":[],\"data_offsets\":[0,4],\"dtype\":\"F32\"}}  ",
               12);
    weft_safetensors *file = accepted();
    assert_int_equal(weft_safetensors_count(file), 2);
    assert_string_equal(weft_safetensors_get(file, 0)->name, "a"); /* in the order of the data */
    weft_safetensors_close(file);
}

#define TENSOR(name, shape, from, to)                                                                                  \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

static void test_malformed_headers(void **state)
{
    (void)state;
    refuses("", 0, "bad header at byte 8");
    refuses("{\"a\"", 0, "bad header at byte 12");
    refuses("{\"a\":", 0, "not a map of dtype");
    refuses("[]", 0, "not a JSON map");
    refuses("{} x", 0, "bad header at byte 1");
    refuses("{" TENSOR("a", "[1]", 0, 4) "," TENSOR("a", "[1]", 4, 8) "}", 8, "duplicate");
    refuses("{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "duplicate");
    refuses("{\"a\":3}", 0, "\"a\" (header from byte 8): not a map of dtype, shape and data_offsets");
    refuses("{\"a\":{}}", 0, "\"a\" (header from byte 8): dtype is missing");
    refuses("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "shape is missing");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets is missing");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}", 4, "more keys");
    refuses("{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}", 16, "dtype \"F64\" is not supported");
    refuses("{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "not a string");
    refuses("{" TENSOR("a", "{}", 0, 4) "}", 4, "shape must be a list");
    refuses("{" TENSOR("a", "[1,1,1,1,1]", 0, 4) "}", 4, "at most 4");
    refuses("{" TENSOR("a", "[-1]", 0, 4) "}", 4, "size 0 of its shape");
    refuses("{" TENSOR("a", "[1,1.0]", 0, 4) "}", 4, "size 1 of its shape");
    refuses("{" TENSOR("a", "[4294967296,4294967296]", 0, 4) "}", 4, "too large for any file");
    refuses("{" TENSOR("a", "[2305843009213693952,2]", 0, 4) "}", 4, "too large for any file");
    refuses("{" TENSOR("a", "[1]", 0, 99999999999999999999) "}", 4, "two ascending whole numbers");
    refuses("{" TENSOR("a", "[1]", 4, 0) "}", 4, "two ascending whole numbers");
    refuses("{" TENSOR("a", "[1]", -4, 0) "}", 4, "two ascending whole numbers");
    refuses("{" TENSOR("a", "[1]", 0, 4.0) "}", 4, "two ascending whole numbers");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 8, "two ascending whole numbers");
    refuses("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":4}}", 8, "two ascending whole numbers");
    refuses("{" TENSOR("a", "[3]", 0, 8) "}", 8, "8 bytes, but its shape and dtype need 12");
    refuses("{\"__metadata__\":[]}", 0, "__metadata__ is not a map");
    refuses("{\"__metadata__\":{\"a\":1}}", 0, "not a string");
    refuses("{\"a\\nb\":{}}", 0, "control character");
    refuses("{\"a\\u0000b\":{}}", 0, "bad header at byte");
    refuses("{\"a\xff\":{}}", 0, "bad header at byte");
}

/* The header of one tensor has 54 bytes, so its data begins at byte 62. */
static void test_malformed_places(void **state)
{
    (void)state;
    refuses("{" TENSOR("a", "[2]", 0, 8) "}", 5, "truncated at byte 67: tensor \"a\" ends at byte 70");
    refuses("{" TENSOR("a", "[1]", 0, 4) "}", 5, "bytes 66 to 67, at the end");
    refuses("{" TENSOR("a", "[1]", 2, 6) "}", 6, "bytes 62 to 64, before tensor \"a\"");
    refuses("{" TENSOR("a", "[2]", 0, 8) "," TENSOR("b", "[1]", 4, 8) "}", 8,
            "tensors \"a\" and \"b\" overlap at byte 119");
    refuses("{" TENSOR("a", "[1]", 0, 4) "," TENSOR("b", "[1]", 8, 12) "}", 12, "belong to no tensor");
    refuses("{" TENSOR("a", "[9223372036854775807]", 0, 9223372036854775807) "}", 4, "too large for any file");
    refuses("{" TENSOR("a", "[1]", 0, 9223372036854775807) "}", 4, "truncated at byte");
}

static void test_malformed_lengths(void **state)
{
    (void)state;
    put("", 0);
    refused("truncated at byte 0");
    put("\x02\0\0\0\0\0\0", 7);
    refused("truncated at byte 7");
    put("\x03\0\0\0\0\0\0\0{}", 10);
    refused("truncated at byte 10: byte 0 states a header that ends at byte 11");
    put("\x01\xe1\xf5\x05\0\0\0\0{}", 10); /* 100000001 */
    refused("byte 0 states a header of 100000001 bytes");
    put("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    refused("18446744073709551615 bytes");
    assert_int_equal(unlink(file_path), 0);
    refused("cannot open");
    assert_int_equal(mkdir(file_path, 0777), 0);
    refused("not a regular file");
    assert_int_equal(rmdir(file_path), 0);
}

static void test_deep_nesting(void **state)
{
    (void)state;
    enum { DEPTH = 200000 };
    char *header = malloc(DEPTH + 1);
    assert_non_null(header);
    memset(header, '[', DEPTH);
    header[DEPTH] = '\0';
    refuses(header, 0, "not a JSON map");
    memcpy(header, "{\"a\":", 5);
    refuses(header, 0, "not a map of dtype");
    memcpy(header, "{\"a\":{\"shape\":", 14);
    refuses(header, 0, "not a whole number");
    free(header);
}

static void test_truncated_anywhere(void **state)
{
    (void)state;
    uint64_t bytes;
    weft_error error;
    write_samples(NULL, &bytes);
    weft_text whole;
    weft_text_init(&whole);
    assert_int_equal(weft_file_read(file_path, &whole, &error), WEFT_OK);
    assert_int_equal(whole.length, bytes);
    for (size_t length = 0; length < bytes; length++) {
        char words[64];
        snprintf(words, sizeof words, "truncated at byte %zu", length);
        put(whole.bytes, length);
        refused(words);
    }
    weft_text_fini(&whole);
}

/* What opens must be readable to its last byte; what does not open must say why. Never anything else. */
static void open_and_touch(unsigned *sum)
{
    weft_error error;
    weft_error_clear(&error);
    weft_safetensors *file = NULL;
    weft_status status = weft_safetensors_open(file_path, &file, &error);
    if (status != WEFT_OK) {
        assert_int_equal(status, WEFT_INVALID);
        assert_non_null(strstr(error.text, file_path));
        return;
    }
    for (size_t i = 0; i < weft_safetensors_count(file); i++) {
        const weft_tensor_entry *entry = weft_safetensors_get(file, i);
        const unsigned char *bytes = entry->data;
        for (size_t k = 0; k < entry->bytes; k++) *sum += bytes[k];
        assert_ptr_equal(weft_safetensors_find(file, entry->name), entry);
    }
    weft_safetensors_close(file);
}

static void test_random_mutations(void **state)
{
    (void)state;
    enum { ROUNDS = 3000 };
    static const char *const likely = "{}[]\",:0123456789-.eE\\ \x80"
                                      "F32BdtypeS";
    weft_error error;
    write_samples(NULL, NULL);
    weft_text whole;
    weft_text_init(&whole);
    assert_int_equal(weft_file_read(file_path, &whole, &error), WEFT_OK);
    weft_random_key key = weft_random_key_make(1, "mutations");
    unsigned sum = 0;
    char *bytes = malloc(whole.length);
    assert_non_null(bytes);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        memcpy(bytes, whole.bytes, whole.length);
        uint64_t bits = weft_random_bits(key, round), changes = 1 + bits % 4;
        for (uint64_t i = 0; i < changes; i++) {
            uint64_t draw = weft_random_bits(key, (round + 1) << 32 | i);
            char letter = draw >> 60 ? likely[(draw >> 32) % strlen(likely)] : (char)(draw >> 40);
            bytes[(draw & UINT32_MAX) % whole.length] = letter;
        }
        put(bytes, bits >> 61 ? whole.length : whole.length - (bits >> 8) % 40);
        open_and_touch(&sum);
    }
    assert_int_not_equal(sum, 0); /* some mutations only change data or names, and open */
    free(bytes);
    weft_text_fini(&whole);
}

/* As another reader of JSON takes them: what it refuses is refused, and what opens has the same names and sizes. */
#ifdef WEFT_HAVE_JANSSON
static bool is_plain(const json_t *value)
{
    const json_t *item = json_object_get(value, "shape");
    for (size_t i = 0; i < json_array_size(item); i++)
        if (!json_is_integer(json_array_get(item, i))) return false;
    return json_is_object(value) && json_is_string(json_object_get(value, "dtype")) && json_is_array(item);
}

static void agree(const json_t *other, const weft_safetensors *file)
{
    size_t metadata = json_object_get(other, "__metadata__") ? 1 : 0;
    assert_int_equal(weft_safetensors_count(file), json_object_size(other) - metadata);
    for (size_t i = 0; i < weft_safetensors_count(file); i++) {
        const weft_tensor_entry *entry = weft_safetensors_get(file, i);
        const json_t *value = json_object_get(other, entry->name), *shape = json_object_get(value, "shape");
        assert_true(is_plain(value));
        assert_int_equal(entry->dimensions, json_array_size(shape));
        for (int32_t k = 0; k < entry->dimensions; k++)
            assert_int_equal(entry->shape[k], json_integer_value(json_array_get(shape, (size_t)k)));
    }
}

static void test_as_json_is(void **state)
{
    (void)state;
    enum { ROUNDS = 3000 };
    static const char sample[] =
        "{\"__metadata__\":{\"a\\ud834\\udd1e\":\"\\u00e9\"}, "
        "\"b\\u0041\\n\xc3\xa9\":{\"dtype\":\"F32\",\"shape\":[2,1],"
        "\"data_offsets\":[4,12]} ,\"c\":{\"sh\\u0061pe\":[ ],\"data_offsets\":[0,4],\"dtype\":\"F32\"}}  ";
    static const char likely[] = "{}[]\",:0123456789-.eE\\u \t\xc3\xa9";
    weft_random_key key = weft_random_key_make(5, "as json is");
    int opened = 0, disputed = 0;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        char header[sizeof sample];
        memcpy(header, sample, sizeof header);
        memcpy(strstr(header, "\\n"), "\\/", 2);
        for (uint64_t i = 0; i < round % 3; i++) {
            uint64_t draw = weft_random_bits(key, (round + 1) << 32 | i);
            header[(draw & UINT32_MAX) % (sizeof sample - 1)] = likely[(draw >> 32) % (sizeof likely - 1)];
        }
        put_header(header, 12);
        json_t *other = json_loads(header, JSON_REJECT_DUPLICATES, NULL);
        weft_safetensors *file = NULL;
        weft_error error;
        if (weft_safetensors_open(file_path, &file, &error) == WEFT_OK) {
            opened++;
            if (other)
                agree(other, file);
            else
                disputed++; /* names of the metadata may be there twice */
        } else if (other) {
            assert_null(strstr(error.text, "bad header"));
        }
        weft_safetensors_close(file);
        json_decref(other);
    }
    assert_in_range(opened, ROUNDS / 3, ROUNDS - 1);
    assert_int_equal(disputed, 0);
}
#endif

/* So many tensors without elements, and names that make the header as long as it may be. */
static void put_many_tensors(size_t count)
{
    weft_text header;
    weft_text_init(&header);
    for (size_t i = 0; i < count; i++)
        weft_text_add(&header, "%c\"%zx\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? ',' : '{', i);
    weft_text_add(&header, "}");
    put_header(weft_text_get(&header), 0);
    weft_text_fini(&header);
}

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

/* In a process of its own that may take so many bytes beyond what it has; its exit status. */
static int open_within(size_t bytes)
{
    pid_t child = fork();
    if (child == 0) {
        long pages = 0;
        FILE *sizes = fopen("/proc/self/statm", "r");
        weft_safetensors *file = NULL;
        weft_error error;
        if (!sizes || fscanf(sizes, "%ld", &pages) != 1) _exit(9);
        rlim_t limit = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes;
        if (setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit}) != 0) _exit(9);
        _exit((int)weft_safetensors_open(file_path, &file, &error));
    }
    int status = 0;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Memory for a header is in proportion to it, and none is taken for one that is refused. */
static void test_memory_for_headers(void **state)
{
    (void)state;
    enum { TENSORS = 200000, SLACK = 4 << 20 };
    struct stat info;
    put_many_tensors(TENSORS);
    assert_int_equal(stat(file_path, &info), 0);
    weft_safetensors_close(accepted());
#ifndef SANITIZED
    size_t size = (size_t)info.st_size;
    assert_int_equal(open_within(4 * size + SLACK), WEFT_OK); /* one of them is the file's own */
    weft_text whole;
    weft_error error;
    weft_text_init(&whole);
    assert_int_equal(weft_file_read(file_path, &whole, &error), WEFT_OK);
    whole.bytes[size - 2] = 'x';
    put(whole.bytes, whole.length);
    weft_text_fini(&whole);
    assert_int_equal(open_within(size + SLACK), WEFT_INVALID);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_of_others),  cmocka_unit_test(test_malformed_headers),
        cmocka_unit_test(test_malformed_places), cmocka_unit_test(test_malformed_lengths),
        cmocka_unit_test(test_deep_nesting),     cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_random_mutations), cmocka_unit_test(test_memory_for_headers),
#ifdef WEFT_HAVE_JANSSON
        cmocka_unit_test(test_as_json_is),
#endif
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
