#include "checkpoint/open.h"

#include "base/hands.h"
#include "checkpoint/manifest.h"
#include "checkpoint/step.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_HANDS = 16 }; /* files that are proved at once */

struct weft_checkpoint {
    weft_text path;
    weft_manifest manifest;
    weft_safetensors **files; /* one for each of the manifest's, in its order */
    weft_pieces kinds[WEFT_CHECKPOINT_KINDS];
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

static weft_status path_of(const weft_checkpoint *checkpoint, size_t index, weft_text *out, weft_error *error)
{
    weft_text_init(out);
    weft_text_add(out, "%s/%s", weft_text_get(&checkpoint->path), checkpoint->manifest.files[index].name);
    return weft_text_check(out, error);
}

static weft_status prove_bytes(void *context, size_t hand, size_t index, weft_error *error)
{
    (void)hand;
    const weft_checkpoint *checkpoint = context;
    weft_text path;
    weft_status status = path_of(checkpoint, index, &path, error);
    if (status == WEFT_OK) status = prove_file(weft_text_get(&path), &checkpoint->manifest.files[index], error);
    weft_text_fini(&path);
    return status;
}

/* A checksum is one chain over its file: one file is as fast as one thread. As many threads as there are cores then,
 * or as a worker has files, since two cores are not idle while they share three. */
static weft_status prove_files(weft_checkpoint *checkpoint, weft_error *error)
{
    long cores = weft_cores();
    size_t hands = cores < WEFT_CHECKPOINT_KINDS ? WEFT_CHECKPOINT_KINDS
                   : cores < MOST_HANDS          ? (size_t)cores
                                                 : MOST_HANDS;
    return weft_hands_run(hands, checkpoint->manifest.count, prove_bytes, checkpoint, error);
}

/* What its header says is proved. */
static weft_status open_file(weft_checkpoint *checkpoint, size_t index, weft_error *error)
{
    const weft_checkpoint_file *file = &checkpoint->manifest.files[index];
    const char *folder = weft_text_get(&checkpoint->path);
    weft_checkpoint_kind kind = WEFT_CHECKPOINT_WEIGHTS;
    int32_t ranks = 0;
    if (!weft_checkpoint_file_parse(file->name, &kind, &ranks))
        FAIL(error, WEFT_INVALID, "%s: not a file of a checkpoint", file->name);
    weft_text path;
    weft_status status = path_of(checkpoint, index, &path, error);
    if (status == WEFT_OK) status = weft_safetensors_open(weft_text_get(&path), &checkpoint->files[index], error);
    if (status == WEFT_OK)
        status = weft_pieces_add(&checkpoint->kinds[kind], checkpoint->files[index], folder, file->name, error);
    weft_text_fini(&path);
    return status;
}

/* Whether a folder's own name is that of a step. */
static bool is_step(const char *path, const char *suffix, int64_t *out_step)
{
    size_t end = strlen(path), begin = 0;
    while (end > 1 && path[end - 1] == '/') end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';) begin--;
    char name[64] = "";
    if (end - begin < sizeof name) memcpy(name, path + begin, end - begin);
    return weft_step_parse(name, suffix, out_step);
}

/* An unfinished folder may look complete and yet hold less than was meant. */
static weft_status refuse_unfinished(const char *path, weft_error *error)
{
    int64_t step = 0;
    if (is_step(path, WEFT_STEP_TMP, &step))
        FAIL(error, WEFT_INVALID, "%s: an unfinished checkpoint: use an earlier one", path);
    return WEFT_OK;
}

/* A copy may have any name, but not that of another step. */
static weft_status check_step(const char *folder, int64_t step, weft_error *error)
{
    static const char *const suffixes[] = {"", WEFT_STEP_TMP, WEFT_STEP_OLD};
    int64_t named = 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (is_step(folder, suffixes[i], &named) && named != step)
            FAIL(error, WEFT_INVALID, "%s/" WEFT_MANIFEST_NAME ": says step %" PRId64 ", its folder's name %" PRId64,
                 folder, step, named);
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
    if (status == WEFT_OK)
        status = check_step(weft_text_get(&checkpoint->path), checkpoint->manifest.state.step, error);
    return status;
}

/* The bytes of the files are proved only where `whole`. */
static weft_status open_files(weft_checkpoint *checkpoint, bool whole, weft_error *error)
{
    TRY(open_manifest(checkpoint, error));
    if (whole) TRY(prove_files(checkpoint, error));
    TRY(weft_allocate(checkpoint->manifest.count, sizeof(weft_safetensors *), &checkpoint->files, error));
    for (size_t i = 0; i < checkpoint->manifest.count; i++) TRY(open_file(checkpoint, i, error));
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++)
        TRY(weft_pieces_prove(&checkpoint->kinds[kind], weft_text_get(&checkpoint->path),
                              weft_checkpoint_kind_name((weft_checkpoint_kind)kind), error));
    return WEFT_OK;
}

static weft_status open_whole(weft_checkpoint *checkpoint, weft_error *error)
{
    return open_files(checkpoint, true, error);
}

static weft_status open_by(const char *path, weft_status (*open)(weft_checkpoint *checkpoint, weft_error *error),
                           weft_checkpoint **out, weft_error *error)
{
    *out = NULL;
    weft_checkpoint *checkpoint = NULL;
    TRY(weft_allocate(1, sizeof *checkpoint, &checkpoint, error));
    weft_status status = find_folder(path, &checkpoint->path, error);
    if (status == WEFT_OK) status = open(checkpoint, error);
    if (status == WEFT_OK)
        *out = checkpoint;
    else
        weft_checkpoint_close(checkpoint);
    return status;
}

weft_status weft_checkpoint_open(const char *path, weft_checkpoint **out, weft_error *error)
{
    return open_by(path, open_whole, out, error);
}

weft_status weft_checkpoint_open_outline(const char *path, weft_checkpoint **out, weft_error *error)
{
    return open_by(path, open_manifest, out, error);
}

weft_status weft_checkpoint_prove(const char *folder, weft_error *error)
{
    weft_checkpoint *checkpoint = NULL;
    TRY(weft_allocate(1, sizeof *checkpoint, &checkpoint, error));
    weft_text_add(&checkpoint->path, "%s", folder);
    weft_status status = weft_text_check(&checkpoint->path, error);
    if (status == WEFT_OK) status = open_files(checkpoint, false, error);
    weft_checkpoint_close(checkpoint);
    return status;
}

void weft_checkpoint_close(weft_checkpoint *checkpoint)
{
    if (!checkpoint) return;
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) weft_pieces_fini(&checkpoint->kinds[kind]);
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

weft_manifest *weft_checkpoint_manifest(weft_checkpoint *checkpoint)
{
    return &checkpoint->manifest;
}

const weft_pieces *weft_checkpoint_pieces(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind)
{
    return &checkpoint->kinds[kind];
}

static weft_status shapes_differ(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind,
                                 const weft_stored_piece *found, int32_t dimensions, const int64_t *shape,
                                 weft_error *error)
{
    weft_text text;
    weft_text_init(&text);
    weft_shape_print(found->dimensions, found->shape, &text);
    weft_text_add(&text, ", but the model needs ");
    weft_shape_print(dimensions, shape, &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK)
        status = weft_fail(error, WEFT_INVALID, "%s: %s of \"%s\" have the shape %s", weft_checkpoint_path(checkpoint),
                           weft_checkpoint_kind_name(kind), found->name, weft_text_get(&text));
    weft_text_fini(&text);
    return status;
}

bool weft_checkpoint_has(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind, const char *name)
{
    return weft_pieces_find(&checkpoint->kinds[kind], name) != NULL;
}

static weft_status find_tensor(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind, const char *name,
                               int32_t dimensions, const int64_t *shape, const weft_stored_tensor **out,
                               weft_error *error)
{
    if (dimensions < 0 || dimensions > WEFT_TENSOR_DIMENSIONS)
        FAIL(error, WEFT_INVALID, "tensor \"%s\": %" PRId32 " dimensions, at most %d are allowed", name, dimensions,
             WEFT_TENSOR_DIMENSIONS);
    *out = weft_pieces_find(&checkpoint->kinds[kind], name);
    if (!*out)
        FAIL(error, WEFT_INVALID, "%s: no tensor \"%s\" among its %s", weft_checkpoint_path(checkpoint), name,
             weft_checkpoint_kind_name(kind));
    const weft_stored_piece *first = (*out)->pieces;
    bool same = first->dimensions == dimensions;
    for (int32_t i = 0; i < dimensions && same; i++) same = first->shape[i] == shape[i];
    return same ? WEFT_OK : shapes_differ(checkpoint, kind, first, dimensions, shape, error);
}

weft_status weft_checkpoint_read(const weft_checkpoint *checkpoint, weft_checkpoint_kind kind, const char *name,
                                 int32_t dimensions, const int64_t *shape, int64_t from, int64_t rows, int64_t columns,
                                 float *out, weft_error *error)
{
    const weft_stored_tensor *tensor = NULL;
    TRY(find_tensor(checkpoint, kind, name, dimensions, shape, &tensor, error));
    weft_extent wanted;
    weft_status status = weft_extent_make(tensor->pieces->elements, weft_extent_width(dimensions, shape), from, rows,
                                          columns, &wanted, error);
    if (status != WEFT_OK) {
        weft_error_context(error, "%s: %s of \"%s\"", weft_checkpoint_path(checkpoint), weft_checkpoint_kind_name(kind),
                           name);
        return status;
    }
    for (size_t i = 0; i < tensor->count && columns > 0; i++) {
        const weft_stored_piece *piece = &tensor->pieces[i];
        TRY(weft_extent_copy(&piece->extent, piece->holder, piece->values, &wanted, out, error));
    }
    return WEFT_OK;
}

bool weft_checkpoint_is(const char *path)
{
    return weft_step_is_complete(path);
}

bool weft_checkpoint_exists(const char *folder)
{
    return weft_step_any(folder);
}
