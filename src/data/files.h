/*
 * Checked reads of the files that a corpus lies in: nothing is mapped, so a file that is cut short while it is used is
 * an error and not a signal. Each file must stay as it was when it was added. Of thousands a bounded number is open at
 * a time, an eighth of what the process may open; the others are opened again when they are read.
 *
 * Owns: descriptors; paths are the caller's.  Lifetime: create to destroy.  Threads: one adds, then any may read.
 */
#ifndef WEFT_DATA_FILES_H
#define WEFT_DATA_FILES_H

#include "base/memory.h"

enum { WEFT_FILES_PAGE = 4096, WEFT_EXCERPT_FIRST = 0, WEFT_EXCERPT_MIDDLE, WEFT_EXCERPT_LAST, WEFT_EXCERPT_PAGES };

typedef struct weft_files weft_files;

weft_status weft_files_create(weft_files **out, weft_error *error) WEFT_CHECKED;
void weft_files_destroy(weft_files *files); /* accepts NULL */

/* Beginning, middle and end of a file: all of it when it is short. */
typedef struct weft_excerpt {
    const char *path;
    uint64_t size; /* of the file */
    struct {
        uint64_t offset;
        size_t count;
        unsigned char bytes[WEFT_FILES_PAGE];
    } pages[WEFT_EXCERPT_PAGES];
} weft_excerpt;

/* Files are numbered in the order in which they are added. WEFT_INVALID when it cannot be opened or is not regular. */
weft_status weft_files_add(weft_files *files, const char *path, size_t *out_number, weft_excerpt *out,
                           weft_error *error) WEFT_CHECKED;

/* A hash of the first and the last page of a file. */
uint64_t weft_files_pages(const weft_files *files, size_t file);

/* Bytes offset .. offset + count - 1, which lay in the file when it was added. ahead: how many bytes behind them will
 * be wanted soon, a hint. WEFT_FAILED names file and byte: the file is gone, cut short, has grown, its first or last
 * page is another, or the system cannot read it. A file that is only touched, or changed in between, is read as it is;
 * so is one that was deleted or replaced while it was open here: its old bytes are still there. */
weft_status weft_files_read(weft_files *files, size_t file, uint64_t offset, size_t count, uint64_t ahead, void *bytes,
                            weft_error *error) WEFT_CHECKED;

#endif
