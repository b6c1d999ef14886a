#include "data/collect.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEEPEST_FOLDER = 64, MOST_OWN = 16 };

static const char *const kind_words[WEFT_LEFT_KINDS] = {
    [WEFT_LEFT_SPARE] = "hidden, a backup or incomplete",
    [WEFT_LEFT_RUN] = "of this run or another",
    [WEFT_LEFT_OTHER] = "a link to a folder or no regular file",
    [WEFT_LEFT_INDEX] = "the index of a file of tokens",
};

/* Of names that editors, file managers and downloads leave beside what is meant. */
static const char *const spare_endings[] = {"~",    ".bak", ".backup", ".orig", ".old",     ".rej",        ".swp",
                                            ".swo", ".tmp", ".temp",   ".part", ".partial", ".crdownload", ".download"};
static const char *const spare_names[] = {"Thumbs.db", "desktop.ini", "lost+found", "__MACOSX"};

/* A file by what it is, not by what it is called. */
typedef struct {
    dev_t device;
    ino_t inode;
} identity;

typedef struct {
    weft_collection *collection;
    identity own[MOST_OWN];
    size_t own_count;
} walk;

static bool is_spare(const char *name)
{
    size_t length = strlen(name);
    if (name[0] == '.' || (name[0] == '#' && name[length - 1] == '#')) return true;
    for (size_t i = 0; i < sizeof spare_names / sizeof *spare_names; i++)
        if (strcmp(name, spare_names[i]) == 0) return true;
    for (size_t i = 0; i < sizeof spare_endings / sizeof *spare_endings; i++) {
        size_t tail = strlen(spare_endings[i]);
        if (length > tail && strcasecmp(name + length - tail, spare_endings[i]) == 0) return true;
    }
    return false;
}

static bool is_own(const walk *self, const struct stat *info)
{
    for (size_t i = 0; i < self->own_count; i++)
        if (self->own[i].device == info->st_dev && self->own[i].inode == info->st_ino) return true;
    return false;
}

/* Whether FOLDER/NAME is a regular file that begins with text, or an empty one. */
static bool begins_with(const char *folder, const char *name, const char *text)
{
    char path[4096], begin[16];
    size_t length = strlen(text);
    struct stat info;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path || length > sizeof begin) return false;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) return false;
    ssize_t got = fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) ? read(descriptor, begin, length) : -1;
    close(descriptor);
    return got == 0 || (got == (ssize_t)length && memcmp(begin, text, length) == 0);
}

/* What a run writes first, and what each of its checkpoints has. */
static bool holds_run(const char *folder)
{
    return begins_with(folder, "metrics.jsonl", "{\"step\":") || begins_with(folder, "checkpoint.yaml", "format: weft");
}

void weft_collection_leave(weft_collection *collection, weft_left_kind kind, bool folder, const char *path)
{
    weft_left_out *left = &collection->left_out[kind];
    weft_error ignored; /* no room for an example is no reason to fail */
    if (!left->example && weft_arena_text(&collection->arena, path, &left->example, &ignored) != WEFT_OK)
        left->example = "one whose name does not fit into memory";
    left->files += !folder;
    left->folders += folder;
}

static weft_status add_path(weft_collection *collection, const char *path, weft_error *error)
{
    TRY(weft_grow(&collection->paths, &collection->capacity, collection->count + 1, sizeof *collection->paths, error));
    TRY(weft_arena_text(&collection->arena, path, &collection->paths[collection->count], error));
    collection->count++;
    return WEFT_OK;
}

static weft_status add_folder(walk *self, const char *folder, int depth, weft_error *error);

/* Links to files are followed. */
static weft_status add_child(walk *self, const char *path, const char *name, int depth, weft_error *error)
{
    weft_collection *collection = self->collection;
    struct stat info = {0};
    bool folder = weft_path_is_folder(path), spare = is_spare(name);
    if (!spare && stat(path, &info) != 0)
        FAIL(error, WEFT_INVALID, "%s: cannot open: broken link or no permission", path);
    if (spare)
        weft_collection_leave(collection, WEFT_LEFT_SPARE, folder, path);
    else if (is_own(self, &info) || (folder && holds_run(path)))
        weft_collection_leave(collection, WEFT_LEFT_RUN, folder, path);
    else if (folder)
        return add_folder(self, path, depth + 1, error);
    else if (S_ISREG(info.st_mode))
        return add_path(collection, path, error);
    else
        weft_collection_leave(collection, WEFT_LEFT_OTHER, S_ISDIR(info.st_mode), path);
    return WEFT_OK;
}

static weft_status add_folder(walk *self, const char *folder, int depth, weft_error *error)
{
    if (depth > DEEPEST_FOLDER) FAIL(error, WEFT_INVALID, "%s: folders nest deeper than %d", folder, DEEPEST_FOLDER);
    const char **names = NULL;
    size_t count = 0, length = strlen(folder);
    TRY(weft_folder_list(folder, &self->collection->arena, &names, &count, error));
    const char *slash = folder[length - 1] == '/' ? "" : "/";
    weft_text child;
    weft_text_init(&child);
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < count && status == WEFT_OK; i++) {
        child.length = 0;
        weft_text_add(&child, "%s%s%s", folder, slash, names[i]);
        status = weft_text_check(&child, error);
        if (status == WEFT_OK) status = add_child(self, weft_text_get(&child), names[i], depth, error);
    }
    weft_text_fini(&child);
    return status;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The reasons in brackets, in one line. */
static weft_status nothing_left(const weft_collection *collection, const char *path, weft_error *error)
{
    weft_text notes;
    weft_text_init(&notes);
    weft_collection_describe(collection, &notes);
    size_t first = strcspn(weft_text_get(&notes), "\n");
    weft_fail(error, WEFT_INVALID, "%s: no files in this folder%s%.*s%s", path, first ? " (" : "", (int)first,
              weft_text_get(&notes), first ? ")" : "");
    weft_text_fini(&notes);
    return error->status;
}

static weft_status collect(walk *self, const char *path, weft_error *error)
{
    weft_collection *collection = self->collection;
    struct stat info;
    if (!path || !*path) FAIL(error, WEFT_INVALID, "no data: give a file or folder as data.path");
    if (stat(path, &info) != 0) FAIL(error, WEFT_INVALID, "%s: no such file or folder", path);
    if (S_ISREG(info.st_mode)) return add_path(collection, path, error);
    if (!S_ISDIR(info.st_mode)) FAIL(error, WEFT_INVALID, "%s: neither a regular file nor a folder", path);
    if (is_own(self, &info))
        FAIL(error, WEFT_INVALID, "%s: is the folder of this run too: give the data a folder of their own", path);
    if (holds_run(path)) FAIL(error, WEFT_INVALID, "%s: holds a run or a checkpoint, not data", path);
    TRY(add_folder(self, path, 0, error));
    if (collection->count == 0) return nothing_left(collection, path, error);
    qsort(collection->paths, collection->count, sizeof *collection->paths, by_path);
    return WEFT_OK;
}

/* What is neither file nor folder, a terminal that is written to, say, is met in no folder. */
static void know_own(walk *self, const char *path)
{
    struct stat info;
    if (!path || !*path || stat(path, &info) != 0 || !(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode))) return;
    self->own[self->own_count++] = (identity){info.st_dev, info.st_ino};
}

weft_status weft_collection_init(weft_collection *collection, const char *path, const char *const *own,
                                 size_t own_count, weft_error *error)
{
    *collection = (weft_collection){0};
    if (own_count > MOST_OWN) FAIL(error, WEFT_INVALID, "more than %d files of a run's own", MOST_OWN);
    weft_arena_init(&collection->arena);
    walk self = {.collection = collection};
    for (size_t i = 0; i < own_count; i++) know_own(&self, own[i]);
    weft_status status = collect(&self, path, error);
    if (status != WEFT_OK) weft_collection_fini(collection);
    return status;
}

void weft_collection_fini(weft_collection *collection)
{
    weft_free(collection->paths);
    weft_arena_fini(&collection->arena);
    *collection = (weft_collection){0};
}

void weft_collection_describe(const weft_collection *collection, weft_text *out)
{
    for (int kind = 0; kind < WEFT_LEFT_KINDS; kind++) {
        const weft_left_out *left = &collection->left_out[kind];
        if (!left->example) continue;
        if (left->files) weft_text_add_count(out, left->files, "file");
        if (left->files && left->folders) weft_text_add(out, " and ");
        if (left->folders) weft_text_add_count(out, left->folders, "folder");
        weft_text_add(out, " left out of the data as %s, such as %s\n", kind_words[kind], left->example);
    }
}
