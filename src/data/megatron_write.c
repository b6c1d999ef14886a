#include "data/megatron_write.h"

#include "base/file.h"
#include "data/mask.h"
#include "data/megatron.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 256 << 10, PATH = 4096, LONGEST_SEQUENCE = INT32_MAX };

/* A record of PREFIX.lengths.part: the tokens of a sequence, and whether a document ends with it. */
#define ENDS_DOCUMENT (UINT64_C(1) << 63)
enum { RECORD = 8 };

/* A file that grows at its end. */
typedef struct {
    char path[PATH]; /* with .part */
    int descriptor;  /* -1: none */
    unsigned char *buffer;
    size_t held;
} growing_file;

struct weft_megatron_writer {
    char prefix[PATH];
    weft_number_type numbers;
    bool masked;
    growing_file bin, lengths, mask;
    weft_megatron_state state;
    bool begun; /* tokens of a document that is not ended, in this sequence or one before */
};

static weft_status flush(growing_file *file, weft_error *error)
{
    TRY(weft_file_write_all(file->descriptor, file->buffer, file->held, file->path, error));
    file->held = 0;
    return WEFT_OK;
}

static weft_status put(growing_file *file, uint64_t number, uint32_t width, weft_error *error)
{
    if (file->held + width > BUFFER) TRY(flush(file, error));
    for (uint32_t i = 0; i < width; i++) file->buffer[file->held++] = (unsigned char)(number >> 8 * i);
    return WEFT_OK;
}

/* Opens the file and cuts off what lies beyond `bytes`. */
static weft_status open_growing(growing_file *file, const char *prefix, const char *ending, uint64_t bytes,
                                weft_error *error)
{
    struct stat info;
    if (snprintf(file->path, PATH, "%s%s.part", prefix, ending) >= PATH)
        FAIL(error, WEFT_INVALID, "%s: the name is too long", prefix);
    TRY(weft_allocate(BUFFER, 1, &file->buffer, error));
    if (bytes == 0) return weft_file_create(file->path, &file->descriptor, error);
    TRY(weft_file_append(file->path, &file->descriptor, error));
    if (fstat(file->descriptor, &info) != 0 || (uint64_t)info.st_size < bytes)
        FAIL(error, WEFT_FAILED, "%s: is shorter than what was written: begin anew", file->path);
    if (ftruncate(file->descriptor, (off_t)bytes) != 0) return weft_file_fail(error, file->path, "cut", errno);
    return WEFT_OK;
}

/* Its head is known at the end. */
static weft_status open_mask(weft_megatron_writer *writer, weft_error *error)
{
    static const unsigned char head[WEFT_MASK_HEAD];
    growing_file *mask = &writer->mask;
    uint64_t tokens = writer->state.tokens;
    TRY(open_growing(mask, writer->prefix, ".mask", tokens > 0 ? WEFT_MASK_HEAD + tokens / 8 : 0, error));
    return tokens > 0 ? WEFT_OK : weft_file_write_all(mask->descriptor, head, sizeof head, mask->path, error);
}

static weft_status open_all(weft_megatron_writer *writer, weft_error *error)
{
    uint64_t width = weft_number_width(writer->numbers);
    TRY(open_growing(&writer->bin, writer->prefix, ".bin", writer->state.tokens * width, error));
    TRY(open_growing(&writer->lengths, writer->prefix, ".lengths", writer->state.sequences * RECORD, error));
    return writer->masked ? open_mask(writer, error) : WEFT_OK;
}

weft_status weft_megatron_writer_create(const weft_megatron_writer_options *options, weft_megatron_writer **out,
                                        weft_error *error)
{
    weft_megatron_writer *writer = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *writer, &writer, error));
    snprintf(writer->prefix, sizeof writer->prefix, "%s", options->prefix);
    writer->numbers = options->numbers;
    writer->masked = options->masked;
    if (options->state) writer->state = *options->state;
    writer->begun = writer->state.open_tokens > 0;
    writer->bin.descriptor = writer->lengths.descriptor = writer->mask.descriptor = -1;
    weft_status status = open_all(writer, error);
    if (status == WEFT_OK)
        *out = writer;
    else
        weft_megatron_writer_destroy(writer);
    return status;
}

static void close_growing(growing_file *file)
{
    if (file->descriptor >= 0) close(file->descriptor);
    weft_free(file->buffer);
    *file = (growing_file){.descriptor = -1};
}

void weft_megatron_writer_destroy(weft_megatron_writer *writer)
{
    if (!writer) return;
    close_growing(&writer->bin);
    close_growing(&writer->lengths);
    close_growing(&writer->mask);
    weft_free(writer);
}

static weft_status end_sequence(weft_megatron_writer *writer, bool document, weft_error *error)
{
    TRY(put(&writer->lengths, writer->state.open_tokens | (document ? ENDS_DOCUMENT : 0), RECORD, error));
    writer->state.open_tokens = 0;
    writer->state.sequences++;
    writer->state.documents += document;
    return WEFT_OK;
}

static weft_status add_bit(weft_megatron_writer *writer, bool learnt, weft_error *error)
{
    uint64_t place = writer->state.tokens % 8, bits = writer->state.bits | (uint64_t)learnt << place;
    writer->state.bits = place < 7 ? bits : 0;
    return place < 7 ? WEFT_OK : put(&writer->mask, bits, 1, error);
}

weft_status weft_megatron_writer_add(weft_megatron_writer *writer, const int32_t *tokens, const bool *learnt,
                                     size_t count, weft_error *error)
{
    uint32_t width = weft_number_width(writer->numbers);
    for (size_t i = 0; i < count; i++) {
        if (writer->state.open_tokens == LONGEST_SEQUENCE) TRY(end_sequence(writer, false, error));
        TRY(put(&writer->bin, (uint64_t)tokens[i], width, error));
        if (writer->masked) TRY(add_bit(writer, !learnt || learnt[i], error));
        writer->state.tokens++;
        writer->state.open_tokens++;
    }
    writer->begun |= count > 0;
    return WEFT_OK;
}

weft_status weft_megatron_writer_end(weft_megatron_writer *writer, weft_error *error)
{
    if (!writer->begun) return WEFT_OK;
    writer->begun = false;
    return end_sequence(writer, true, error);
}

static weft_status sync_growing(growing_file *file, weft_error *error)
{
    if (file->descriptor < 0) return WEFT_OK;
    TRY(flush(file, error));
    if (fsync(file->descriptor) != 0) return weft_file_fail(error, file->path, "sync", errno);
    return WEFT_OK;
}

weft_status weft_megatron_writer_sync(weft_megatron_writer *writer, weft_megatron_state *out, weft_error *error)
{
    TRY(sync_growing(&writer->bin, error));
    TRY(sync_growing(&writer->mask, error));
    TRY(sync_growing(&writer->lengths, error));
    *out = writer->state;
    return WEFT_OK;
}

static weft_status finish_mask(weft_megatron_writer *writer, weft_error *error)
{
    growing_file *mask = &writer->mask;
    unsigned char head[WEFT_MASK_HEAD];
    if (!writer->masked) return WEFT_OK;
    if (writer->state.tokens % 8 > 0) TRY(put(mask, writer->state.bits, 1, error));
    TRY(sync_growing(mask, error));
    weft_mask_head(writer->state.tokens, head);
    int descriptor = open(mask->path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    bool done = descriptor >= 0 && pwrite(descriptor, head, sizeof head, 0) == sizeof head && fsync(descriptor) == 0;
    int reason = errno;
    if (descriptor >= 0) close(descriptor);
    return done ? WEFT_OK : weft_file_fail(error, mask->path, "write", reason);
}

static uint64_t record_at(const weft_map *lengths, uint64_t sequence)
{
    uint64_t record = 0;
    for (int i = 0; i < RECORD; i++) record |= (uint64_t)lengths->bytes[RECORD * sequence + (uint64_t)i] << 8 * i;
    return record;
}

static weft_status put_index(const weft_megatron_writer *writer, growing_file *index, const weft_map *lengths,
                             weft_error *error)
{
    const weft_megatron_state *state = &writer->state;
    unsigned char head[WEFT_MEGATRON_HEAD];
    uint64_t offset = 0;
    weft_megatron_head(writer->numbers, state->sequences, state->documents, head);
    for (size_t i = 0; i < sizeof head; i++) TRY(put(index, head[i], 1, error));
    for (uint64_t i = 0; i < state->sequences; i++) TRY(put(index, record_at(lengths, i) & ~ENDS_DOCUMENT, 4, error));
    for (uint64_t i = 0; i < state->sequences; i++) {
        TRY(put(index, offset, 8, error));
        offset += (record_at(lengths, i) & ~ENDS_DOCUMENT) * weft_number_width(writer->numbers);
    }
    TRY(put(index, 0, 8, error));
    for (uint64_t i = 0; i < state->sequences; i++)
        if (record_at(lengths, i) & ENDS_DOCUMENT) TRY(put(index, i + 1, 8, error));
    return WEFT_OK;
}

static weft_status write_index(weft_megatron_writer *writer, weft_error *error)
{
    weft_map lengths;
    growing_file index = {.descriptor = -1};
    TRY(weft_map_init(&lengths, writer->lengths.path, error));
    weft_status status = open_growing(&index, writer->prefix, ".idx", 0, error);
    if (status == WEFT_OK) status = put_index(writer, &index, &lengths, error);
    if (status == WEFT_OK) status = sync_growing(&index, error);
    close_growing(&index);
    weft_map_fini(&lengths);
    return status;
}

/* PREFIX.bin.part becomes PREFIX.bin. */
static weft_status name_file(const weft_megatron_writer *writer, const char *ending, weft_error *error)
{
    char aside[PATH + 16], path[PATH + 16];
    snprintf(aside, sizeof aside, "%s%s.part", writer->prefix, ending);
    snprintf(path, sizeof path, "%s%s", writer->prefix, ending);
    return rename(aside, path) == 0 ? WEFT_OK : weft_file_fail(error, path, "rename", errno);
}

weft_status weft_megatron_writer_finish(weft_megatron_writer *writer, weft_error *error)
{
    char mask[PATH + 16], index[PATH + 16];
    TRY(weft_megatron_writer_end(writer, error));
    TRY(sync_growing(&writer->bin, error));
    TRY(sync_growing(&writer->lengths, error));
    TRY(finish_mask(writer, error));
    TRY(write_index(writer, error));
    snprintf(mask, sizeof mask, "%s.mask", writer->prefix);
    snprintf(index, sizeof index, "%s.idx", writer->prefix);
    unlink(index); /* of an older data set of this name: it is not that of the new tokens */
    if (!writer->masked) unlink(mask);
    TRY(name_file(writer, ".bin", error));
    if (writer->masked) TRY(name_file(writer, ".mask", error));
    TRY(name_file(writer, ".idx", error));
    unlink(writer->lengths.path);
    return WEFT_OK;
}
