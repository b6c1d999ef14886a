/* A folder as it is read: its files, and where in them each parameter of the model is. */
#include "convert/folder.h"

#include "base/file.h"

#include <inttypes.h>
#include <string.h>

static const char single_file[] = "model.safetensors", index_file[] = "model.safetensors.index.json";

static weft_status path_in(weft_folder *folder, const char *name, const char **out, weft_error *error)
{
    weft_text path;
    weft_text_init(&path);
    weft_text_add(&path, "%s/%s", folder->path, name);
    weft_status status = weft_text_check(&path, error);
    if (status == WEFT_OK) status = weft_arena_text(&folder->arena, weft_text_get(&path), out, error);
    weft_text_fini(&path);
    return status;
}

/* config.json says nothing of it. */
static const char *const no_data[] = {"data.path=none"};

static weft_status read_config(weft_folder *folder, int64_t context, weft_error *error)
{
    const char *path = NULL, *keys = NULL;
    weft_document document;
    weft_text yaml;
    TRY(path_in(folder, "config.json", &path, error));
    TRY(path_in(folder, "config.json (as keys of weft)", &keys, error));
    TRY(weft_document_read(&document, path, error));
    weft_text_init(&yaml);
    weft_text_add(&yaml, "model:\n");
    weft_status status = weft_family_read(&document, &folder->family, &yaml, error);
    if (status == WEFT_OK) status = weft_arena_text(&folder->arena, weft_text_get(&yaml), &folder->keys, error);
    if (status == WEFT_OK)
        status = weft_config_load_text(&folder->config, folder->keys, yaml.length, keys, no_data, 1, error);
    if (status == WEFT_OK) folder->model = folder->config.model;
    folder->positions = folder->model.context;
    if (status == WEFT_OK && context > folder->positions)
        status = weft_fail(error, WEFT_INVALID, "%s: its longest sequence is %" PRId64 ", not %" PRId64, path,
                           folder->positions, context);
    if (status == WEFT_OK && context > 0) folder->model.context = context;
    weft_text_fini(&yaml);
    weft_document_fini(&document);
    return status;
}

/* A name in the index: a file beside it. */
static bool is_plain(const char *name)
{
    size_t length = strlen(name), end = strlen(".safetensors");
    return length > end && strcmp(name + length - end, ".safetensors") == 0 && !strchr(name, '/') && *name != '.';
}

static weft_status add_file(weft_folder *folder, const char *name, weft_error *error)
{
    const char *path = NULL;
    TRY(path_in(folder, name, &path, error));
    TRY(weft_safetensors_open(path, &folder->files[folder->file_count].tensors, error));
    folder->files[folder->file_count].name = path + strlen(folder->path) + 1;
    folder->file_count++;
    return WEFT_OK;
}

static int find_file(const weft_folder *folder, const char *name)
{
    size_t f = 0;
    while (f < folder->file_count && strcmp(folder->files[f].name, name) != 0) f++;
    return f < folder->file_count ? (int)f : -1;
}

/* A tensor that the index has in one file. */
static weft_status check_listed(weft_folder *folder, const weft_document *index, const weft_node *node,
                                weft_error *error)
{
    const char *name = NULL;
    TRY(weft_node_text(index, node, &name, error));
    if (!is_plain(name))
        return weft_document_complain(index, node, error, "%.80s: is no name of a safetensors file beside this one",
                                      name);
    if (find_file(folder, name) < 0) TRY(add_file(folder, name, error));
    if (weft_safetensors_find(folder->files[find_file(folder, name)].tensors, node->key)) return WEFT_OK;
    return weft_document_complain(index, node, error, "%s does not hold \"%.80s\"", name, node->key);
}

static weft_status read_listed(weft_folder *folder, const weft_document *index, weft_error *error)
{
    const weft_node *map = weft_node_get(index->root, "weight_map");
    size_t count = 0;
    if (index->root->kind != WEFT_NODE_MAP || !map || map->kind != WEFT_NODE_MAP)
        return weft_document_complain(index, map ? map : index->root, error, "weight_map: a map is expected");
    for (const weft_node *node = map->first; node; node = node->next) count++;
    TRY(weft_arena_take(&folder->arena, count, sizeof *folder->files, &folder->files, error));
    for (const weft_node *node = map->first; node; node = node->next) TRY(check_listed(folder, index, node, error));
    return WEFT_OK;
}

static weft_status no_tensors(const weft_folder *folder, weft_error *error)
{
    weft_text old;
    weft_text_init(&old);
    weft_text_add(&old, "%s/pytorch_model.bin", folder->path);
    bool pickled = weft_path_exists(weft_text_get(&old));
    weft_text_add(&old, ".index.json");
    pickled |= weft_path_exists(weft_text_get(&old));
    weft_text_fini(&old);
    if (pickled)
        FAIL(error, WEFT_INVALID,
             "%s: holds pickles (pytorch_model.bin), which run programs when they are read: save it as safetensors "
             "(save_pretrained does) and take that",
             folder->path);
    FAIL(error, WEFT_INVALID, "%s: holds neither %s nor %s", folder->path, single_file, index_file);
}

static weft_status open_files(weft_folder *folder, weft_error *error)
{
    const char *single = NULL, *index = NULL;
    weft_document document;
    TRY(path_in(folder, single_file, &single, error));
    TRY(path_in(folder, index_file, &index, error));
    if (weft_path_exists(single)) {
        TRY(weft_arena_take(&folder->arena, 1, sizeof *folder->files, &folder->files, error));
        return add_file(folder, single_file, error);
    }
    if (!weft_path_exists(index)) return no_tensors(folder, error);
    TRY(weft_document_read(&document, index, error));
    weft_status status = read_listed(folder, &document, error);
    weft_document_fini(&document);
    return status;
}

/* In whichever file; names may lack what the family's begin with. */
static const weft_tensor_entry *find_tensor(const weft_folder *folder, const char *name, size_t *out_file)
{
    const char *prefix = folder->family->optional;
    for (size_t f = 0; f < folder->file_count; f++) {
        const weft_tensor_entry *entry = weft_safetensors_find(folder->files[f].tensors, name);
        if (!entry && prefix && strncmp(name, prefix, strlen(prefix)) == 0)
            entry = weft_safetensors_find(folder->files[f].tensors, name + strlen(prefix));
        if (out_file) *out_file = f;
        if (entry) return entry;
    }
    return NULL;
}

int weft_folder_parts(const weft_folder *folder, const weft_parameter *parameter, weft_part out[WEFT_FAMILY_PARTS])
{
    weft_band bands[WEFT_FAMILY_PARTS];
    bool transposed = false;
    int count = weft_family_bands(folder->family, parameter, bands, &transposed);
    for (int i = 0; i < count; i++) {
        out[i] = (weft_part){.first = bands[i].first, .rows = bands[i].rows, .transposed = transposed};
        memcpy(out[i].name, bands[i].name, sizeof out[i].name);
        out[i].entry = find_tensor(folder, bands[i].name, &out[i].file);
    }
    return count;
}

/* Only embedding.position may have more rows than the model wants. */
static weft_status check_shape(const weft_folder *folder, const weft_parameter *parameter, const weft_part *part,
                               weft_error *error)
{
    const weft_tensor_entry *entry = part->entry;
    bool matrix = parameter->dimensions == 2, position = strcmp(parameter->name, "embedding.position") == 0;
    int64_t rows = position ? folder->positions : part->rows, columns = parameter->shape[1];
    const int64_t wanted[2] = {part->transposed ? columns : rows, part->transposed ? rows : columns};
    if (!entry)
        FAIL(error, WEFT_INVALID, "%s: tensor \"%s\", which config.json asks for, is in no file", folder->path,
             part->name);
    bool same = entry->dimensions == parameter->dimensions && entry->shape[0] == wanted[0] &&
                (!matrix || entry->shape[1] == wanted[1]);
    if (same) return WEFT_OK;
    if (matrix)
        FAIL(error, WEFT_INVALID,
             "%s/%s: tensor \"%s\" has not the shape that config.json asks for, (%" PRId64 ", %" PRId64 ")",
             folder->path, folder->files[part->file].name, part->name, wanted[0], wanted[1]);
    FAIL(error, WEFT_INVALID, "%s/%s: tensor \"%s\" has not the shape that config.json asks for, (%" PRId64 ")",
         folder->path, folder->files[part->file].name, part->name, wanted[0]);
}

static weft_status check_parameters(const weft_folder *folder, size_t *out_used, weft_error *error)
{
    weft_parameter parameter;
    weft_part parts[WEFT_FAMILY_PARTS];
    for (int64_t i = 0; weft_model_parameter(&folder->model, i, &parameter); i++) {
        if (parameter.tied) continue; /* a head that is stored all the same: find_tied */
        int count = weft_folder_parts(folder, &parameter, parts);
        for (int p = 0; p < count; p++) TRY(check_shape(folder, &parameter, &parts[p], error));
        *out_used += (size_t)count;
    }
    return WEFT_OK;
}

/* Where the head is the embedding, files may hold both: what is read of one is compared with the other. */
static weft_status find_tied(weft_folder *folder, size_t *out_used, weft_error *error)
{
    weft_parameter head;
    weft_part parts[WEFT_FAMILY_PARTS];
    int64_t last = 0;
    if (!folder->model.tied) return WEFT_OK;
    while (weft_model_parameter(&folder->model, last, &head)) last++;
    weft_folder_parts(folder, &head, parts);
    if (!parts->entry) return WEFT_OK;
    ++*out_used;
    folder->tied = *parts;
    return check_shape(folder, &head, parts, error);
}

static bool is_unused(const weft_folder *folder, const char *name)
{
    for (const char *const *ending = folder->family->unused; *ending; ending++) {
        size_t length = strlen(name), end = strlen(*ending);
        if (length > end && strcmp(name + length - end, *ending) == 0) return true;
    }
    return false;
}

/* Whether a tensor is one of a parameter's, by going through all of them: only to name the first that is none. */
static bool belongs(const weft_folder *folder, const weft_tensor_entry *entry)
{
    weft_parameter parameter;
    weft_part parts[WEFT_FAMILY_PARTS];
    for (int64_t i = 0; weft_model_parameter(&folder->model, i, &parameter); i++)
        for (int p = 0, count = weft_folder_parts(folder, &parameter, parts); p < count; p++)
            if (parts[p].entry == entry) return true;
    return false;
}

/* What no parameter is made of would be lost without a word: biases, experts, a head of another kind. */
static weft_status check_all_used(const weft_folder *folder, size_t used, weft_error *error)
{
    size_t count = 0;
    for (size_t f = 0; f < folder->file_count; f++)
        for (size_t i = 0; i < weft_safetensors_count(folder->files[f].tensors); i++)
            count += !is_unused(folder, weft_safetensors_get(folder->files[f].tensors, i)->name);
    for (size_t f = 0; f < folder->file_count && count != used; f++)
        for (size_t i = 0; i < weft_safetensors_count(folder->files[f].tensors); i++) {
            const weft_tensor_entry *entry = weft_safetensors_get(folder->files[f].tensors, i);
            if (is_unused(folder, entry->name) || belongs(folder, entry)) continue;
            FAIL(error, WEFT_INVALID,
                 "%s/%s: tensor \"%.100s\" is none that a model of config.json has (%s), or it is there twice",
                 folder->path, folder->files[f].name, entry->name, folder->family->name);
        }
    return WEFT_OK;
}

static weft_status open_folder(weft_folder *folder, const char *path, int64_t context, weft_error *error)
{
    size_t used = 0;
    TRY(weft_arena_text(&folder->arena, path, &folder->path, error));
    TRY(read_config(folder, context, error));
    if (context < 0) return WEFT_OK;
    TRY(open_files(folder, error));
    TRY(check_parameters(folder, &used, error));
    TRY(find_tied(folder, &used, error));
    return check_all_used(folder, used, error);
}

weft_status weft_folder_open(const char *path, int64_t context, weft_folder **out, weft_error *error)
{
    *out = NULL;
    weft_folder *folder = NULL;
    TRY(weft_allocate(1, sizeof *folder, &folder, error));
    weft_arena_init(&folder->arena);
    weft_status status = open_folder(folder, path, context, error);
    if (status == WEFT_OK)
        *out = folder;
    else
        weft_folder_close(folder);
    return status;
}

void weft_folder_close(weft_folder *folder)
{
    if (!folder) return;
    for (size_t f = 0; f < folder->file_count; f++) weft_safetensors_close(folder->files[f].tensors);
    weft_config_fini(&folder->config);
    weft_arena_fini(&folder->arena);
    weft_free(folder);
}

const char *weft_folder_path(const weft_folder *folder)
{
    return folder->path;
}

const weft_model_config *weft_folder_model(const weft_folder *folder)
{
    return &folder->model;
}

const char *weft_folder_family(const weft_folder *folder)
{
    return folder->family->name;
}

const char *weft_folder_keys(const weft_folder *folder)
{
    return folder->keys;
}

const weft_config *weft_folder_config(const weft_folder *folder)
{
    return &folder->config;
}
