#include "base/hands.h"
#include "checkpoint/manifest.h"
#include "checkpoint/open.h"
#include "checkpoint/step.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static weft_status move(const char *from, const char *to, weft_error *error)
{
    if (rename(from, to) != 0) FAIL(error, WEFT_FAILED, "%s: cannot rename to %s: %s", from, to, strerror(errno));
    return WEFT_OK;
}

/* Two paths of one step, of which most functions here need a pair. */
typedef struct pair {
    weft_text from, to;
} pair;

static weft_status pair_init(pair *paths, const char *folder, int64_t step, const char *from, const char *to,
                             weft_error *error)
{
    weft_text_init(&paths->from);
    weft_text_init(&paths->to);
    weft_status status = weft_step_path(folder, step, from, &paths->from, error);
    if (status == WEFT_OK) status = weft_step_path(folder, step, to, &paths->to, error);
    return status;
}

static void pair_fini(pair *paths)
{
    weft_text_fini(&paths->from);
    weft_text_fini(&paths->to);
}

/* For what is in nobody's way and will be tried again. */
static void remove_if_possible(const char *path)
{
    weft_status status = weft_folder_remove(path, NULL);
    (void)status;
}

/* A replacement that was cut short left the old checkpoint aside: it comes back unless the new one is in place. */
static weft_status settle(const char *folder, int64_t step, weft_error *error)
{
    pair paths;
    weft_status status = pair_init(&paths, folder, step, WEFT_STEP_OLD, "", error);
    const char *old = weft_text_get(&paths.from), *place = weft_text_get(&paths.to);
    if (status == WEFT_OK && weft_path_exists(place))
        remove_if_possible(old);
    else if (status == WEFT_OK)
        status = move(old, place, error);
    pair_fini(&paths);
    return status;
}

static weft_status settle_all(const char *folder, weft_error *error)
{
    weft_arena arena;
    weft_arena_init(&arena);
    const char **names = NULL;
    size_t count = 0;
    weft_status status = weft_folder_list(folder, &arena, &names, &count, error);
    for (size_t i = 0; i < count && status == WEFT_OK; i++) {
        int64_t step = 0;
        if (weft_step_parse(names[i], WEFT_STEP_OLD, &step)) status = settle(folder, step, error);
    }
    weft_arena_fini(&arena);
    return status;
}

weft_status weft_checkpoint_begin(const char *folder, int64_t step, weft_error *error)
{
    if (step < 0) FAIL(error, WEFT_INVALID, "%s: a checkpoint of step %" PRId64 " cannot be", folder, step);
    TRY(weft_folder_create(folder, error));
    TRY(settle_all(folder, error));
    weft_text path;
    weft_text_init(&path);
    weft_status status = weft_step_path(folder, step, WEFT_STEP_TMP, &path, error);
    if (status == WEFT_OK) status = weft_folder_remove(weft_text_get(&path), error);
    if (status == WEFT_OK) status = weft_folder_create(weft_text_get(&path), error);
    weft_text_fini(&path);
    return status;
}

static weft_status write_entries(const weft_tensor_source *source, const char *folder, int64_t step,
                                 const weft_tensor_entry *entries, size_t count, weft_checkpoint_file *file,
                                 weft_error *error)
{
    weft_text path;
    weft_text_init(&path);
    weft_status status = weft_step_path(folder, step, WEFT_STEP_TMP, &path, error);
    weft_text_add(&path, "/%s", file->name);
    if (status == WEFT_OK) status = weft_text_check(&path, error);
    if (status == WEFT_OK)
        status = weft_safetensors_write_from(source, weft_text_get(&path), NULL, entries, count, &file->checksum,
                                             &file->bytes, error);
    weft_text_fini(&path);
    return status;
}

static weft_status make_entries(const weft_checkpoint_piece *pieces, size_t count, weft_arena *arena,
                                weft_tensor_entry **out, size_t *out_count, weft_error *error)
{
    TRY(weft_arena_take(arena, count, sizeof **out, out, error));
    for (size_t i = 0; i < count; i++) {
        weft_tensor_entry *entry = &(*out)[*out_count];
        TRY(weft_piece_entry(&pieces[i], arena, entry, error));
        bool whole = entry->name == pieces[i].name; /* also when that is nothing; a part of nothing is left out */
        *out_count += whole || entry->bytes > 0;
    }
    return WEFT_OK;
}

weft_status weft_checkpoint_write(const weft_tensor_source *source, const char *folder, int64_t step,
                                  weft_checkpoint_kind kind, int32_t rank, int32_t ranks,
                                  const weft_checkpoint_piece *pieces, size_t count, weft_checkpoint_file *out,
                                  weft_error *error)
{
    *out = (weft_checkpoint_file){0};
    if (rank < 0 || rank >= ranks || ranks > WEFT_CHECKPOINT_RANKS)
        FAIL(error, WEFT_INVALID, "rank %" PRId32 " of %" PRId32 " cannot write a checkpoint", rank, ranks);
    weft_checkpoint_file file = {0};
    weft_checkpoint_file_name(kind, rank, ranks, &file);
    weft_arena arena;
    weft_arena_init(&arena);
    weft_tensor_entry *entries = NULL;
    size_t kept = 0;
    weft_status status = make_entries(pieces, count, &arena, &entries, &kept, error);
    if (status == WEFT_OK && kept > 0) {
        status = write_entries(source, folder, step, entries, kept, &file, error);
        if (status == WEFT_OK) *out = file;
    }
    weft_arena_fini(&arena);
    return status;
}

/* The files of one rank. */
typedef struct rank_files {
    const weft_tensor_source *source;
    const char *folder;
    int64_t step;
    int32_t rank, ranks;
    const weft_checkpoint_list *lists;
    weft_checkpoint_file *out;
} rank_files;

static weft_status write_kind(void *context, size_t hand, size_t kind, weft_error *error)
{
    (void)hand;
    const rank_files *it = context;
    return weft_checkpoint_write(it->source, it->folder, it->step, (weft_checkpoint_kind)kind, it->rank, it->ranks,
                                 it->lists[kind].pieces, it->lists[kind].count, &it->out[kind], error);
}

weft_status weft_checkpoint_write_kinds(const weft_tensor_source *source, const char *folder, int64_t step,
                                        int32_t rank, int32_t ranks,
                                        const weft_checkpoint_list lists[WEFT_CHECKPOINT_KINDS],
                                        weft_checkpoint_file out[WEFT_CHECKPOINT_KINDS], weft_error *error)
{
    rank_files files = {source, folder, step, rank, ranks, lists, out};
    return weft_hands_run(source ? 1 : WEFT_CHECKPOINT_KINDS, WEFT_CHECKPOINT_KINDS, write_kind, &files, error);
}

/* Another rank's file could be missing where ranks do not see the same folder. */
static weft_status check_file(const char *tmp, const weft_checkpoint_file *file, weft_error *error)
{
    weft_checkpoint_kind kind;
    int32_t ranks = 0;
    if (!weft_checkpoint_file_parse(file->name, &kind, &ranks))
        FAIL(error, WEFT_INVALID, "%s: no file of a checkpoint can be named \"%s\"", tmp, file->name);
    weft_text path;
    weft_text_init(&path);
    weft_text_add(&path, "%s/%s", tmp, file->name);
    weft_status status = weft_text_check(&path, error);
    struct stat info;
    if (status == WEFT_OK && stat(weft_text_get(&path), &info) != 0)
        status = weft_fail(error, WEFT_FAILED,
                           "%s: a rank wrote it, but it is not here: all ranks must write to one file system",
                           weft_text_get(&path));
    else if (status == WEFT_OK && (uint64_t)info.st_size != file->bytes)
        status = weft_fail(error, WEFT_FAILED, "%s: %" PRIu64 " bytes were written, %" PRIu64 " are here",
                           weft_text_get(&path), file->bytes, (uint64_t)info.st_size);
    weft_text_fini(&path);
    return status;
}

/* Writes the manifest after proving that it reads back as what was meant. */
static weft_status write_manifest(const char *tmp, const weft_text *text, const char *config, weft_error *error)
{
    weft_text path;
    weft_text_init(&path);
    weft_text_add(&path, "%s/" WEFT_MANIFEST_NAME, tmp);
    weft_manifest again = {0};
    weft_status status = weft_text_check(&path, error);
    if (status == WEFT_OK)
        status = weft_manifest_parse(&again, weft_text_get(text), text->length, weft_text_get(&path), error);
    if (status == WEFT_OK && strcmp(again.config, config) != 0)
        status = weft_fail(error, WEFT_INVALID, "%s: the configuration holds characters that YAML cannot keep",
                           weft_text_get(&path));
    weft_manifest_fini(&again);
    if (status == WEFT_OK) status = weft_file_write(weft_text_get(&path), text->bytes, text->length, error);
    weft_text_fini(&path);
    return status;
}

/* A gap between the pieces of the ranks would be found when it is too late: it is their fault, not the user's. */
static weft_status prove(const char *tmp, weft_error *error)
{
    weft_error found;
    weft_error_clear(&found);
    weft_status status = weft_checkpoint_prove(tmp, &found);
    if (status == WEFT_OK) return WEFT_OK;
    return weft_fail(error, status == WEFT_INVALID ? WEFT_FAILED : status, "%s", found.text);
}

static weft_status finish(const char *tmp, const weft_checkpoint_state *state, const char *config,
                          const weft_checkpoint_file *files, size_t count, weft_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (files[i].name[0]) TRY(check_file(tmp, &files[i], error));
    weft_text text;
    weft_text_init(&text);
    weft_manifest_print(state, config, files, count, &text);
    weft_status status = weft_text_check(&text, error);
    if (status == WEFT_OK) status = write_manifest(tmp, &text, config, error);
    weft_text_fini(&text);
    if (status == WEFT_OK) status = prove(tmp, error);
    return status;
}

/* Renames tmp into place. A checkpoint of the same step steps aside, and returns if that fails. */
static weft_status install(const char *folder, const char *tmp, int64_t step, weft_error *error)
{
    pair paths;
    weft_status status = pair_init(&paths, folder, step, "", WEFT_STEP_OLD, error);
    const char *place = weft_text_get(&paths.from), *old = weft_text_get(&paths.to);
    bool replaces = status == WEFT_OK && weft_path_exists(place);
    if (replaces && !weft_path_is_folder(place))
        status = weft_fail(error, WEFT_FAILED, "%s: exists and is not a folder", place);
    if (replaces && status == WEFT_OK) status = weft_folder_remove(old, error);
    if (replaces && status == WEFT_OK) status = move(place, old, error);
    if (status == WEFT_OK) {
        status = move(tmp, place, error);
        if (status != WEFT_OK && replaces && rename(old, place) != 0)
            weft_error_context(error, "the checkpoint of this step is now %s", old);
    }
    if (status == WEFT_OK) status = weft_folder_sync(folder, error);
    if (replaces && status == WEFT_OK) remove_if_possible(old);
    pair_fini(&paths);
    return status;
}

/* Makes an unfinished folder of it, so that a checkpoint is complete or gone at every instant of its removal. */
static void retire(const char *folder, int64_t step)
{
    pair paths;
    weft_status status = pair_init(&paths, folder, step, "", WEFT_STEP_TMP, NULL);
    const char *place = weft_text_get(&paths.from), *tmp = weft_text_get(&paths.to);
    if (status == WEFT_OK) status = weft_folder_remove(tmp, NULL);
    if (status == WEFT_OK) (void)rename(place, tmp);
    pair_fini(&paths);
}

static weft_status is_complete(const char *folder, int64_t step, bool *out, weft_error *error)
{
    weft_text path;
    weft_text_init(&path);
    weft_status status = weft_step_path(folder, step, "", &path, error);
    if (status == WEFT_OK) *out = weft_step_is_complete(weft_text_get(&path));
    weft_text_fini(&path);
    return status;
}

/* Steps before this one, ascending (names sort otherwise when steps have more than eight digits): of complete
 * checkpoints, or of what was left under another suffix. */
static weft_status list_earlier(const char *folder, int64_t step, const char *suffix, weft_arena *arena, int64_t **out,
                                size_t *out_count, weft_error *error)
{
    const char **names = NULL;
    size_t count = 0, found = 0;
    TRY(weft_folder_list(folder, arena, &names, &count, error));
    int64_t *steps = NULL;
    TRY(weft_arena_take(arena, count, sizeof *steps, &steps, error));
    for (size_t i = 0; i < count; i++) {
        int64_t other = 0;
        bool wanted = true;
        if (!weft_step_parse(names[i], suffix, &other) || other >= step) continue;
        if (!*suffix) TRY(is_complete(folder, other, &wanted, error));
        if (!wanted) continue;
        size_t at = found++;
        for (; at > 0 && steps[at - 1] > other; at--) steps[at] = steps[at - 1];
        steps[at] = other;
    }
    *out = steps;
    *out_count = found;
    return WEFT_OK;
}

/* Without a status: the new checkpoint is in place, and what stays now is tried again at the next. */
static void prune(const char *folder, int64_t step, int64_t keep)
{
    weft_arena arena;
    weft_arena_init(&arena);
    int64_t *steps = NULL;
    size_t count = 0;
    weft_status status = list_earlier(folder, step, "", &arena, &steps, &count, NULL);
    for (size_t i = 0; status == WEFT_OK && keep > 0 && i + (size_t)keep - 1 < count; i++) retire(folder, steps[i]);
    status = list_earlier(folder, step, WEFT_STEP_TMP, &arena, &steps, &count, NULL);
    for (size_t i = 0; status == WEFT_OK && i < count; i++) weft_checkpoint_discard(folder, steps[i]);
    weft_arena_fini(&arena);
}

int64_t weft_checkpoint_before(const char *folder, int64_t step)
{
    weft_arena arena;
    weft_arena_init(&arena);
    int64_t *steps = NULL;
    size_t count = 0;
    weft_status status = list_earlier(folder, step, "", &arena, &steps, &count, NULL);
    int64_t before = status == WEFT_OK && count > 0 ? steps[count - 1] : -1;
    weft_arena_fini(&arena);
    return before;
}

weft_status weft_checkpoint_publish(const char *folder, const weft_checkpoint_state *state, const char *config_yaml,
                                    const weft_checkpoint_file *files, size_t file_count, int64_t keep,
                                    weft_error *error)
{
    weft_text tmp;
    weft_text_init(&tmp);
    weft_status status = weft_step_path(folder, state->step, WEFT_STEP_TMP, &tmp, error);
    if (status == WEFT_OK) status = finish(weft_text_get(&tmp), state, config_yaml, files, file_count, error);
    if (status == WEFT_OK) status = install(folder, weft_text_get(&tmp), state->step, error);
    weft_text_fini(&tmp);
    if (status != WEFT_OK) {
        weft_checkpoint_discard(folder, state->step);
        return status;
    }
    prune(folder, state->step, keep);
    return WEFT_OK;
}

/* What cannot be removed is left: an unfinished folder is never read, and the next of this step empties it. */
void weft_checkpoint_discard(const char *folder, int64_t step)
{
    weft_text path;
    weft_text_init(&path);
    if (weft_step_path(folder, step, WEFT_STEP_TMP, &path, NULL) == WEFT_OK) remove_if_possible(weft_text_get(&path));
    weft_text_fini(&path);
}
