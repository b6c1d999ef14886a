#include "data/inflate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { PAUSE = 200 }; /* milliseconds between questions whether to stop */
enum { BUFFER = 256 << 10, HEAD = 6, ZLIB_WITH_GZIP_HEADER = 16 + MAX_WBITS };

typedef enum { PLAIN, GZIP, ZSTANDARD } packing;

struct weft_inflate {
    const char *name; /* for messages; the caller's */
    int descriptor;
    bool own, ended; /* ended: the file has no more bytes */
    weft_inflate_patience patience;
    packing packing;
    bool within; /* a compressed part has begun and not ended */
    unsigned char *buffer;
    size_t from, past; /* of what the buffer holds */
    uint64_t consumed;
    z_stream gzip;
    ZSTD_DStream *zstandard;
};

static const struct {
    unsigned char head[HEAD];
    size_t length;
    const char *what;
} other_packings[] = {
    {{0xfd, '7', 'z', 'X', 'Z', 0}, 6, "xz"},      {{'B', 'Z', 'h'}, 3, "bzip2"},
    {{0x04, 0x22, 0x4d, 0x18}, 4, "lz4"},          {{'P', 'K', 3, 4}, 4, "zip"},
    {{'P', 'A', 'R', '1'}, 4, "Parquet"},          {{'A', 'R', 'R', 'O', 'W', '1'}, 6, "Arrow"},
    {{'7', 'z', 0xbc, 0xaf, 0x27, 0x1c}, 6, "7z"},
};

/* A signal's handler may have come before poll, which then does not hear of it. */
static weft_status wait_for_bytes(const weft_inflate *inflate, weft_error *error)
{
    struct pollfd wanted = {.fd = inflate->descriptor, .events = POLLIN};
    if (inflate->own || !inflate->patience.stop) return WEFT_OK;
    while (poll(&wanted, 1, PAUSE) <= 0)
        if (inflate->patience.stop(inflate->patience.context))
            FAIL(error, WEFT_STOPPED, "%s: stopped before its end", inflate->name);
    return WEFT_OK;
}

static weft_status fill(weft_inflate *inflate, weft_error *error)
{
    inflate->from = inflate->past = 0;
    while (inflate->past < BUFFER && !inflate->ended) {
        TRY(wait_for_bytes(inflate, error));
        ssize_t got = read(inflate->descriptor, inflate->buffer + inflate->past, BUFFER - inflate->past);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) FAIL(error, WEFT_FAILED, "%s: cannot read: %s", inflate->name, strerror(errno));
        inflate->ended = got == 0;
        inflate->past += (size_t)got;
        inflate->consumed += (size_t)got;
        if (inflate->past >= HEAD) break; /* a pipe gives what it has */
    }
    return WEFT_OK;
}

/* A frame, or one that is skipped, with which pzstd and seekable files begin. */
static bool is_zstandard(const unsigned char *head, size_t count)
{
    return count >= 4 && (memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0 ||
                          ((head[0] & 0xf0) == 0x50 && memcmp(head + 1, "\x2a\x4d\x18", 3) == 0));
}

static weft_status begin_packing(weft_inflate *inflate, weft_error *error)
{
    const unsigned char *head = inflate->buffer;
    size_t count = inflate->past;
    for (size_t i = 0; i < sizeof other_packings / sizeof *other_packings; i++)
        if (count >= other_packings[i].length && memcmp(head, other_packings[i].head, other_packings[i].length) == 0)
            FAIL(error, WEFT_INVALID, "%s: is %s: unpack it to text or JSONL, and pipe it in if it is large",
                 inflate->name, other_packings[i].what);
    if (count >= 2 && head[0] == 0x1f && head[1] == 0x8b) {
        inflate->packing = GZIP;
        if (inflateInit2(&inflate->gzip, ZLIB_WITH_GZIP_HEADER) != Z_OK)
            FAIL(error, WEFT_NO_MEMORY, "%s: out of memory for unpacking", inflate->name);
    } else if (is_zstandard(head, count)) {
        inflate->packing = ZSTANDARD;
        inflate->zstandard = ZSTD_createDStream();
        if (!inflate->zstandard) FAIL(error, WEFT_NO_MEMORY, "%s: out of memory for unpacking", inflate->name);
    }
    return WEFT_OK;
}

/* Opening a named pipe would wait for its other end: only regular files are opened. */
static weft_status open_file(weft_inflate *inflate, weft_error *error)
{
    struct stat info;
    inflate->descriptor = open(inflate->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (inflate->descriptor < 0) FAIL(error, WEFT_INVALID, "%s: cannot open: %s", inflate->name, strerror(errno));
    inflate->own = true;
    if (fstat(inflate->descriptor, &info) != 0 || !S_ISREG(info.st_mode))
        FAIL(error, WEFT_INVALID, "%s: not a regular file", inflate->name);
    posix_fadvise(inflate->descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
    return WEFT_OK;
}

static weft_status begin(weft_inflate *inflate, const char *path, weft_error *error)
{
    TRY(weft_allocate(BUFFER, 1, &inflate->buffer, error));
    if (strcmp(path, "-") != 0) TRY(open_file(inflate, error));
    TRY(fill(inflate, error));
    return begin_packing(inflate, error);
}

weft_status weft_inflate_open(const char *path, weft_inflate_patience patience, weft_inflate **out, weft_error *error)
{
    weft_inflate *inflate = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *inflate, &inflate, error));
    inflate->name = strcmp(path, "-") == 0 ? "standard input" : path;
    inflate->descriptor = STDIN_FILENO;
    inflate->patience = patience;
    weft_status status = begin(inflate, path, error);
    if (status == WEFT_OK)
        *out = inflate;
    else
        weft_inflate_close(inflate);
    return status;
}

void weft_inflate_close(weft_inflate *inflate)
{
    if (!inflate) return;
    if (inflate->packing == GZIP) inflateEnd(&inflate->gzip);
    ZSTD_freeDStream(inflate->zstandard);
    if (inflate->own) close(inflate->descriptor);
    weft_free(inflate->buffer);
    weft_free(inflate);
}

static size_t take_plain(weft_inflate *inflate, unsigned char *bytes, size_t count)
{
    size_t left = inflate->past - inflate->from, now = left < count ? left : count;
    memcpy(bytes, inflate->buffer + inflate->from, now);
    inflate->from += now;
    return now;
}

/* zlib's own function has the name of what is unpacked here. */
static int inflate_some(z_stream *stream)
{
    return inflate(stream, Z_NO_FLUSH);
}

/* A file may hold several parts behind one another. */
static weft_status take_gzip(weft_inflate *inflate, unsigned char *bytes, size_t count, size_t *out, weft_error *error)
{
    z_stream *stream = &inflate->gzip;
    stream->next_in = inflate->buffer + inflate->from;
    stream->avail_in = (uInt)(inflate->past - inflate->from);
    stream->next_out = bytes;
    stream->avail_out = count < 1U << 30 ? (uInt)count : 1U << 30;
    uInt room = stream->avail_out;
    inflate->within = true;
    int code = inflate_some(stream);
    inflate->from = inflate->past - stream->avail_in;
    *out = room - stream->avail_out;
    if (code == Z_STREAM_END) {
        inflate->within = false;
        inflateReset(stream);
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
        FAIL(error, WEFT_INVALID, "%s: damaged gzip: %s", inflate->name, stream->msg ? stream->msg : "cannot go on");
    }
    return WEFT_OK;
}

static weft_status take_zstandard(weft_inflate *inflate, unsigned char *bytes, size_t count, size_t *out,
                                  weft_error *error)
{
    ZSTD_inBuffer from = {inflate->buffer + inflate->from, inflate->past - inflate->from, 0};
    ZSTD_outBuffer to = {bytes, count, 0};
    size_t hint = ZSTD_decompressStream(inflate->zstandard, &to, &from);
    if (ZSTD_isError(hint))
        FAIL(error, WEFT_INVALID, "%s: damaged Zstandard: %s", inflate->name, ZSTD_getErrorName(hint));
    inflate->from += from.pos;
    inflate->within = hint > 0;
    *out = to.pos;
    return WEFT_OK;
}

static weft_status take(weft_inflate *inflate, unsigned char *bytes, size_t count, size_t *out, weft_error *error)
{
    if (inflate->packing == GZIP) return take_gzip(inflate, bytes, count, out, error);
    if (inflate->packing == ZSTANDARD) return take_zstandard(inflate, bytes, count, out, error);
    *out = take_plain(inflate, bytes, count);
    return WEFT_OK;
}

weft_status weft_inflate_read(weft_inflate *inflate, void *bytes, size_t count, size_t *out_got, weft_error *error)
{
    unsigned char *to = bytes;
    *out_got = 0;
    while (*out_got < count) {
        size_t got = 0;
        if (inflate->from == inflate->past && !inflate->ended) TRY(fill(inflate, error));
        bool dry = inflate->from == inflate->past;
        if (!dry || inflate->within) TRY(take(inflate, to + *out_got, count - *out_got, &got, error));
        *out_got += got;
        if (dry && got == 0) break;
    }
    if (*out_got < count && inflate->within) FAIL(error, WEFT_INVALID, "%s: is cut short", inflate->name);
    return WEFT_OK;
}

uint64_t weft_inflate_consumed(const weft_inflate *inflate)
{
    return inflate->consumed;
}
