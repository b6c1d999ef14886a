#define _GNU_SOURCE /* F_SETSIG, F_SETLEASE */
#include "tensor/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h> /* the same sums, with the widest instructions that there are */
#endif

/* SPAN: bytes of a file that are hashed where the system keeps them. PIECE: that are read; it stays in cache. */
enum { SPAN = 4 << 20, PIECE = 256 * 1024, PAGE = 4096 };

typedef struct hashing {
    const char *path;
    int descriptor;
    XXH3_state_t *hash;
    uint64_t bytes; /* hashed so far */
} hashing;

/* Until it lets go nobody cuts the file, since whoever would is made to wait. Only for files of one's own, and not on
 * every file system. The signal that tells of it is one that nobody heeds. */
static bool hold(int descriptor)
{
    return fcntl(descriptor, F_SETSIG, SIGURG) == 0 && fcntl(descriptor, F_SETLEASE, F_RDLCK) == 0;
}

static void let_go(int descriptor)
{
    (void)fcntl(descriptor, F_SETLEASE, F_UNLCK);
}

/* All of it, and in memory already, or it is read faster. */
static bool is_kept(const hashing *it, unsigned char *pages)
{
    struct stat info;
    unsigned char last = 0;
    return fstat(it->descriptor, &info) == 0 && (uint64_t)info.st_size >= it->bytes + SPAN &&
           mincore(pages + SPAN - PAGE, PAGE, &last) == 0 && (last & 1);
}

/* Hashes the next span in place, which is faster than a copy to here. Pages that are gone or cannot be read would be a
 * signal when they are touched: the file is held, and all are there before. Else it returns false. */
static bool hash_span(hashing *it)
{
    if (!hold(it->descriptor)) return false;
    void *pages = mmap(NULL, SPAN, PROT_READ, MAP_SHARED, it->descriptor, (off_t)it->bytes);
    bool good = pages != MAP_FAILED && is_kept(it, pages) && madvise(pages, SPAN, MADV_POPULATE_READ) == 0;
    if (good) XXH3_64bits_update(it->hash, pages, SPAN);
    if (good) it->bytes += SPAN;
    if (pages != MAP_FAILED) munmap(pages, SPAN);
    let_go(it->descriptor);
    return good;
}

static weft_status read_rest(hashing *it, char *piece, weft_error *error)
{
    if (lseek(it->descriptor, (off_t)it->bytes, SEEK_SET) < 0)
        FAIL(error, WEFT_FAILED, "%s: cannot go to byte %" PRIu64 ": %s", it->path, it->bytes, strerror(errno));
    for (;;) {
        ssize_t got = read(it->descriptor, piece, PIECE);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            FAIL(error, WEFT_FAILED, "%s: cannot read at byte %" PRIu64 ": %s", it->path, it->bytes, strerror(errno));
        if (got == 0) return WEFT_OK;
        XXH3_64bits_update(it->hash, piece, (size_t)got);
        it->bytes += (uint64_t)got;
    }
}

static weft_status hash_file(hashing *it, weft_error *error)
{
    char *piece = NULL;
    XXH3_64bits_reset(it->hash);
    while (hash_span(it)) continue;
    TRY(weft_allocate(PIECE, 1, &piece, error));
    weft_status status = read_rest(it, piece, error);
    weft_free(piece);
    return status;
}

weft_status weft_file_checksum(const char *path, uint64_t *out, uint64_t *out_bytes, weft_error *error)
{
    hashing it = {.path = path};
    TRY(weft_file_open(path, &it.descriptor, error));
    it.hash = XXH3_createState();
    weft_status status =
        it.hash ? hash_file(&it, error) : weft_fail(error, WEFT_NO_MEMORY, "out of memory for a checksum");
    if (status == WEFT_OK) *out = XXH3_64bits_digest(it.hash);
    if (status == WEFT_OK && out_bytes) *out_bytes = it.bytes;
    XXH3_freeState(it.hash);
    close(it.descriptor);
    return status;
}
