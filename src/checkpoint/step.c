#include "checkpoint/step.h"

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
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return false;
    bool complete = has_manifest(folder, ".");
    close(folder);
    return complete;
}

weft_status weft_step_latest(const char *folder, weft_text *out, weft_error *error)
{
    DIR *names = opendir(folder);
    if (!names) FAIL(error, WEFT_INVALID, "%s: cannot open: %s", folder, strerror(errno));
    int64_t latest = -1;
    const char *suffix = "";
    for (struct dirent *entry; (entry = readdir(names));) {
        int64_t step = -1;
        bool old = weft_step_parse(entry->d_name, WEFT_STEP_OLD, &step);
        if (!old && !weft_step_parse(entry->d_name, "", &step)) continue;
        if (step < latest || (step == latest && old) || !has_manifest(dirfd(names), entry->d_name)) continue;
        latest = step;
        suffix = old ? WEFT_STEP_OLD : "";
    }
    closedir(names);
    out->length = 0;
    return latest < 0 ? WEFT_OK : weft_step_path(folder, latest, suffix, out, error);
}
