#include "checkpoint/open.h"

#include "checkpoint/manifest.h"
#include "checkpoint/step.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct tensor_list {
    const weft_tensor_entry **entries;
    size_t count, capacity;
} tensor_list;

struct weft_checkpoint {
    weft_text path;
    weft_manifest manifest;
    weft_safetensors **files; /* one for each of the manifest's, in its order */
    tensor_list kinds[WEFT_CHECKPOINT_KINDS];
};

static weft_status check_size(const char *path, const weft_checkpoint_file *file, weft_error *error)
{
    struct stat info;
    if (stat(path, &info) != 0) FAIL(error, WEFT_INVALID, "%s: missing, but " WEFT_MANIFEST_NAME " lists it", path);
    if (!S_ISREG(info.st_mode)) FAIL(error, WEFT_INVALID, "%s: not a regular file", path);
    uint64_t bytes = (uint64_t)info.st_size;
    if (bytes < file->bytes)
        FAIL(error, WEFT_INVALID, "%s: %" PRIu64 " bytes, %" PRIu64 " expected: truncated at byte %" PRIu64, path,
             bytes, file->bytes, bytes);
    if (bytes > file->bytes)
        FAIL(error, WEFT_INVALID, "%s: %" PRIu64 " bytes, %" PRIu64 " expected: unexpected bytes from byte %" PRIu64,
             path, bytes, file->bytes, file->bytes);
    return WEFT_OK;
}

static weft_status prove_file(const char *path, const weft_checkpoint_file *file, weft_error *error)
{
    TRY(check_size(path, file, error));
    uint64_t checksum = 0, bytes = 0;
    TRY(weft_file_checksum(path, &checksum, &bytes, error));
    if (bytes != file->bytes || checksum != file->checksum)
        FAIL(error, WEFT_INVALID,
             "%s: corrupt: its bytes 0 to %" PRIu64 " have the checksum 0x%016" PRIx64 ", " WEFT_MANIFEST_NAME
             " says 0x%016" PRIx64,
             path, bytes, checksum, file->checksum);
    return WEFT_OK;
}

static weft_status add_tensors(weft_checkpoint *checkpoint, const char *path, const weft_safetensors *file,
                               weft_checkpoint_kind kind, weft_error *error)
{
    tensor_list *list = &checkpoint->kinds[kind];
    size_t count = weft_safetensors_count(file);
    TRY(weft_grow(&list->entries, &list->capacity, list->count + count, sizeof *list->entries, error));
    for (size_t i = 0; i < count; i++) {
        const weft_tensor_entry *entry = weft_safetensors_get(file, i);
        if (entry->element != WEFT_FP32)
            FAIL(error, WEFT_INVALID, "%s: tensor \"%s\" is %s, but checkpoints hold fp32 only", path, entry->name,
                 weft_element_name(entry->element));
        list->entries[list->count++] = entry;
    }
    return WEFT_OK;
}

static weft_status open_file(weft_checkpoint *checkpoint, size_t index, weft_error *error)
{
    const weft_checkpoint_file *file = &checkpoint->manifest.files[index];
    weft_checkpoint_kind kind = WEFT_CHECKPOINT_WEIGHTS;
    if (!weft_checkpoint_file_kind(file->name, &kind))
        FAIL(error, WEFT_INVALID, "%s: not a file of a checkpoint", file->name);
    weft_text path;
    weft_text_init(&path);
    weft_text_add(&path, "%s/%s", weft_text_get(&checkpoint->path), file->name);
    weft_status status = weft_text_check(&path, error);
    if (status == WEFT_OK) status = prove_file(weft_text_get(&path), file, error);
    if (status == WEFT_OK) status = weft_safetensors_open(weft_text_get(&path), &checkpoint->files[index], error);
    if (status == WEFT_OK)
        status = add_tensors(checkpoint, weft_text_get(&path), checkpoint->files[index], kind, error);
    weft_text_fini(&path);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const weft_tensor_entry *const *)a)->name, (*(const weft_tensor_entry *const *)b)->name);
}

static weft_status sort_tensors(weft_checkpoint *checkpoint, weft_checkpoint_kind kind, weft_error *error)
{
    tensor_list *list = &checkpoint->kinds[kind];
    if (list->count) qsort(list->entries, list->count, sizeof *list->entries, by_name);
    for (size_t i = 1; i < list->count; i++)
        if (strcmp(list->entries[i - 1]->name, list->entries[i]->name) == 0)
            FAIL(error, WEFT_INVALID, "%s: tensor \"%s\" is in two files of %s", weft_text_get(&checkpoint->path),
                 list->entries[i]->name, weft_checkpoint_kind_name(kind));
    return WEFT_OK;
}

/* An unfinished folder may look complete and yet hold less than was meant. */
static weft_status refuse_unfinished(const char *path, weft_error *error)
{
    size_t end = strlen(path), begin = 0;
    while (end > 1 && path[end - 1] == '/') end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';) begin--;
    char name[64] = "";
    if (end - begin < sizeof name) memcpy(name, path + begin, end - begin);
    int64_t step = 0;
    if (weft_step_parse(name, WEFT_STEP_TMP, &step))
        FAIL(error, WEFT_INVALID, "%s: an unfinished checkpoint: use an earlier one", path);
    return WEFT_OK;
}

static weft_status find_folder(const char *path, weft_text *out, weft_error *error)
{
    if (!weft_path_exists(path)) FAIL(error, WEFT_INVALID, "%s: no such checkpoint or run folder", path);
    TRY(refuse_unfinished(path, error));
    if (!weft_step_is_complete(path)) {
        TRY(weft_step_latest(path, out, error));
        if (out->length == 0)
            FAIL(error, WEFT_INVALID, "%s: holds neither " WEFT_MANIFEST_NAME " nor a complete step-XXXXXXXX folder",
                 path);
        return WEFT_OK;
    }
    weft_text_add(out, "%s", path);
    return weft_text_check(out, error);
}

static weft_status open_manifest(weft_checkpoint *checkpoint, weft_error *error)
{
    weft_text path;
    weft_text_init(&path);
    weft_text_add(&path, "%s/" WEFT_MANIFEST_NAME, weft_text_get(&checkpoint->path));
    weft_status status = weft_text_check(&path, error);
    if (status == WEFT_OK) status = weft_manifest_read(&checkpoint->manifest, weft_text_get(&path), error);
    weft_text_fini(&path);
    return status;
}

static weft_status open_folder(weft_checkpoint *checkpoint, const char *path, weft_error *error)
{
    TRY(find_folder(path, &checkpoint->path, error));
    TRY(open_manifest(checkpoint, error));
    TRY(weft_allocate(checkpoint->manifest.count, sizeof(weft_safetensors *), &checkpoint->files, error));
    for (size_t i = 0; i < checkpoint->manifest.count; i++) TRY(open_file(checkpoint, i, error));
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++)
        TRY(sort_tensors(checkpoint, (weft_checkpoint_kind)kind, error));
    return WEFT_OK;
}

weft_status weft_checkpoint_open(const char *path, weft_checkpoint **out, weft_error *error)
{
    *out = NULL;
    weft_checkpoint *checkpoint = NULL;
    TRY(weft_allocate(1, sizeof *checkpoint, &checkpoint, error));
    weft_status status = open_folder(checkpoint, path, error);
    if (status == WEFT_OK)
        *out = checkpoint;
    else
        weft_checkpoint_close(checkpoint);
    return status;
}

void weft_checkpoint_close(weft_checkpoint *checkpoint)
{
    if (!checkpoint) return;
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) weft_free(checkpoint->kinds[kind].entries);
    for (size_t i = 0; checkpoint->files && i < checkpoint->manifest.count; i++)
        weft_safetensors_close(checkpoint->files[i]);
    weft_free(checkpoint->files);
    weft_manifest_fini(&checkpoint->manifest);
    weft_text_fini(&checkpoint->path);
    weft_free(checkpoint);
}

const char *weft_checkpoint_path(const weft_checkpoint *checkpoint)
{
    return weft_text_get(&checkpoint->path);
}

const char *weft_checkpoint_config(const weft_checkpoint *checkpoint)
{
    return checkpoint->manifest.config;
}

const weft_checkpoint_state *weft_checkpoint_get_state(const weft_checkpoint *checkpoint)
{
    return &checkpoint->manifest.state;
}

const weft_tensor_entry *const *weft_checkpoint_tensors(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind,
                                                        size_t *out_count)
{
    *out_count = checkpoint->kinds[kind].count;
    return checkpoint->kinds[kind].entries;
}

void weft_shape_print(const weft_tensor_entry *entry, weft_text *out)
{
    weft_text_add(out, "(");
    for (int32_t i = 0; i < entry->dimensions; i++) weft_text_add(out, "%s%" PRId64, i ? ", " : "", entry->shape[i]);
    weft_text_add(out, ")");
}

static weft_status shapes_differ(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind,
                                 const weft_tensor_entry *wanted, const weft_tensor_entry *found, weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_shape_print(found, &text);
    weft_text_add(&text, ", but the model needs ");
    weft_shape_print(wanted, &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK)
        status = weft_fail(error, WEFT_INVALID, "%s: %s of \"%s\" have the shape %s", weft_checkpoint_path(checkpoint),
                           weft_checkpoint_kind_name(kind), found->name, weft_text_get(&text));
    weft_text_fini(&text);
    return status;
}

weft_status weft_checkpoint_read(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind, const char *name,
                                 int32_t dimensions, const int64_t *shape, float *out, weft_error *error)
{
    weft_tensor_entry wanted = {.name = name, .dimensions = dimensions};
    if (dimensions < 0 || dimensions > WEFT_TENSOR_DIMENSIONS)
        FAIL(error, WEFT_INVALID, "tensor \"%s\": %" PRId32 " dimensions, at most %d are allowed", name, dimensions,
             WEFT_TENSOR_DIMENSIONS);
    for (int32_t i = 0; i < dimensions; i++) wanted.shape[i] = shape[i];
    const weft_tensor_entry *key = &wanted, **found = NULL;
    const tensor_list *list = &checkpoint->kinds[kind];
    if (list->count) found = bsearch(&key, list->entries, list->count, sizeof *list->entries, by_name);
    if (!found)
        FAIL(error, WEFT_INVALID, "%s: no tensor \"%s\" among its %s", weft_checkpoint_path(checkpoint), name,
             weft_checkpoint_kind_name(kind));
    bool same = (*found)->dimensions == dimensions && memcmp((*found)->shape, wanted.shape, sizeof wanted.shape) == 0;
    if (!same) return shapes_differ(checkpoint, kind, &wanted, *found, error);
    memcpy(out, (*found)->data, (*found)->bytes);
    return WEFT_OK;
}

bool weft_checkpoint_exists(const char *folder)
{
    weft_text path;
    weft_text_init(&path);
    weft_status status = weft_step_latest(folder, &path, NULL);
    bool found = path.length > 0 || status == WEFT_NO_MEMORY; /* only for what was found is memory asked */
    weft_text_fini(&path);
    return found;
}
