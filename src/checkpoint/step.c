#include "checkpoint/step.h"

#include "base/file.h"
#include "checkpoint/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

weft_status weft_step_path(const char *folder, int64_t step, const char *suffix, weft_text *out, weft_error *error)
{
    out->length = 0;
    weft_text_add(out, "%s/step-%08" PRId64 "%s", folder, step, suffix);
    return weft_text_check(out, error);
}

bool weft_step_parse(const char *name, const char *suffix, int64_t *out_step)
{
    char again[64];
    if (strlen(name) >= sizeof again || sscanf(name, "step-%18" SCNd64, out_step) != 1 || *out_step < 0) return false;
    snprintf(again, sizeof again, "step-%08" PRId64 "%s", *out_step, suffix);
    return strcmp(again, name) == 0;
}

static bool has_manifest(int folder, const char *name)
{
    char path[96];
    struct stat info;
    snprintf(path, sizeof path, "%s/" WEFT_MANIFEST_NAME, name);
    return fstatat(folder, path, &info, 0) == 0 && S_ISREG(info.st_mode);
}

bool weft_step_is_complete(const char *path)
{
    int folder = weft_folder_enter(path);
    if (folder < 0) return false;
    bool complete = has_manifest(folder, ".");
    close(folder);
    return complete;
}

static bool is_there(int folder, const char *name)
{
    struct stat info;
    return fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The latest steps of a folder; -1: none. */
typedef struct latest {
    int64_t complete, damaged;
    bool old; /* the complete one stepped aside for another of the same step */
} latest;

/* Where another process is just removing or replacing one, its name is gone once it lacks its manifest. What is left of
 * one that stepped aside is being removed, unless nothing has taken its place. */
static void look_at(int folder, const char *name, latest *found)
{
    int64_t step = -1;
    char place[64];
    bool old = weft_step_parse(name, WEFT_STEP_OLD, &step);
    if (!old && !weft_step_parse(name, "", &step)) return;
    snprintf(place, sizeof place, "step-%08" PRId64, step);
    if (has_manifest(folder, name)) {
        if (step < found->complete || (step == found->complete && old)) return;
        found->complete = step;
        found->old = old;
    } else if (step > found->damaged && is_there(folder, name) && (!old || !is_there(folder, place))) {
        found->damaged = step;
    }
}

static weft_status refuse_damaged(const char *folder, const latest *found, weft_error *error)
{
    char earlier[64] = "there is no earlier one";
    if (found->complete >= 0)
        snprintf(earlier, sizeof earlier, "move it away to go on from step %" PRId64, found->complete);
    FAIL(error, WEFT_INVALID,
         "%s/step-%08" PRId64 ": its " WEFT_MANIFEST_NAME
         " is missing: it is damaged, for a checkpoint gets its name when "
         "it is complete; %s",
         folder, found->damaged, earlier);
}

bool weft_step_any(const char *folder)
{
    DIR *names = opendir(folder);
    bool any = false;
    int64_t step = -1;
    if (!names) return false;
    for (struct dirent *entry; !any && (entry = readdir(names));)
        any = weft_step_parse(entry->d_name, WEFT_STEP_OLD, &step) || weft_step_parse(entry->d_name, "", &step);
    closedir(names);
    return any;
}

weft_status weft_step_latest(const char *folder, weft_text *out, weft_error *error)
{
    DIR *names = opendir(folder);
    if (!names) FAIL(error, WEFT_INVALID, "%s: cannot open: %s", folder, strerror(errno));
    latest found = {.complete = -1, .damaged = -1};
    for (struct dirent *entry; (entry = readdir(names));) look_at(dirfd(names), entry->d_name, &found);
    closedir(names);
    out->length = 0;
    if (found.damaged > found.complete || (found.old && found.damaged == found.complete))
        return refuse_damaged(folder, &found, error);
    if (found.complete < 0) return WEFT_OK;
    return weft_step_path(folder, found.complete, found.old ? WEFT_STEP_OLD : "", out, error);
}
