#include "report/tensorboard.h"

#include "base/utf8.h"

#include <math.h>
#include <string.h>

/* Protocol buffers: a field is its number and the type of what follows, then that. */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* Fields of Event, SessionLog, Summary and Summary.Value, and what a session log can say. */
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION_LOG = 7 };
enum { LOG_STATUS = 1, LOG_START = 1, SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2 };

enum { MOST_BYTES = 8192 }; /* of an event: one of the longest path there is, or some values of short tags */

/* A message as it grows. */
typedef struct message {
    unsigned char bytes[MOST_BYTES];
    size_t length;
} message;

typedef struct scalar {
    const char *tag;
    double value;
} scalar;

/* Castagnoli's polynomial, reflected; by bits, for a few hundred bytes a step. */
static uint32_t crc32c(const unsigned char *bytes, size_t count)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return ~crc;
}

/* A checksum of what holds checksums would be weak: TFRecord turns and shifts it. */
static uint32_t masked(const unsigned char *bytes, size_t count)
{
    uint32_t crc = crc32c(bytes, count);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static void add(message *out, const void *bytes, size_t count)
{
    if (count > MOST_BYTES - out->length) return;
    memcpy(out->bytes + out->length, bytes, count);
    out->length += count;
}

static void add_little_endian(message *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) add(out, &(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

static void add_varint(message *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) add(out, &(unsigned char){(unsigned char)(value | 0x80)}, 1);
    add(out, &(unsigned char){(unsigned char)value}, 1);
}

static void add_key(message *out, uint64_t field, uint64_t type)
{
    add_varint(out, field << 3 | type);
}

static void add_bytes(message *out, uint64_t field, const void *bytes, size_t count)
{
    add_key(out, field, BYTES);
    add_varint(out, count);
    add(out, bytes, count);
}

static void add_double(message *out, uint64_t field, double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    add_key(out, field, FIXED64);
    add_little_endian(out, bits, 8);
}

static void add_float(message *out, uint64_t field, float value)
{
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    add_key(out, field, FIXED32);
    add_little_endian(out, bits, 4);
}

static message event(double wall_time, int64_t step)
{
    message out = {.length = 0};
    add_double(&out, EVENT_WALL_TIME, wall_time);
    add_key(&out, EVENT_STEP, VARINT);
    add_varint(&out, (uint64_t)step);
    return out;
}

static void add_record(const message *data, weft_text *out)
{
    message head = {.length = 0}, tail = {.length = 0};
    add_little_endian(&head, data->length, 8);
    add_little_endian(&head, masked(head.bytes, 8), 4);
    add_little_endian(&tail, masked(data->bytes, data->length), 4);
    weft_text_add_bytes(out, head.bytes, head.length);
    weft_text_add_bytes(out, data->bytes, data->length);
    weft_text_add_bytes(out, tail.bytes, tail.length);
}

static void add_scalars(double wall_time, int64_t step, const scalar *scalars, size_t count, weft_text *out)
{
    message summary = {.length = 0}, whole = event(wall_time, step);
    for (size_t i = 0; i < count; i++) {
        message value = {.length = 0};
        float shown = (float)scalars[i].value;
        if (!isfinite(shown)) continue;
        add_bytes(&value, VALUE_TAG, scalars[i].tag, strlen(scalars[i].tag));
        add_float(&value, VALUE_SIMPLE, shown);
        add_bytes(&summary, SUMMARY_VALUE, value.bytes, value.length);
    }
    add_bytes(&whole, EVENT_SUMMARY, summary.bytes, summary.length);
    add_record(&whole, out);
}

void weft_tensorboard_begin(double wall_time, int64_t first_step, weft_text *out)
{
    static const char version[] = "brain.Event:2";
    message first = event(wall_time, 0), start = event(wall_time, first_step), log = {.length = 0};
    add_bytes(&first, EVENT_FILE_VERSION, version, sizeof version - 1);
    add_record(&first, out);
    add_key(&log, LOG_STATUS, VARINT);
    add_varint(&log, LOG_START);
    add_bytes(&start, EVENT_SESSION_LOG, log.bytes, log.length);
    add_record(&start, out);
}

/* Tags are UTF-8, which paths need not be. */
static void add_source(double wall_time, int64_t step, const weft_source_loss *source, weft_text *out)
{
    weft_text tag;
    weft_text_init(&tag);
    weft_text_add(&tag, "train/loss_by_source/");
    for (const char *at = source->path; *at;) {
        uint32_t code = 0;
        int bytes = weft_utf8_next(at, &code);
        weft_text_add_bytes(&tag, bytes > 0 ? at : "?", bytes > 0 ? (size_t)bytes : 1);
        at += bytes > 0 ? bytes : 1;
    }
    const scalar of = {weft_text_get(&tag), source->loss};
    if (isfinite(source->loss)) add_scalars(wall_time, step, &of, 1, out);
    out->failed = out->failed || tag.failed;
    weft_text_fini(&tag);
}

void weft_tensorboard_step(double wall_time, const weft_step_record *record, weft_text *out)
{
    const scalar scalars[] = {{"train/loss", record->loss},
                              {"train/cross_entropy", record->adds ? record->cross_entropy : NAN},
                              {"train/gradient_norm", record->gradient_norm},
                              {"train/learning_rate", record->learning_rate},
                              {"train/tokens_per_second", record->tokens_per_second},
                              {"train/seconds", record->seconds}};
    add_scalars(wall_time, record->step, scalars, sizeof scalars / sizeof *scalars, out);
    for (int32_t s = 0; s < record->source_count; s++) add_source(wall_time, record->step, &record->sources[s], out);
}

void weft_tensorboard_evaluation(double wall_time, const weft_evaluation_record *record, weft_text *out)
{
    const scalar scalars[] = {{"held_out/loss", record->loss},
                              {"held_out/bits_per_byte", record->bits_per_byte > 0 ? record->bits_per_byte : NAN}};
    add_scalars(wall_time, record->step, scalars, sizeof scalars / sizeof *scalars, out);
}
