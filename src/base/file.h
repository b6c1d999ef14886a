/*
 * Files: whole-file reads, read-only maps, writing aside with sync and rename, folders.
 *
 * Messages name the path and the system's reason; a full disk is called that. Only regular files are read, so that a
 * named pipe or a device is refused and not waited for. Every file that weft writes is made by weft_file_create or
 * weft_file_append, which never write to what another name stands for. Owns: a map owns its pages and its descriptor
 * until weft_map_fini. Threads: any.
 */
#ifndef WEFT_BASE_FILE_H
#define WEFT_BASE_FILE_H

#include "base/text.h"

typedef struct weft_map {
    const unsigned char *bytes; /* NULL when size is 0 */
    size_t size;
    int descriptor; /* of the file, with bytes; -1 where many files are open, whose descriptors are too dear */
} weft_map;

/* WEFT_INVALID when the file is missing or unreadable. */
weft_status weft_map_init(weft_map *map, const char *path, weft_error *error) WEFT_CHECKED;
void weft_map_fini(weft_map *map);

/* So many bytes in a map were read and are not wanted soon: their pages, and those that the system mapped with them,
 * are no memory of this process any more. Whoever reads them again gets the same. */
void weft_map_release(const weft_map *map, const unsigned char *bytes, size_t count);

/* Copies so many bytes in a map. Many are read from the file to where they are wanted, faster than by way of pages that
 * are mapped and released. WEFT_INVALID when the file has become shorter; path is for the message. */
weft_status weft_map_copy(const weft_map *map, const unsigned char *bytes, size_t count, void *out, const char *path,
                          weft_error *error) WEFT_CHECKED;

/* Open for reading; the caller closes it. WEFT_INVALID when the file is missing, unreadable or not a regular one. */
weft_status weft_file_open(const char *path, int *out_descriptor, weft_error *error) WEFT_CHECKED;

/* Appends the file's bytes to out. */
weft_status weft_file_read(const char *path, weft_text *out, weft_error *error) WEFT_CHECKED;

/* A new regular file, open for writing. What has the name (a file left by a run that was killed, a link, a pipe) is
 * removed first: what a link points to stays. The caller closes the descriptor. WEFT_FAILED. */
weft_status weft_file_create(const char *path, int *out_descriptor, weft_error *error) WEFT_CHECKED;

/* The regular file of this name, made when there is none, open for writing at its end. WEFT_FAILED, also for a link or
 * a pipe, which is not waited for. */
weft_status weft_file_append(const char *path, int *out_descriptor, weft_error *error) WEFT_CHECKED;

/* Writes bytes to path: aside as path + ".tmp", synced, renamed. On error the old file is untouched; a link of this
 * name is replaced, not followed. */
weft_status weft_file_write(const char *path, const void *bytes, size_t count, weft_error *error) WEFT_CHECKED;

/* The same with what a function writes to the descriptor; it gets the path of the file aside for its messages. */
typedef weft_status weft_file_filler(void *context, int descriptor, const char *path, weft_error *error);
weft_status weft_file_write_by(const char *path, weft_file_filler *fill, void *context, weft_error *error) WEFT_CHECKED;

/* WEFT_FAILED: "PATH: cannot WHAT: reason", with number an errno of creating or writing; a full disk is called that. */
weft_status weft_file_fail(weft_error *error, const char *path, const char *what, int number);

/* Writes all bytes to a descriptor; says "disk full" in plain words when it is. path is for the message. */
weft_status weft_file_write_all(int descriptor, const void *bytes, size_t count, const char *path,
                                weft_error *error) WEFT_CHECKED;

/* The disk takes these bytes of a file from now on, while more is written behind them: a sync that follows has little
 * left to wait for. Only advice: what fails is told by the sync. */
void weft_file_flush(int descriptor, uint64_t from, uint64_t bytes);

/* A descriptor by which things in a folder are looked at by name; it need not be one that may be listed. The caller
 * closes it. -1, with the reason in errno, where there is no such folder. */
int weft_folder_enter(const char *path);

/* With parents; existing is fine, by a link too. Each folder that is new is synced in its parent. */
weft_status weft_folder_create(const char *path, weft_error *error) WEFT_CHECKED;
weft_status weft_folder_sync(const char *path, weft_error *error) WEFT_CHECKED;
/* Holds the folder for this process until the descriptor is closed or the process ends; nothing is written.
 * WEFT_INVALID when another one holds it. *out_descriptor is -1 where the file system has no locks. */
weft_status weft_folder_lock(const char *path, int *out_descriptor, weft_error *error) WEFT_CHECKED;

/* And everything in it; missing is fine. A link goes, what it points to stays; a file is refused. */
weft_status weft_folder_remove(const char *path, weft_error *error) WEFT_CHECKED;

/* Names (not paths) in a folder, sorted by byte; taken from the arena. */
weft_status weft_folder_list(const char *path, weft_arena *arena, const char ***out_names, size_t *out_count,
                             weft_error *error) WEFT_CHECKED;

bool weft_path_exists(const char *path);
bool weft_path_is_folder(const char *path);                 /* a link to one is none */
bool weft_path_is_same(const char *one, const char *other); /* both are there, and one thing */

#endif
