/* A folder as it is read: its files, and where in them each parameter of the model is. */
#include "convert/folder.h"

#include "base/file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
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

static weft_status read_config(weft_folder *folder, int64_t context, weft_error *error)
{
    const char *path = NULL, *keys = NULL;
    weft_document document;
    weft_text yaml;
    TRY(path_in(folder, "config.json", &path, error));
    TRY(path_in(folder, "config.json (as keys of weft)", &keys, error));
    TRY(weft_document_read(&document, path, error));
    weft_text_init(&yaml);
    weft_text_add(&yaml, "data: {path: none}\nmodel:\n");
    weft_status status = weft_family_read(&document, &folder->family, &yaml, error);
    if (status == WEFT_OK)
        status = weft_config_load_text(&folder->config, weft_text_get(&yaml), yaml.length, keys, NULL, 0, error);
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
    char names[WEFT_FAMILY_PARTS][WEFT_TENSOR_NAME];
    bool transposed = false;
    int64_t first = 0;
    int count = weft_family_names(folder->family, parameter, names, &transposed);
    for (int i = 0; i < count; i++) {
        int64_t rows = count > 1 ? parameter->bands[i] : parameter->shape[0];
        out[i] = (weft_part){.first = first, .rows = rows, .transposed = transposed};
        snprintf(out[i].name, sizeof out[i].name, "%s", names[i]);
        out[i].entry = find_tensor(folder, names[i], &out[i].file);
        first += rows;
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
        if (parameter.tied) continue; /* a head that is stored all the same: check_tied */
        int count = weft_folder_parts(folder, &parameter, parts);
        for (int p = 0; p < count; p++) TRY(check_shape(folder, &parameter, &parts[p], error));
        *out_used += (size_t)count;
    }
    return WEFT_OK;
}

/* Chunks of elements that are compared at once. */
enum { CHUNK = 4096 };

/* Where the head is the embedding, files may hold both. */
static weft_status check_tied(const weft_folder *folder, size_t *out_used, weft_error *error)
{
    weft_parameter token, head;
    weft_part part[WEFT_FAMILY_PARTS];
    int64_t last = 0;
    if (!folder->model.tied) return WEFT_OK;
    weft_model_parameter(&folder->model, 0, &token);
    while (weft_model_parameter(&folder->model, last, &head)) last++;
    weft_folder_parts(folder, &head, part);
    if (!part->entry) return WEFT_OK;
    ++*out_used;
    TRY(check_shape(folder, &head, part, error));
    float a[CHUNK], b[CHUNK];
    for (int64_t from = 0; from < head.elements; from += CHUNK) {
        int64_t to = head.elements - from < CHUNK ? head.elements : from + CHUNK;
        TRY(weft_folder_read(folder, &token, from, to, a, error));
        TRY(weft_folder_read(folder, &head, from, to, b, error));
        for (int64_t i = 0; i < to - from; i++)
            if (memcmp(&a[i], &b[i], sizeof *a) != 0)
                FAIL(error, WEFT_INVALID,
                     "%s: tie_word_embeddings is true, but tensor \"%s\" is not the embedding: element %" PRId64
                     " differs",
                     folder->path, part->name, from + i);
    }
    return WEFT_OK;
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
    TRY(open_files(folder, error));
    TRY(check_parameters(folder, &used, error));
    TRY(check_tied(folder, &used, error));
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

/* Elements of a part, from one of the parameter's on. */
static void take(const weft_part *part, int64_t columns, int64_t from, int64_t count, float *out)
{
    const unsigned char *data = part->entry->data;
    size_t element = weft_element_bytes(part->entry->element);
    int64_t at = from - part->first * columns;
    if (!part->transposed) {
        weft_element_to_float(part->entry->element, data + (size_t)at * element, (size_t)count, out);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t row = (at + i) / columns, column = (at + i) % columns;
        size_t place = (size_t)(column * part->entry->shape[1] + row);
        weft_element_to_float(part->entry->element, data + place * element, 1, out + i);
    }
}

weft_status weft_folder_read(const weft_folder *folder, const weft_parameter *parameter, int64_t from, int64_t to,
                             float *out, weft_error *error)
{
    weft_part parts[WEFT_FAMILY_PARTS];
    int count = weft_folder_parts(folder, parameter, parts);
    int64_t columns = parameter->shape[1];
    for (int p = 0; p < count; p++) {
        int64_t low = parts[p].first * columns, high = low + parts[p].rows * columns;
        if (low < from) low = from;
        if (high > to) high = to;
        if (low >= high) continue;
        take(&parts[p], columns, low, high - low, out + low - from);
        for (int64_t i = low; i < high; i++)
            if (!isfinite(out[i - from]))
                FAIL(error, WEFT_INVALID,
                     "%s/%s: tensor \"%s\" holds a number that is not finite (row %" PRId64 ", column %" PRId64
                     " of %s)",
                     folder->path, folder->files[parts[p].file].name, parts[p].name, i / columns, i % columns,
                     parameter->name);
    }
    return WEFT_OK;
}
