/* Event files, read by a small reader of their own that trusts nothing: what it finds is what metrics.jsonl says. */
#include "report/report.h"
#include "report/tensorboard.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct part {
    const unsigned char *at, *end;
} part;

enum { MOST_SCALARS = 8 };

typedef struct found {
    double wall_time;
    int64_t step;
    char version[32];
    bool starts;
    int count;
    char tags[MOST_SCALARS][4200];
    float values[MOST_SCALARS];
} found;

static uint64_t take(part *from, int bytes)
{
    uint64_t value = 0;
    assert_true(from->end - from->at >= bytes);
    for (int i = 0; i < bytes; i++) value |= (uint64_t)*from->at++ << (8 * i);
    return value;
}

static uint64_t take_varint(part *from)
{
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        uint64_t byte = take(from, 1);
        value |= (byte & 127) << shift;
        if (byte < 128) return value;
    }
}

static part take_part(part *from, uint64_t bytes)
{
    part out = {from->at, from->at + bytes};
    assert_true((uint64_t)(from->end - from->at) >= bytes);
    from->at += bytes;
    return out;
}

/* By the definition: the remainder of long division, bits of a byte from the lowest up. */
static uint32_t remainder_of(part bytes)
{
    uint32_t rest = UINT32_MAX;
    for (; bytes.at < bytes.end; bytes.at++)
        for (int bit = 0; bit < 8; bit++) {
            bool high = (rest ^ *bytes.at >> bit) & 1;
            rest = high ? rest >> 1 ^ 0x82F63B78u : rest >> 1;
        }
    return ~rest;
}

static void check_sum(part bytes, uint64_t masked)
{
    uint32_t turned = (uint32_t)masked - 0xA282EAD8u;
    assert_int_equal((uint32_t)(turned << 15 | turned >> 17), remainder_of(bytes));
}

static void read_value(part from, found *out)
{
    assert_true(out->count < MOST_SCALARS);
    while (from.at < from.end) {
        uint64_t key = take_varint(&from);
        if (key == (1 << 3 | 2)) {
            part tag = take_part(&from, take_varint(&from));
            snprintf(out->tags[out->count], sizeof out->tags[0], "%.*s", (int)(tag.end - tag.at), (const char *)tag.at);
        } else {
            assert_int_equal(key, 2 << 3 | 5);
            uint32_t bits = (uint32_t)take(&from, 4);
            memcpy(&out->values[out->count], &bits, 4);
        }
    }
    out->count++;
}

static void read_field(uint64_t key, part *from, found *out)
{
    if (key == (1 << 3 | 1)) {
        uint64_t bits = take(from, 8);
        memcpy(&out->wall_time, &bits, 8);
    } else if (key == (2 << 3 | 0)) {
        out->step = (int64_t)take_varint(from);
    } else if (key == (3 << 3 | 2)) {
        part version = take_part(from, take_varint(from));
        snprintf(out->version, sizeof out->version, "%.*s", (int)(version.end - version.at), (const char *)version.at);
    } else if (key == (7 << 3 | 2)) {
        part log = take_part(from, take_varint(from));
        out->starts = take_varint(&log) == (1 << 3) && take_varint(&log) == 1 && log.at == log.end;
    } else {
        assert_int_equal(key, 5 << 3 | 2);
        part summary = take_part(from, take_varint(from));
        while (summary.at < summary.end) {
            assert_int_equal(take_varint(&summary), 1 << 3 | 2);
            read_value(take_part(&summary, take_varint(&summary)), out);
        }
    }
}

static found read_record(part *file)
{
    found out = {0};
    part length = {file->at, file->at + 8};
    uint64_t bytes = take(file, 8);
    check_sum(length, take(file, 4));
    part data = take_part(file, bytes), whole = data;
    while (data.at < data.end) read_field(take_varint(&data), &data, &out);
    check_sum(whole, take(file, 4));
    return out;
}

static part all_of(const weft_text *text)
{
    const unsigned char *bytes = (const unsigned char *)text->bytes;
    return (part){bytes, bytes + text->length};
}

/* Each figure of the line is among the scalars, as fp32, but for those that are null; and nothing else is. */
static void check_same(const found *got, const char *line, const char *group, const char *const *keys)
{
    int count = 0;
    for (; *keys; keys++) {
        char name[64], tag[64];
        snprintf(name, sizeof name, "\"%s\":", *keys);
        snprintf(tag, sizeof tag, "%s/%s", group, *keys);
        const char *value = strstr(line, name);
        assert_non_null(value);
        value += strlen(name);
        if (strncmp(value, "null", 4) == 0) continue;
        assert_true(count < got->count);
        assert_string_equal(got->tags[count], tag);
        assert_true(got->values[count++] == (float)strtod(value, NULL));
    }
    assert_int_equal(got->count, count);
}

static void test_check_sum(void **state)
{
    (void)state;
    const unsigned char digits[] = "123456789"; /* the check value that catalogues of checksums give */
    assert_int_equal(remainder_of((part){digits, digits + 9}), 0xE3069283u);
}

static void test_begin(void **state)
{
    (void)state;
    weft_text bytes;
    weft_text_init(&bytes);
    weft_tensorboard_begin(1.5e9, 301, &bytes);
    part file = all_of(&bytes);
    found version = read_record(&file), start = read_record(&file);
    assert_string_equal(version.version, "brain.Event:2");
    assert_true(version.wall_time == 1.5e9 && version.step == 0 && !version.starts);
    assert_true(start.starts && start.step == 301);
    assert_ptr_equal(file.at, file.end);
    weft_text_fini(&bytes);
}

static void check_step(const weft_step_record *record)
{
    static const char *const keys[] = {"loss", "gradient_norm", "learning_rate", "tokens_per_second", "seconds", NULL};
    weft_text bytes, line;
    weft_text_init(&bytes);
    weft_text_init(&line);
    weft_tensorboard_step(1.7e9 + 0.25, record, &bytes);
    weft_report_step_json(record, &line);
    part file = all_of(&bytes);
    found got = read_record(&file);
    assert_ptr_equal(file.at, file.end);
    assert_true(got.step == record->step && got.wall_time == 1.7e9 + 0.25);
    check_same(&got, weft_text_get(&line), "train", keys);
    weft_text_fini(&line);
    weft_text_fini(&bytes);
}

static void test_steps(void **state)
{
    (void)state;
    static const int64_t steps[] = {1, 127, 128, 300, 16384, 1000000000000};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        weft_step_record record = {.step = steps[i],
                                   .loss = 10.0 / (double)(i + 1),
                                   .gradient_norm = 1e-30,
                                   .learning_rate = (float)3e-4,
                                   .seconds = 0.123456789,
                                   .tokens_per_second = 1.25e7};
        check_step(&record);
        record.loss = NAN;
        record.gradient_norm = INFINITY;
        check_step(&record);
    }
}

/* A record each, so that any number of paths of any length has room; bytes that are no UTF-8 do not spoil the file. */
static void test_sources(void **state)
{
    (void)state;
    static char far[4097], tag[4200];
    memset(far, 'x', sizeof far - 1);
    const weft_source_loss sources[] = {{.path = "a.bin", .loss = 2.5},
                                        {.path = "none", .loss = (double)NAN},
                                        {.path = far, .loss = 1.25},
                                        {.path = "\xc3\xa4\xff", .loss = 3}};
    const weft_step_record record = {
        .step = 5, .loss = 2, .adds = true, .cross_entropy = 1.5, .sources = sources, .source_count = 4};
    weft_text bytes;
    weft_text_init(&bytes);
    weft_tensorboard_step(1, &record, &bytes);
    part file = all_of(&bytes);
    found got = read_record(&file);
    assert_string_equal(got.tags[1], "train/cross_entropy");
    assert_true(got.values[1] == 1.5f);
    snprintf(tag, sizeof tag, "train/loss_by_source/%s", far);
    const struct {
        const char *tag;
        float value;
    } expected[] = {{"train/loss_by_source/a.bin", 2.5f}, {tag, 1.25f}, {"train/loss_by_source/\xc3\xa4?", 3}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        got = read_record(&file);
        assert_true(got.step == 5 && got.count == 1 && got.values[0] == expected[i].value);
        assert_string_equal(got.tags[0], expected[i].tag);
    }
    assert_ptr_equal(file.at, file.end);
    weft_text_fini(&bytes);
}

static void test_evaluations(void **state)
{
    (void)state;
    static const char *const keys[] = {"loss", "bits_per_byte", NULL};
    for (int known = 0; known < 2; known++) {
        weft_evaluation_record record = {.step = 7, .loss = 3.25, .bits_per_byte = known ? 1.1 : 0, .tokens = 9};
        weft_text bytes, line;
        weft_text_init(&bytes);
        weft_text_init(&line);
        weft_tensorboard_evaluation(1, &record, &bytes);
        weft_report_evaluation_json(&record, &line);
        part file = all_of(&bytes);
        found got = read_record(&file);
        check_same(&got, weft_text_get(&line), "held_out", keys);
        assert_int_equal(got.step, 7);
        weft_text_fini(&line);
        weft_text_fini(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check_sum), cmocka_unit_test(test_begin),
                                       cmocka_unit_test(test_steps), cmocka_unit_test(test_sources),
                                       cmocka_unit_test(test_evaluations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
