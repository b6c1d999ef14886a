#include "checkpoint/manifest.h"

#include "config/events.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

enum { LARGEST_MANIFEST = 64 * 1024 * 1024, MOST_FIELDS = 10 };

/* The last line proves the lines before it, so that no cut or changed manifest passes for a shorter one. */
static const char closing[] = "checksum: 0x0123456789abcdef\n";
enum { CLOSING_BYTES = sizeof closing - 1, CLOSING_WORD = 12 };

static const char *const kind_names[WEFT_CHECKPOINT_KINDS] = {"weights", "moment1", "moment2"};

const char *weft_checkpoint_kind_name(weft_checkpoint_kind kind)
{
    return kind_names[kind];
}

void weft_checkpoint_file_name(weft_checkpoint_kind kind, int32_t rank, int32_t ranks, weft_checkpoint_file *out)
{
    snprintf(out->name, sizeof out->name, "%s-%05" PRId32 "-of-%05" PRId32 ".safetensors", kind_names[kind], rank + 1,
             ranks);
}

bool weft_checkpoint_file_parse(const char *name, weft_checkpoint_kind *out, int32_t *out_ranks)
{
    for (int kind = 0; kind < WEFT_CHECKPOINT_KINDS; kind++) {
        size_t length = strlen(kind_names[kind]);
        int place = 0, places = 0;
        if (strncmp(name, kind_names[kind], length) != 0) continue;
        if (sscanf(name + length, "-%5d-of-%5d", &place, &places) != 2 || place < 1 || place > places) return false;
        weft_checkpoint_file same;
        *out = (weft_checkpoint_kind)kind;
        *out_ranks = places;
        weft_checkpoint_file_name(*out, place - 1, places, &same);
        return strcmp(same.name, name) == 0;
    }
    return false;
}

/* A block scalar: every line indented by two blanks, whatever it holds. */
static void print_block(const char *key, const char *text, weft_text *out)
{
    size_t length = strlen(text);
    if (length == 0) {
        weft_text_add(out, "%s: \"\"\n", key);
        return;
    }
    weft_text_add(out, "%s: |2%c\n", key, text[length - 1] == '\n' ? '+' : '-');
    while (*text) {
        size_t line = strcspn(text, "\n");
        if (line) weft_text_add(out, "  ");
        weft_text_add_bytes(out, text, line);
        weft_text_add(out, "\n");
        text += line + (text[line] == '\n');
    }
}

static void print_numbers(const char *key, const double *numbers, int64_t count, weft_text *out)
{
    weft_text_add(out, "  %s: [", key);
    for (int64_t i = 0; i < count; i++) {
        if (i > 0) weft_text_add(out, ", ");
        weft_text_add_double(out, numbers[i]);
    }
    weft_text_add(out, "]\n");
}

/* Of runs that skip no steps there is nothing to say. */
static void print_skips(const weft_checkpoint_skips *skips, weft_text *out)
{
    if (skips->skipped == 0 && skips->count == 0) return;
    weft_text_add(out, "skip:\n  skipped: %" PRId64 "\n  in_a_row: %" PRId64 "\n", skips->skipped, skips->in_a_row);
    print_numbers("losses", skips->losses, skips->count, out);
    print_numbers("norms", skips->norms, skips->count, out);
}

void weft_manifest_print(const weft_checkpoint_state *state, const char *config, const weft_checkpoint_file *files,
                         size_t count, weft_text *out)
{
    weft_text_add(out, "format: weft-checkpoint\nversion: 2\nstep: %" PRId64 "\nsequences: %" PRId64 "\n", state->step,
                  state->sequences);
    weft_text_add(out, "loss: ");
    if (isfinite(state->loss))
        weft_text_add_double(out, state->loss);
    else
        weft_text_add(out, ".nan");
    weft_text_add(out, "\n");
    weft_text_add(out, "data_fingerprint: 0x%016" PRIx64 "\n", state->data_fingerprint);
    print_skips(&state->skips, out);
    print_block("config", config, out);
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (!files[i].name[0]) continue;
        weft_text_add(out, "%s  - name: %s\n    bytes: %" PRIu64 "\n    checksum: 0x%016" PRIx64 "\n",
                      any ? "" : "files:\n", files[i].name, files[i].bytes, files[i].checksum);
        any = true;
    }
    if (!any) weft_text_add(out, "files: []\n");
    weft_text_add(out, "checksum: 0x%016" PRIx64 "\n", (uint64_t)XXH3_64bits(weft_text_get(out), out->length));
}

typedef struct reader {
    weft_yaml yaml;
    weft_manifest *manifest;
    weft_error *error;
} reader;

/* read begins at the first event of the value and ends at its last. */
typedef struct field {
    const char *key;
    weft_status (*read)(reader *from, void *target);
    bool optional;
} field;

static weft_status complain(const reader *from, const char *what)
{
    return weft_yaml_refuse(&from->yaml, "%s", what);
}

/* Copied to the manifest's arena. */
static weft_status read_scalar(reader *from, const char **out)
{
    if (from->yaml.kind != WEFT_YAML_SCALAR) return complain(from, "a single value is expected here");
    return weft_arena_text(&from->manifest->arena, from->yaml.value, out, from->error);
}

static weft_status read_whole(reader *from, int64_t *out)
{
    const char *word = NULL;
    TRY(read_scalar(from, &word));
    if (!weft_parse_int(word, out) || *out < 0) return complain(from, "a whole number of at least 0 is expected here");
    return WEFT_OK;
}

static weft_status read_hex(reader *from, uint64_t *out)
{
    const char *word = NULL;
    TRY(read_scalar(from, &word));
    if (strlen(word) != 18 || strncmp(word, "0x", 2) != 0 || strspn(word + 2, "0123456789abcdef") != 16)
        return complain(from, "0x and 16 hexadecimal digits are expected here");
    *out = strtoull(word + 2, NULL, 16);
    return WEFT_OK;
}

static weft_status read_format(reader *from, void *target)
{
    (void)target;
    const char *word = NULL;
    TRY(read_scalar(from, &word));
    return strcmp(word, "weft-checkpoint") == 0 ? WEFT_OK : complain(from, "this is not a weft-checkpoint");
}

static weft_status read_version(reader *from, void *target)
{
    weft_manifest *manifest = target;
    TRY(read_whole(from, &manifest->version));
    bool known = manifest->version == 1 || manifest->version == 2;
    return known ? WEFT_OK : complain(from, "this version of the format is not known, only 1 and 2");
}

static weft_status read_step(reader *from, void *target)
{
    weft_manifest *manifest = target;
    TRY(read_whole(from, &manifest->state.step));
    if (manifest->state.step <= WEFT_CONFIG_STEPS) return WEFT_OK;
    return complain(from, "this is more than run.steps can be");
}

static weft_status read_sequences(reader *from, void *target)
{
    weft_manifest *manifest = target;
    TRY(read_whole(from, &manifest->state.sequences));
    if (manifest->state.sequences <= WEFT_CHECKPOINT_SEQUENCES) return WEFT_OK;
    return complain(from, "this is more than any run can read");
}

static weft_status read_loss(reader *from, void *target)
{
    weft_manifest *manifest = target;
    const char *word = NULL;
    TRY(read_scalar(from, &word));
    manifest->state.loss = (double)NAN;
    if (strcmp(word, ".nan") == 0 || weft_parse_double(word, &manifest->state.loss)) return WEFT_OK;
    return complain(from, "a number is expected here");
}

static weft_status read_fingerprint(reader *from, void *target)
{
    weft_manifest *manifest = target;
    return read_hex(from, &manifest->state.data_fingerprint);
}

static weft_status read_skipped(reader *from, void *target)
{
    weft_checkpoint_skips *skips = target;
    return read_whole(from, &skips->skipped);
}

static weft_status read_in_a_row(reader *from, void *target)
{
    weft_checkpoint_skips *skips = target;
    return read_whole(from, &skips->in_a_row);
}

static weft_status read_numbers(reader *from, weft_manifest_numbers *out)
{
    if (from->yaml.kind != WEFT_YAML_LIST) return complain(from, "a list of numbers is expected here");
    for (;;) {
        double number = 0;
        TRY(weft_yaml_next(&from->yaml));
        if (from->yaml.kind == WEFT_YAML_LIST_END) return WEFT_OK;
        if (from->yaml.kind != WEFT_YAML_SCALAR || !weft_parse_double(from->yaml.value, &number))
            return complain(from, "a finite number is expected here");
        if (out->count == WEFT_CHECKPOINT_WINDOW) return complain(from, "these are more than a window can have");
        TRY(weft_grow(&out->values, &out->capacity, out->count + 1, sizeof *out->values, from->error));
        out->values[out->count++] = number;
    }
}

static weft_status read_losses(reader *from, void *target)
{
    (void)target;
    return read_numbers(from, &from->manifest->losses);
}

static weft_status read_norms(reader *from, void *target)
{
    (void)target;
    return read_numbers(from, &from->manifest->norms);
}

static weft_status read_map(reader *from, const field *fields, size_t count, void *target);

static weft_status read_skips(reader *from, void *target)
{
    static const field fields[] = {{"skipped", read_skipped, false},
                                   {"in_a_row", read_in_a_row, false},
                                   {"losses", read_losses, false},
                                   {"norms", read_norms, false}};
    weft_manifest *manifest = target;
    weft_checkpoint_skips *skips = &manifest->state.skips;
    if (from->yaml.kind != WEFT_YAML_MAP) return complain(from, "a map of keys is expected here");
    TRY(read_map(from, fields, sizeof fields / sizeof *fields, skips));
    if (manifest->losses.count != manifest->norms.count) return complain(from, "there are not as many losses as norms");
    skips->count = (int64_t)manifest->losses.count;
    skips->losses = manifest->losses.values;
    skips->norms = manifest->norms.values;
    return WEFT_OK;
}

static weft_status read_config(reader *from, void *target)
{
    weft_manifest *manifest = target;
    return read_scalar(from, &manifest->config);
}

static weft_status read_closing(reader *from, void *target)
{
    (void)target;
    uint64_t proved_before = 0;
    return read_hex(from, &proved_before);
}

static weft_status read_file_name(reader *from, void *target)
{
    weft_checkpoint_file *file = target;
    weft_checkpoint_kind kind;
    int32_t ranks = 0, *known = &from->manifest->ranks;
    const char *word = NULL;
    TRY(read_scalar(from, &word));
    if (!weft_checkpoint_file_parse(word, &kind, &ranks))
        return complain(from, "this is not the name of a file of a checkpoint");
    if (*known && *known != ranks) return complain(from, "another file says another number of ranks");
    *known = ranks;
    snprintf(file->name, sizeof file->name, "%s", word);
    return WEFT_OK;
}

static weft_status read_file_bytes(reader *from, void *target)
{
    weft_checkpoint_file *file = target;
    int64_t bytes = 0;
    TRY(read_whole(from, &bytes));
    file->bytes = (uint64_t)bytes;
    return WEFT_OK;
}

static weft_status read_file_checksum(reader *from, void *target)
{
    weft_checkpoint_file *file = target;
    return read_hex(from, &file->checksum);
}

/* The current event is a key. */
static weft_status find_field(reader *from, const field *fields, size_t count, const bool *seen, size_t *out)
{
    if (from->yaml.kind != WEFT_YAML_SCALAR) return complain(from, "a single value is expected here");
    for (*out = 0; *out < count; (*out)++) {
        if (strcmp(from->yaml.value, fields[*out].key) != 0) continue;
        return seen[*out] ? complain(from, "this key was given before") : WEFT_OK;
    }
    return complain(from, "this key is not known");
}

/* Every key of fields once, in any order, and no other. */
static weft_status read_map(reader *from, const field *fields, size_t count, void *target)
{
    bool seen[MOST_FIELDS] = {false};
    for (;;) {
        size_t which = 0;
        TRY(weft_yaml_next(&from->yaml));
        if (from->yaml.kind == WEFT_YAML_MAP_END) break;
        TRY(find_field(from, fields, count, seen, &which));
        seen[which] = true;
        TRY(weft_yaml_next(&from->yaml));
        TRY(fields[which].read(from, target));
    }
    for (size_t i = 0; i < count; i++)
        if (!seen[i] && !fields[i].optional) return weft_yaml_refuse(&from->yaml, "%s is missing", fields[i].key);
    return WEFT_OK;
}

static weft_status read_file(reader *from)
{
    static const field fields[] = {
        {"name", read_file_name, false}, {"bytes", read_file_bytes, false}, {"checksum", read_file_checksum, false}};
    weft_manifest *manifest = from->manifest;
    TRY(weft_grow(&manifest->files, &manifest->capacity, manifest->count + 1, sizeof *manifest->files, from->error));
    weft_checkpoint_file *file = &manifest->files[manifest->count++];
    *file = (weft_checkpoint_file){0};
    return read_map(from, fields, sizeof fields / sizeof *fields, file);
}

static weft_status read_files(reader *from, void *target)
{
    (void)target;
    if (from->yaml.kind != WEFT_YAML_LIST) return complain(from, "a list of files is expected here");
    for (;;) {
        TRY(weft_yaml_next(&from->yaml));
        if (from->yaml.kind == WEFT_YAML_LIST_END) return WEFT_OK;
        if (from->yaml.kind != WEFT_YAML_MAP)
            return complain(from, "name, bytes and checksum of a file are expected here");
        TRY(read_file(from));
    }
}

static int by_file_name(const void *a, const void *b)
{
    const weft_checkpoint_file *left = a, *right = b;
    return strcmp(left->name, right->name);
}

/* Each step has read one sequence or more; a batch of more than this for each is beyond what batch.* can say. */
static weft_status check_sequences(reader *from)
{
    static const int64_t most_a_step = INT64_C(1) << 56;
    const weft_manifest *manifest = from->manifest;
    int64_t step = manifest->state.step, sequences = manifest->state.sequences;
    if ((manifest->version == 1) != (sequences < 0))
        FAIL(from->error, WEFT_INVALID, "%s: sequences %s", from->yaml.name,
             sequences < 0 ? "is missing" : "is a key of version 2");
    if (sequences >= 0 && (sequences < step || (sequences > 0 && (sequences - 1) / most_a_step >= step)))
        FAIL(from->error, WEFT_INVALID, "%s: %" PRId64 " steps cannot have read %" PRId64 " sequences", from->yaml.name,
             step, sequences);
    return WEFT_OK;
}

/* Each step was skipped, or may be among those that were not. */
static weft_status check_skips(reader *from)
{
    const weft_checkpoint_skips *skips = &from->manifest->state.skips;
    int64_t step = from->manifest->state.step;
    if (skips->in_a_row <= skips->skipped && skips->skipped <= step && skips->count <= step - skips->skipped)
        return WEFT_OK;
    FAIL(from->error, WEFT_INVALID,
         "%s: of %" PRId64 " steps %" PRId64 " cannot have been skipped, %" PRId64 " in a row, and %" PRId64 " not",
         from->yaml.name, step, skips->skipped, skips->in_a_row, skips->count);
}

static weft_status read_document(reader *from)
{
    static const field fields[] = {
        {"format", read_format, false}, {"version", read_version, false},
        {"step", read_step, false},     {"sequences", read_sequences, true}, /* not of version 1 */
        {"loss", read_loss, false},     {"data_fingerprint", read_fingerprint, false},
        {"skip", read_skips, true},     {"config", read_config, false},
        {"files", read_files, false},   {"checksum", read_closing, false}};
    _Static_assert(sizeof fields / sizeof *fields <= MOST_FIELDS, "read_map keeps what it has seen in a fixed array");
    weft_manifest *manifest = from->manifest;
    manifest->state.sequences = -1;
    if (from->yaml.kind != WEFT_YAML_MAP) return complain(from, "a map of keys is expected here");
    TRY(read_map(from, fields, sizeof fields / sizeof *fields, manifest));
    TRY(weft_yaml_end(&from->yaml));
    if (manifest->count) qsort(manifest->files, manifest->count, sizeof *manifest->files, by_file_name);
    for (size_t i = 1; i < manifest->count; i++)
        if (strcmp(manifest->files[i - 1].name, manifest->files[i].name) == 0)
            FAIL(from->error, WEFT_INVALID, "%s: the file %s is listed twice", from->yaml.name,
                 manifest->files[i].name);
    TRY(check_skips(from));
    return check_sequences(from);
}

static weft_status check_closing(const char *bytes, size_t count, const char *path, weft_error *error)
{
    const char *line = count < CLOSING_BYTES ? NULL : bytes + count - CLOSING_BYTES;
    bool begins = line && (line == bytes || line[-1] == '\n'); /* the checksums of files are on indented lines */
    if (!begins || memcmp(line, closing, CLOSING_WORD) != 0 || line[CLOSING_BYTES - 1] != '\n')
        FAIL(error, WEFT_INVALID, "%s: truncated at byte %zu: it does not end with the line of its checksum", path,
             count);
    char wanted[CLOSING_BYTES + 1];
    snprintf(wanted, sizeof wanted, "checksum: 0x%016" PRIx64 "\n",
             (uint64_t)XXH3_64bits(bytes, count - CLOSING_BYTES));
    if (memcmp(line, wanted, CLOSING_BYTES) != 0)
        FAIL(error, WEFT_INVALID, "%s: corrupt: bytes 0 to %zu have the checksum %.18s, its last line says %.18s", path,
             count - CLOSING_BYTES, wanted + CLOSING_WORD - 2, line + CLOSING_WORD - 2);
    return WEFT_OK;
}

weft_status weft_manifest_parse(weft_manifest *manifest, const void *bytes, size_t count, const char *path,
                                weft_error *error)
{
    *manifest = (weft_manifest){0};
    TRY(check_closing(bytes, count, path, error));
    reader from = {.manifest = manifest, .error = error};
    weft_arena_init(&manifest->arena);
    weft_status status = weft_yaml_init(&from.yaml, bytes, count, path, error);
    if (status == WEFT_OK) status = read_document(&from);
    weft_yaml_fini(&from.yaml);
    if (status != WEFT_OK) weft_manifest_fini(manifest);
    return status;
}

weft_status weft_manifest_read(weft_manifest *manifest, const char *path, weft_error *error)
{
    *manifest = (weft_manifest){0};
    struct stat info;
    if (stat(path, &info) != 0) FAIL(error, WEFT_INVALID, "%s: missing: this is not a complete checkpoint", path);
    if (!S_ISREG(info.st_mode)) FAIL(error, WEFT_INVALID, "%s: not a regular file", path);
    if (info.st_size > LARGEST_MANIFEST) FAIL(error, WEFT_INVALID, "%s: larger than %d bytes", path, LARGEST_MANIFEST);
    weft_text text;
    weft_text_init(&text);
    weft_status status = weft_file_read(path, &text, error);
    if (status == WEFT_OK) status = weft_manifest_parse(manifest, weft_text_get(&text), text.length, path, error);
    weft_text_fini(&text);
    return status;
}

void weft_manifest_fini(weft_manifest *manifest)
{
    weft_free(manifest->losses.values);
    weft_free(manifest->norms.values);
    weft_free(manifest->files);
    weft_arena_fini(&manifest->arena);
    *manifest = (weft_manifest){0};
}
