#include "data/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { NONE = -1, MOST_OPEN = 4096, SHARE_OF_LIMIT = 8 };

/* What tells cheaply that a file is still the same. */
typedef struct {
    uint64_t size, inode;
    struct timespec modified, changed;
} file_stamp;

typedef struct {
    const char *path;
    file_stamp stamp;
    uint64_t pages; /* hash of the first and the last one */
    int32_t slot;   /* where its descriptor is; NONE: it is not open */
} known_file;

/* A place for one open descriptor. */
typedef struct {
    size_t file;
    int descriptor;  /* NONE: free */
    int32_t readers; /* who must not lose it */
    bool recent;     /* read since the hand last passed */
} open_slot;

struct weft_files {
    known_file *files;
    size_t count, capacity;
    open_slot *slots;
    int32_t slot_count, hand;
    pthread_mutex_t lock; /* of slots and stamps */
};

/* A descriptor for one read. */
typedef struct {
    int descriptor;
    int32_t slot; /* NONE: the reader's own, all slots being in use */
    file_stamp stamp;
} loan;

static int32_t count_slots(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / SHARE_OF_LIMIT > MOST_OPEN) return MOST_OPEN;
    return limit.rlim_cur < SHARE_OF_LIMIT ? 1 : (int32_t)(limit.rlim_cur / SHARE_OF_LIMIT);
}

weft_status weft_files_create(weft_files **out, weft_error *error)
{
    weft_files *files = NULL;
    *out = NULL;
    TRY(weft_allocate(1, sizeof *files, &files, error));
    pthread_mutex_init(&files->lock, NULL);
    int32_t count = count_slots();
    weft_status status = weft_allocate((size_t)count, sizeof *files->slots, &files->slots, error);
    if (status != WEFT_OK) {
        weft_files_destroy(files);
        return status;
    }
    files->slot_count = count;
    for (int32_t i = 0; i < count; i++) files->slots[i].descriptor = NONE;
    *out = files;
    return WEFT_OK;
}

void weft_files_destroy(weft_files *files)
{
    if (!files) return;
    for (int32_t i = 0; i < files->slot_count; i++)
        if (files->slots[i].descriptor != NONE) close(files->slots[i].descriptor);
    pthread_mutex_destroy(&files->lock);
    weft_free(files->slots);
    weft_free(files->files);
    weft_free(files);
}

static file_stamp stamp_of(const struct stat *info)
{
    return (file_stamp){(uint64_t)info->st_size, info->st_ino, info->st_mtim, info->st_ctim};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamp(const file_stamp *a, const file_stamp *b)
{
    return a->size == b->size && a->inode == b->inode && same_time(a->modified, b->modified) &&
           same_time(a->changed, b->changed);
}

static void close_slot(weft_files *files, open_slot *slot)
{
    close(slot->descriptor);
    slot->descriptor = NONE;
    files->files[slot->file].slot = NONE;
}

/* A slot that nobody reads, one that was not read lately first; NONE when all are being read. */
static int32_t find_slot(weft_files *files)
{
    for (int32_t turn = 0; turn < 2 * files->slot_count; turn++) {
        int32_t at = files->hand;
        open_slot *slot = &files->slots[at];
        files->hand = (at + 1) % files->slot_count;
        if (slot->descriptor == NONE || (slot->readers == 0 && !slot->recent)) return at;
        slot->recent = false;
    }
    return NONE;
}

/* When the process can open no more, what is open here and not in use goes first. */
static bool close_any(weft_files *files)
{
    for (int32_t i = 0; i < files->slot_count; i++) {
        if (files->slots[i].descriptor == NONE || files->slots[i].readers > 0) continue;
        close_slot(files, &files->slots[i]);
        return true;
    }
    return false;
}

/* Opening a named pipe would wait for its other end, hence O_NONBLOCK. Blocks are read in shuffled order: what the
 * system read ahead by itself would not be used soon. */
static int open_file(weft_files *files, const char *path)
{
    int descriptor;
    do descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (descriptor < 0 && (errno == EINTR || ((errno == EMFILE || errno == ENFILE) && close_any(files))));
    if (descriptor >= 0) posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM);
    return descriptor;
}

static weft_status borrow_locked(weft_files *files, size_t index, uint64_t offset, loan *out, weft_error *error)
{
    known_file *file = &files->files[index];
    *out = (loan){.slot = file->slot, .stamp = file->stamp};
    if (out->slot == NONE) {
        int descriptor = open_file(files, file->path);
        if (descriptor < 0)
            FAIL(error, WEFT_FAILED, "%s: cannot open to read byte %" PRIu64 ": %s", file->path, offset,
                 strerror(errno));
        out->descriptor = descriptor;
        out->slot = find_slot(files);
        if (out->slot == NONE) return WEFT_OK;
        if (files->slots[out->slot].descriptor != NONE) close_slot(files, &files->slots[out->slot]);
        files->slots[out->slot] = (open_slot){.file = index, .descriptor = descriptor};
        file->slot = out->slot;
    }
    open_slot *slot = &files->slots[out->slot];
    slot->readers++;
    slot->recent = true;
    out->descriptor = slot->descriptor;
    return WEFT_OK;
}

/* offset: of what is to be read, for messages. */
static weft_status borrow(weft_files *files, size_t index, uint64_t offset, loan *out, weft_error *error)
{
    pthread_mutex_lock(&files->lock);
    weft_status status = borrow_locked(files, index, offset, out, error);
    pthread_mutex_unlock(&files->lock);
    return status;
}

static void give_back(weft_files *files, const loan *borrowed)
{
    if (borrowed->slot == NONE) {
        close(borrowed->descriptor);
        return;
    }
    pthread_mutex_lock(&files->lock);
    files->slots[borrowed->slot].readers--;
    pthread_mutex_unlock(&files->lock);
}

static weft_status read_all(int descriptor, const char *path, uint64_t offset, size_t count, void *bytes,
                            weft_error *error)
{
    char *to = bytes;
    while (count > 0) {
        ssize_t got = pread(descriptor, to, count, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) FAIL(error, WEFT_FAILED, "%s: cannot read at byte %" PRIu64 ": %s", path, offset, strerror(errno));
        if (got == 0)
            FAIL(error, WEFT_FAILED, "%s: was cut short while it was in use: byte %" PRIu64 " is gone", path, offset);
        to += got;
        offset += (uint64_t)got;
        count -= (size_t)got;
    }
    return WEFT_OK;
}

static weft_status read_page(int descriptor, uint64_t offset, weft_excerpt *excerpt, int page, weft_error *error)
{
    uint64_t left = excerpt->size - offset;
    size_t count = left < WEFT_FILES_PAGE ? (size_t)left : WEFT_FILES_PAGE;
    excerpt->pages[page].offset = offset;
    excerpt->pages[page].count = count;
    return read_all(descriptor, excerpt->path, offset, count, excerpt->pages[page].bytes, error);
}

/* Of a file of excerpt->size bytes. The middle is a whole number of pages from the beginning. */
static weft_status read_excerpt(int descriptor, weft_excerpt *excerpt, weft_error *error)
{
    uint64_t size = excerpt->size, last = size < WEFT_FILES_PAGE ? 0 : size - WEFT_FILES_PAGE;
    TRY(read_page(descriptor, 0, excerpt, WEFT_EXCERPT_FIRST, error));
    TRY(read_page(descriptor, size / 2 / WEFT_FILES_PAGE * WEFT_FILES_PAGE, excerpt, WEFT_EXCERPT_MIDDLE, error));
    return read_page(descriptor, last, excerpt, WEFT_EXCERPT_LAST, error);
}

static uint64_t hash_ends(const weft_excerpt *excerpt)
{
    uint64_t hash = XXH3_64bits(excerpt->pages[WEFT_EXCERPT_FIRST].bytes, excerpt->pages[WEFT_EXCERPT_FIRST].count);
    return XXH3_64bits_withSeed(excerpt->pages[WEFT_EXCERPT_LAST].bytes, excerpt->pages[WEFT_EXCERPT_LAST].count, hash);
}

static weft_status meet(int descriptor, known_file *file, weft_excerpt *out, weft_error *error)
{
    struct stat info;
    if (fstat(descriptor, &info) != 0) FAIL(error, WEFT_FAILED, "%s: cannot read: %s", file->path, strerror(errno));
    if (!S_ISREG(info.st_mode)) FAIL(error, WEFT_INVALID, "%s: not a regular file", file->path);
    *out = (weft_excerpt){.path = file->path, .size = (uint64_t)info.st_size};
    TRY(read_excerpt(descriptor, out, error));
    file->stamp = stamp_of(&info);
    file->pages = hash_ends(out);
    return WEFT_OK;
}

weft_status weft_files_add(weft_files *files, const char *path, size_t *out_number, weft_excerpt *out,
                           weft_error *error)
{
    *out_number = files->count;
    TRY(weft_grow(&files->files, &files->capacity, files->count + 1, sizeof *files->files, error));
    known_file *file = &files->files[files->count];
    *file = (known_file){.path = path, .slot = NONE};
    loan borrowed;
    if (borrow(files, files->count, 0, &borrowed, error) != WEFT_OK) return error->status = WEFT_INVALID;
    files->count++;
    weft_status status = meet(borrowed.descriptor, file, out, error);
    give_back(files, &borrowed);
    return status;
}

/* Something has happened to the file. Its size and its ends are what a resumed run will know it by. */
static weft_status meet_again(weft_files *files, known_file *file, const file_stamp *old, int descriptor,
                              const struct stat *info, weft_error *error)
{
    weft_excerpt excerpt = {.path = file->path, .size = (uint64_t)info->st_size};
    if (excerpt.size < old->size)
        FAIL(error, WEFT_FAILED,
             "%s: was cut short while it was in use: it ends at byte %" PRIu64 ", it had %" PRIu64 " bytes", file->path,
             excerpt.size, old->size);
    if (excerpt.size > old->size)
        FAIL(error, WEFT_FAILED,
             "%s: has grown while it was in use, beyond byte %" PRIu64 " to %" PRIu64
             ": nothing may write to the data of a run; cut it back before you resume",
             file->path, old->size, excerpt.size);
    TRY(read_excerpt(descriptor, &excerpt, error));
    if (hash_ends(&excerpt) != file->pages)
        FAIL(error, WEFT_FAILED,
             "%s: was changed while it was in use, in its first %d bytes or from byte %" PRIu64
             " on: a run can be resumed only on the data that it began with",
             file->path, WEFT_FILES_PAGE, excerpt.pages[WEFT_EXCERPT_LAST].offset);
    pthread_mutex_lock(&files->lock);
    file->stamp = stamp_of(info);
    pthread_mutex_unlock(&files->lock);
    return WEFT_OK;
}

static weft_status read_borrowed(weft_files *files, known_file *file, const loan *borrowed, uint64_t offset,
                                 size_t count, void *bytes, weft_error *error)
{
    struct stat info;
    if (fstat(borrowed->descriptor, &info) != 0)
        FAIL(error, WEFT_FAILED, "%s: cannot read at byte %" PRIu64 ": %s", file->path, offset, strerror(errno));
    file_stamp now = stamp_of(&info);
    if (!same_stamp(&now, &borrowed->stamp))
        TRY(meet_again(files, file, &borrowed->stamp, borrowed->descriptor, &info, error));
    return read_all(borrowed->descriptor, file->path, offset, count, bytes, error);
}

weft_status weft_files_read(weft_files *files, size_t file, uint64_t offset, size_t count, uint64_t ahead, void *bytes,
                            weft_error *error)
{
    loan borrowed;
    TRY(borrow(files, file, offset, &borrowed, error));
    if (ahead > 0) posix_fadvise(borrowed.descriptor, (off_t)(offset + count), (off_t)ahead, POSIX_FADV_WILLNEED);
    weft_status status = read_borrowed(files, &files->files[file], &borrowed, offset, count, bytes, error);
    give_back(files, &borrowed);
    return status;
}

uint64_t weft_files_pages(const weft_files *files, size_t file)
{
    return files->files[file].pages;
}
