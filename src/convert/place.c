#include "convert/place.h"

#include "base/file.h"
#include "convert/family.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

weft_status weft_place_check(const char *path, weft_error *error)
{
    weft_arena arena;
    const char **names = NULL;
    size_t count = 0;
    if (!weft_path_exists(path)) return WEFT_OK;
    weft_arena_init(&arena);
    weft_status status = weft_folder_list(path, &arena, &names, &count, error);
    weft_arena_fini(&arena);
    if (status == WEFT_OK && count > 0) FAIL(error, WEFT_INVALID, "%s: is not empty: name a new folder", path);
    return status;
}

/* Without a path of the file: for want of memory it would seem not to be there. */
bool weft_place_holds(const char *folder, const char *name)
{
    int place = weft_folder_enter(folder);
    if (place < 0) return false;
    bool there = faccessat(place, name, F_OK, 0) == 0;
    close(place);
    return there;
}

bool weft_place_has_tokenizer(const char *folder)
{
    return weft_place_holds(folder, "tokenizer.json") || weft_place_holds(folder, "tokenizer.model");
}

weft_status weft_place_write(const char *folder, const char *name, const weft_text *text, weft_error *error)
{
    weft_text path;
    weft_text_init(&path);
    weft_text_add(&path, "%s/%s", folder, name);
    weft_status status = weft_text_check(text, error);
    if (status == WEFT_OK) status = weft_text_check(&path, error);
    if (status == WEFT_OK) status = weft_file_write(weft_text_get(&path), weft_text_get(text), text->length, error);
    weft_text_fini(&path);
    return status;
}

static weft_status copy_file(const char *from, const char *to, const char *name, weft_error *error)
{
    weft_text path, bytes;
    weft_text_init(&path);
    weft_text_init(&bytes);
    weft_text_add(&path, "%s/%s", from, name);
    weft_status status = weft_text_check(&path, error);
    if (status == WEFT_OK && weft_path_exists(weft_text_get(&path))) {
        status = weft_file_read(weft_text_get(&path), &bytes, error);
        if (status == WEFT_OK) status = weft_place_write(to, name, &bytes, error);
    }
    weft_text_fini(&bytes);
    weft_text_fini(&path);
    return status;
}

weft_status weft_place_copy(const char *from, const char *to, bool config, weft_error *error)
{
    if (config) TRY(copy_file(from, to, "config.json", error));
    for (const char *const *name = weft_folder_files; *name; name++) TRY(copy_file(from, to, *name, error));
    return WEFT_OK;
}

/* A checkpoint lies in its run's folder; a path may end with slashes, or be one from inside of it. */
void weft_place_source(const char *checkpoint, weft_text *out)
{
    static const char config[] = "/config.json";
    size_t length = strlen(checkpoint);
    while (length > 1 && checkpoint[length - 1] == '/') length--;
    size_t name = length;
    while (name > 0 && checkpoint[name - 1] != '/') name--;
    bool inside = length - name <= 2 && strspn(checkpoint + name, ".") >= length - name;
    weft_text_add(out, "%.*s%ssource%s", (int)(inside ? length : name), checkpoint, inside ? "/../" : "", config);
    if (out->failed) return;
    out->length = weft_path_exists(weft_text_get(out)) ? out->length - strlen(config) : 0;
    out->bytes[out->length] = '\0';
}

static weft_status remove_file(const char *folder, const char *name, weft_error *error)
{
    weft_text path;
    weft_text_init(&path);
    weft_text_add(&path, "%s/%s", folder, name);
    weft_status status = weft_text_check(&path, error);
    if (status == WEFT_OK) (void)unlink(weft_text_get(&path));
    weft_text_fini(&path);
    return status;
}

weft_status weft_place_clear(const char *folder, weft_error *error)
{
    TRY(remove_file(folder, "config.json", error));
    for (const char *const *name = weft_folder_files; *name; name++) TRY(remove_file(folder, *name, error));
    return WEFT_OK;
}
