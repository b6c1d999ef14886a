#define _GNU_SOURCE /* sync_file_range, O_PATH */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

weft_status weft_file_fail(weft_error *error, const char *path, const char *what, int number)
{
    bool full = number == ENOSPC || number == EDQUOT;
    return weft_fail(error, WEFT_FAILED, "%s: cannot %s: %s%s", path, what, full ? "disk full: " : "",
                     strerror(number));
}

/* Opening a named pipe would wait for its other end, hence O_NONBLOCK; it means nothing for a regular file. */
static weft_status open_regular(const char *path, int *out, struct stat *info, weft_error *error)
{
    *info = (struct stat){0};
    *out = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*out < 0) FAIL(error, WEFT_INVALID, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(*out, info) == 0 && S_ISREG(info->st_mode)) return WEFT_OK;
    close(*out);
    FAIL(error, WEFT_INVALID, "%s: %snot a regular file", path, S_ISDIR(info->st_mode) ? "is a folder, " : "");
}

weft_status weft_file_open(const char *path, int *out_descriptor, weft_error *error)
{
    struct stat info;
    return open_regular(path, out_descriptor, &info, error);
}

/* NEIGHBOURHOOD: what is touched brings its neighbours; Linux maps aligned pieces of this size, where it has them.
 * LEAST_READ: bytes that are worth a call of the system. */
enum { NEIGHBOURHOOD = 1 << 16, LEAST_READ = 1 << 11 };

/* Half of the descriptors that a process may have are left to others. */
static bool is_kept(int descriptor)
{
    return descriptor < sysconf(_SC_OPEN_MAX) / 2;
}

weft_status weft_map_init(weft_map *map, const char *path, weft_error *error)
{
    *map = (weft_map){0};
    int descriptor;
    struct stat info;
    TRY(open_regular(path, &descriptor, &info, error));
    void *pages = info.st_size > 0 ? mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, descriptor, 0) : NULL;
    int reason = errno;
    bool mapped = pages && pages != MAP_FAILED, keeps = mapped && is_kept(descriptor);
    if (!keeps) close(descriptor);
    if (pages == MAP_FAILED) FAIL(error, WEFT_FAILED, "%s: cannot map: %s", path, strerror(reason));
    if (mapped) *map = (weft_map){.bytes = pages, .size = (size_t)info.st_size, .descriptor = keeps ? descriptor : -1};
    return WEFT_OK;
}

void weft_map_fini(weft_map *map)
{
    if (map->bytes) munmap((void *)(uintptr_t)map->bytes, map->size);
    if (map->bytes && map->descriptor >= 0) close(map->descriptor);
    *map = (weft_map){0};
}

void weft_map_release(const weft_map *map, const unsigned char *bytes, size_t count)
{
    uintptr_t start = (uintptr_t)map->bytes, begin = (uintptr_t)bytes / NEIGHBOURHOOD * NEIGHBOURHOOD;
    uintptr_t end = ((uintptr_t)bytes + count + NEIGHBOURHOOD - 1) / NEIGHBOURHOOD * NEIGHBOURHOOD;
    if (begin < start) begin = start; /* of a page, as maps are */
    if (end > start + map->size) end = start + map->size;
    if (count > 0) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

weft_status weft_map_copy(const weft_map *map, const unsigned char *bytes, size_t count, void *out, const char *path,
                          weft_error *error)
{
    size_t at = (size_t)(bytes - map->bytes), end = at + count;
    if (map->descriptor < 0 || count < LEAST_READ) {
        memcpy(out, bytes, count);
        return WEFT_OK;
    }
    for (char *to = out; at < end;) {
        ssize_t got = pread(map->descriptor, to, end - at, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) FAIL(error, WEFT_FAILED, "%s: cannot read at byte %zu: %s", path, at, strerror(errno));
        if (got == 0) FAIL(error, WEFT_INVALID, "%s: truncated at byte %zu while it was read", path, at);
        to += got;
        at += (size_t)got;
    }
    return WEFT_OK;
}

weft_status weft_file_read(const char *path, weft_text *out, weft_error *error)
{
    int descriptor;
    struct stat info;
    TRY(open_regular(path, &descriptor, &info, error));
    char buffer[16384];
    ssize_t got = 0;
    while ((got = read(descriptor, buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0) weft_text_add_bytes(out, buffer, (size_t)got);
    int reason = errno;
    close(descriptor);
    if (got < 0) FAIL(error, WEFT_INVALID, "%s: cannot read: %s", path, strerror(reason));
    return weft_text_check(out, error);
}

weft_status weft_file_write_all(int descriptor, const void *bytes, size_t count, const char *path, weft_error *error)
{
    const char *from = bytes;
    while (count > 0) {
        ssize_t wrote = write(descriptor, from, count);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return weft_file_fail(error, path, "write", errno);
        from += wrote;
        count -= (size_t)wrote;
    }
    return WEFT_OK;
}

void weft_file_flush(int descriptor, uint64_t from, uint64_t bytes)
{
    (void)sync_file_range(descriptor, (off_t)from, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
}

weft_status weft_file_create(const char *path, int *out_descriptor, weft_error *error)
{
    int kept = unlink(path) == 0 ? 0 : errno;
    *out_descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (*out_descriptor >= 0) return WEFT_OK;
    return weft_file_fail(error, path, "create", errno == EEXIST && kept ? kept : errno);
}

weft_status weft_file_append(const char *path, int *out_descriptor, weft_error *error)
{
    struct stat info;
    *out_descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    bool refused = *out_descriptor < 0 && (errno == ELOOP || errno == ENXIO); /* a link; a pipe that nobody reads */
    if (*out_descriptor < 0 && !refused) return weft_file_fail(error, path, "open", errno);
    if (!refused && fstat(*out_descriptor, &info) == 0 && S_ISREG(info.st_mode)) return WEFT_OK;
    if (!refused) close(*out_descriptor);
    *out_descriptor = -1;
    FAIL(error, WEFT_FAILED, "%s: not a regular file", path);
}

static void parent_of(const char *path, char *out, size_t size)
{
    snprintf(out, size, "%s", path);
    char *slash = strrchr(out, '/');
    if (!slash)
        snprintf(out, size, ".");
    else if (slash == out)
        slash[1] = '\0';
    else
        *slash = '\0';
}

weft_status weft_file_write_by(const char *path, weft_file_filler *fill, void *context, weft_error *error)
{
    char aside[4096], folder[4096];
    if (snprintf(aside, sizeof aside, "%s.tmp", path) >= (int)sizeof aside)
        FAIL(error, WEFT_INVALID, "path too long: %s", path);
    int descriptor = -1;
    TRY(weft_file_create(aside, &descriptor, error));
    weft_status status = fill(context, descriptor, aside, error);
    if (status == WEFT_OK && fsync(descriptor) != 0) status = weft_file_fail(error, aside, "sync", errno);
    if (close(descriptor) != 0 && status == WEFT_OK) status = weft_file_fail(error, aside, "close", errno);
    if (status == WEFT_OK && rename(aside, path) != 0) status = weft_file_fail(error, path, "rename into place", errno);
    if (status != WEFT_OK) {
        unlink(aside);
        return status;
    }
    parent_of(path, folder, sizeof folder);
    return weft_folder_sync(folder, error);
}

typedef struct file_bytes {
    const void *bytes;
    size_t count;
} file_bytes;

static weft_status fill_with_bytes(void *context, int descriptor, const char *path, weft_error *error)
{
    const file_bytes *from = context;
    return weft_file_write_all(descriptor, from->bytes, from->count, path, error);
}

weft_status weft_file_write(const char *path, const void *bytes, size_t count, weft_error *error)
{
    file_bytes from = {bytes, count};
    return weft_file_write_by(path, fill_with_bytes, &from, error);
}

/* A new name is safe once the folder that holds it is synced; one that may not be read cannot be opened for it. */
static weft_status sync_parent(const char *path, weft_error *error)
{
    char folder[4096];
    parent_of(path, folder, sizeof folder);
    return access(folder, R_OK) == 0 ? weft_folder_sync(folder, error) : WEFT_OK;
}

weft_status weft_folder_create(const char *path, weft_error *error)
{
    char part[4096];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        FAIL(error, WEFT_INVALID, "path too long: %s", path);
    for (char *c = part + 1; *c; c++) {
        if (*c != '/') continue;
        *c = '\0';
        if (mkdir(part, 0777) == 0) TRY(sync_parent(part, error));
        *c = '/';
    }
    if (mkdir(part, 0777) == 0) return sync_parent(part, error);
    if (errno != EEXIST) return weft_file_fail(error, path, "create folder", errno);
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        FAIL(error, WEFT_FAILED, "%s: exists and is not a folder", path);
    return WEFT_OK;
}

weft_status weft_folder_sync(const char *path, weft_error *error)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) FAIL(error, WEFT_FAILED, "%s: cannot open folder: %s", path, strerror(errno));
    int failed = fsync(descriptor), reason = errno;
    close(descriptor);
    if (failed) return weft_file_fail(error, path, "sync folder", reason);
    return WEFT_OK;
}

weft_status weft_folder_lock(const char *path, int *out_descriptor, weft_error *error)
{
    *out_descriptor = -1;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) FAIL(error, WEFT_FAILED, "%s: cannot open folder: %s", path, strerror(errno));
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
        *out_descriptor = descriptor;
        return WEFT_OK;
    }
    bool held = errno == EWOULDBLOCK;
    close(descriptor);
    if (held) FAIL(error, WEFT_INVALID, "%s: in use by another process", path);
    return WEFT_OK;
}

int weft_folder_enter(const char *path)
{
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* A file, or a link itself. */
static weft_status remove_entry(const char *path, weft_error *error)
{
    if (unlink(path) == 0) return WEFT_OK;
    FAIL(error, WEFT_FAILED, "%s: cannot remove: %s", path, strerror(errno));
}

weft_status weft_folder_remove(const char *path, weft_error *error)
{
    struct stat info;
    if (lstat(path, &info) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return WEFT_OK;
        FAIL(error, WEFT_FAILED, "%s: cannot remove: %s", path, strerror(errno));
    }
    if (S_ISLNK(info.st_mode)) return remove_entry(path, error);
    if (!S_ISDIR(info.st_mode)) FAIL(error, WEFT_FAILED, "%s: exists and is not a folder", path);
    weft_arena arena;
    weft_arena_init(&arena);
    const char **names = NULL;
    size_t count = 0;
    weft_status status = weft_folder_list(path, &arena, &names, &count, error);
    for (size_t i = 0; i < count && status == WEFT_OK; i++) {
        char child[4096];
        if (snprintf(child, sizeof child, "%s/%s", path, names[i]) >= (int)sizeof child)
            status = weft_fail(error, WEFT_FAILED, "path too long: %s", path);
        else
            status = weft_path_is_folder(child) ? weft_folder_remove(child, error) : remove_entry(child, error);
    }
    if (status == WEFT_OK && rmdir(path) != 0)
        status = weft_fail(error, WEFT_FAILED, "%s: cannot remove: %s", path, strerror(errno));
    weft_arena_fini(&arena);
    return status;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

weft_status weft_folder_list(const char *path, weft_arena *arena, const char ***out_names, size_t *out_count,
                             weft_error *error)
{
    *out_names = NULL;
    *out_count = 0;
    DIR *folder = opendir(path);
    if (!folder) FAIL(error, WEFT_INVALID, "%s: cannot open folder: %s", path, strerror(errno));
    const char **found = NULL;
    size_t capacity = 0, count = 0;
    weft_status status = WEFT_OK;
    for (struct dirent *entry; status == WEFT_OK && (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        status = weft_grow(&found, &capacity, count + 1, sizeof *found, error);
        if (status == WEFT_OK) status = weft_arena_text(arena, entry->d_name, &found[count++], error);
    }
    closedir(folder);
    if (status == WEFT_OK) status = weft_arena_take(arena, count, sizeof **out_names, out_names, error);
    if (status == WEFT_OK && count) {
        qsort(found, count, sizeof *found, by_bytes);
        memcpy(*out_names, found, count * sizeof *found);
        *out_count = count;
    }
    weft_free(found);
    return status;
}

bool weft_path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool weft_path_is_folder(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool weft_path_is_same(const char *one, const char *other)
{
    struct stat left, right;
    return stat(one, &left) == 0 && stat(other, &right) == 0 && left.st_dev == right.st_dev &&
           left.st_ino == right.st_ino;
}
